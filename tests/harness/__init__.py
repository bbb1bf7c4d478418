"""The harness of the tests: the real process (`server`), clients that send exact bytes (`raw`), upstreams that answer
exact bytes (`upstream`). Every wait has a deadline, no port is fixed, nothing sleeps."""

"""What the tests stand on: the real process (`server`), clients that say exact bytes (`raw`), upstreams that answer
exact bytes (`upstream`). Every wait has a deadline, no port is fixed, nothing sleeps."""

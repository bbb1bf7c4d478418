"""Stands in for a worker process in the tests of the supervisor: speaks its side of the control socket, has no engine.

Started as the supervisor starts a worker, with the number of its end of the control socket; how it behaves is in the
environment variable DOUBLE, one word for each index.
"""

import errno
import json
import os
import signal
import socket
import sys


def say(control: socket.socket, message: dict[str, object]) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")


def main() -> int:
    control = socket.socket(fileno=int(sys.argv[1]))
    with control.makefile("rb") as lines:
        brief = json.loads(lines.readline())
        behaviour = os.environ["DOUBLE"].split()[brief["index"]]
        if behaviour == "fails":
            say(control, {"failed": "there is no ring here"})
            return 1
        if behaviour == "ringless" and brief["driver"] == "io_uring":
            say(control, {"no_driver": {"error": errno.ENOMEM}})
            say(control, {"failed": "io_uring cannot be set up"})
            return 1
        if behaviour == "crashes":
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # sanitizers and faulthandler have one of their own
            os.kill(os.getpid(), signal.SIGSEGV)
        for descriptor in (entry["fd"] for entry in brief["listeners"]):
            assert socket.socket(fileno=os.dup(descriptor)).getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        for name in ("snapshot", "addresses", "counters", "records"):
            os.fstat(brief[name])
        if behaviour == "babbles":
            control.sendall(b"5\n")
            lines.read(1)
        if behaviour == "quits":
            return 3
        say(control, {"ready": {"driver": "double", "features": ["none"], "pinned": True}})
        while (order := lines.read(1)) and not (order == b"d" and behaviour == "hangs"):
            if order in b"ds":
                break
        while behaviour == "hangs" and lines.read(1) not in (b"s", b""):
            pass
    say(
        control,
        {"stopped": {"gauges": {"clients": 2 if behaviour == "leaks" else 0, "buffers": 0}, "open": ["client 3 busy"]}},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

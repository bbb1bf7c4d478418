"""The main function of a worker process: `python -m ringway.control.running.worker FD`. FD is its end of the control
socket.

It imports as little as possible, to keep workers small. Its brief comes over the control socket as one JSON line, never
on a command line or in an environment. docs/architecture.md describes messages and brief.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any

from ringway.control.machine import descriptors
from ringway.errors import reason_of

_PEEK = 65536


def main(descriptor: int) -> int:
    """Runs until the supervisor stops it or is gone. Returns the exit code: 0, or 1 if the worker could not start."""
    _leave_signals_to_supervisor()
    control = socket.socket(fileno=descriptor)
    brief = read_brief(control)
    if brief is None:
        return 0  # the supervisor ended before it sent a brief
    try:
        pinned = pin(brief["cpu"])
        brief["control"] = descriptor
        # Import everything now, because the user of the worker may not be able to read the modules later.
        import resource

        from ringway.engine.kernel import rights
        from ringway.engine.worker import worker

        if brief["user"] is not None:
            # Root has no limit on locked memory. The new user has one, for all workers together, and io_uring locks
            # memory. EPERM: the limit stays as it is.
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        rights.give_up(brief["user"])

        def say(kind: str, found: dict[str, Any]) -> None:
            answer(control, {kind: {**found, "pinned": pinned} if kind == "ready" else found})

        stopped = worker.run(brief, say, lambda: next_brief(control))
    except (RuntimeError, OSError, ImportError) as error:
        answer(control, {"failed": reason_of(error)})
        return 1
    answer(control, {"stopped": stopped})
    return 0


def _leave_signals_to_supervisor() -> None:
    """Ignores signals. The supervisor drains and stops workers over the control socket, so Ctrl-C must not end them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def read_brief(control: socket.socket) -> dict[str, Any] | None:
    """Reads the first line, and not a byte more: the loop reads what follows. None: end of file."""
    line = bytearray()
    while not line.endswith(b"\n"):
        seen = control.recv(_PEEK, socket.MSG_PEEK)
        if not seen:
            return None
        end = seen.find(b"\n")
        line += control.recv(end + 1 if end >= 0 else len(seen))
    brief: dict[str, Any] = json.loads(line)
    return brief


def next_brief(control: socket.socket) -> dict[str, Any] | None:
    """Receives a new brief and its descriptors after an "r" on the control socket, see WorkerProcess.renew(). None: the
    supervisor is gone, or this has failed and the supervisor knows it."""
    try:
        (text,) = descriptors.receive(control, 1)
    except OSError:
        return None
    brief: dict[str, Any] = json.loads(os.pread(text, os.fstat(text).st_size, 0))
    os.close(text)
    try:
        row = descriptors.receive(control, brief["descriptors"])
    except OSError as error:
        answer(control, {"renewed": {"number": brief["number"], "error": reason_of(error)}})
        return None
    for name in ("snapshot", "addresses", "certificates", "peers"):
        if brief.get(name) is not None:
            brief[name] = row[brief[name]]
    for entry in brief["listeners"]:
        if entry["fd"] is not None:
            entry["fd"] = row[entry["fd"]]
    brief["folders"] = [row[folder] if folder >= 0 else folder for folder in brief["folders"]]
    return brief


def pin(cpu: int) -> bool:
    """Pins the process to a CPU. False: the CPU is no longer available, and the kernel chooses."""
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:
        return False
    return True


def answer(control: socket.socket, message: dict[str, Any]) -> None:
    """Sends one JSON line to the supervisor, which may be gone."""
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

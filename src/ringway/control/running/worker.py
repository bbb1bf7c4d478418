"""The main of a worker process: `python -m ringway.control.running.worker FD`; FD is its end of the control socket.

It imports as little as it can: a worker stays small. What it is to do comes over the control socket as one JSON line,
never on a command line or in an environment. Messages and the brief are described in docs/architecture.md.
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
    """Runs until the supervisor says otherwise or is gone. The exit code: 0, or 1 if the worker could not start."""
    _leave_signals_to_supervisor()
    control = socket.socket(fileno=descriptor)
    brief = read_brief(control)
    if brief is None:
        return 0  # the supervisor went away before it said anything
    try:
        pinned = pin(brief["cpu"])
        brief["control"] = descriptor
        # All that is imported later too: its user may not be able to read where it lies.
        import resource

        from ringway.engine.kernel import rights
        from ringway.engine.worker import worker

        if brief["user"] is not None:
            # Root has no such bound, and what io_uring locks counts to all workers together. EPERM: it stays as it is.
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
    """It drains and ends the workers over the control socket, so a Ctrl-C meant for it must not end them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def read_brief(control: socket.socket) -> dict[str, Any] | None:
    """The first line, and not a byte more: what follows belongs to the loop. None: end of file."""
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
    """After an "r" on the control socket: the new brief with its descriptors, see WorkerProcess.renew(). None: the
    supervisor is gone, or knows that it cannot be taken."""
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
    """Stays on this CPU. False: it is not there any more, the kernel chooses."""
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:
        return False
    return True


def answer(control: socket.socket, message: dict[str, Any]) -> None:
    """One JSON line to the supervisor; it may be gone."""
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

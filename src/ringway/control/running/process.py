"""One worker as the supervisor sees it: a process, its control socket, and its messages so far."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from ringway.control.machine import descriptors, memory
from ringway.control.running.rules import DESCRIPTORS
from ringway.control.running.said import LINE_MOST, BrokenWorker, Lines, parse

# -P: do not import modules from the current directory.
COMMAND = [sys.executable, "-P", "-m", "ringway.control.running.worker"]


class WorkerProcess:
    """A running worker. The supervisor starts it by exec with inherited descriptors, not by a bare fork."""

    def __init__(self, index: int, brief: dict[str, Any], passed: Sequence[int]) -> None:
        """Starts the process. `passed`: descriptors that it inherits in addition to its control socket, with the same
        numbers."""
        self.index = index
        self.started = time.monotonic()
        self.ready: dict[str, Any] | None = None
        """Its message `ready`, when its loop runs."""
        self._ready_at = 0.0
        self.failed = ""
        """Why it could not start, or why it was killed."""
        self.certificates: Callable[[], int] = int
        """Returns how many blocks of certificates it has loaded, by its counters."""
        self.driver_error = 0
        """The error number if the I/O driver failed, else 0."""
        self.renewed: list[dict[str, Any]] = []
        """Its messages `renewed`. The supervisor removes them."""
        self.listens = _names(brief)
        """Names of the sockets in the last brief that it got."""
        self._memory = brief["memory"]
        self._has = self.listens
        """Names of the sockets in the last brief that it has accepted."""
        self._told: list[tuple[int, set[str]]] = []
        """Briefs that it has not answered yet: number, and names of the sockets."""
        self.stopped: dict[str, Any] | None = None
        """Its message `stopped`: what was still open at its end."""
        self.suspect = ""
        """Invalid data that the thread of the access log found in its records."""
        self.broken = False
        """It violated the protocol and was killed. The supervisor ignores its messages."""
        self._lines = Lines()
        self.control, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = subprocess.Popen(
                    [*COMMAND, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), *passed],
                    # Ctrl-C in the terminal is only for the supervisor.
                    start_new_session=True,
                )
        except OSError:
            # The limit of descriptors or processes is reached. Close the socket, so that the next try can succeed.
            self.control.close()
            raise
        self._send(json.dumps(brief).encode() + b"\n")
        self.control.setblocking(False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def fileno(self) -> int:
        return self.control.fileno()

    def renew_certificates(self) -> None:
        """Notifies it of new certificates in the shared memory."""
        self._send(b"c")

    def renew_peers(self) -> None:
        """Notifies it of new files for upstreams with TLS in the shared memory."""
        self._send(b"u")

    def renew(self, brief: dict[str, Any]) -> None:
        """Sends new rules. Sends the descriptors of the brief after it; in the text each of them is its position among
        them. The worker answers with `renewed` and the number of the brief. Raises OSError and sends nothing if there
        are not enough descriptors or memory."""
        row: list[int] = []

        def place(descriptor: int) -> int:
            row.append(descriptor)
            return len(row) - 1

        told = dict(brief)
        for name in DESCRIPTORS:
            if told.get(name) is not None:
                told[name] = place(told[name])
        told["folders"] = [place(folder) if folder >= 0 else folder for folder in brief["folders"]]
        # It has these sockets, whether or not it accepts the unanswered briefs.
        kept = self._has.intersection(*(names for _, names in self._told))
        told["listeners"] = [
            {**entry, "fd": None if entry["name"] in kept else place(entry["fd"])} for entry in brief["listeners"]
        ]
        told["descriptors"] = len(row)
        text = memory.sealed("ringway brief", json.dumps(told).encode())
        try:
            self._send(b"r")
            with contextlib.suppress(OSError):
                descriptors.send(self.control, [text])
                descriptors.send(self.control, row)
        finally:
            os.close(text)
        self.listens = _names(brief)
        self._memory = brief["memory"]
        self._told.append((brief["number"], self.listens))

    def knows(self, brief: dict[str, Any]) -> bool:
        """Whether the last brief that it got has the same sockets and the same memory."""
        return self.listens == _names(brief) and self._memory == brief["memory"]

    def drain(self) -> None:
        """Tells it to drain: stop accepting, finish what runs, exit."""
        self._send(b"d")

    def stop(self) -> None:
        """Tells it to exit at once."""
        self._send(b"s")

    def kill(self) -> None:
        self.process.kill()

    def _send(self, data: bytes) -> None:
        # If it is dead, the supervisor notices that elsewhere.
        with contextlib.suppress(OSError):
            self.control.sendall(data)

    def read(self) -> bool:
        """Reads its messages. False: end of file."""
        try:
            data = self.control.recv(LINE_MOST)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        try:
            for line in self._lines.take(data) if not self.broken else []:
                self._take(*parse(line))
        except BrokenWorker as error:
            self.distrust(f"it sent {error}")
        return bool(data)

    def _take(self, kind: str, told: Any) -> None:
        """Raises BrokenWorker for an unexpected message."""
        if self.stopped is not None or self.failed or self._said(kind):
            raise BrokenWorker(f"an unexpected message `{kind}`")
        if kind == "ready":
            self.ready = told
            self._ready_at = time.monotonic()
        elif kind == "renewed":
            self._answered(told)
        elif kind == "failed":
            self.failed = told
        elif kind == "no_driver":
            self.driver_error = told["error"]
        else:
            self.stopped = told

    def _said(self, kind: str) -> bool:
        """Whether this is `ready` or `no_driver`, and the worker has already sent one of them."""
        return kind in ("ready", "no_driver") and (self.ready is not None or self.driver_error != 0)

    def _answered(self, told: dict[str, Any]) -> None:
        if not self._told or self._told[0][0] != told["number"]:
            raise BrokenWorker("an answer without a question")
        _, names = self._told.pop(0)
        self.renewed.append(told)
        if not told["error"]:
            self._has = names

    def distrust(self, why: str) -> None:
        """Kills it because it violated the protocol. The supervisor then restarts it, as after every death."""
        if not self.broken:
            self.broken = True
            self.stopped = None
            self.failed = f"killed, because {why}"
            self.kill()

    def exited(self) -> bool:
        return self.process.poll() is not None

    def lived(self) -> float:
        """Returns the seconds since its start."""
        return time.monotonic() - self.started

    def served(self) -> float:
        """Returns the seconds since it became ready. 0: it has not."""
        return time.monotonic() - self._ready_at if self.ready is not None else 0.0

    def how_it_ended(self) -> str:
        """Returns how it exited: `signal SIGSEGV`, `exit code 1`, or its own sentence."""
        code = self.process.returncode
        if self.failed:
            return self.failed
        if code < 0:
            try:
                return f"signal {signal.Signals(-code).name}"
            except ValueError:
                return f"signal {-code}"
        return f"exit code {code}"

    def close(self) -> None:
        self.control.close()


def _names(brief: dict[str, Any]) -> set[str]:
    return {entry["name"] for entry in brief["listeners"]}


def raise_limits() -> int:
    """Raises RLIMIT_NOFILE and RLIMIT_MEMLOCK to their hard limits, for supervisor and workers. Returns the limit of
    open files."""
    import resource

    # From Linux 6.14 on, the rings of io_uring count towards RLIMIT_MEMLOCK.
    with contextlib.suppress(OSError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, most))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return hard
        except (OSError, ValueError):
            return soft
    return soft

"""One worker as the supervisor sees it: a process, its control socket, and what it said so far."""

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

# -P: no module of the current directory takes the place of ours.
COMMAND = [sys.executable, "-P", "-m", "ringway.control.running.worker"]


class WorkerProcess:
    """A running worker. Started by exec with its descriptors passed, never by fork."""

    def __init__(self, index: int, brief: dict[str, Any], passed: Sequence[int]) -> None:
        """Starts it. `passed` are descriptors that it gets beside its control socket, under the same numbers."""
        self.index = index
        self.started = time.monotonic()
        self.ready: dict[str, Any] | None = None
        """What it found, once its loop runs."""
        self._ready_at = 0.0
        self.failed = ""
        """Why it could not start."""
        self.certificates: Callable[[], int] = int
        """How many blocks of certificates it has taken, as its counters say."""
        self.driver_error = 0
        """The error number, if it was the I/O driver."""
        self.renewed: list[dict[str, Any]] = []
        """What it said of new rules, to be taken out by whoever waits for it."""
        self.listens = _names(brief)
        """Names of the sockets that it was told to have."""
        self._memory = brief["memory"]
        self._has = self.listens
        """As far as it has answered."""
        self._told: list[tuple[int, set[str]]] = []
        """Each brief that it has not answered yet: its number, and what is to be had by it."""
        self.stopped: dict[str, Any] | None = None
        """What was still open at its end."""
        self.suspect = ""
        """What it wrote into its records that no worker writes. Set by the thread of the log."""
        self.broken = False
        """It broke the rules and was killed: nothing that it says counts any more."""
        self._lines = Lines()
        self.control, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = subprocess.Popen(
                    [*COMMAND, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), *passed],
                    # A Ctrl-C in the terminal is for the supervisor alone.
                    start_new_session=True,
                )
        except OSError:
            # Out of descriptors or processes: the next try must find one more, not one fewer.
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
        """There are new ones in the shared memory."""
        self._send(b"c")

    def renew_peers(self) -> None:
        """There are new files for upstreams with TLS in theirs."""
        self._send(b"u")

    def renew(self, brief: dict[str, Any]) -> None:
        """New rules: what is a descriptor in the brief goes over beside it, and stands there as its place in the row.
        The answer comes as `renewed`, with the number of the brief. Raises OSError, with nothing told: out of
        descriptors or memory."""
        row: list[int] = []

        def place(descriptor: int) -> int:
            row.append(descriptor)
            return len(row) - 1

        told = dict(brief)
        for name in DESCRIPTORS:
            if told.get(name) is not None:
                told[name] = place(told[name])
        told["folders"] = [place(folder) if folder >= 0 else folder for folder in brief["folders"]]
        # Whatever it answers to the briefs before, these it has.
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
        """It was told these sockets, and where certificates lie."""
        return self.listens == _names(brief) and self._memory == brief["memory"]

    def drain(self) -> None:
        """Stop accepting, finish what runs, exit."""
        self._send(b"d")

    def stop(self) -> None:
        """Exit at once."""
        self._send(b"s")

    def kill(self) -> None:
        self.process.kill()

    def _send(self, data: bytes) -> None:
        # Dead or dying: its end is noticed where every end is.
        with contextlib.suppress(OSError):
            self.control.sendall(data)

    def read(self) -> bool:
        """Takes in what it said. False: it said its last word."""
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
        """Raises BrokenWorker for what is out of turn."""
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
        """What can be said once, before it serves or after, was said, or can be said no more."""
        return kind in ("ready", "no_driver") and (self.ready is not None or self.driver_error != 0)

    def _answered(self, told: dict[str, Any]) -> None:
        if not self._told or self._told[0][0] != told["number"]:
            raise BrokenWorker("an answer without a question")
        _, names = self._told.pop(0)
        self.renewed.append(told)
        if not told["error"]:
            self._has = names

    def distrust(self, why: str) -> None:
        """It broke the rules: it is killed, and its death has a successor started as every death has."""
        if not self.broken:
            self.broken = True
            self.stopped = None
            self.failed = f"killed, because {why}"
            self.kill()

    def exited(self) -> bool:
        return self.process.poll() is not None

    def lived(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self.started

    def served(self) -> float:
        """Seconds since it was ready; 0: it has never been."""
        return time.monotonic() - self._ready_at if self.ready is not None else 0.0

    def how_it_ended(self) -> str:
        """After it exited: `signal SIGSEGV`, `exit code 1`, or the sentence it gave."""
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
    """RLIMIT_NOFILE and RLIMIT_MEMLOCK to their hard limits, for workers and supervisor; returns how many files may
    be open then."""
    import resource

    # Rings of io_uring count to it, from Linux 6.14 on.
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

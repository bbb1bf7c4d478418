"""The log of events on stderr: one line an event, `2026-11-23T20:15:03.123Z level message`.

To say something never waits, whoever reads stderr: a supervisor that stood still in a write could not restart a worker.
"""

import contextlib
import datetime
import os
import select
import sys
import threading
import time
from collections import deque


def info(message: str) -> None:
    """Something that went as it should."""
    _write("info", message)


def warning(message: str) -> None:
    """Ringway goes on, but somebody should look."""
    _write("warning", message)


def error(message: str) -> None:
    """Something failed."""
    _write("error", message)


def flush(seconds: float = 2.0) -> None:
    """Waits until all is written, at most so long: who reads stderr may stand still for ever."""
    _writer.flush(seconds)


def _write(level: str, message: str) -> None:
    line = f"{timestamp(time.time_ns())} {level} {printable(message)}\n"
    _writer.put(line.encode("utf-8", "backslashreplace"))


class _Writer:
    """Lines on their way to stderr, in order. A thread of its own writes them, since nothing else is sure not to wait:
    stderr is shared with other processes, so O_NONBLOCK is not ours to set, and a pipe that poll(2) finds ready may be
    full again before one writes."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        """The first one is being written; it leaves when it is out."""
        self._lost = 0
        """Lines that found no place behind them, since this was told last."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            if len(self._lines) >= _LINES_MOST:
                self._lost += 1
                return
            self._tell_lost()
            self._lines.append(line)
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._lines, seconds)

    def _tell_lost(self) -> None:
        """In the place of those that are lost."""
        if self._lost:
            text = f"{timestamp(time.time_ns())} warning stderr was blocked, {self._lost} lines of this log are lost\n"
            self._lines.append(text.encode())
            self._lost = 0

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._lines:
                    self._tell_lost()
                self._changed.wait_for(lambda: self._lines)
                line = self._lines[0]
            # A closed stderr: nobody is left to tell.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                _write_all(sys.stderr.fileno(), line)
            with self._changed:
                self._lines.popleft()
                self._changed.notify_all()


def _write_all(file: int, line: bytes) -> None:
    while line:
        try:
            # One write: lines of several processes do not mix.
            line = line[os.write(file, line) :]
        except BlockingIOError:  # somebody who shares it has set O_NONBLOCK
            ready = select.poll()
            ready.register(file, select.POLLOUT)
            ready.poll()


_LINES_MOST = 1000
"""Lines that wait for stderr; further ones are lost, and counted."""
_writer = _Writer()


def timestamp(time_ns: int) -> str:
    """UTC with milliseconds, ISO 8601."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def printable(text: str) -> str:
    """On one line and harmless to a terminal: control characters as \\xNN."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))

"""The log of events on stderr: one line per event, `2026-11-23T20:15:03.123Z level message`.

Logging never blocks, even if the reader of stderr does. A supervisor that blocks in a write could not restart a worker.
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
    """Logs normal operation."""
    _write("info", message)


def warning(message: str) -> None:
    """Logs a problem that the operator should look at. Ringway continues."""
    _write("warning", message)


def error(message: str) -> None:
    """Logs a failure."""
    _write("error", message)


def flush(seconds: float = 2.0) -> None:
    """Waits until all lines are written, but at most `seconds`, because the reader of stderr may block forever."""
    _writer.flush(seconds)


def _write(level: str, message: str) -> None:
    line = f"{timestamp(time.time_ns())} {level} {printable(message)}\n"
    _writer.put(line.encode("utf-8", "backslashreplace"))


class _Writer:
    """The queue of lines for stderr. Only a separate thread guarantees that logging never blocks. Other processes share
    stderr, so Ringway must not set O_NONBLOCK on it, and they can fill a pipe between poll(2) and the write."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        """The thread is writing the first line, and removes it afterwards."""
        self._lost = 0
        """Lines that did not fit into the queue since the last warning about them."""
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
        """Queues a warning at the position of the lost lines."""
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
            # stderr can be closed.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                _write_all(sys.stderr.fileno(), line)
            with self._changed:
                self._lines.popleft()
                self._changed.notify_all()


def _write_all(file: int, line: bytes) -> None:
    while line:
        try:
            # One write per line, so that lines of several processes do not mix.
            line = line[os.write(file, line) :]
        except BlockingIOError:  # another process has set O_NONBLOCK on the shared stderr
            ready = select.poll()
            ready.register(file, select.POLLOUT)
            ready.poll()


_LINES_MOST = 1000
"""Lines that wait for stderr. Further lines are lost, and counted."""
_writer = _Writer()


def timestamp(time_ns: int) -> str:
    """Returns a time in UTC with milliseconds (ISO 8601)."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def printable(text: str) -> str:
    """Escapes control characters as \\xNN, so that the text is one line and safe for a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))

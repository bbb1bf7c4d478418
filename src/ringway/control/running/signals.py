"""What the loop of the supervisor is told: signals, and news from other threads, which arrive where signals do."""

import contextlib
import signal
import socket
from types import FrameType
from typing import Any

CERTIFICATES = b"\x80"
"""There are new certificates. News have numbers that no signal has."""
PEERS = b"\x81"
"""There are new files for upstreams."""
FILE_CHANGED = b"\x82"
"""The configuration file is another one."""
RESOLVED = b"\x83"
"""Every name has been looked up."""
SUSPECT = b"\x84"
"""The records of a worker cannot be read."""
FOLDERS = b"\x85"
"""A path leads to another folder."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


class Signals:
    """From `take_over()` to `close()` the signals of this process arrive here, by their numbers."""

    def __init__(self) -> None:
        self._writer, self._reader = socket.socketpair()
        self._writer.setblocking(False)
        self._reader.setblocking(False)
        self._before: dict[int, Any] = {}

    def take_over(self) -> None:
        """In the main thread."""
        self._before = {number: signal.signal(number, _nothing) for number in _SIGNALS}
        self._before[-1] = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def tell(self, news: bytes) -> None:
        """From other threads."""
        with contextlib.suppress(OSError):  # it has ended meanwhile
            self._writer.send(news)

    def take(self) -> bytes:
        """The numbers of what has arrived."""
        return self._reader.recv(4096)

    def close(self) -> None:
        """Signals do again what they did before."""
        if self._before:
            signal.set_wakeup_fd(self._before.pop(-1))
            for number, handler in self._before.items():
                signal.signal(number, handler)
        self._reader.close()
        self._writer.close()


def _nothing(number: int, frame: FrameType | None) -> None:
    """Signals are read from the wakeup descriptor; with no handler at all they would end the process."""

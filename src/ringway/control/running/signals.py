"""Signals and news of threads for the supervisor's loop. Both arrive as bytes on one socket."""

import contextlib
import signal
import socket
from types import FrameType
from typing import Any

CERTIFICATES = b"\x80"
"""There are new certificates. No signal has this number or one of the following."""
PEERS = b"\x81"
"""There are new files for upstreams."""
FILE_CHANGED = b"\x82"
"""The configuration file has changed."""
RESOLVED = b"\x83"
"""Every name has been resolved."""
SUSPECT = b"\x84"
"""The records of a worker cannot be read."""
FOLDERS = b"\x85"
"""A path leads to another folder."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


class Signals:
    """Receives the signals of this process between `take_over()` and `close()`, by their numbers."""

    def __init__(self) -> None:
        self._writer, self._reader = socket.socketpair()
        self._writer.setblocking(False)
        self._reader.setblocking(False)
        self._before: dict[int, Any] = {}

    def take_over(self) -> None:
        """Must run in the main thread."""
        self._before = {number: signal.signal(number, _nothing) for number in _SIGNALS}
        self._before[-1] = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def tell(self, news: bytes) -> None:
        """Sends news to the loop. Other threads call this."""
        with contextlib.suppress(OSError):  # the loop has ended
            self._writer.send(news)

    def take(self) -> bytes:
        """Returns the numbers of signals and news that have arrived."""
        return self._reader.recv(4096)

    def close(self) -> None:
        """Restores the previous signal handlers."""
        if self._before:
            signal.set_wakeup_fd(self._before.pop(-1))
            for number, handler in self._before.items():
                signal.signal(number, handler)
        self._reader.close()
        self._writer.close()


def _nothing(number: int, frame: FrameType | None) -> None:
    """The wakeup descriptor receives the signals. Without a handler they would end the process."""

"""A worker that stands still while several things happen to it, so that it finds them all at once."""

import contextlib
import fcntl
import os
import signal
import socket
import struct
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.server import Server
from harness.waiting import wait


@contextlib.contextmanager
def standing(server: Server, racing: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Its only worker is stopped (SIGSTOP) meanwhile. `racing` is done while it may not have noticed yet."""
    (pid,) = server.worker_pids
    os.kill(pid, signal.SIGSTOP)
    try:
        racing()
        wait(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "stopped worker")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def arrived(sock: socket.socket) -> None:
    """Waits until the other side's kernel has all that was sent."""
    left = bytearray(4)

    def look() -> bool:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, left)
        return struct.unpack("i", left) == (0,)

    wait(look, "acknowledgement of what was sent")

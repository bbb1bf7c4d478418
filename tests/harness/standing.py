"""Stops a worker while several things happen, so that it finds all of them at once."""

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
    """Stops the only worker (SIGSTOP) during the block. Calls `racing` when the worker may not have stopped yet."""
    (pid,) = server.worker_pids
    os.kill(pid, signal.SIGSTOP)
    try:
        racing()
        wait(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "stopped worker")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def arrived(sock: socket.socket) -> None:
    """Waits until the peer's kernel has received everything that was sent."""
    left = bytearray(4)

    def look() -> bool:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, left)
        return struct.unpack("i", left) == (0,)

    wait(look, "acknowledgement of what was sent")

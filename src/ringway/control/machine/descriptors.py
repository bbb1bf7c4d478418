"""Sends lists of descriptors over a Unix socket that can be longer than the limit of one message (SCM_MAX_FD of
include/net/scm.h)."""

import errno
import os
import select
import socket
from collections.abc import Sequence

_MOST = 250


def send(link: socket.socket, row: Sequence[int]) -> None:
    """Raises OSError."""
    for at in range(0, len(row), _MOST):
        socket.send_fds(link, [b"+"], row[at : at + _MOST])


def receive(link: socket.socket, count: int) -> list[int]:
    """Receives `count` descriptors in the order in which they were sent. Raises OSError if the other side is gone or
    the limit of open files is reached. It then closes all of them, and has read all messages of the list."""
    row: list[int] = []
    taken = 0
    while taken < count:
        select.select([link], [], [])
        mark, more, _, _ = socket.recv_fds(link, 1, _MOST)
        row += more
        if not mark:
            break
        taken = min(taken + _MOST, count)
    if len(row) < count:
        for descriptor in row:
            os.close(descriptor)
        why = errno.EMFILE if taken == count else errno.EPIPE
        raise OSError(why, os.strerror(why))
    for descriptor in row:
        os.set_inheritable(descriptor, False)
    return row

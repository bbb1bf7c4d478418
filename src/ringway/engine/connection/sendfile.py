"""Send a file, or one buffer, directly to the socket."""

import cython
from cython import address, cast
from cython.cimports.libc.stdint import int64_t, uint32_t
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.offload import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.stream import *
from cython.cimports.ringway.engine.native.linux import (
    EAGAIN,
    EINTR,
    FIONBIO,
    MSG_DONTWAIT,
    MSG_MORE,
    MSG_NOSIGNAL,
    errno,
    ioctl,
    send,
    sendfile,
)


def stream_send_now(s, b):
    # With kernel TLS, MSG_MORE puts the head and the beginning of the body into one record.
    sent: int64_t = send(s.fd, data_of(b), length_of(b), MSG_DONTWAIT | MSG_NOSIGNAL | (MSG_MORE if s.secure else 0))
    if sent > 0:
        b.start += cast(uint32_t, sent)
        s.lane.sent_any = True
    return b.start == b.end


def stream_sendfile(w, s, fd, at, length):
    on: cython.int = 1
    offset: int64_t = cast(int64_t, at)
    sent: int64_t
    if not offload_update(w, s):
        await_room(w, s)
        return -EAGAIN
    if not s.nonblocking:
        ioctl(s.fd, FIONBIO, address(on))  # sendfile(2) has no flag for this
        s.nonblocking = True
    sent = sendfile(s.fd, fd, address(offset), length)
    if sent >= 0:
        count(w.counters, COUNT_SENDFILE_BYTES, cast(int64_t, sent))
        return sent
    if errno != EAGAIN and errno != EINTR:
        return -errno
    await_room(w, s)
    return -EAGAIN

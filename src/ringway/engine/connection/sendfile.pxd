"""Send a file, or one buffer, directly to the socket: without TLS, or where the kernel encrypts.

The outbox must be empty, because both bypass it.
"""
from libc.stdint cimport int64_t, uint64_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.connection.state cimport Stream, Worker

cdef bint stream_send_now(Stream* s, Buffer* b) noexcept nogil
    # sends b at once, as sendfile(2) does with the body that follows. This saves a turn of the loop. False: part of b is
    # left
cdef int64_t stream_sendfile(Worker* w, Stream* s, int fd, uint64_t at, uint64_t length) noexcept nogil
    # sends bytes of the file from `at` on: how many, at most `length`. 0: the file is shorter. -EAGAIN: the owner gets
    # `sent` when the socket has room. Other errors: -errno

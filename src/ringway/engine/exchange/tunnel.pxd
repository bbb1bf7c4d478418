"""A tunnel: bytes in both directions after a 101 response (RFC 9110 7.8), without framing. Half-close is forwarded.

    client.inbox ---> upstream.outbox      each direction pauses while its outbox is full;
    client.outbox <--- upstream.inbox      its end is forwarded when all bytes before it were sent

If one side resets its connection, Ringway resets the other one too, so that the other side does not take what it has for the
whole. But first the other side must have all bytes: a reset drops what is in our socket and in flight. So Ringway checks
every TUNNEL_LOOK_MS and waits until the other side has acknowledged everything, as long as it acknowledges something within
`[timeouts] write` (a client) or `upstream`. If sending to one side fails, bytes for it are dropped, and what it had sent
before is still read.
"""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Exchange, Lane, Worker

cdef enum:
    TUNNEL_LOOK_MS = 20

cdef void tunnel_begin(Worker* w, Exchange* x, uint32_t length) noexcept nogil
    # the head of the 101 is the first `length` bytes of upstream.inbox.first, parsed into w.response
cdef void tunnel_flow(Worker* w, Exchange* x) noexcept nogil
    # call this after any event on either side
cdef void tunnel_late(Worker* w, Exchange* x, Lane* lane) noexcept nogil
    # a deadline of this side has passed, or it is time for the next check
cdef bint tunnel_broken(const Lane* lane) noexcept nogil
    # has this side broken, and are all its bytes read?
cdef void tunnel_break(Worker* w, Exchange* x, Lane* lane) noexcept nogil
    # all bytes of the other side, which has broken, are sent: resets this side when it has acknowledged them
cdef int tunnel_reason(const Lane* lane) noexcept nogil      # Reason for resetting this side
cdef void tunnel_one_way(Worker* w, Exchange* x, Lane* source, Lane* target) noexcept nogil

"""A tunnel: what an Upgrade becomes after the upstream's 101 (RFC 9110 7.8). No framing, both ways, half-close passed on.

    client.inbox ---> upstream.outbox      each paused while the outbox is full;
    client.outbox <--- upstream.inbox      an end of one is passed on when all before it was sent

Who breaks (a reset) breaks the other side too, so that nobody takes what came for the whole; but not before the other side has
all that was said. A reset of ours would throw away what our socket still has to send, and what is in flight. So it waits until
the other machine has acknowledged all of it, looking every TUNNEL_LOOK_MS, as long as something of it moves within
`[timeouts] write` (of a client) or `upstream`. What is still sent to who takes no more is dropped; what he said before is read.
"""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Exchange, Stream, Worker

cdef enum:
    TUNNEL_LOOK_MS = 20

cdef void tunnel_begin(Worker* w, Exchange* x, uint32_t length) noexcept nogil
    # the 101 is at upstream.inbox.first (in w.response), `length` bytes
cdef void tunnel_flow(Worker* w, Exchange* x) noexcept nogil
    # after any event on either side
cdef void tunnel_late(Worker* w, Exchange* x, Stream* s) noexcept nogil
    # a deadline of this side has passed, or it is time to look again
cdef bint tunnel_broken(const Stream* s) noexcept nogil
    # this side is gone, and all that it said was read
cdef void tunnel_break(Worker* w, Exchange* x, Stream* s) noexcept nogil
    # the other side is broken, and all that it said was sent: break this one off, once it has it
cdef int tunnel_reason(const Stream* s) noexcept nogil      # Reason: for breaking it off
cdef void tunnel_one_way(Worker* w, Exchange* x, Stream* source, Stream* target) noexcept nogil

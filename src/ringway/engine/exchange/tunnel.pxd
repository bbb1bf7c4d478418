"""A tunnel: what an Upgrade becomes after the upstream's 101 (RFC 9110 7.8). No framing, both ways, half-close passed on.

    client.inbox ---> upstream.outbox      each paused while the outbox is full;
    client.outbox <--- upstream.inbox      an end of one is passed on when all before it was sent

An upstream that breaks (a reset) breaks the client too, so that nobody takes what came for the whole; but not before all that
it had said is at the client. A reset of ours would throw away what our socket still has to send, and what is in flight. So it
waits until the client's machine has acknowledged all of it, looking every TUNNEL_LOOK_MS, as long as something of it moves
within `[timeouts] write`. What is still sent to an upstream that takes no more is dropped, what it has said before is read.
"""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Exchange, Stream, Worker

cdef enum:
    TUNNEL_LOOK_MS = 20

cdef void tunnel_begin(Worker* w, Exchange* x, uint32_t length) noexcept nogil
    # the 101 is at upstream.inbox.first (in w.response), `length` bytes
cdef void tunnel_flow(Worker* w, Exchange* x) noexcept nogil
    # after any event on either side
cdef void tunnel_late(Worker* w, Exchange* x) noexcept nogil
    # a deadline of its client has passed
cdef bint tunnel_broken(const Stream* t) noexcept nogil
    # the upstream is gone, and all that it said was read
cdef void tunnel_break(Worker* w, Exchange* x) noexcept nogil
    # all that it said was sent: break the client off, once it has it
cdef void tunnel_one_way(Worker* w, Exchange* x, Stream* source, Stream* target) noexcept nogil

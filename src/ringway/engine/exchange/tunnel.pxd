"""A tunnel: what an Upgrade becomes after the upstream's 101 (RFC 9110 7.8). No framing, both ways, half-close passed on.

    client.inbox ---> upstream.outbox      each paused while the outbox is full;
    client.outbox <--- upstream.inbox      an end of one is passed on when all before it was sent
"""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Exchange, Stream, Worker

cdef void tunnel_begin(Worker* w, Exchange* x, uint32_t length) noexcept nogil
    # the 101 is at upstream.inbox.first (in w.response), `length` bytes
cdef void tunnel_flow(Worker* w, Exchange* x) noexcept nogil
    # after any event on either side
cdef void tunnel_one_way(Worker* w, Exchange* x, Stream* source, Stream* target) noexcept nogil

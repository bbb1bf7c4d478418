"""Connections to upstreams and their pool: per worker and origin, newest first, watched while idle.

upstream_acquire() gives an exchange a connection: a pooled one at once (`upstream_ready` is called before it
returns), or a new one (`upstream_ready` or `upstream_failed` later).
"""
from ringway.engine.tls.peers cimport PeersHead
from ringway.engine.connection.state cimport Exchange, Origin, Rules, Stream, Upstream, Worker

cdef enum:
    TELL_NAME_MAX = 300     # bytes of an upstream's name, and of what OpenSSL says of it, in one event
    TELL_WHY_MAX = 120
    TELL_BYTES_MAX = 424

cdef void upstream_move(Upstream* u, int to) noexcept nogil
cdef void upstream_acquire(Worker* w, Exchange* x, bint fresh) noexcept nogil
    # `fresh`: not from the pool (a retry)
cdef int upstream_address(Upstream* u, Origin* origin) noexcept nogil
    # where to connect to; the number of its addresses, 0: none
cdef bint upstream_connect(Worker* w, Exchange* x, Origin* origin) noexcept nogil
cdef void upstream_connected(Worker* w, Upstream* u, int result) noexcept nogil
cdef bint send_proxy_header(Worker* w, Upstream* u, int version) noexcept nogil
    # in front of everything else. False: no buffer
cdef void upstream_handshake(Worker* w, Upstream* u) noexcept nogil
    # more of the handshake came, or its end
cdef int upstream_lost(Worker* w, Upstream* u) noexcept nogil
    # it ended before a response: why (Reason). If TLS broke, the operator is told
cdef void upstream_release(Worker* w, Upstream* u) noexcept nogil
    # its exchange has all of the response, and it may be used again: into the pool
cdef void upstream_drop(Worker* w, Upstream* u) noexcept nogil
    # close it; its exchange is told when nothing is in flight
cdef void upstream_break(Worker* w, Upstream* u) noexcept nogil
    # as drop, with a reset: for one that has more to say. After shutdown() its window may stay at zero for as long as the
    # kernel keeps the half-closed connection (a minute), and an upstream that is sending would be stuck for all of it
cdef void upstream_leave(Worker* w, Upstream* u) noexcept nogil
cdef void upstream_received(Worker* w, Stream* s) noexcept nogil
cdef void upstream_sent(Worker* w, Stream* s) noexcept nogil
cdef void upstream_late(Worker* w, Stream* s) noexcept nogil
cdef void upstream_gone(Worker* w, Stream* s) noexcept nogil
cdef void upstream_drain(Worker* w) noexcept nogil
    # close the idle ones
cdef int upstream_take(Worker* w, Rules* rules, const PeersHead* head) noexcept nogil
    # what is trusted and shown from now on; connections in use go on as they began. 0, or the number, from 1, of the first
    # upstream of which it cannot be used: it goes on with what it has

cdef void pool_put(Worker* w, Upstream* u) noexcept nogil
cdef void pool_remove(Worker* w, Upstream* u) noexcept nogil
cdef void try_next_address(Worker* w, Exchange* x, int reason) noexcept nogil
    # no connection to this one: to the name's next address, or that was the last one
cdef void connect_failed(Worker* w, Upstream* u, int reason) noexcept nogil
cdef int tls_reason(Worker* w, Upstream* u) noexcept nogil
cdef int connect_reason(int error) noexcept nogil

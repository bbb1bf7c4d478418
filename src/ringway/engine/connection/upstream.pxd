"""Connections to upstreams and their pool: per worker and origin, newest first, watched while idle.

upstream_acquire() gives an exchange a connection: a pooled one at once (`upstream_ready` is called before it
returns), or a new one (`upstream_ready` or `upstream_failed` later).

Whatever lies unread in a connection would be taken for the answer to the next request on it: the body of an answer to
HEAD, a second answer, a 408 for a request that never came. So none is used again in which something may lie (pool_quiet()):

- One that was idle when the worker slept is watched by a receive. What has come may be told in this turn, but behind the
  request that wants the connection, or not before the next one: `driver.quiet` looks whether it is. io_uring knows without a
  system call while nothing at all has happened since the worker slept; else, and with epoll, the socket is peeked at (0.2 us).
- One that became idle in this very turn has not been watched yet: what follows an answer (a body that should not be) is a
  few microseconds behind it. Those that were idle before are preferred to it; without one its socket is peeked at.
- A receive that does not wait (buffers are scarce), and half a TLS record, tell nothing: its socket is peeked at, or it is
  left alone.

One that is not quiet stays where it is: the completion that is on its way drops it, or finds that it was a session ticket.
What is still on the network is beyond anybody's sight.

To a name with several addresses attempts to connect are made as in RFC 8305: the next address is tried when one fails, and in
parallel when it has not answered after RACE_MS. The first that is connected is taken, the others are given up and come last for
a while (reach.pxd). Each has the deadline of connecting, and counts among `upstream_connections`.
"""
from ringway.engine.tls.peers cimport PeersHead
from ringway.engine.connection.state cimport Exchange, Origin, Rules, Stream, Upstream, Worker

cdef enum:
    RACE_MS = 250           # RFC 8305 5: the recommended Connection Attempt Delay
    POOL_LOOKS_MAX = 8      # connections that are looked at for one that is quiet
    TELL_NAME_MAX = 300     # bytes of an upstream's name, and of what OpenSSL says of it, in one event
    TELL_WHY_MAX = 120
    TELL_BYTES_MAX = 424

cdef void upstream_move(Upstream* u, int to) noexcept nogil
cdef void upstream_acquire(Worker* w, Exchange* x, bint fresh) noexcept nogil
    # `fresh`: not from the pool (a retry)
cdef int upstream_connect(Worker* w, Exchange* x, Origin* origin) noexcept nogil
    # a new connection, to an address that the exchange has not tried; 0, or the Reason why there is none
cdef bint upstream_may_open(const Origin* origin) noexcept nogil
    # its bound allows one more
cdef void upstream_race(Worker* w, Exchange* x) noexcept nogil
    # no attempt has got through yet: another address in parallel
cdef void upstream_forsake(Worker* w, Exchange* x, Upstream* but) noexcept nogil
    # all attempts to connect but one (NULL: all) are given up
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

cdef Upstream* pool_quiet(Worker* w, Origin* origin) noexcept nogil
    # the newest connection that may be used again, see above; NULL: none
cdef bint upstream_quiet(Worker* w, Upstream* u) noexcept nogil
cdef void pool_put(Worker* w, Upstream* u) noexcept nogil
cdef void pool_remove(Worker* w, Upstream* u) noexcept nogil
cdef void connect_failed(Worker* w, Upstream* u, int reason) noexcept nogil
    # no connection to this one: to the name's next address, or that was the last one
cdef void attempt_over(Exchange* x, Upstream* u) noexcept nogil
cdef int tls_reason(Worker* w, Upstream* u) noexcept nogil
cdef int connect_reason(int error) noexcept nogil

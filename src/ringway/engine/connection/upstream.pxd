"""Connections to upstreams and their pool: for each worker and origin, newest first, watched while idle.

upstream_acquire() gives an exchange a connection: a pooled one at once (it calls `upstream_ready` before it returns),
or a new one (`upstream_ready` or `upstream_failed` later).

Unread bytes in a connection would become the response to the next request on it: the body of a response to HEAD, a
second response, a 408 for a request that never came. So pool_quiet() returns only connections without unread bytes:

- A connection that was idle when the worker slept is watched by a receive. If bytes have arrived, their completion may
  come after the request that wants the connection, in this turn or the next. So `driver.quiet` checks. io_uring knows
  without a system call if nothing at all has happened since the worker slept. Otherwise, and with epoll, the driver
  peeks at the socket (0.2 us).
- A connection that became idle in this turn has not been watched yet, and bytes that follow a response (a body that
  should not be there) arrive a few microseconds after it. Connections that have been idle for longer come first. If
  there is none, the driver peeks at the socket.
- If the receive waits for a buffer, the driver peeks at the socket. A connection with half a TLS record is not used.

A connection that is not quiet stays in the pool. The completion that is about to arrive closes it, unless the bytes
were a session ticket. Ringway cannot see bytes that are still in the network.

If a name has several addresses, Ringway connects as in RFC 8305: it tries the next address when one fails, and also in
parallel when one has not answered after RACE_MS. It uses the first that connects and closes the others, whose addresses
come last for a while (reach.pxd). Each attempt has the deadline of connecting and counts as one of
`upstream_connections`.
"""
from ringway.engine.tls.peers cimport PeersHead
from ringway.engine.connection.state cimport Exchange, Origin, Rules, Stream, Upstream, Worker

cdef enum:
    RACE_MS = 250           # RFC 8305 5: the recommended Connection Attempt Delay
    POOL_LOOKS_MAX = 8      # connections that pool_quiet() checks
    TELL_NAME_MAX = 300     # bytes of an upstream's name, of OpenSSL's reason, and of both in one event
    TELL_WHY_MAX = 120
    TELL_BYTES_MAX = 424

cdef void upstream_move(Upstream* u, int to) noexcept nogil
cdef void upstream_acquire(Worker* w, Exchange* x, bint fresh) noexcept nogil
    # `fresh`: not from the pool (a retry)
cdef int upstream_connect(Worker* w, Exchange* x, Origin* origin) noexcept nogil
    # opens a connection to an address that the exchange has not tried. 0, or the Reason why it cannot
cdef bint upstream_may_open(const Origin* origin) noexcept nogil
    # does `upstream_connections` allow one more?
cdef void upstream_race(Worker* w, Exchange* x) noexcept nogil
    # no attempt has succeeded yet: tries another address in parallel
cdef void upstream_forsake(Worker* w, Exchange* x, Upstream* but) noexcept nogil
    # closes all attempts to connect except `but` (NULL: all)
cdef void upstream_connected(Worker* w, Upstream* u, int result) noexcept nogil
cdef bint send_proxy_header(Worker* w, Upstream* u, int version) noexcept nogil
    # queues the header before everything else. False: no buffer
cdef void upstream_handshake(Worker* w, Upstream* u) noexcept nogil
    # the handshake received something, or ended
cdef int upstream_lost(Worker* w, Upstream* u) noexcept nogil
    # the connection ended before a response: returns the Reason. If TLS failed, logs it
cdef void upstream_release(Worker* w, Upstream* u) noexcept nogil
    # its exchange has the whole response: puts the connection into the pool, or closes it if it cannot be used again
cdef void upstream_drop(Worker* w, Upstream* u) noexcept nogil
    # closes it; its exchange gets `upstream_gone` when nothing is in flight
cdef void upstream_break(Worker* w, Upstream* u) noexcept nogil
    # as drop, with a reset: for an upstream that has more to send. After shutdown() the kernel may keep the half-closed
    # connection with a window of zero for a minute, and an upstream that is sending would be stuck that long
cdef void upstream_leave(Worker* w, Upstream* u) noexcept nogil
cdef void upstream_received(Worker* w, Stream* s) noexcept nogil
cdef void upstream_sent(Worker* w, Stream* s) noexcept nogil
cdef void upstream_late(Worker* w, Stream* s) noexcept nogil
cdef void upstream_gone(Worker* w, Stream* s) noexcept nogil
cdef void upstream_drain(Worker* w) noexcept nogil
    # closes idle connections
cdef int upstream_take(Worker* w, Rules* rules, const PeersHead* head) noexcept nogil
    # uses these authorities and client certificates for new connections; connections in use stay as they are. 0, or the
    # number, from 1, of the first upstream whose part cannot be used: that upstream keeps what it has

cdef Upstream* pool_quiet(Worker* w, Origin* origin) noexcept nogil
    # the newest connection that may be used again, see above; NULL: none
cdef bint upstream_quiet(Worker* w, Upstream* u) noexcept nogil
cdef void pool_put(Worker* w, Upstream* u) noexcept nogil
cdef void pool_remove(Worker* w, Upstream* u) noexcept nogil
cdef void connect_failed(Worker* w, Upstream* u, int reason) noexcept nogil
    # this attempt failed: tries the name's next address, or fails if this was the last one
cdef void attempt_over(Exchange* x, Upstream* u) noexcept nogil
cdef int tls_reason(Worker* w, Upstream* u) noexcept nogil
cdef int connect_reason(int error) noexcept nogil

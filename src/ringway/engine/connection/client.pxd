"""A client connection: handshake, request heads, keep-alive, the last response, the end.

While a request is served (CLIENT_BUSY), the exchange handles all events of the connection. This module calls
`w.handlers.request` when a whole head is at the front of the inbox (or cannot be accepted), and `w.handlers.client_*`
for the events of a busy connection.
"""
from libc.stdint cimport uint16_t, uint32_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.plan.ips cimport Ip
from ringway.engine.native.linux cimport sockaddr_storage
from ringway.engine.http.proxy_header cimport Ends
from ringway.engine.plan.snapshot cimport Snapshot
from ringway.engine.connection.state cimport Client, Listener, Stream, Worker

cdef enum:
    TELL_PEER_BYTES = 128       # a peer's address and a reason
    # RFC 9112 9.6: the next request of a client may be in flight, and a close would lose it. So a worker that drains
    # closes a connection only after this time without a request.
    DRAIN_IDLE_MS = 1000
    TURN_REQUESTS = 128         # pipelined requests that one turn of the loop serves, of all clients together

cdef void client_move(Client* c, int to) noexcept nogil

cdef void client_take(Worker* w, Listener* listener, int fd) noexcept nogil
    # begins an accepted connection
cdef void client_refuse(Worker* w, int fd) noexcept nogil
    # closes an accepted connection that has no place, counts it and logs it
cdef void client_begin(Worker* w, Client* c) noexcept nogil
    # begins TLS, or waits for the first request
cdef void await_proxy_header(Worker* w, Client* c) noexcept nogil
cdef void proxy_header_received(Worker* w, Client* c) noexcept nogil
cdef int find_proxy_header(Worker* w, Client* c) noexcept nogil
    # as proxy_header_read(), from the inbox; removes the header from the inbox
cdef void refuse_proxy(Worker* w, Client* c, const char* why) noexcept nogil
    # closes the connection: only trusted proxies may use this listener, and they must begin with the header
cdef void client_received(Worker* w, Stream* s) noexcept nogil
cdef void client_sent(Worker* w, Stream* s) noexcept nogil
cdef void client_late(Worker* w, Stream* s) noexcept nogil
cdef int late_head(int late) noexcept nogil     # Reason
cdef void client_gone(Worker* w, Stream* s) noexcept nogil

cdef void client_broken(Worker* w, Client* c) noexcept nogil
    # receiving failed: closes the connection. If TLS failed, sends the alert with the reason first
cdef void client_plain(Worker* w, Client* c) noexcept nogil
    # the client does not begin with TLS: reads its request as plain HTTP
cdef void end_tls(Worker* w, Stream* s) noexcept nogil
    # from here on received bytes go to the inbox without decrypting
cdef void tell_refused(Worker* w, Client* c) noexcept nogil
    # logs why the client's certificate is not accepted
cdef void client_next_request(Worker* w, Client* c) noexcept nogil
    # looks for a head in the inbox; waits for one if there is none
cdef inline bint client_many(const Client* c, uint32_t served) noexcept nogil:
    """Use a multishot receive? It is worth it for a connection with more than `served` requests."""
    return c.requests > served and not c.pipelines

cdef bint begins_http2(const Buffer* b) noexcept nogil
cdef void client_later(Worker* w, Client* c) noexcept nogil
    # schedules client_next_request() for client_turns()
cdef void client_turns(Worker* w) noexcept nogil
    # serves the clients that client_later() put on the list
cdef void client_next_seen(Worker* w, Client* c) noexcept nogil
    # bytes in the inbox belong to the next request: notes when its first byte was seen
cdef void client_idle(Worker* w, Client* c, uint32_t ms) noexcept nogil
    # between requests: the next one must begin within `ms`
cdef void client_done(Worker* w, Client* c) noexcept nogil
    # the exchange has ended and everything was sent
cdef void client_finish(Worker* w, Client* c) noexcept nogil
    # ends the connection in order: close_notify, FIN, and reading what the client still sends
cdef bint may_lose(Stream* s) noexcept nogil
cdef bint unread(const Stream* s) noexcept nogil    # the socket holds bytes that were not received yet
cdef int unsent(Stream* s) noexcept nogil       # bytes in the socket that the network has not carried yet
cdef int unacknowledged(Stream* s) noexcept nogil   # ... and those in flight that the peer has not acknowledged
cdef bint takes_on(Client* c) noexcept nogil
cdef void client_abort(Worker* w, Client* c) noexcept nogil
cdef void client_drain(Worker* w, const Listener* listener) noexcept nogil
    # closes the idle connections of a listener (NULL: of all). The others send `Connection: close` in their next
    # response and end after it

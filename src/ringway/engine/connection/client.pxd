"""A client connection: handshake, request heads, keep-alive, the last answer, the end.

What happens while a request is being served (CLIENT_BUSY) is the exchange's business: level 5 is called through
`w.handlers.request` when a whole head lies at the front of the inbox (or cannot be accepted), and through
`w.handlers.client_*` for everything that arrives meanwhile.
"""
from libc.stdint cimport uint16_t, uint32_t

from ringway.engine.plan.ips cimport Ip
from ringway.engine.native.linux cimport sockaddr_storage
from ringway.engine.http.proxy_header cimport Ends
from ringway.engine.plan.snapshot cimport Snapshot
from ringway.engine.connection.state cimport Client, Listener, Stream, Worker

cdef enum:
    TELL_PEER_BYTES = 128       # a peer's address and what is said of it
    # RFC 9112 9.6: a client that asks again and again has its next request on the way, and a close now would lose it. So
    # while the worker drains a connection counts as idle after so long without a request.
    DRAIN_IDLE_MS = 1000
    TURN_REQUESTS = 128         # pipelined requests that are served in a turn of the loop, of all clients in turn: each may
                                # have a thousand, and who else has one waits for the turn to end

cdef void client_move(Client* c, int to) noexcept nogil

cdef void client_take(Worker* w, Listener* listener, int fd) noexcept nogil
    # a connection that was accepted, and has a place
cdef void client_refuse(Worker* w, int fd) noexcept nogil
    # it has none: closed at once, counted, told
cdef void client_begin(Worker* w, Client* c) noexcept nogil
    # TLS, or the first request
cdef void await_proxy_header(Worker* w, Client* c) noexcept nogil
cdef void proxy_header_received(Worker* w, Client* c) noexcept nogil
cdef int find_proxy_header(Worker* w, Client* c) noexcept nogil
    # as proxy_header_read(), of what is in the inbox; what is found is taken out of it
cdef void refuse_proxy(Worker* w, Client* c, const char* why) noexcept nogil
    # close it: on this listener only trusted proxies speak, and they begin with the header
cdef void client_received(Worker* w, Stream* s) noexcept nogil
cdef void client_sent(Worker* w, Stream* s) noexcept nogil
cdef void client_late(Worker* w, Stream* s) noexcept nogil
cdef int late_head(int late) noexcept nogil     # Reason
cdef void client_gone(Worker* w, Stream* s) noexcept nogil

cdef void client_broken(Worker* w, Client* c) noexcept nogil
    # receiving failed: close it. If TLS failed the alert that says why goes out first
cdef void client_plain(Worker* w, Client* c) noexcept nogil
    # it does not begin with TLS: its request is read as plain HTTP
cdef void end_tls(Worker* w, Stream* s) noexcept nogil
    # what is received from here on goes to the inbox as it comes
cdef void tell_refused(Worker* w, Client* c) noexcept nogil
    # why its certificate is not accepted
cdef void client_next_request(Worker* w, Client* c) noexcept nogil
    # look for a head in the inbox; wait for one when there is none
cdef inline bint client_many(const Client* c, uint32_t served) noexcept nogil:
    """Is a receive that goes on worth it, with more than `served` requests begun?"""
    return c.requests > served and not c.pipelines

cdef void client_later(Worker* w, Client* c) noexcept nogil
    # client_next_request(), but not from here
cdef void client_turns(Worker* w) noexcept nogil
    # those who wait for that have their turn
cdef void client_next_seen(Worker* w, Client* c) noexcept nogil
    # what is in the inbox belongs to the next request, which begins with its first byte
cdef int look_for_head(Worker* w, Stream* s, uint32_t* seen, bint request) noexcept nogil
    # >0: bytes of the head at inbox.first; 0: more needed; <0: -Reason. Also used for response heads
cdef void client_idle(Worker* w, Client* c, uint32_t ms) noexcept nogil
    # between requests: the next one may take so long to begin
cdef void client_done(Worker* w, Client* c) noexcept nogil
    # the exchange has ended and everything was sent
cdef void client_finish(Worker* w, Client* c) noexcept nogil
    # end the connection in order: close_notify, FIN, and what the client still sends is read
cdef bint may_lose(Stream* s) noexcept nogil
cdef bint unread(const Stream* s) noexcept nogil    # something waits in the socket
cdef int unsent(Stream* s) noexcept nogil       # bytes in the socket that are not on their way yet
cdef int unacknowledged(Stream* s) noexcept nogil   # ... or that are, and may not have come
cdef bint takes_on(Client* c) noexcept nogil
cdef void client_abort(Worker* w, Client* c) noexcept nogil
cdef void client_peer(Client* c) noexcept nogil
    # fills in `peer`
cdef void client_ends(Client* c, Ends* out) noexcept nogil
    # as client_peer(), for both ends and with ports
cdef bint read_end(sockaddr_storage* found, Ip* ip, uint16_t* port) noexcept nogil
cdef bint client_trusted(const Snapshot* s, Client* c) noexcept nogil
    # is it one of `trusted_proxies`? Who was once asked about stays what it was
cdef void client_drain(Worker* w, const Listener* listener) noexcept nogil
    # close the idle ones; the others say `Connection: close` in their next answer and end after it. NULL: of all listeners
cdef bint mend_first(Stream* s) noexcept nogil   # response_mend() of inbox.first
cdef bint merge_first(Worker* w, Stream* s, uint32_t limit) noexcept nogil

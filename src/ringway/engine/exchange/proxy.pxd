"""An exchange with an upstream: forward the request and the response, both with back-pressure.

    request  client.inbox --decode, frame--> upstream.outbox     paused while the outbox is full
    response upstream.inbox --decode, frame--> client.outbox     paused while the outbox is full

Ringway reads no more than it can forward: proxy_pull_request() and proxy_pull_response() take bytes from one side only
while the other has room, and run again when its outbox drains. If a connection from the pool breaks before the first
byte of the response, Ringway sends the request once more on a new connection, provided that the request may be sent
again (RFC 9110 9.2.2, or nothing was sent).

A client that ends its side (FIN, close_notify) before it has its response has most probably closed the connection: a
close and a shutdown look the same until we send. So the request ends at the upstream too. Otherwise clients that
disconnect early could use up `upstream_connections`. `half_close` of a route says that its clients end only their side.
"""
from libc.stdint cimport uint32_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.http.chunked cimport Chunked
from ringway.engine.base.spans cimport Span
from ringway.engine.connection.state cimport BodyState, Exchange, Lane, Worker

cdef enum:
    HOST_FIELD_BYTES_MAX = 300        # a name of 253 bytes, a port; longer ones would not fit the head room

cdef void proxy_begin(Worker* w, Exchange* x, Buffer* b, uint32_t start, uint32_t got, uint32_t head, Span path) noexcept nogil
    # b.base[head:] is the request head (in w.request); b.base[start:start+got] the body that came with it. Takes over b
cdef Buffer* make_room(Worker* w, Buffer* b, uint32_t length) noexcept nogil
    # moves the body back to make room for `length` bytes before it: within b, or to a larger buffer (b is released).
    # NULL: that does not fit, or no buffer is free
cdef void proxy_ready(Worker* w, Exchange* x) noexcept nogil
cdef bint send_failed(const Lane* lane) noexcept nogil
cdef void proxy_failed(Worker* w, Exchange* x, int reason) noexcept nogil
cdef void proxy_pull_request(Worker* w, Exchange* x) noexcept nogil
cdef void request_sent(Worker* w, Exchange* x) noexcept nogil
cdef void release_request(Worker* w, Exchange* x) noexcept nogil
cdef void proxy_client_received(Worker* w, Exchange* x) noexcept nogil
cdef void proxy_client_sent(Worker* w, Exchange* x) noexcept nogil
cdef void proxy_upstream_received(Worker* w, Exchange* x) noexcept nogil
cdef void proxy_upstream_sent(Worker* w, Exchange* x) noexcept nogil
cdef void proxy_upstream_late(Worker* w, Exchange* x) noexcept nogil
cdef void proxy_upstream_gone(Worker* w, Exchange* x) noexcept nogil
cdef void proxy_broken(Worker* w, Exchange* x) noexcept nogil

cdef void response_head(Worker* w, Exchange* x) noexcept nogil
cdef bint upgrade_agreed(Worker* w, const Exchange* x, const char* data) noexcept nogil
    # `data`: the head of a 101
cdef bint interim_response(Worker* w, Exchange* x, uint32_t length) noexcept nogil
cdef void final_response(Worker* w, Exchange* x, uint32_t length) noexcept nogil
cdef bint has_trailer(const Exchange* x) noexcept nogil
cdef void proxy_pull_response(Worker* w, Exchange* x) noexcept nogil
cdef void response_done(Worker* w, Exchange* x) noexcept nogil
cdef bint keep_rest(Worker* w, Exchange* x, Buffer* b, uint32_t used) noexcept nogil
    # bytes of b after the first `used` belong to the next request: copies them back to the front of the inbox. False:
    # no buffer is free, the next request is lost, and the connection ends with this response
cdef void send_some(Worker* w, Lane* lane, Buffer* b) noexcept nogil
cdef bint send_last(Worker* w, Lane* lane, const BodyState* body, const Chunked* chunks, Buffer* b) noexcept nogil
    # queues b and the end of a chunked body, in a buffer of its own if b is NULL or full. False: no buffer

"""A request coupled with an upstream: forwarded, answered, streamed in both directions with back-pressure.

    request  client.inbox --decode, frame--> upstream.outbox     paused while the outbox is full
    response upstream.inbox --decode, frame--> client.outbox     paused while the outbox is full

Nobody reads more than it can pass on: proxy_pull_request() and proxy_pull_response() take from one side only while
the other has room, and are called again when it drains. A connection broken before the first byte of the response is
replaced once, when it came from the pool and the request may be sent again (RFC 9110 9.2.2, or nothing was sent).
"""
from libc.stdint cimport uint32_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.http.chunked cimport Chunked
from ringway.engine.base.spans cimport Span
from ringway.engine.connection.state cimport BodyState, Client, Exchange, Stream, Upstream, Worker

cdef enum:
    HOST_FIELD_BYTES_MAX = 300        # a name of 253 bytes, a port; longer ones would not fit the head room

cdef void proxy_begin(Worker* w, Exchange* x, Buffer* b, uint32_t start, uint32_t got, uint32_t head, Span path) noexcept nogil
    # b.base[head:] is the request head (in w.request); b.base[start:start+got] the body that came with it
cdef Buffer* make_room(Worker* w, Buffer* b, uint32_t length) noexcept nogil
    # the body moves back, so that so much fits in front of it: within b, or (b is given back) in a larger buffer. NULL: no
cdef uint32_t write_forward(Worker* w, Exchange* x, const char* data, Span path) noexcept nogil
cdef void proxy_ready(Worker* w, Exchange* x) noexcept nogil
cdef bint tls_broken(const Upstream* u) noexcept nogil
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
    # data: the head of a 101
cdef bint interim_response(Worker* w, Exchange* x, uint32_t length) noexcept nogil
cdef void final_response(Worker* w, Exchange* x, uint32_t length) noexcept nogil
cdef void proxy_pull_response(Worker* w, Exchange* x) noexcept nogil
cdef void response_done(Worker* w, Exchange* x) noexcept nogil
cdef bint keep_rest(Worker* w, Client* c, Buffer* b, uint32_t used) noexcept nogil
    # what lies behind the first `used` bytes of b belongs to the next request: back to the front of the inbox, in buffers of its
    # own. False: there is none, that request is lost, and the connection ends with this answer
cdef void keep_pipelined(Worker* w, Exchange* x) noexcept nogil
    # something came behind the request that is being served: go on receiving as far as `pipeline_bytes`
cdef void send_some(Worker* w, Stream* s, Buffer* b) noexcept nogil
cdef bint send_last(Worker* w, Stream* s, const BodyState* body, const Chunked* chunks, Buffer* b) noexcept nogil
    # the end of a chunked body, appended to b or in a buffer of its own (b NULL, or full). False: no buffer

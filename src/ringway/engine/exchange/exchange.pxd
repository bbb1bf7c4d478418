"""One request and its response: beginning, Ringway's own responses, failures, the end. `serve` and `proxy` use this.

Every exchange ends in one of two ways:

    exchange_finish()   everything was sent: access record, then the client's next request or the end of its connection
    exchange_cut()      it cannot be completed: access record, and a reset of the client's connection

exchange_fail() is the one place where a Reason becomes a response. If a final response has begun, it cuts instead.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.http.heads cimport Reply
from ringway.engine.connection.state cimport Client, Exchange, Worker

cdef void exchange_move(Exchange* x, int to) noexcept nogil

cdef Exchange* exchange_take(Worker* w, Client* c, bint on_mux) noexcept nogil
    # a new exchange of this client; `on_mux`: on a lane of its connection. NULL: all places are in use
cdef void exchange_reply(Worker* w, Exchange* x, Reply* r) noexcept nogil
    # fills in what every response of this exchange has
cdef Buffer* exchange_room(Worker* w, const Reply* r, uint64_t more) noexcept nogil
    # a buffer for Ringway's own head (OWN_HEAD_MAX and r.fields) and `more` bytes of fields and body. NULL: no buffer
    # is free, or all of that does not fit in one
cdef void exchange_began(Worker* w, Exchange* x, uint16_t status) noexcept nogil
    # call this when the head of the final response is queued
cdef void exchange_answer(Worker* w, Exchange* x, uint16_t status, const char* fields, uint32_t fields_length,
                          const char* body, uint32_t body_length) noexcept nogil
    # a whole response of Ringway's own; `fields` are extra field lines
cdef void exchange_fail(Worker* w, Exchange* x, int reason) noexcept nogil
cdef void exchange_fail_with(Worker* w, Exchange* x, int reason, const char* fields, uint32_t fields_length) noexcept nogil
cdef void exchange_cut(Worker* w, Exchange* x, int reason) noexcept nogil
cdef bint client_has_left(Worker* w, Exchange* x) noexcept nogil
    # True: the client ended its side, the route does not have `half_close`, and the exchange was cut
cdef void keep_pipelined(Worker* w, Exchange* x) noexcept nogil
    # the client sent something after the current request: continue to receive, up to `pipeline_bytes`
cdef void watch_client(Worker* w, Exchange* x, bint later) noexcept nogil
    # the whole request is here: continue to receive, to see the client disconnect
cdef void exchange_done(Worker* w, Exchange* x) noexcept nogil
    # the whole response is queued; finishes as soon as it is sent
cdef void exchange_settle(Worker* w, Exchange* x) noexcept nogil
    # finishes if everything is sent
cdef void exchange_finish(Worker* w, Exchange* x) noexcept nogil
cdef void exchange_release(Worker* w, Exchange* x) noexcept nogil
    # writes the access record; releases everything that the exchange owns, and its slot
cdef void exchange_gone(Worker* w, Exchange* x) noexcept nogil
    # the client's connection ended before the exchange
cdef void exchange_leave_upstream(Worker* w, Exchange* x) noexcept nogil
    # closes the upstream connection if the exchange still has one, because it is in the middle of something
cdef void write_record(Worker* w, Exchange* x) noexcept nogil
cdef int status_class(uint16_t status) noexcept nogil

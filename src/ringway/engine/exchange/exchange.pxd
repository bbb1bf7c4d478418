"""One request and its response: beginning, own answers, failures, the end. Files and proxying stand on this.

Every exchange ends in one of two ways:

    exchange_finish()   everything was sent: access record, then the client goes on or is closed
    exchange_cut()      it cannot be completed: access record, the client connection is broken off

exchange_fail() is the one place where a Reason becomes a response: it answers if nothing was sent yet, else cuts.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.http.heads cimport Reply
from ringway.engine.connection.state cimport Client, Exchange, Worker

cdef void exchange_move(Exchange* x, int to) noexcept nogil

cdef Exchange* exchange_take(Worker* w, Client* c) noexcept nogil
    # a fresh one, bound to its client; NULL: the bound is met
cdef void exchange_reply(Worker* w, Exchange* x, Reply* r) noexcept nogil
    # what every response of this exchange says
cdef Buffer* exchange_room(Worker* w, const Reply* r, uint64_t more) noexcept nogil
    # a buffer for a head of our own (OWN_HEAD_MAX and r.fields) with `more` bytes of fields and body. NULL: there is none, or all
    # of that does not fit in one
cdef void exchange_began(Worker* w, Exchange* x, uint16_t status) noexcept nogil
    # the head of the final response is being queued
cdef void exchange_answer(Worker* w, Exchange* x, uint16_t status, const char* fields, uint32_t fields_length,
                          const char* body, uint32_t body_length) noexcept nogil
    # an answer of our own, whole; `fields` are extra field lines
cdef void exchange_send_end(Worker* w, Exchange* x, Buffer* b) noexcept nogil
    # the last bytes of the response; takes over b
cdef void exchange_fail(Worker* w, Exchange* x, int reason) noexcept nogil
cdef void exchange_fail_with(Worker* w, Exchange* x, int reason, const char* fields, uint32_t fields_length) noexcept nogil
cdef void exchange_cut(Worker* w, Exchange* x, int reason) noexcept nogil
cdef bint client_has_left(Worker* w, Exchange* x) noexcept nogil
    # it ended its side, and its route takes that for the end of its request: the exchange was cut
cdef void keep_pipelined(Worker* w, Exchange* x) noexcept nogil
    # something came behind the request that is being served: go on receiving as far as `pipeline_bytes`
cdef void watch_client(Worker* w, Exchange* x, bint later) noexcept nogil
    # its whole request was taken: to see it leave, receive what comes behind it
cdef void exchange_done(Worker* w, Exchange* x) noexcept nogil
    # the response is complete; finishes as soon as the client has it
cdef void exchange_settle(Worker* w, Exchange* x) noexcept nogil
    # DONE and sent: finish
cdef void exchange_finish(Worker* w, Exchange* x) noexcept nogil
cdef void exchange_release(Worker* w, Exchange* x) noexcept nogil
    # access record; gives back everything it owns and its slot
cdef void exchange_gone(Worker* w, Exchange* x) noexcept nogil
    # the client connection ended under it
cdef void exchange_leave_upstream(Worker* w, Exchange* x) noexcept nogil
    # close the upstream connection, if there still is one: it is in the middle of something
cdef void write_record(Worker* w, Exchange* x) noexcept nogil
cdef int status_class(uint16_t status) noexcept nogil

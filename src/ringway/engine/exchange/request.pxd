"""The beginning of a request: check the head, find the route, and pass the request to what answers it.

    head --parse--> limits --> path in its normal form --> route --> file | proxy | redirect | error
"""
from libc.stdint cimport uint32_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.base.spans cimport Span
from ringway.engine.connection.state cimport Client, Exchange, Worker

cdef void request_arrived(Worker* w, Client* c, int found) noexcept nogil
    # w.handlers.request: `found` bytes of head at inbox.first, or -Reason
cdef void request_on_lane(Worker* w, Exchange* x, Buffer* b, int found) noexcept nogil
    # w.handlers.lane_request: b has the lines of the head, `found` bytes, and w.request its parts; or -Reason: the lines, as
    # far as they were read, are in w.scratch
cdef int request_judge(Worker* w, Exchange* x, const char* data, int reason) noexcept nogil
    # notes what the log and the exchange need of the head in w.request. 0, or -Reason; `reason`: what parsing found
cdef int request_accept(Worker* w, Exchange* x, const char* data, uint32_t length) noexcept nogil
cdef void hear_proxy(Worker* w, Exchange* x, const char* data) noexcept nogil
    # reads what a trusted peer says about the client
cdef int take_body(Worker* w, Exchange* x, Buffer** buffer, uint32_t* head, uint32_t found, uint32_t* start,
                   uint32_t* got) noexcept nogil
    # decodes the body that came with the head (`found` bytes at base[head:]): payload at base[start:start+got]. Bytes of
    # the next request go back to the inbox; `buffer` and `head` can change then. 0, or -Reason
cdef bint part_from_rest(Worker* w, Exchange* x, Buffer** buffer, uint32_t* head, uint32_t length) noexcept nogil
    # bytes after base[head:head+length] go back to the inbox. False: no buffer
cdef int normal_path(Worker* w, const char* data, Span* out) noexcept nogil
cdef void request_route(Worker* w, Exchange* x, Buffer* b, uint32_t head, uint32_t length, uint32_t start,
                        uint32_t got) noexcept nogil
cdef Span path_as_sent(const Exchange* x, Span sent, Span normal) noexcept nogil
    # the path that the upstream gets if the client did not send the normal form. Removes a prefix that the route strips
cdef bint sent_on(Worker* w, Exchange* x, const char* data) noexcept nogil
    # True: it answered plain HTTP that is not served here, with a redirect or (on a port for TLS) with 400
cdef bint came_by_https(Worker* w) noexcept nogil
cdef bint is_challenge(Span path) noexcept nogil
cdef int at_the_door(Worker* w, Exchange* x, Span host, Span path) noexcept nogil
    # checks the client certificate that the host demands. 0, or -Reason
cdef void to_https(Worker* w, Exchange* x, const char* data) noexcept nogil
cdef void redirect(Worker* w, Exchange* x, const char* data) noexcept nogil
cdef void options_for_all(Worker* w, Exchange* x) noexcept nogil
cdef void keep_for_log(Worker* w, Exchange* x, const char* data) noexcept nogil
cdef unsigned short keep_text(char* out, uint32_t room, Span text) noexcept nogil

cdef void client_event_received(Worker* w, Exchange* x) noexcept nogil
cdef void client_event_sent(Worker* w, Exchange* x) noexcept nogil
cdef void client_event_late(Worker* w, Exchange* x) noexcept nogil

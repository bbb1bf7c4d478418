"""The response head of an upstream, RFC 9112 4 and 6.3. Parsing is as strict as for clients: upstreams may be hostile.

There is one exception: lines may end with LF alone (response_mend()). Scripts and old servers write such lines, and
nginx, HAProxy and all browsers accept them (RFC 9112 2.2). This is safe in responses, but not in requests. Clients
would read the LF as a line end too, so an LF injected into a value gains nothing, and Ringway writes the lines to the
client with CR LF. A CR without LF and a line that begins with a blank (obs-fold) are rejected.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.http.fields cimport FIELDS_MAX, Field
from ringway.engine.base.spans cimport Piece

cdef struct ResponseHead:
    uint32_t length         # bytes of the whole head with the empty line
    uint16_t status         # 100 to 999
    uint8_t minor           # HTTP/1.minor: 0 or 1
    uint8_t framing         # Framing, for the request's method and this status (RFC 9112 6.3)
    uint64_t content_length # bytes; also set for HEAD and 304, where it describes a body that is not sent
    bint has_length
    bint keep_alive         # the upstream keeps the connection open after this response
    bint upgrade            # Upgrade, named by Connection
    bint has_date
    Piece reason            # reason phrase, may be empty
    uint16_t field_count
    Field fields[FIELDS_MAX]

cdef int response_scan(const char* data, uint32_t length, uint32_t seen) noexcept nogil
    # as request_scan()
cdef bint response_mend(Buffer* b) noexcept nogil
    # adds the missing CR to lines of the head that end with LF alone, as far as the head has arrived. The head grows
    # into the head room. True: the caller scans it again from its start. False: there is no such line, or too many
cdef uint32_t bare_lines(const char* data, uint32_t length, uint32_t* count) noexcept nogil
    # the position after the last complete line of the head; `count`: the number of lines that end with LF alone
cdef int response_parse(const char* data, uint32_t length, int method, ResponseHead* head) noexcept nogil
    # `method`: of the request (HEAD and CONNECT change the framing). 0, or -Reason: UPSTREAM_BAD_HEAD or
    # UPSTREAM_HEAD_TOO_LARGE, as from response_scan(), because the client is not at fault

# Parts of response_parse(), in the order of its calls.
cdef struct Described:      # what the fields say about framing, not yet checked together
    bint chunked
    bint connection         # there is a Connection field
    bint upgrade            # there is an Upgrade field

cdef int response_check(const char* data, uint32_t length, int method, ResponseHead* head) noexcept nogil
    # as response_parse(), but returns the exact -Reason
cdef int status_line(const char* data, ResponseHead* head) noexcept nogil   # >0: position after it
cdef int describe(const char* data, ResponseHead* head, Described* d) noexcept nogil
cdef int response_framing(ResponseHead* head, Described* d, int method) noexcept nogil
cdef int response_connection(const char* data, ResponseHead* head, Described* d) noexcept nogil

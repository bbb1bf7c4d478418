"""The response head of an upstream, RFC 9112 4 and 6.3: as strict as towards clients, for it may be hostile too.

With one exception: lines may end with LF alone (response_mend()), as scripts and old servers write them and as nginx, HAProxy
and every browser reads them (RFC 9112 2.2). That is safe in answers, where it is not in requests: clients would read such a line
as two as well, so an LF that somebody smuggled into a value gains nothing by our reading it, and what goes on to the client is
written anew with CR LF. A CR without LF, and a line that begins with a blank (obs-fold), stay refused.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.http.fields cimport FIELDS_MAX, Field
from ringway.engine.base.spans cimport Piece

cdef struct ResponseHead:
    uint32_t length         # bytes of the whole head with the empty line
    uint16_t status         # 100 to 999
    uint8_t minor           # HTTP/1.minor: 0 or 1
    uint8_t framing         # Framing; already decided for the request's method and this status (RFC 9112 6.3)
    uint64_t content_length # bytes; also set for HEAD and 304, where it describes what is not sent
    bint has_length
    bint keep_alive         # the upstream keeps the connection after this response
    bint upgrade            # Upgrade, named by Connection
    bint has_date
    Piece reason            # reason phrase, may be empty
    uint16_t field_count
    Field fields[FIELDS_MAX]

cdef int response_scan(const char* data, uint32_t length, uint32_t seen) noexcept nogil
    # as request_scan()
cdef bint response_mend(Buffer* b) noexcept nogil
    # lines at the front of b that end with LF alone, up to the end of the head or of what has come of it, get their CR; the
    # head grows into the head room. False: there is none, or more of them than a head has lines. What was scanned is to be
    # scanned again
cdef uint32_t bare_lines(const char* data, uint32_t length, uint32_t* count) noexcept nogil
    # the place behind the last line of the head, so far; `count`: how many of its lines end with LF alone
cdef int response_parse(const char* data, uint32_t length, int method, ResponseHead* head) noexcept nogil
    # `method`: of the request (HEAD and CONNECT change the framing). 0, or -Reason
    # (UPSTREAM_BAD_HEAD or UPSTREAM_HEAD_TOO_LARGE, as from response_scan(): the client did nothing wrong)

# Parts of response_parse(), in the order of its calls.
cdef struct Described:      # what the fields say about framing, before it is judged
    bint chunked
    bint connection         # a Connection field is there
    bint upgrade            # an Upgrade field is there

cdef int response_check(const char* data, uint32_t length, int method, ResponseHead* head) noexcept nogil
    # as response_parse(), but the exact -Reason
cdef int status_line(const char* data, ResponseHead* head) noexcept nogil   # >0: the place behind it
cdef int describe(const char* data, ResponseHead* head, Described* d) noexcept nogil
cdef int response_framing(ResponseHead* head, Described* d, int method) noexcept nogil
cdef int response_connection(const char* data, ResponseHead* head, Described* d) noexcept nogil

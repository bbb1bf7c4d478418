"""The request head, RFC 9112 2-3 and 6: bytes in; methods, pieces and the body's framing out. No I/O, no copies.

Two steps, so that a head which arrives byte by byte costs one pass:

    request_scan()   looks at new bytes only: is the head complete? Bare CR or LF and a first octet that begins
                     no method are refused at once, so that nobody waits for a time-out to learn it.
    request_parse()  takes one complete head and checks all of it.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.http.fields cimport FIELDS_MAX, Field
from ringway.engine.base.spans cimport Piece

cdef enum Method:
    METHOD_OTHER = 0    # a token that we do not know: proxied as it is
    METHOD_GET
    METHOD_HEAD
    METHOD_POST
    METHOD_PUT
    METHOD_DELETE
    METHOD_OPTIONS
    METHOD_PATCH
    METHOD_TRACE
    METHOD_CONNECT
    METHOD_COUNT

cdef extern from "names.h" nogil:
    const char* METHOD_NAMES[METHOD_COUNT]

cdef enum Form:         # RFC 9112 3.2
    FORM_ORIGIN = 0
    FORM_ABSOLUTE
    FORM_AUTHORITY      # CONNECT only
    FORM_ASTERISK       # OPTIONS only

cdef enum Framing:      # RFC 9112 6.3
    FRAMING_NONE = 0    # no body
    FRAMING_LENGTH      # content_length bytes
    FRAMING_CHUNKED
    FRAMING_CLOSE       # responses only: until the connection ends
    FRAMING_LANE        # HTTP/2: until its lane says so

cdef struct RequestHead:
    uint32_t length         # bytes of the whole head, with leading empty lines and the empty line that ends it
    uint8_t method          # Method
    uint8_t minor           # HTTP/1.minor: 0 or 1 (a higher minor is 1: RFC 9110 2.5)
    uint8_t form            # Form
    uint8_t framing         # Framing
    uint64_t content_length # bytes, with FRAMING_LENGTH (0 is FRAMING_NONE with has_length)
    bint has_length         # a Content-Length field is there (also "0")
    bint keep_alive         # the client allows another request (RFC 9112 9.3)
    bint expect_continue    # Expect: 100-continue, from an HTTP/1.1 client that has a body
    bint upgrade            # Upgrade, named by Connection, without a body
    Piece method_text
    Piece target            # as received
    Piece path              # of the target, without query; absolute-form without path: length 0
    Piece query             # with its "?"; length 0: none
    Piece host              # Host's value, or an absolute-form target's authority
    uint16_t field_count
    Field fields[FIELDS_MAX]

cdef int request_scan(const char* data, uint32_t length, uint32_t seen) noexcept nogil
    # data[0:seen] was looked at before. >0: bytes of the complete head; 0: more needed; <0: -Reason
cdef int request_too_long(const char* data, uint32_t length) noexcept nogil
    # the -Reason for a head that request_scan() took so far and that exceeds its bound of `length` bytes
cdef int request_parse(const char* data, uint32_t length, RequestHead* head) noexcept nogil
    # one complete head of `length` bytes (at most 65,535). 0, or -Reason
cdef bint method_is_idempotent(int method) noexcept nogil   # RFC 9110 9.2.2

# Parts of request_parse(), in the order of its calls. Each returns 0, or -Reason, unless said otherwise.
cdef enum:
    EMPTY_LINES_MAX = 2     # before the request line, ignored: RFC 9112 2.2 asks for at least one
    HEAD_BYTES_MAX = 65535  # a Piece reaches no further
    PORT_MAX = 65535

cdef struct Gathered:       # what the fields say about framing, before it is judged
    uint16_t hosts          # how many Host fields
    bint chunked
    bint connection         # a Connection field is there
    bint upgrade            # an Upgrade field is there
    bint expect

cdef struct Authority:
    uint32_t host_length    # bytes before the ":" of the port
    int port                # -1: none

cdef int empty_lines(const char* data, uint32_t length) noexcept nogil
    # bytes of the empty lines that may stand first, or -Reason
cdef int request_line(const char* data, uint32_t at, RequestHead* head) noexcept nogil
    # >0: the place behind the line
cdef int method_of(const char* text, uint32_t length) noexcept nogil   # Method
cdef int read_version(const char* text, uint8_t* minor) noexcept nogil # of 8 bytes
cdef int read_target(const char* data, RequestHead* head) noexcept nogil
cdef int absolute_target(const char* data, RequestHead* head, uint32_t authority) noexcept nogil
cdef void split_query(const char* data, RequestHead* head, uint32_t at) noexcept nogil
cdef int gather(const char* data, RequestHead* head, Gathered* g) noexcept nogil
cdef int judge_host(const char* data, RequestHead* head, Gathered* g, Piece value) noexcept nogil
cdef int judge_framing(RequestHead* head, Gathered* g) noexcept nogil
cdef int judge_connection(const char* data, RequestHead* head, Gathered* g) noexcept nogil
cdef bint read_authority(const char* text, uint32_t length, Authority* out) noexcept nogil
    # uri-host [":" port] of RFC 9110 7.2, or False
cdef bint is_ipv6(const char* text, uint32_t length) noexcept nogil    # without the brackets
cdef bint is_ipv4(const char* text, uint32_t length) noexcept nogil

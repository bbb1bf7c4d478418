"""The request head, RFC 9112 2-3 and 6: bytes in; method, pieces and the body's framing out. No I/O, no copies.

Two steps, so a head that arrives byte by byte costs only one pass:

    request_scan()   reads only new bytes: is the head complete? It rejects bare CR or LF, and a first octet that cannot
                     begin a method, at once instead of after a timeout.
    request_parse()  takes one complete head and checks all of it.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.http.fields cimport FIELDS_MAX, Field
from ringway.engine.base.spans cimport Piece

cdef enum Method:
    METHOD_OTHER = 0    # an unknown token: forwarded unchanged
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
    FRAMING_LANE        # HTTP/2: until END_STREAM

cdef struct RequestHead:
    uint32_t length         # bytes of the whole head, with leading empty lines and the empty line that ends it
    uint8_t method          # Method
    uint8_t minor           # HTTP/1.minor: 0 or 1 (a higher minor is 1: RFC 9110 2.5)
    uint8_t form            # Form
    uint8_t framing         # Framing
    uint64_t content_length # bytes, with FRAMING_LENGTH (a length of 0 is FRAMING_NONE with has_length)
    bint has_length         # there is a Content-Length field (also "0")
    bint keep_alive         # the client allows another request (RFC 9112 9.3)
    bint expect_continue    # Expect: 100-continue, from an HTTP/1.1 client, with a body
    bint upgrade            # Upgrade, named by Connection, without a body
    Piece method_text
    Piece target            # as received
    Piece path              # of the target, without query; absolute-form without path: length 0
    Piece query             # with its "?"; length 0: none
    Piece host              # Host's value, or an absolute-form target's authority
    uint16_t field_count
    Field fields[FIELDS_MAX]

cdef int request_scan(const char* data, uint32_t length, uint32_t seen) noexcept nogil
    # data[0:seen] was scanned before. >0: bytes of the complete head; 0: more is needed; <0: -Reason
cdef int request_too_long(const char* data, uint32_t length) noexcept nogil
    # the -Reason for a head that exceeds its bound of `length` bytes and that request_scan() has not rejected
cdef int request_parse(const char* data, uint32_t length, RequestHead* head) noexcept nogil
    # parses one complete head of `length` bytes (at most 65,535). 0, or -Reason
cdef bint method_is_idempotent(int method) noexcept nogil   # RFC 9110 9.2.2

# Parts of request_parse(), in the order of its calls. Each returns 0 or -Reason, unless noted.
cdef enum:
    EMPTY_LINES_MAX = 2     # ignored before the request line: RFC 9112 2.2 requires at least one
    HEAD_BYTES_MAX = 65535  # the offsets of a Piece have 16 bits
    PORT_MAX = 65535

cdef struct Gathered:       # what the fields say about framing, not yet checked together
    uint16_t hosts          # number of Host fields
    bint chunked
    bint connection         # there is a Connection field
    bint upgrade            # there is an Upgrade field
    bint expect

cdef struct Authority:
    uint32_t host_length    # bytes before the ":" of the port
    int port                # -1: none

cdef int empty_lines(const char* data, uint32_t length) noexcept nogil
    # bytes of the empty lines before the request line, or -Reason
cdef int request_line(const char* data, uint32_t at, RequestHead* head) noexcept nogil
    # >0: position after the line
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

"""Converts heads and trailers between HTTP/2 field blocks and the field lines that the other modules read and write.

    block --request_read()--> "GET /path HTTP/1.1", "Host: authority", field lines + RequestHead
    block --trailer_read()--> field lines
    lines of a head or trailer --message_write()--> block

request_read() fills the RequestHead while it decodes, so nothing is parsed twice. A debug build also parses the lines
with the HTTP/1.1 parser, and both results must agree. To prevent request smuggling, the functions reject what RFC 9113
8.1 to 8.3 calls malformed:

- names in upper case, octets that a name or value must not contain, white space around a value (8.2.1)
- Connection and the other fields of one connection, TE other than `trailers` (8.2.2)
- pseudo fields that are missing, repeated, unknown, or after another field (8.3)
- a target that is not in origin-form (except "*" with OPTIONS); an authority and a Host that differ (8.3.1)
- a Content-Length above 0 in a message that ends with its head (8.1.1)

They always decode a block to its end, even if they reject it: the tables of the connection must stay in sync.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ringway.engine.base.spans cimport Piece, Span
from ringway.engine.http.request_head cimport RequestHead
from ringway.engine.http2.hpack_decode cimport HPACK_LINE_MAX, HpackDecoder, HpackField
from ringway.engine.http2.hpack_encode cimport HpackEncoder

cdef enum:
    MESSAGE_BROKEN = -30000         # a broken block: COMPRESSION_ERROR of the connection. Smaller than any -Reason
    MESSAGE_SCRATCH = 3 * HPACK_LINE_MAX    # octets of `scratch` that request_read() needs, at least

cdef enum MessageKind:              # of message_write()
    MESSAGE_REQUEST
    MESSAGE_RESPONSE
    MESSAGE_TRAILER

cdef struct MessageBounds:
    uint32_t bytes                  # of all fields, plus 32 for each (SETTINGS_MAX_HEADER_LIST_SIZE, RFC 9113 6.5.2)
    uint32_t fields                 # each crumb of a cookie counts

cdef struct Reading:                # the state while a block is read
    HpackDecoder* decoder
    const uint8_t* block
    uint32_t length
    uint32_t at
    const MessageBounds* bounds
    char* out                       # the lines
    uint32_t room
    uint32_t n                      # octets in `out`
    char* scratch                   # pseudo fields; after them the crumbs of the cookie
    uint32_t scratch_room           # MESSAGE_SCRATCH or more
    uint32_t used
    uint32_t listed                 # octets of all fields so far, as in MessageBounds.bytes
    uint32_t count
    int reason                      # the first -Reason; later fields are decoded and dropped
    bint hosted                     # Host came in addition to the authority
    bint lined                      # the request line is written: fields go to `out`
    Span method                     # in `scratch`, until the request line is written
    Span scheme
    Span path
    Span authority

cdef int request_read(HpackDecoder* d, const uint8_t* block, uint32_t length, bint end, const MessageBounds* bounds,
                      char* out, uint32_t room, char* scratch, uint32_t scratch_room, RequestHead* head) noexcept nogil
    # octets of the head's lines with the empty line; -Reason; or MESSAGE_BROKEN. `end`: no body follows
cdef int trailer_read(HpackDecoder* d, const uint8_t* block, uint32_t length, const MessageBounds* bounds, char* out,
                      uint32_t room, char* scratch, uint32_t scratch_room) noexcept nogil
    # octets of the lines, without an empty line; -Reason; or MESSAGE_BROKEN. Leaves out what RFC 9110 6.5.1 forbids
cdef int message_write(HpackEncoder* e, int kind, const char* lines, uint32_t length, Span scheme, uint8_t* out,
                       uint32_t room) noexcept nogil
    # octets of the block; -1: not enough room. `lines` may end with the empty line. Leaves out what HTTP/2 forbids.
    # `scheme`: of a request

# Parts of the functions above.
cdef void reading_begin(Reading* r, HpackDecoder* d, const uint8_t* block, uint32_t length, const MessageBounds* bounds,
                        char* out, uint32_t room, char* scratch, uint32_t scratch_room) noexcept nogil
cdef void refuse(Reading* r, int reason) noexcept nogil                                 # keeps the first reason
cdef int next_field(Reading* r, HpackField* field, char** line) noexcept nogil
    # HPACK_FIELD, HPACK_END or HPACK_BROKEN, as hpack_read(); `line`: where it wrote the field
cdef void take_pseudo(Reading* r, const HpackField* field, const char* line) noexcept nogil
cdef void take_once(Reading* r, Span* into, const HpackField* field, const char* line) noexcept nogil
cdef void write_line(Reading* r, RequestHead* head) noexcept nogil
cdef int line_reason(Reading* r) noexcept nogil                                         # 0, or -Reason
cdef void take_field(Reading* r, const HpackField* field, const char* line, RequestHead* head) noexcept nogil
cdef bint same_authority(const char* lines, Piece authority, const char* value, uint32_t length) noexcept nogil
cdef void take_crumb(Reading* r, const HpackField* field, const char* line) noexcept nogil
cdef void write_cookie(Reading* r, RequestHead* head) noexcept nogil
cdef void add_field(Reading* r, RequestHead* head, uint32_t name, uint32_t value, int id) noexcept nogil
    # adds the line at r.out + r.n
cdef int judge_request(Reading* r, bint end, RequestHead* head) noexcept nogil          # as request_read()
cdef bint connection_field(const char* name, uint32_t length, int id) noexcept nogil    # RFC 9113 8.2.2
cdef bint parsed_alike(const char* lines, const RequestHead* head) noexcept nogil
cdef int write_first(HpackEncoder* e, int kind, const char* lines, uint32_t length, Span scheme, uint8_t* out,
                     uint32_t room) noexcept nogil
    # octets, at least 1; -1: not enough room
cdef int write_static(HpackEncoder* e, Span name, Span value, uint8_t* out, uint32_t room) noexcept nogil
    # as hpack_write(), for pseudo fields with common values in the static table
cdef Span find_host(const char* lines, uint32_t length) noexcept nogil
cdef bint left_out(const char* name, uint32_t length, const char* value, uint32_t value_length, int kind) noexcept nogil

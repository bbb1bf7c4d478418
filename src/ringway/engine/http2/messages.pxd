"""Heads and trailers between HTTP/2's field blocks and the field lines that everything else reads and writes.

    block --request_read()--> "GET /path HTTP/1.1", "Host: authority", field lines + RequestHead
    block --trailer_read()--> field lines
    a head's lines, or a trailer's --message_write()--> block

Reading fills the RequestHead on the way, so that nothing is parsed twice; a debug build parses the lines all the same, and
both must agree. What RFC 9113 8.1 to 8.3 calls malformed is refused here, so that nothing can be smuggled into HTTP/1.1:

- names in upper case, octets that no name or value may hold, white space around a value (8.2.1)
- Connection and what belongs to it, TE other than `trailers` (8.2.2)
- pseudo fields that are missing, repeated, unknown, or behind another field (8.3)
- a target that is no origin-form, "*" only with OPTIONS; an authority and a Host that differ (8.3.1)
- a Content-Length in a message that ends with its head (8.1.1)

A block is always decoded to its end, whatever is wrong with it: the tables of the connection must stay in step.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ringway.engine.base.spans cimport Piece, Span
from ringway.engine.http.request_head cimport RequestHead
from ringway.engine.http2.hpack_decode cimport HPACK_LINE_MAX, HpackDecoder, HpackField
from ringway.engine.http2.hpack_encode cimport HpackEncoder

cdef enum:
    MESSAGE_BROKEN = -30000         # the block is: COMPRESSION_ERROR of the connection. No -Reason is so small
    MESSAGE_SCRATCH = 3 * HPACK_LINE_MAX    # octets of memory that request_read() needs beside its output, at least

cdef enum MessageKind:              # of message_write()
    MESSAGE_REQUEST
    MESSAGE_RESPONSE
    MESSAGE_TRAILER

cdef struct MessageBounds:
    uint32_t bytes                  # of all fields, each with 32 octets more (SETTINGS_MAX_HEADER_LIST_SIZE, RFC 9113 6.5.2)
    uint32_t fields                 # each crumb of a cookie counts

cdef struct Reading:                # one block under way
    HpackDecoder* decoder
    const uint8_t* block
    uint32_t length
    uint32_t at
    const MessageBounds* bounds
    char* out                       # the lines
    uint32_t room
    uint32_t n                      # octets of them
    char* scratch                   # pseudo fields, later the crumbs of the cookie
    uint32_t scratch_room           # MESSAGE_SCRATCH or more
    uint32_t used
    uint32_t listed                 # octets of all fields so far, see MessageBounds
    uint32_t count
    int reason                      # the first -Reason: from then on fields are decoded and dropped
    bint lined                      # fields go to `out`: the request line is written
    Span method                     # in `scratch`, until then
    Span scheme
    Span path
    Span authority

cdef int request_read(HpackDecoder* d, const uint8_t* block, uint32_t length, bint end, const MessageBounds* bounds, char* out,
                      uint32_t room, char* scratch, uint32_t scratch_room, RequestHead* head) noexcept nogil
    # `end`: no body follows. Octets of the head's lines with the empty line; -Reason; or MESSAGE_BROKEN
cdef int trailer_read(HpackDecoder* d, const uint8_t* block, uint32_t length, const MessageBounds* bounds, char* out,
                      uint32_t room, char* scratch, uint32_t scratch_room) noexcept nogil
    # octets of the lines, without an empty one: those that may not be in a trailer (RFC 9110 6.5.1) are left out
cdef int message_write(HpackEncoder* e, int kind, const char* lines, uint32_t length, Span scheme, uint8_t* out,
                       uint32_t room) noexcept nogil
    # octets of the block; -1: there is no room. `lines` may end with the empty line; what HTTP/2 forbids is left out.
    # `scheme`: of a request

# Parts of the functions above.
cdef void reading_begin(Reading* r, HpackDecoder* d, const uint8_t* block, uint32_t length, const MessageBounds* bounds,
                        char* out, uint32_t room, char* scratch, uint32_t scratch_room) noexcept nogil
cdef void refuse(Reading* r, int reason) noexcept nogil                                 # the first reason is kept
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
    # a line of this form stands at r.out + r.n
cdef int judge_request(Reading* r, bint end, RequestHead* head) noexcept nogil          # as request_read()
cdef bint connection_field(const char* name, uint32_t length, int id) noexcept nogil    # RFC 9113 8.2.2
cdef bint parsed_alike(const char* lines, const RequestHead* head) noexcept nogil
cdef int write_first(HpackEncoder* e, int kind, const char* lines, uint32_t length, Span scheme, uint8_t* out,
                     uint32_t room) noexcept nogil
    # octets, at least 1; -1: there is no room
cdef int write_static(HpackEncoder* e, Span name, Span value, uint8_t* out, uint32_t room) noexcept nogil
    # as hpack_write(), for pseudo fields of which the static table has the usual values
cdef Span find_host(const char* lines, uint32_t length) noexcept nogil
cdef bint left_out(const char* name, uint32_t length, const char* value, uint32_t value_length, int kind) noexcept nogil

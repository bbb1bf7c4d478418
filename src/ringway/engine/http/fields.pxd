"""Field lines, and the field names that the proxy must know.

`field_id()` recognises a name, ignoring case: first by its length and first letter, then by its text. All other names
are FIELD_OTHER. The proxy forwards such fields unchanged.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.spans cimport Piece

cdef enum FieldId:
    FIELD_OTHER = 0
    # framing and connection
    FIELD_HOST
    FIELD_CONNECTION
    FIELD_CONTENT_LENGTH
    FIELD_TRANSFER_ENCODING
    FIELD_EXPECT
    FIELD_UPGRADE
    # hop-by-hop by name: not forwarded in either direction (RFC 9110 7.6.1)
    FIELD_KEEP_ALIVE
    FIELD_PROXY_CONNECTION
    FIELD_PROXY_AUTHENTICATE
    FIELD_TE
    FIELD_TRAILER
    # set by Ringway, never trusted from clients
    FIELD_FORWARDED
    FIELD_X_FORWARDED_FOR
    FIELD_X_FORWARDED_PROTO
    FIELD_X_FORWARDED_HOST
    FIELD_X_FORWARDED_PORT
    FIELD_X_FORWARDED_PREFIX
    FIELD_X_REAL_IP
    FIELD_CLIENT_IDENTITY   # the fields of client_auth.pxd, and RFC 9440's Client-Cert and Client-Cert-Chain
    FIELD_PROXY_SAYS    # others that only a trusted proxy may set: all other X-Forwarded-*, Front-End-Https ...
    FIELD_FORBIDDEN     # never forwarded: Proxy (CGI makes it HTTP_PROXY: CVE-2016-5385), HTTP2-Settings (RFC 9113 3.1)
    FIELD_DISGUISED     # such a name, or a framing field, with "_" instead of "-"; see claimed()
    # conditions and ranges
    FIELD_IF_MATCH
    FIELD_IF_NONE_MATCH
    FIELD_IF_MODIFIED_SINCE
    FIELD_IF_UNMODIFIED_SINCE
    FIELD_IF_RANGE
    FIELD_RANGE
    # for the access log
    FIELD_USER_AGENT
    FIELD_REFERER
    # in responses
    FIELD_DATE
    FIELD_SERVER
    FIELD_COUNT

cdef enum:
    FIELDS_MAX = 1000   # fields in one head: the maximum of `[limits] head_fields`
    CONNECTION_OPTIONS_MAX = 32  # options in one head; bounded because each is compared with each field
    LENGTH_DIGITS_MAX = 18       # digits of a Content-Length: less than 2**63, so the sum of two does not overflow

cdef enum:              # bits of connection_options()
    CONNECTION_CLOSE = 1
    CONNECTION_KEEP_ALIVE = 2
    CONNECTION_UPGRADE = 4

cdef struct Field:
    Piece name
    Piece value         # without the white space around it
    uint8_t id          # FieldId
    uint8_t hop         # 1: Connection names it, so it is not forwarded (RFC 9110 7.6.1)

cdef inline bint same_name(const char* name, const char* lower_name, uint32_t length) noexcept nogil:
    """Equal, ignoring case, for a token and a known name. There is no branch for each octet, so C can use SIMD.

    `| 0x20` is enough: of the octets of a token, it turns only upper-case letters into other octets of a name.
    """
    cdef uint8_t difference = 0
    cdef uint32_t i
    for i in range(length):
        difference |= (<uint8_t>name[i] | 0x20) ^ <uint8_t>lower_name[i]
    return difference == 0

cdef inline int claimed(const char* name, const char* lower_name, uint32_t length, int id) noexcept nogil:
    """`id` if the name is this one, FIELD_DISGUISED if it is this one with `_` read as `-`, else FIELD_OTHER.

    CGI and WSGI turn both `X-Forwarded-For` and `X_Forwarded_For` into HTTP_X_FORWARDED_FOR (RFC 3875 4.1.18). An
    application must not mistake a client's field for one of Ringway's, so disguised fields are removed from requests.
    Only this function recognises the names of fields that Ringway sets.
    """
    cdef uint8_t difference = 0
    cdef uint8_t disguised = 0
    cdef uint8_t c
    cdef uint32_t i
    for i in range(length):
        c = <uint8_t>name[i] | 0x20
        difference |= c ^ <uint8_t>lower_name[i]
        # "_" | 0x20 is 0x7F, and 0x7F ^ 0x52 is "-". No other octet of a token becomes 0x7F.
        disguised |= (c ^ (0x52 if c == 0x7F else 0)) ^ <uint8_t>lower_name[i]
    if difference == 0:
        return id
    return FIELD_DISGUISED if disguised == 0 else FIELD_OTHER

cdef int field_id(const char* name, uint32_t length) noexcept nogil        # `name` is a token
cdef bint is_token(const char* text, uint32_t length) noexcept nogil       # RFC 9110 5.6.2: tchar, at least one
cdef bint is_field_value(const char* text, uint32_t length) noexcept nogil # only HTAB, SP, VCHAR, obs-text
cdef int list_has(const char* value, uint32_t length, const char* lower_token, uint32_t token_length) noexcept nogil
    # 1: the comma-separated list contains the token, ignoring case (RFC 9110 5.6.1)
cdef void mark_hops(const char* head, Field* fields, uint16_t count) noexcept nogil
    # sets `hop` on every field that a Connection field names
cdef int parse_fields(const char* head, uint32_t at, uint32_t length, Field* fields, uint16_t* count) noexcept nogil
    # parses the field lines from head[at] to the empty line that ends at head[length]. 0, or -Reason
cdef int field_line(const char* head, uint32_t at, uint32_t length, Field* field) noexcept nogil
    # parses one field line at head[at]. >0: position after it; <0: -Reason. head[0:length] must end with CR LF
cdef int connection_options(const char* head, Field* fields, uint16_t count) noexcept nogil
    # returns the CONNECTION_* bits of all Connection fields, and sets `hop` as mark_hops() does. -BAD_FIELD: too many
cdef bint content_length(const char* value, uint32_t length, uint64_t* out) noexcept nogil
    # RFC 9110 8.6: 1*DIGIT and nothing else
cdef int line_fault(const char* head, uint32_t at, int otherwise) noexcept nogil
    # the -Reason for an octet that is not allowed at head[at]; head[at + 1] must be readable
cdef int head_scan(const char* data, uint32_t start, uint32_t length, uint32_t seen) noexcept nogil
    # the scan of request and response heads: lines from data[start] to the empty line; see request_scan()
cdef int list_index(const char* value, uint32_t length, const char* text, uint32_t text_length) noexcept nogil
    # index of `text`, ignoring case, in a comma-separated list in lower case; -1: not in the list
cdef uint32_t list_next(const char* value, uint32_t length, uint32_t* at) noexcept nogil
    # finds the next element of a comma-separated list, without white space: sets `at` to its start and returns its
    # length, 0: no more. To continue, the caller moves `at` past the element

# Parts of the functions above.
cdef int short_field_id(const char* name, uint32_t length) noexcept nogil  # of 2 to 9 octets
cdef int long_field_id(const char* name, uint32_t length) noexcept nogil   # of 10 to 20 octets
cdef int x_field_id(const char* name, uint32_t length) noexcept nogil      # of 10 or more, the first one an x
cdef int x_forwarded_id(const char* name, uint32_t length) noexcept nogil  # of 12 or more
cdef int option_bit(const char* text, uint32_t length) noexcept nogil
cdef void mark_named(const char* head, Field* fields, uint16_t count, const char* option,
                     uint32_t length) noexcept nogil
cdef uint32_t skip_sound_lines(const char* data, uint32_t start, uint32_t length, uint32_t at) noexcept nogil

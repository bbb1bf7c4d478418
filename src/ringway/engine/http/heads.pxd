"""Writes heads of requests to upstreams and of responses to clients. No I/O: text in, text out.

Each function writes to `out` and returns the bytes written. `out` must have room for the original head, plus
HEAD_GROWTH_MAX, plus host, base, peer and identity. Field lines that stay are copied in runs, unchanged.
"""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from ringway.engine.http.fields cimport Field
from ringway.engine.http.request_head cimport RequestHead
from ringway.engine.http.response_head cimport ResponseHead
from ringway.engine.base.spans cimport Span

cdef enum:
    HEAD_GROWTH_MAX = 1024
    # Bytes of the head of Ringway's own responses, without the fields that it is given, the body and `Reply.fields`:
    # status line (46 at most), Server (17), Date (37), Connection (24), Content-Type (41; with ranges 71),
    # Content-Length (40), Content-Range (85), the empty line.
    OWN_HEAD_MAX = 384
    LOCATION_BYTES_MAX = 3072   # a whole Location line: the head still fits in a small buffer
    UPGRADES_MAX = 8        # entries of a route's `upgrade` list; Exchange.upgrade has a bit for each
    PORT_DIGITS_MAX = 5

cdef struct Forward:        # what a request to an upstream says in addition to the client's own fields
    Span base               # before the path
    Span path               # the rest of the path: "" or "/..."
    Span query              # with its "?"
    Span host               # Host: the client's, or the upstream's if an HTTP/1.0 client sent none
    bint trusted            # the peer is a trusted proxy: its fields of FIELD_PROXY_SAYS stay
    bint chain              # X-Forwarded-For came from a trusted proxy: it is written first, then
    Span client             # ... the client's address if a trusted proxy gave it in Forwarded; length 0: none
    Span peer               # the address of the peer; length 0: it has none
    Span identity           # whole lines: who the client is, see client_auth.pxd
    Span proto              # the scheme of the request: "https" or "http"
    Span asked              # the host that the client requested; length 0: none
    Span port               # ... and the port, from a trusted proxy; length 0: the port in `asked`, or that of `proto`
    Span prefix             # the prefix that was stripped from the path; length 0: none
    Span prefix_before      # the prefix that a trusted proxy stripped before that
    Span upgrade            # protocols that the route allows, a list in lower case; length 0: do not forward Upgrade
    bint chunked            # framing in which the body is forwarded
    bint has_length
    uint64_t content_length

cdef uint32_t write_request(char* out, const char* data, const RequestHead* head, const Forward* f) noexcept nogil

cdef struct Reply:          # what a response to a client says in addition to the upstream's own fields
    const char* date_field  # a ready "Date: ...\\r\\n", DATE_FIELD_BYTES
    uint16_t minor          # HTTP/1.minor of the client
    bint keep_alive
    bint chunked            # framing in which the body is sent
    bint upgrade            # 101: keep Upgrade
    Span fields             # whole lines to add, unchanged

cdef uint32_t write_response(char* out, const char* data, const ResponseHead* head, const Reply* r) noexcept nogil

cdef uint32_t write_status(char* out, uint16_t status) noexcept nogil
    # the status line with the standard reason phrase
cdef uint32_t write_own(char* out, uint16_t status, const Reply* r) noexcept nogil
    # status line, Server, Date, Connection: the beginning of one of Ringway's own responses
cdef uint32_t write_location(char* out, uint32_t room, Span to, Span path, Span query) noexcept nogil
    # the line "Location: ...": `to`, with path and query in place of each "{path}". 0: it does not fit in `room`
cdef bint names_path(const char* text, uint32_t length) noexcept nogil
    # True: it begins with "{path}"
cdef enum:
    STATUS_END = 600

cdef extern from "names.h" nogil:
    const char* STATUS_PHRASES[STATUS_END]     # NULL: Ringway does not use this status itself

cdef const char* status_phrase(uint16_t status) noexcept nogil

cdef char* put_forwarded_for(char* out, const char* data, const RequestHead* head, const Forward* f) noexcept nogil
cdef char* put_listed(char* out, const char* begin, Span element) noexcept nogil
    # appends to the elements that begin at `begin`
cdef char* put_fields(char* out, const char* data, const Field* fields, uint16_t count, uint64_t dropped) noexcept nogil
    # all fields except those that Connection names and those whose id is set in the bits `dropped`
cdef char* put_upgrade(char* out, const char* data, const Field* fields, uint16_t count, Span allowed) noexcept nogil
    # the protocols of the Upgrade fields that are in the list `allowed`; all of them if the list is empty
cdef int upgrades_asked(const char* data, const Field* fields, uint16_t count, Span allowed) noexcept nogil
    # bit i: the Upgrade fields contain entry i of the list `allowed` (at most UPGRADES_MAX entries);
    # bit UPGRADES_MAX: they contain a protocol that is not in the list
cdef char* put_port(char* out, const Forward* f) noexcept nogil
cdef char* put_connection(char* out, const Reply* r) noexcept nogil

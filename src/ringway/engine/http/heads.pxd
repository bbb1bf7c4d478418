"""Writing heads: what goes to an upstream and what goes to a client. No I/O: text in, text out.

Each function writes to `out` and returns the bytes written. `out` must have room for the head it rewrites, plus
HEAD_GROWTH_MAX, plus host, base, peer and identity. Field lines that stay are copied in runs, as they were received and checked.
"""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from ringway.engine.http.fields cimport Field
from ringway.engine.http.request_head cimport RequestHead
from ringway.engine.http.response_head cimport ResponseHead
from ringway.engine.base.spans cimport Span

cdef enum:
    HEAD_GROWTH_MAX = 1024
    # What an answer of our own says besides the fields that it is given, the body and `Reply.fields`: status line (46 at
    # most), Server (17), Date (37), Connection (24), Content-Type (41; of ranges 71), Content-Length (40), Content-Range
    # (85), the empty line.
    OWN_HEAD_MAX = 384
    LOCATION_BYTES_MAX = 3072   # a whole Location line: with all else it fits a small buffer
    UPGRADES_MAX = 8        # a route's list; Exchange.upgrade has a bit for each
    PORT_DIGITS_MAX = 5

cdef struct Forward:        # what a request to an upstream says besides the client's own fields
    Span base               # in front of the path
    Span path               # what is left of the path: "" or "/..."
    Span query              # with its "?"
    Span host               # Host: the client's own, or the upstream's when an HTTP/1.0 client sent none
    bint trusted            # the peer is: what it says in the fields of FIELD_PROXY_SAYS stays
    bint chain              # X-Forwarded-For came from a trusted proxy: it goes in front of
    Span client             # ... the client's address that such a one gave otherwise; length 0: none
    Span peer               # the address of whoever connected; length 0: it has none
    Span identity           # whole lines: who the client is, see client_auth.pxd
    Span proto              # how the client came: "https" or "http"
    Span asked              # which host it asked for; length 0: none
    Span port               # ... at which port, as a trusted proxy says; length 0: that of `asked`, or of `proto`
    Span prefix             # what was taken from the path; length 0: nothing
    Span prefix_before      # what a trusted proxy took from it before
    Span upgrade            # to what a request may ask to be upgraded, a list in lower case; length 0: it does not ask
    bint chunked            # framing of the body as it is sent on
    bint has_length
    uint64_t content_length

cdef uint32_t write_request(char* out, const char* data, const RequestHead* head, const Forward* f) noexcept nogil

cdef struct Reply:          # what a response to a client says besides the upstream's own fields
    const char* date_field  # ready "Date: ...\\r\\n", DATE_FIELD_BYTES
    uint16_t minor          # of the client
    bint keep_alive
    bint chunked            # framing of the body as it is sent on
    bint upgrade            # 101: keep Upgrade
    Span fields             # whole lines to be added, as they are

cdef uint32_t write_response(char* out, const char* data, const ResponseHead* head, const Reply* r) noexcept nogil

cdef uint32_t write_status(char* out, uint16_t status) noexcept nogil
    # status line with the usual reason phrase
cdef uint32_t write_own(char* out, uint16_t status, const Reply* r) noexcept nogil
    # status line, Server, Date, Connection: the beginning of an answer of our own
cdef uint32_t write_location(char* out, uint32_t room, Span to, Span path, Span query) noexcept nogil
    # the line "Location: ...", which is `to` with path and query for each "{path}". 0: it does not fit in `room`
cdef bint names_path(const char* text, uint32_t length) noexcept nogil
    # does it begin with "{path}"?
cdef enum:
    STATUS_END = 600

cdef extern from "names.h" nogil:
    const char* STATUS_PHRASES[STATUS_END]     # NULL: a status that is never ours

cdef const char* status_phrase(uint16_t status) noexcept nogil

cdef char* put_forwarded_for(char* out, const char* data, const RequestHead* head, const Forward* f) noexcept nogil
cdef char* put_listed(char* out, const char* begin, Span element) noexcept nogil
    # behind the elements from `begin` on
cdef char* put_fields(char* out, const char* data, const Field* fields, uint16_t count, uint64_t dropped) noexcept nogil
    # all fields but those named by Connection and those whose id is set in the bits `dropped`
cdef char* put_upgrade(char* out, const char* data, const Field* fields, uint16_t count, Span allowed) noexcept nogil
    # those of the Upgrade fields that are in the list `allowed`; all, where that is empty
cdef int upgrades_asked(const char* data, const Field* fields, uint16_t count, Span allowed) noexcept nogil
    # which places of the list `allowed` (at most UPGRADES_MAX) the Upgrade fields name, as bits; bit UPGRADES_MAX: they name
    # something else too
cdef char* put_port(char* out, const Forward* f) noexcept nogil
cdef char* put_connection(char* out, const Reply* r) noexcept nogil

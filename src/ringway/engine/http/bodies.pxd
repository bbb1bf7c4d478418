"""A body on its way: decoded from the framing it came in, framed for where it goes. RFC 9112 6 and 7. No I/O.

    received buffer --body_decode()--> payload in place --body_frame()--> ready to be sent from the same buffer
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.http.chunked cimport Chunked
from ringway.engine.plan.snapshot cimport Limits

cdef enum:
    FRAME_BYTES_MAX = 18        # in front of a chunk: 16 hex digits, CR LF
    LAST_BYTES_MAX = 1032       # TRAILER_BYTES_MAX, and the last chunk around it

cdef struct BodyState:      # one body under way, either direction
    uint8_t framing         # Framing of what arrives
    bint chunked_out        # what leaves is chunked
    bint done               # all of it has arrived
    uint64_t left           # FRAMING_LENGTH: bytes still to come
    uint64_t total          # payload bytes so far

cdef void body_begin(BodyState* body, Chunked* chunks, int framing, uint64_t length, const Limits* limits) noexcept nogil
cdef int body_decode(BodyState* body, Chunked* chunks, char* data, uint32_t length, uint32_t* used, uint32_t* start,
                     uint32_t* got) noexcept nogil
    # data[0:length] as received: payload is data[start:start+got], data[used:] is not part of this body.
    # 0, with body.done when it has ended; or -Reason
cdef void body_frame(const BodyState* body, Buffer* b) noexcept nogil
    # the payload b.start..b.end becomes one chunk, when what leaves is chunked; needs head and tail room
cdef uint32_t body_last(const BodyState* body, const Chunked* chunks, char* out) noexcept nogil
    # the last chunk with its trailer fields; bytes written, 0: none is needed. `out` has TRAILER_BYTES_MAX + 8

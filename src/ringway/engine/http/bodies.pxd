"""Decodes a body from the framing of its sender and frames it for its receiver. RFC 9112 6 and 7. No I/O.

    received buffer --body_decode()--> payload in place --body_frame()--> ready to send from the same buffer
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.http.chunked cimport Chunked
from ringway.engine.plan.snapshot cimport Limits

cdef enum:
    FRAME_BYTES_MAX = 18        # before a chunk: 16 hex digits, CR LF
    LAST_BYTES_MAX = 1032       # TRAILER_BYTES_MAX and the last chunk

cdef struct BodyState:      # one body in transfer, in either direction
    uint8_t framing         # Framing in which it arrives
    bint chunked_out        # it is sent chunked
    bint done               # all of it has arrived
    uint64_t left           # FRAMING_LENGTH: bytes still to come
    uint64_t total          # payload bytes so far

cdef void body_begin(BodyState* body, Chunked* chunks, int framing, uint64_t length,
                     const Limits* limits) noexcept nogil
cdef int body_decode(BodyState* body, Chunked* chunks, char* data, uint32_t length, uint32_t* used, uint32_t* start,
                     uint32_t* got) noexcept nogil
    # data[0:length] as received. The payload is data[start:start+got]; data[used:] is not part of this body.
    # Returns 0, and sets body.done at the end of the body; or -Reason
cdef void body_frame(const BodyState* body, Buffer* b) noexcept nogil
    # makes the payload b.start..b.end one chunk if the body is sent chunked; needs head room and tail room
cdef uint32_t body_last(const BodyState* body, const Chunked* chunks, char* out) noexcept nogil
    # writes the last chunk with its trailer fields; returns the bytes written, 0: none is needed.
    # `out` has room for LAST_BYTES_MAX

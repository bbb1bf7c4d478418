"""The chunked coding, RFC 9112 7.1, decoded in place.

chunked_decode() reads data[0:length] and leaves the payload as one run data[start:start+got] in the same memory:
the first piece of payload is not moved, later ones are moved down beside it. Trailer fields that may be forwarded
(RFC 9110 6.5.1: no framing, routing, authentication, content fields) are collected as field lines in `trailer`.

    SIZE -> EXTENSION -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
    SIZE -> EXT_...   ->         size 0: SIZE_LF -> TRAILER -> ... -> END

Clients are held to the letter, since whoever reads a request otherwise than we do can be made to see another one. A body from
an upstream goes on in our own framing, so nobody reads what we read; there `lenient` reads over what other proxies read over:

- Blanks behind a size: RFC 2616 4.2 and 2.1 allowed them, and servers that pad their sizes to a fixed width (Apache-Coyote)
  are still in use. They end at the line's end or at `;`, and within `line_max`.
- Zeros in front of a size, any number within `line_max`: RFC 9112 7.1 is 1*HEXDIG. They cannot make it overflow.

All else stays as strict: CR LF at each end, no sign, no 0x, no blanks in front. LF alone is no end of a line here, although it is
one in a response's head: it would decide where the response ends, and readers differ (docs/decisions/0022).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    TRAILER_BYTES_MAX = 1024     # the trailer section with its empty line: what `trailer` has room for
    CHUNK_DIGITS_MAX = 15        # a size fits 60 bits

cdef enum ChunkedState:
    CHUNK_SIZE = 0      # at least one hex digit
    CHUNK_PADDING       # lenient: blanks behind the size
    CHUNK_EXTENSION     # skipped, bounded
    CHUNK_EXT_BEGIN     # not lenient: behind ";", a name must come. See extension_octet()
    CHUNK_EXT_NAME
    CHUNK_EXT_NAMED     # blanks behind the name: "=" or ";" must come
    CHUNK_EXT_EQUALS    # a value must come
    CHUNK_EXT_VALUE     # a token
    CHUNK_EXT_QUOTED    # a quoted-string
    CHUNK_EXT_PAIR      # a backslash in it
    CHUNK_EXT_CLOSED    # behind its end
    CHUNK_EXT_BLANK     # blanks behind the value: ";" must come
    CHUNK_SIZE_LF       # CR seen
    CHUNK_DATA
    CHUNK_DATA_CR
    CHUNK_DATA_LF
    CHUNK_TRAILER       # field lines, or the empty line
    CHUNK_END

cdef struct Chunked:
    uint8_t state           # ChunkedState; 0 begins
    bint lenient            # it comes from an upstream; chunked_begin() clears it
    uint8_t digits          # hex digits of the size so far, at most 15: a size fits 60 bits
    uint16_t line_max       # bytes of a size with its extensions: these have no use on the public Internet
    uint16_t trailer_max    # bytes of the trailer section, at most TRAILER_BYTES_MAX
    uint16_t line           # bytes of this chunk line, or of the trailer section, so far
    uint16_t trailer_length # bytes collected in `trailer`
    uint16_t pending        # bytes of the trailer line being read, which lie behind those
    uint64_t left           # bytes left in this chunk
    uint64_t total          # payload bytes so far
    char trailer[TRAILER_BYTES_MAX]  # field lines "Name: value\\r\\n", checked; also the line being read

cdef void chunked_begin(Chunked* c, uint32_t line_max, uint32_t trailer_max) noexcept nogil
cdef int chunked_decode(Chunked* c, char* data, uint32_t length, uint32_t* used, uint32_t* start,
                        uint32_t* got) noexcept nogil
    # >0: the body has ended and data[used:] is not part of it; 0: more needed, all of data used; <0: -Reason

# Parts of chunked_decode(): each takes one octet. 0, or -Reason.
cdef int chunk_line(Chunked* c, char octet) noexcept nogil          # CHUNK_SIZE to CHUNK_SIZE_LF
cdef int extension_octet(Chunked* c, char octet) noexcept nogil
    # RFC 9112 7.1.1: `;name`, `;name=token`, `;name="text"`, with blanks around ";" and "=", none before the CR
cdef int chunk_size_digit(Chunked* c, char octet) noexcept nogil
cdef int chunk_trailer(Chunked* c, char octet) noexcept nogil
cdef int trailer_line(Chunked* c) noexcept nogil                    # the pending line is complete: keep it or drop it
cdef bint trailer_forbidden(const char* name, uint32_t length, int id) noexcept nogil

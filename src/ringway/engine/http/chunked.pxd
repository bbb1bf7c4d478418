"""The chunked coding, RFC 9112 7.1, decoded in place.

chunked_decode() reads data[0:length] and leaves the payload as one run data[start:start+got] in the same memory. The
first piece of payload stays in place; later pieces move down next to it. Trailer fields that may be forwarded (RFC 9110
6.5.1: no framing, routing, authentication or content fields) are collected as field lines in `trailer`.

    SIZE -> EXTENSION -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
    SIZE -> EXT_...   ->         size 0: SIZE_LF -> TRAILER -> ... -> END

Requests are decoded strictly: if a client's framing could be read in two ways, another server could see another request
(request smuggling). Ringway sends a body from an upstream in its own framing, so nobody reads the original framing.
For upstreams `lenient` accepts what other proxies accept:

- Blanks after a size. RFC 2616 4.2 and 2.1 allowed them, and servers that pad their sizes to a fixed width
  (Apache-Coyote) are still in use. The blanks end at the end of the line or at `;`, and count towards `line_max`.
- Any number of zeros before a size, within `line_max`. RFC 9112 7.1 says 1*HEXDIG. Zeros cannot overflow the size.

Everything else is as strict as for clients: CR LF at the end of each line, no sign, no 0x, no blanks before a size. LF alone
does not end a line here, although it does in a response head: it would decide where the response ends, and readers differ
(docs/decisions/0022).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    TRAILER_BYTES_MAX = 1024     # bytes of the trailer section with its empty line: the size of `trailer`
    CHUNK_DIGITS_MAX = 15        # a size fits in 60 bits

cdef enum ChunkedState:
    CHUNK_SIZE = 0      # at least one hex digit
    CHUNK_PADDING       # lenient: blanks after the size
    CHUNK_EXTENSION     # lenient: skipped, bounded
    CHUNK_EXT_BEGIN     # strict: after ";", a name must follow. See extension_octet()
    CHUNK_EXT_NAME
    CHUNK_EXT_NAMED     # blanks after the name: "=" or ";" must follow
    CHUNK_EXT_EQUALS    # a value must follow
    CHUNK_EXT_VALUE     # a token
    CHUNK_EXT_QUOTED    # in a quoted-string
    CHUNK_EXT_PAIR      # in a quoted-string, after a backslash
    CHUNK_EXT_CLOSED    # after the end of a quoted-string
    CHUNK_EXT_BLANK     # blanks after the value: ";" must follow
    CHUNK_SIZE_LF       # CR seen
    CHUNK_DATA
    CHUNK_DATA_CR
    CHUNK_DATA_LF
    CHUNK_TRAILER       # field lines, or the empty line
    CHUNK_END

cdef struct Chunked:
    uint8_t state           # ChunkedState; begins with 0
    bint lenient            # the body comes from an upstream; chunked_begin() clears it
    uint8_t digits          # hex digits of the size so far, at most CHUNK_DIGITS_MAX
    uint16_t line_max       # bytes of a size with its extensions; the public Internet does not use extensions
    uint16_t trailer_max    # bytes of the trailer section, at most TRAILER_BYTES_MAX
    uint16_t line           # bytes of this chunk line, or of the trailer section, so far
    uint16_t trailer_length # bytes collected in `trailer`
    uint16_t pending        # bytes of the trailer line in progress, stored after those
    uint64_t left           # bytes left in this chunk
    uint64_t total          # payload bytes so far
    char trailer[TRAILER_BYTES_MAX]  # checked field lines "Name: value\\r\\n", then the line in progress

cdef void chunked_begin(Chunked* c, uint32_t line_max, uint32_t trailer_max) noexcept nogil
cdef int chunked_decode(Chunked* c, char* data, uint32_t length, uint32_t* used, uint32_t* start,
                        uint32_t* got) noexcept nogil
    # >0: the body has ended, data[used:] is not part of it; 0: more is needed, all of data is used; <0: -Reason

# Parts of chunked_decode(). Each takes one octet and returns 0 or -Reason.
cdef int chunk_line(Chunked* c, char octet) noexcept nogil          # CHUNK_SIZE to CHUNK_SIZE_LF
cdef int extension_octet(Chunked* c, char octet) noexcept nogil
    # RFC 9112 7.1.1: `;name`, `;name=token`, `;name="text"`, with blanks around ";" and "=" but not before the CR
cdef int chunk_size_digit(Chunked* c, char octet) noexcept nogil
cdef int chunk_trailer(Chunked* c, char octet) noexcept nogil
cdef int trailer_line(Chunked* c) noexcept nogil                    # keeps or drops the line, which is complete
cdef bint trailer_forbidden(const char* name, uint32_t length, int id) noexcept nogil

"""Borrowed bytes: pointer and length, or offset and length inside a head; comparing and copying them.

Nothing here owns memory. A Span is valid until its buffer is released. A Piece is relative to the start of its head, so
it stays valid when the head moves.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef struct Span:
    const char* at      # borrowed
    uint32_t length     # bytes

cdef struct Piece:
    uint16_t at         # bytes from the start of the head
    uint16_t length     # bytes

cdef inline Span span(const char* at, uint32_t length) noexcept nogil:
    cdef Span s
    s.at = at
    s.length = length
    return s

cdef inline Span piece_span(const char* head, Piece p) noexcept nogil:
    return span(head + p.at, p.length)

cdef inline int bytes_order(const char* a, uint32_t a_length, const char* b, uint32_t b_length) noexcept nogil:
    """The order of all sorted tables: bytewise, a prefix first. Returns <0, 0 or >0."""
    cdef int order = memcmp(a, b, a_length if a_length < b_length else b_length)
    if order != 0:
        return order
    return -1 if a_length < b_length else a_length > b_length

cdef inline int32_t table_find(const char* block, uint64_t table, uint32_t count, uint32_t each, const char* name,
                               uint32_t length) noexcept nogil:
    """Index of the entry with this name in a sorted table of a flat block, or -1. `table`: offset of the table; `each`:
    bytes of an entry. The first two members of an entry are the offset and the length of its name."""
    cdef uint32_t low = 0
    cdef uint32_t high = count
    cdef uint32_t middle
    cdef int order
    cdef const uint32_t* entry
    while low < high:
        middle = (low + high) // 2
        entry = <const uint32_t*>(block + table + <uint64_t>middle * each)
        order = bytes_order(name, length, block + entry[0], entry[1])
        if order == 0:
            return <int32_t>middle
        if order < 0:
            high = middle
        else:
            low = middle + 1
    return -1

cdef inline bint span_is(Span s, const char* text, uint32_t length) noexcept nogil:
    """Equal, case-sensitive."""
    return s.length == length and memcmp(s.at, text, length) == 0

cdef inline uint8_t lower(uint8_t c) noexcept nogil:
    return c | 0x20 if b"A" <= c <= b"Z" else c

cdef inline bint same_text(const char* a, const char* lower_b, uint32_t length) noexcept nogil:
    """Equal, ignoring case. `lower_b` is in lower case."""
    cdef uint32_t i
    for i in range(length):
        if lower(<uint8_t>a[i]) != <uint8_t>lower_b[i]:
            return False
    return True

cdef inline bint span_is_text(Span s, const char* lower_text, uint32_t length) noexcept nogil:
    """Equal, ignoring case, to a text in lower case."""
    return s.length == length and same_text(s.at, lower_text, length)

cdef inline char* put(char* out, const char* text, uint32_t length) noexcept nogil:
    """Copy, and return the position after the copy."""
    memcpy(out, text, length)
    return out + length

cdef inline char* put_span(char* out, Span s) noexcept nogil:
    if s.length:  # an empty one may be NULL, which memcpy() must not get
        memcpy(out, s.at, s.length)
    return out + s.length

cdef inline char* put_within(char* out, const char* end, Span s) noexcept nogil:
    """As put_span(), with a bound. Returns NULL if the copy would pass `end`, or if `out` is NULL."""
    if out == NULL or s.length > <uint64_t>(end - out):
        return NULL
    return put_span(out, s)

cdef char* put_number(char* out, uint64_t value) noexcept nogil
cdef char* put_hex(char* out, uint64_t value) noexcept nogil

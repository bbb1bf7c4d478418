"""Paths in one form, by which routes are chosen and files found (RFC 3986 6.2.2).

path_normalise() decodes percent-encoded unreserved characters, writes other escapes in upper case, and removes dot
segments; encoded slashes stay encoded, empty segments stay. Refused: "%" without two hex digits, encoded or raw NUL,
dot segments that would leave the root, and a path that does not begin with "/" ("*" is not a path: the caller knows
it from the request line). The empty path is normal and stays empty.
"""
from libc.stdint cimport uint32_t

cdef bint path_is_normal(const char* path, uint32_t length) noexcept nogil
    # nothing to do: begins with "/", no "%", no NUL, no "/." in it (the usual case, one pass). False says "look
    # closer", not "not normal": "/.well-known" is both
cdef int path_normalise(const char* path, uint32_t length, char* out, uint32_t capacity) noexcept nogil
    # bytes written (never more than length), or -1. `out` may be `path`; its capacity is at least length, else -1
cdef int path_place(const char* path, uint32_t length, uint32_t at, uint32_t normal_length) noexcept nogil
    # where in `path` stands what stands at `at` in its normal form of `normal_length` bytes, so that what was sent can be
    # forwarded; -1: the normal form has to be, since segments were removed, or a slash before that place is encoded
cdef int path_decode(const char* path, uint32_t length, char* out, uint32_t capacity) noexcept nogil
    # a normalised path as a file name: every escape decoded; -1 for NUL, an encoded slash or a ".." segment
    # that comes out of decoding. Bytes written, without terminator

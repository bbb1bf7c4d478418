"""The normal form of paths (RFC 3986 6.2.2). It selects the route and the file.

path_normalise() decodes percent-encoded unreserved characters, writes other escapes in upper case, and removes dot
segments. Encoded slashes stay encoded, empty segments stay. It rejects "%" without two hex digits, encoded or raw NUL,
dot segments that would leave the root, and a path that does not begin with "/" ("*" is not a path: the caller knows
it from the request line). The empty path is normal and stays empty.
"""
from libc.stdint cimport uint32_t

cdef bint path_is_normal(const char* path, uint32_t length) noexcept nogil
    # True: nothing to do; it begins with "/" and has no "%", no NUL and no "/." (the usual case, one pass).
    # False: it may still be normal, like "/.well-known"; path_normalise() decides
cdef int path_normalise(const char* path, uint32_t length, char* out, uint32_t capacity) noexcept nogil
    # returns the bytes written (never more than length), or -1. `out` may be `path`. -1 too if capacity < length
cdef int path_place(const char* path, uint32_t length, uint32_t at, uint32_t normal_length) noexcept nogil
    # the position in `path` that corresponds to `at` in its normal form of `normal_length` bytes, so the original path
    # can be forwarded. -1: forward the normal form: segments were removed, or a slash before that position is encoded
cdef int path_decode(const char* path, uint32_t length, char* out, uint32_t capacity) noexcept nogil
    # decodes all escapes of a normalised path, for a file name. Returns the bytes written, without terminator; -1: a
    # NUL, an encoded slash, or a ".." segment after decoding

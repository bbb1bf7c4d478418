"""Validators, conditions and ranges of a file: RFC 9110 8.8, 13 and 14. No I/O.

    condition_add() for each line of the head, then
    conditions_check() -> 200, 206, 304, 412 or 416, in the order of RFC 9110 13.2.2
"""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.spans cimport Span

cdef enum:
    ETAG_BYTES_MAX = 40     # '"size-mtime"' in hex, quotes included
    RANGES_MAX = 16         # with more ranges in one request, the field is ignored (RFC 9110 14.2)

cdef struct FileFacts:      # compared with memcmp: no padding
    uint64_t size           # bytes
    int64_t modified        # seconds since 1970
    uint64_t inode          # not part of the tag, like `changed`: shows whether a copy in memory is still current
    int64_t changed         # ctime. Who writes a file can set `modified` back, but not this
    uint32_t modified_ns
    uint32_t changed_ns

cdef struct Conditions:     # zeroed, then filled by condition_add()
    bint if_match           # the field is present
    bint if_match_found     # ... and one of its lines contains the file's validator, or is "*"
    bint if_none_match
    bint if_none_match_found
    Span if_modified_since  # borrowed; at == NULL: the field is absent. Length 0: it is repeated or empty
    Span if_unmodified_since
    Span if_range
    Span range

cdef struct ByteRange:
    uint64_t first          # first byte
    uint64_t length         # bytes, at least 1

cdef int etag_write(char* out, const FileFacts* facts) noexcept nogil
    # writes a strong validator; returns the bytes written, at most ETAG_BYTES_MAX
cdef void condition_add(Conditions* asked, const FileFacts* facts, int id, Span value) noexcept nogil
    # adds one field line of a head, any field; value.at is never NULL
cdef int conditions_check(const Conditions* asked, const FileFacts* facts, bint is_get_or_head, bint is_get,
                          int64_t now, ByteRange* ranges, uint16_t* count) noexcept nogil
    # returns the status of the response; with 206, ranges[0:count] in the order of the request, else count is 0. If the
    # ranges overlap and add up to more than the file, the field is ignored (RFC 9110 14.2)

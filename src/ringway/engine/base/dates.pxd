"""HTTP dates, RFC 9110 5.6.7, independent of locale and time zone."""
from libc.stdint cimport int64_t, uint32_t

cdef enum:
    DATE_BYTES = 29     # "Sun, 06 Nov 1994 08:49:37 GMT"
    ASCTIME_BYTES = 24      # "Sun Nov  6 08:49:37 1994"
    RFC850_BYTES_MIN = 30   # "Sunday, 06-Nov-94 08:49:37 GMT"
    RFC850_BYTES_MAX = 33   # "Wednesday, 09-Nov-94 08:49:37 GMT"
    DAYS_OF_YEAR_0 = -719528        # 0000-01-01, in days since 1970-01-01
    DAYS_OF_YEAR_10000 = 2932897    # the first day whose year has five digits

cdef void date_write(char* out, int64_t seconds) noexcept nogil
    # exactly DATE_BYTES bytes
cdef int64_t date_parse(const char* text, uint32_t length, int64_t now) noexcept nogil
    # all three forms of RFC 9110 5.6.7; `now` decides the century of a two-digit year. -1: not a date.
    # Dates before 1970 are negative and valid. 1969-12-31 23:59:59 returns -2

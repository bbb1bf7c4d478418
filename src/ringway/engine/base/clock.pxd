"""The time of one turn of the loop: read once, used by everything in that turn."""
from libc.stdint cimport int64_t, uint64_t

from ringway.engine.base.dates cimport DATE_BYTES

cdef enum:
    NANOSECONDS = 1000000000
    DATE_FIELD_BYTES = 37       # "Date: " + DATE_BYTES + CR LF

cdef struct Clock:
    uint64_t now_ns             # monotonic
    uint64_t now_ms             # monotonic, what deadlines are measured in
    int64_t wall_seconds        # since 1970
    uint64_t wall_offset_ns     # wall clock minus monotonic, updated each second
    uint64_t next_wall_ms       # when to update it
    char date_field[DATE_FIELD_BYTES]  # ready to copy into a head

cdef void clock_update(Clock* clock) noexcept nogil
cdef uint64_t read_ns(int which) noexcept nogil

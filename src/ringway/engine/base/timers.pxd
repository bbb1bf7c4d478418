"""The timer wheel: all deadlines of a worker, in constant time, with one timeout in the kernel.

One level of WHEEL_SLOTS slots, TICK_MS each. A deadline beyond the horizon of the wheel waits in the farthest slot and
is set again when that slot is due. When a deadline moves to a later time, its timer stays where it is. When the timer
fires, its owner checks the real deadline and sets the timer again ("lazy"). So a busy connection costs nothing here.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(uint64_t bits) nogil    # its index; undefined for 0

cdef enum:
    TICK_MS = 32
    WHEEL_SLOTS = 512       # horizon: 16 seconds
    WHEEL_WORDS = 8         # bitmap of slots that are not empty

cdef struct Timer:
    Timer* next
    Timer* before           # NULL with `set`: first in its slot
    uint64_t due_ms         # when it fires
    uint16_t slot
    void* owner             # borrowed
    bint set

cdef struct Wheel:
    uint64_t tick           # all ticks before this one are done
    uint32_t count          # timers set
    uint64_t busy[WHEEL_WORDS]
    Timer* slots[WHEEL_SLOTS]

cdef void wheel_open(Wheel* wheel, uint64_t now_ms) noexcept nogil
cdef void timer_set(Wheel* wheel, Timer* t, uint64_t due_ms) noexcept nogil
    # a timer that is already set moves
cdef void timer_clear(Wheel* wheel, Timer* t) noexcept nogil
cdef inline void timer_before(Wheel* wheel, Timer* t, uint64_t due_ms) noexcept nogil:
    """Lazy setting: the timer fires at this time or earlier."""
    if not t.set or due_ms + TICK_MS < t.due_ms:
        timer_set(wheel, t, due_ms)
cdef Timer* wheel_expire(Wheel* wheel, uint64_t now_ms) noexcept nogil
    # removes one due timer and returns it; NULL: none is due. Call until NULL
cdef int wheel_wait_ms(Wheel* wheel, uint64_t now_ms) noexcept nogil
    # how long the loop may sleep; -1: without limit

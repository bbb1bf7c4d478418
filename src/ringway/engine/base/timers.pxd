"""The timer wheel: every deadline of a worker, in constant time, with one time-out armed in the kernel.

One level of WHEEL_SLOTS slots, TICK_MS each. A deadline beyond the wheel's horizon waits in the farthest slot and
is put back when that slot comes round. A deadline that moved later is not moved in the wheel: when its slot comes
round the owner looks at what it really waits for and sets the timer again ("lazy"), so that a busy connection
costs nothing here.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(uint64_t bits) nogil    # its number; undefined of 0

cdef enum:
    TICK_MS = 32
    WHEEL_SLOTS = 512       # horizon: 16 seconds
    WHEEL_WORDS = 8         # bitmap of slots that are not empty

cdef struct Timer:
    Timer* next
    Timer* before           # NULL with `set`: first in its slot
    uint64_t due_ms         # when it must be looked at
    uint16_t slot
    void* owner             # borrowed: whose timer this is
    bint set

cdef struct Wheel:
    uint64_t tick           # everything before this tick has been expired
    uint32_t count          # timers set
    uint64_t busy[WHEEL_WORDS]
    Timer* slots[WHEEL_SLOTS]

cdef void wheel_open(Wheel* wheel, uint64_t now_ms) noexcept nogil
cdef void timer_set(Wheel* wheel, Timer* t, uint64_t due_ms) noexcept nogil
    # moves it when it is set already
cdef void timer_clear(Wheel* wheel, Timer* t) noexcept nogil
cdef inline void timer_before(Wheel* wheel, Timer* t, uint64_t due_ms) noexcept nogil:
    """Make sure that it is looked at by then at the latest (the lazy way of setting)."""
    if not t.set or due_ms + TICK_MS < t.due_ms:
        timer_set(wheel, t, due_ms)
cdef Timer* wheel_expire(Wheel* wheel, uint64_t now_ms) noexcept nogil
    # takes one due timer out; NULL: none is due. Call until NULL
cdef int wheel_wait_ms(Wheel* wheel, uint64_t now_ms) noexcept nogil
    # how long the loop may sleep; -1: for ever

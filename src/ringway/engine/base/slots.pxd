"""Slots: fixed places for connections and exchanges, named by index and generation.

A completion carries both; a generation that does not match means that the connection it was for is gone. Address space
is reserved for the most that a table may become, since who lives in a slot is pointed to: so a table grows where it is.
Memory is touched when first used; the last slot freed is the first taken.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    GENERATION_MASK = 0xFFFFFF  # 24 bits travel in a completion's tag

cdef struct Slot:               # first member of everything that lives in a slot
    uint32_t index
    uint32_t generation         # changes when it is freed; never 0
    bint used
    Slot* next                  # free list

cdef struct Slots:
    char* memory                # owned
    uint64_t stride             # bytes
    uint64_t zeroed             # bytes that slot_take() clears, the Slot not counted
    uint32_t capacity           # bound; grows, never shrinks
    uint32_t most               # what it may grow to
    uint32_t made
    uint32_t used
    Slot* free

cdef int slots_open(Slots* slots, uint64_t size, uint64_t zeroed, uint32_t capacity, uint32_t most) noexcept nogil
    # `size` of what lives in a slot; its first `zeroed` bytes are cleared for each new owner. 0, or -ENOMEM
cdef int slots_grow(Slots* slots, uint32_t capacity) noexcept nogil
    # for at least so many. 0; -ENOMEM, and it is as before
cdef void slots_close(Slots* slots) noexcept nogil
cdef void* reserve(uint64_t bytes) noexcept nogil
cdef Slot* slot_take(Slots* slots) noexcept nogil       # NULL: the bound is met
cdef void slot_give(Slots* slots, Slot* s) noexcept nogil

cdef inline Slot* slot_at(const Slots* slots, uint32_t index) noexcept nogil:
    return <Slot*>(slots.memory + slots.stride * index)

cdef inline Slot* slot_find(const Slots* slots, uint32_t index, uint32_t generation) noexcept nogil:
    """NULL: whoever it was is gone."""
    cdef Slot* s = slot_at(slots, index)
    return s if s.used and s.generation == generation else NULL

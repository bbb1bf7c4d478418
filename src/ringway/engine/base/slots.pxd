"""Slots: fixed places for connections and exchanges, identified by index and generation.

A completion carries both. If the generation does not match, the connection that the completion belongs to is gone.
Other structures point into slots, so a table must grow in place: slots_open() reserves address space for the largest
size that the table may reach. Memory is touched at first use. The last slot released is the first one taken.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    GENERATION_MASK = 0xFFFFFF  # a completion's tag has 24 bits for it

cdef struct Slot:               # first member of everything that lives in a slot
    uint32_t index
    uint32_t generation         # changes when the slot is released; never 0
    bint used
    Slot* next                  # free list

cdef struct Slots:
    char* memory                # owned
    uint64_t stride             # bytes
    uint64_t zeroed             # bytes that slot_take() clears, without the Slot
    uint32_t capacity           # bound; grows, never shrinks
    uint32_t most               # the largest capacity
    uint32_t made               # slots that were ever used
    uint32_t used               # slots in use
    Slot* free

cdef int slots_open(Slots* slots, uint64_t size, uint64_t zeroed, uint32_t capacity, uint32_t most) noexcept nogil
    # `size`: bytes of one slot; slot_take() clears the first `zeroed` of them. Returns 0 or -ENOMEM
cdef int slots_grow(Slots* slots, uint32_t capacity) noexcept nogil
    # grows the table to at least this capacity. Returns 0; -ENOMEM: nothing changed
cdef void slots_close(Slots* slots) noexcept nogil
cdef void* reserve(uint64_t bytes) noexcept nogil
cdef Slot* slot_take(Slots* slots) noexcept nogil       # NULL: the bound is reached
cdef void slot_give(Slots* slots, Slot* s) noexcept nogil

cdef inline Slot* slot_at(const Slots* slots, uint32_t index) noexcept nogil:
    return <Slot*>(slots.memory + slots.stride * index)

cdef inline Slot* slot_find(const Slots* slots, uint32_t index, uint32_t generation) noexcept nogil:
    """NULL: the owner with this generation is gone."""
    cdef Slot* s = slot_at(slots, index)
    return s if s.used and s.generation == generation else NULL

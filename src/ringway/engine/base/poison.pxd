"""Marks which parts of a slab may be touched, for the address sanitizer. Other builds do nothing."""
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "poison.h" nogil:
    uint32_t with_red_zone(uint32_t size)       # bytes from one buffer to the next: the buffer and its red zone
    void poison(void* at, uint64_t bytes)
    void unpoison(void* at, uint64_t bytes)

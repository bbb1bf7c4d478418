"""Loads and stores that other processes see in program order, for memory that supervisor and workers share."""
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "atomics.h" nogil:
    uint32_t load_acquire(const uint32_t* p)
    void store_release(uint32_t* p, uint32_t value)
    uint64_t load_acquire_64(const uint64_t* p)
    void store_release_64(uint64_t* p, uint64_t value)

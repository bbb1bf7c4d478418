"""BUG_ON(): the assertion of engine code, where `assert` would only print and continue."""
cdef extern from "check.h" nogil:
    void BUG_ON(bint condition)

"""BUG_ON(): the assertion of engine code, where `assert` would only print and go on."""
cdef extern from "check.h" nogil:
    void BUG_ON(bint condition)

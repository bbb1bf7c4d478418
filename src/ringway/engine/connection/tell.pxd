"""Telling an operator: event records beside the access records. Rare things only; the supervisor writes them to the log."""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Worker

cdef void tell(Worker* w, int event, int number, const char* text, uint32_t length) noexcept nogil
    # at most one of a kind in a second: what is repeated is counted, not written

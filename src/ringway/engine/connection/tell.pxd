"""Events for the operator: rare records next to the access records. The supervisor writes them to the log of events."""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Worker

cdef void tell(Worker* w, int event, int number, const char* text, uint32_t length) noexcept nogil
    # writes at most one event of a kind per second and drops the others

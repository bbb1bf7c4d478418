"""The head of a request to an upstream: what the client sent, and who it is."""
from libc.stdint cimport uint32_t

from ringway.engine.base.spans cimport Span
from ringway.engine.connection.state cimport Exchange, Worker

cdef uint32_t write_forward(Worker* w, Exchange* x, const char* data, Span path) noexcept nogil
    # writes the head to w.scratch, from the client's (in w.request, at `data`): its bytes

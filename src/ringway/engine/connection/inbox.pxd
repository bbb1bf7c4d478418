"""Finds a head in the inbox of a stream, for requests and responses: in one piece, at inbox.first."""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Stream, Worker

cdef int look_for_head(Worker* w, Stream* s, uint32_t* seen, bint request) noexcept nogil
    # >0: bytes of the head at inbox.first; 0: more needed; <0: -Reason. Also used for response heads
cdef bint mend_first(Stream* s) noexcept nogil   # response_mend() of inbox.first
cdef bint merge_first(Worker* w, Stream* s, uint32_t limit) noexcept nogil

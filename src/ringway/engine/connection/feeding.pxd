"""Streams that waited for buffers go on: each turn, in the order in which they came. See waiting.pxd for the lists."""
from ringway.engine.connection.state cimport Stream, Worker

cdef void feed_hungry(Worker* w) noexcept nogil
    # each turn. In each list the first for which there is nothing ends it: there is nothing for those behind it either
cdef void feed_starved(Worker* w) noexcept nogil
    # likewise; no more of them than there are buffers
cdef void feed(Worker* w, Stream* s) noexcept nogil

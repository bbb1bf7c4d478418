"""Receive from a client while its request is served: it may disconnect, or send its next requests.

    nothing comes      client_watch(): one receive waits for the client to leave
    more is there      client_pipeline(): receives go on up to `[limits] pipeline_bytes`; beyond, only the end is awaited
"""
from libc.stdint cimport uint64_t

from ringway.engine.connection.state cimport Client, Worker

cdef void client_watch(Worker* w, Client* c, bint later) noexcept nogil
    # `later`: nothing is expected at once
cdef void client_pipeline(Worker* w, Client* c, uint64_t bytes, bint watch) noexcept nogil
    # at most `bytes` are kept; `watch`: then still call `received` when the client leaves

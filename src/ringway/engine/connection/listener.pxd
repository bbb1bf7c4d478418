"""A listener: one listening socket of this worker.

    accepting --(multishot accept)--> client_take() for each connection
        |  out of descriptors: look_after() accepts again at `again_ms`
        |  removed by a reload, or the worker drains: accept what waits in the backlog, then close; the connections of
        |  the listener drain
        v
    closed: its place is free when its last connection is gone
"""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Listener, Worker

cdef enum:
    ACCEPT_AGAIN_MS = 100       # after EMFILE and the like
    ACCEPT_LAST_MAX = 4096      # accepted from the backlog before a socket is closed: as many as the backlog has

cdef void listener_accept(Worker* w, uint32_t index) noexcept nogil
cdef void listener_accepted(Worker* w, uint32_t index, int result, bint more) noexcept nogil
cdef void let_in(Worker* w, Listener* listener, int fd) noexcept nogil
cdef void listener_go_on(Worker* w, uint32_t index) noexcept nogil
    # accepts, or waits if the free descriptors are reserved for files and upstreams of the connected clients
cdef void listener_accept_later(Worker* w, Listener* listener, int error) noexcept nogil
cdef void listener_remove(Worker* w, uint32_t index) noexcept nogil
    # stops accepting and drains the connections of this listener
cdef void listener_end(Worker* w, uint32_t index) noexcept nogil
cdef void listener_close(Worker* w, uint32_t index) noexcept nogil
    # closes this worker's descriptor. The kernel refuses connections when no process has the socket open

"""A listener: one listening socket of this worker.

    accepting --(multishot accept)--> client_take(), again and again
        |  out of descriptors: waits until `again_ms`, look_after() goes on
        |  removed by a reload: who waits in the backlog is taken, then it is closed, and what came by it drains
        v
    closed: its place is free when its last client is gone
"""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Listener, Worker

cdef enum:
    ACCEPT_AGAIN_MS = 100       # after EMFILE and the like

cdef void listener_accept(Worker* w, uint32_t index) noexcept nogil
cdef void listener_accepted(Worker* w, uint32_t index, int result, bint more) noexcept nogil
cdef void let_in(Worker* w, Listener* listener, int fd) noexcept nogil
cdef void listener_go_on(Worker* w, uint32_t index) noexcept nogil
    # accept, or wait if the descriptors that are left are for what the clients that are here may ask for
cdef void listener_accept_later(Worker* w, Listener* listener, int error) noexcept nogil
cdef void listener_remove(Worker* w, uint32_t index) noexcept nogil
    # accept no more there, drain what came by it
cdef void listener_end(Worker* w, uint32_t index) noexcept nogil
cdef void listener_close(Worker* w, uint32_t index) noexcept nogil
    # this worker's descriptor of it: connections are refused once nobody holds one

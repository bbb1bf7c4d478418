"""The loop of a worker, and the one switch from a completion to its handler.

    turn:  wait (submit everything, sleep until something completes or a timer is due)
           -> read the clock -> every completion to its handler -> timers -> streams that wait for a buffer
"""
from ringway.engine.kernel.driver cimport Completion
from ringway.engine.connection.state cimport Mux, Rules, Worker

cdef enum:
    TURN_MS_MAX = 1000      # the longest sleep, so that look_after() retries accepts and checks the drain deadline

cdef int worker_loop(Worker* w) noexcept nogil      # 0, or -errno of the driver
cdef void dispatch(Worker* w, const Completion* c) noexcept nogil
cdef void late(Worker* w, const Completion* c) noexcept nogil
cdef void expire_timers(Worker* w) noexcept nogil
cdef void share_out(Worker* w) noexcept nogil
    # buffers are scarce: serve the streams that wait for some, or make others give way
cdef void look_after(Worker* w) noexcept nogil
cdef void control_received(Worker* w, int result) noexcept nogil
cdef int take_peers(Worker* w, Rules* r) noexcept nogil
    # loads the newest block of upstreams with TLS if it is a new one. 0; -1: the block cannot be used; or the number,
    # from 1, of the first upstream whose part cannot be used
cdef void renew_peers(Worker* w) noexcept nogil
cdef void begin_drain(Worker* w) noexcept nogil
cdef void stop_now(Worker* w) noexcept nogil
cdef void stop_lanes(Worker* w, Mux* m) noexcept nogil
    # ends all requests of a connection with HTTP/2
cdef bint all_ended(Worker* w) noexcept nogil

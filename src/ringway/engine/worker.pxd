"""The worker: one loop, and the one switch from a completion to its handler.

    turn:  wait (submit everything, sleep until something happens or a timer is due)
           -> look at the clock -> every completion to its handler -> timers -> those that wait for a buffer
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.driver cimport Completion
from ringway.engine.state cimport Worker

cdef enum:
    FEW_DESCRIPTORS = 4096  # fewer than this are shared out. More: the limits in [limits] are met first, or EMFILE is
    TURN_MS_MAX = 1000      # the longest sleep: then accepts are tried again, the drain deadline is looked at

cdef int worker_loop(Worker* w) noexcept nogil      # 0, or -errno of the driver
cdef void dispatch(Worker* w, const Completion* c) noexcept nogil
cdef void late(Worker* w, const Completion* c) noexcept nogil
cdef void expire_timers(Worker* w) noexcept nogil
cdef void look_after(Worker* w) noexcept nogil
cdef void control_received(Worker* w, int result) noexcept nogil
cdef void* newest_block(int descriptor, uint64_t seen, uint64_t* sequence, uint64_t* size) noexcept nogil
    # maps it: see Publication in certificates.pxd. NULL: it is the one that was seen; MAP_FAILED
cdef int take_certificates(Worker* w) noexcept nogil
cdef int take_peers(Worker* w) noexcept nogil
cdef void renew_peers(Worker* w) noexcept nogil
cdef void begin_drain(Worker* w) noexcept nogil
cdef void stop_now(Worker* w) noexcept nogil
cdef bint all_ended(Worker* w) noexcept nogil
cdef int worker_open(Worker* w, uint32_t upstream_count, bint uring) noexcept nogil
cdef void worker_close(Worker* w) noexcept nogil
cdef void set_handlers(Worker* w) noexcept nogil

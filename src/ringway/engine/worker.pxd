"""The worker: one loop, and the one switch from a completion to its handler.

    turn:  wait (submit everything, sleep until something happens or a timer is due)
           -> look at the clock -> every completion to its handler -> timers -> those that wait for a buffer
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.driver cimport Completion
from ringway.engine.snapshot cimport Snapshot
from ringway.engine.state cimport Rules, Worker

cdef enum:
    UPSTREAMS_LEAST = 64    # a reload may bring more upstreams: room for the connections of so many
    FEW_DESCRIPTORS = 4096  # fewer than this are shared out. More: the limits in [limits] are met first, or EMFILE is
    TURN_MS_MAX = 1000      # the longest sleep: then accepts are tried again, the drain deadline is looked at
    CLIENTS_MOST = 1000000  # places: what the configuration may allow at most, so that tables can grow
    UPSTREAMS_MOST = 1048576
    EXCHANGES_MOST = 2000000
    FILES_MOST = 2000000

cdef struct Places:         # how many of each table a configuration needs
    uint32_t clients
    uint32_t upstreams
    uint32_t exchanges
    uint32_t files

cdef int worker_loop(Worker* w) noexcept nogil      # 0, or -errno of the driver
cdef void dispatch(Worker* w, const Completion* c) noexcept nogil
cdef void late(Worker* w, const Completion* c) noexcept nogil
cdef void expire_timers(Worker* w) noexcept nogil
cdef void look_after(Worker* w) noexcept nogil
cdef void control_received(Worker* w, int result) noexcept nogil
cdef int take_peers(Worker* w, Rules* r) noexcept nogil
    # the newest block of upstreams with TLS, if it is a new one. 0; -1: it cannot be used; or the number, from 1, of
    # the first upstream of which it cannot
cdef void replace_rules(Worker* w, Rules* r) noexcept nogil     # takes over r: what begins now begins under them
cdef void renew_peers(Worker* w) noexcept nogil
cdef void begin_drain(Worker* w) noexcept nogil
cdef void stop_now(Worker* w) noexcept nogil
cdef bint all_ended(Worker* w) noexcept nogil
cdef int worker_open(Worker* w, bint uring) noexcept nogil
cdef Places places_of(const Snapshot* s) noexcept nogil
cdef uint64_t file_operations(Worker* w) noexcept nogil
cdef int worker_resize(Worker* w, const Snapshot* s) noexcept nogil
    # tables and buffers as these rules want them. What is lowered is a bound: whoever is above it stays to its end. 0;
    # -ENOMEM, and some tables may be larger than they need be
cdef void worker_close(Worker* w) noexcept nogil
cdef void set_handlers(Worker* w) noexcept nogil

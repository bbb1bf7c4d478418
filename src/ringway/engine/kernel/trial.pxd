"""The trial of a driver: every operation that serving needs, once, on connected sockets, before it is trusted.

A kernel, a sandbox or a container may refuse io_uring as a whole, some of its operations, or its worker threads; some
let the ring be made and refuse to enter it. So what is believed is what was seen to work.
"""
from libc.stdint cimport uint8_t, uint32_t

from ringway.engine.kernel.driver cimport Completion, Driver
from ringway.engine.native.linux cimport sockaddr_in, statx_t

cdef enum:
    TRIAL_MS = 2000             # within which each step must have its completion
    TRIAL_STEP_MS = 50          # the longest sleep
    OPERATIONS = 16             # more than there are in Operation

cdef struct Trial:
    Driver* driver              # borrowed
    const char* step            # what is being tried
    int listener                # owned; -1: none
    int client                  # owned
    int server                  # owned
    sockaddr_in address         # lent while connecting
    statx_t found               # lent while it is asked
    bint has[OPERATIONS]        # by Operation: a completion came
    Completion seen[OPERATIONS]

cdef int trial(Trial* t, Driver* d) noexcept nogil
    # 0, or -errno, and `step` is the one that failed. Sockets are closed; after a failure something may be in flight
    # still, so the Trial lives until the driver is shut
cdef int listen_on_loopback(Trial* t) noexcept nogil
cdef int try_connecting(Trial* t) noexcept nogil
cdef int try_bytes(Trial* t) noexcept nogil
cdef int try_cancelling(Trial* t) noexcept nogil
cdef int try_files(Trial* t) noexcept nogil
cdef int pass_on(Trial* t) noexcept nogil
cdef int completion(Trial* t, int operation) noexcept nogil
cdef void take_all(Trial* t) noexcept nogil
cdef void forget(Trial* t, int operation) noexcept nogil

"""The trial of a driver: run each operation that serving needs once, on connected sockets.

A kernel, a sandbox or a container may refuse io_uring as a whole, some of its operations, or its worker threads. Some
allow io_uring_setup() but refuse io_uring_enter(). So Ringway uses a driver only after it has seen the driver work.
"""
from libc.stdint cimport uint8_t, uint32_t

from ringway.engine.kernel.driver cimport Completion, Driver
from ringway.engine.native.linux cimport sockaddr_in, statx_t

cdef enum:
    TRIAL_MS = 2000             # deadline for the completion of each step
    TRIAL_STEP_MS = 50          # the longest sleep
    OPERATIONS = 16             # larger than the number of Operation values

cdef struct Trial:
    Driver* driver              # borrowed
    const char* step            # the current step
    int listener                # owned; -1: none
    int client                  # owned
    int server                  # owned
    sockaddr_in address         # lent during connect
    statx_t found               # lent during stat
    bint has[OPERATIONS]        # by Operation: it has completed
    Completion seen[OPERATIONS]

cdef int trial(Trial* t, Driver* d) noexcept nogil
    # 0, or -errno, and `step` is the step that failed. Closes its sockets. After a failure, operations may still be in
    # flight, so the Trial must live until the driver is shut
cdef int listen_on_loopback(Trial* t) noexcept nogil
cdef int try_connecting(Trial* t) noexcept nogil
cdef int try_bytes(Trial* t) noexcept nogil
cdef int try_cancelling(Trial* t) noexcept nogil
cdef int try_files(Trial* t) noexcept nogil
cdef int pass_on(Trial* t) noexcept nogil
cdef int completion(Trial* t, int operation) noexcept nogil
cdef void take_all(Trial* t) noexcept nogil
cdef void forget(Trial* t, int operation) noexcept nogil

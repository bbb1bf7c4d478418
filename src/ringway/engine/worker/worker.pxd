"""A worker: its tables, its rules, its driver; loop.pxd runs it."""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.plan.snapshot cimport Snapshot
from ringway.engine.connection.state cimport Rules, Worker

cdef enum:
    UPSTREAMS_LEAST = 64    # a reload may bring more upstreams: room for the connections of so many
    FEW_DESCRIPTORS = 4096  # fewer than this are shared out. More: the limits in [limits] are met first, or EMFILE is
    CLIENTS_MOST = 1000000  # places: what the configuration may allow at most, so that tables can grow
    UPSTREAMS_MOST = 1048576
    EXCHANGES_MOST = 2000000
    FILES_MOST = 2000000

cdef struct Places:         # how many of each table a configuration needs
    uint32_t clients
    uint32_t upstreams
    uint32_t exchanges
    uint32_t files

cdef bint tables_open(Worker* w) noexcept nogil     # False: no memory
cdef int driver_open(Worker* w, bint uring) noexcept nogil      # 0, or -errno
cdef Places places_of(const Snapshot* s) noexcept nogil
cdef uint64_t file_operations(Worker* w) noexcept nogil
cdef int worker_resize(Worker* w, const Snapshot* s) noexcept nogil
    # tables and buffers as these rules want them. What is lowered is a bound: whoever is above it stays to its end. 0;
    # -ENOMEM, and some tables may be larger than they need be
cdef void replace_rules(Worker* w, Rules* r) noexcept nogil     # takes over r: what begins now begins under them
cdef void worker_close(Worker* w) noexcept nogil
cdef void set_handlers(Worker* w) noexcept nogil

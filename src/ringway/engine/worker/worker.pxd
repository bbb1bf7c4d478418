"""A worker: its tables, its rules, its driver. loop.pxd runs it."""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.plan.snapshot cimport Snapshot
from ringway.engine.connection.state cimport Rules, Worker

cdef enum:
    UPSTREAMS_LEAST = 64    # a reload may add upstreams: reserve places for the connections of this many
    FEW_DESCRIPTORS = 4096  # share_descriptors() divides fewer than these. With more, [limits] or EMFILE is the bound
    CLIENTS_MOST = 1000000  # places: the most that a configuration may allow. A table can grow up to this
    UPSTREAMS_MOST = 1048576
    EXCHANGES_MOST = 2000000
    FILES_MOST = 2000000

cdef struct Places:         # how many places of each table a configuration needs
    uint32_t clients
    uint32_t upstreams
    uint32_t exchanges
    uint32_t files

cdef bint tables_open(Worker* w) noexcept nogil     # False: no memory
cdef int driver_open(Worker* w, bint uring) noexcept nogil      # 0, or -errno
cdef Places places_of(const Snapshot* s) noexcept nogil
cdef uint64_t file_operations(Worker* w) noexcept nogil
cdef int worker_resize(Worker* w, const Snapshot* s) noexcept nogil
    # gives tables and buffers the sizes of this snapshot. A lower limit ends nothing that is above it. 0; -ENOMEM:
    # some tables may now be larger than necessary
cdef void replace_rules(Worker* w, Rules* r) noexcept nogil     # takes over r: everything that begins now refers to r
cdef void worker_close(Worker* w) noexcept nogil
cdef void set_handlers(Worker* w) noexcept nogil

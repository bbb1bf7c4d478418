"""The io_uring driver: one ring, two rings of provided buffers, one system call per turn.

Some facts about io_uring that shape this file:

- DEFER_TASKRUN: completions appear only while the worker waits in the kernel. So a turn is: submit and wait, then
  handle all completions. SINGLE_ISSUER binds the ring to the thread that created it.
- A provided buffer belongs to the kernel until a completion names it (IORING_CQE_F_BUFFER). A completion with the
  result 0 or an error names no buffer, even if the flag is set.
- Only operations that use a ring of provided buffers can empty it. To call buffers back, the driver submits receives
  on its own socket pair.
- A multishot receive can end by itself, for example with -ENOBUFS when the ring of provided buffers is empty.
- TASKRUN_FLAG: the ring shows whether there are events that wait() would turn into completions. liburing then makes a
  system call if it is called and finds no completions, so the driver calls it only if there are some.
- Operations that are submitted in one turn run in order. A full submission queue is flushed and used again.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffers
from ringway.engine.base.counters cimport Counters
from ringway.engine.kernel.driver cimport Completion, Driver
from ringway.engine.native.linux cimport open_how, sockaddr, socklen_t, statx_t
from ringway.engine.native.uring cimport io_uring, io_uring_buf_ring, io_uring_cqe, io_uring_sqe

cdef enum:
    SUBMISSIONS = 1024      # entries of the submission queue; flushed early when it is full
    COMPLETIONS = 8192      # entries of the completion queue
    BATCH = 256             # completions taken at once
    LOOK_MAX = 32           # completions searched one by one for a tag; for more, a table is filled once a turn
    PENDING_WORDS = 64
    RING_BUFFERS = 64       # buffers of each size that the kernel has at most, a power of two. It uses them in turn, so
                            # more of them would take up more of the CPU's cache
    HEARD_MAX = 20          # Linux 6.14 and later turns at most this number of events into completions at once. After
                            # as many in a turn, there may be more events that the ring does not show

cdef struct ProvidedRing:
    io_uring_buf_ring* ring # owned
    uint32_t provided       # buffers that the kernel has now

cdef struct Uring:
    io_uring ring
    ProvidedRing provided[2]    # by Group: small, large
    io_uring_cqe* batch[BATCH]
    uint32_t batch_count
    uint32_t batch_next
    uint32_t turn_count         # completions taken from the ring in this turn
    uint64_t pending[PENDING_WORDS] # a bit for each tag (pending_bit()) of the completions up to `pending_to`
    uint32_t pending_to         # position in the completion queue
    bint noted                  # `pending` was filled in this turn
    bint deferred               # DEFER_TASKRUN and TASKRUN_FLAG are in use

cdef inline uint32_t pending_bit(uint64_t tag) noexcept nogil:
    return <uint32_t>(tag ^ tag >> 48) % (64 * PENDING_WORDS)

cdef int uring_open(Driver* d, Buffers* buffers, Counters* counters) noexcept nogil
    # 0; -errno: nothing is left open
cdef int setup_ring(Driver* d, Uring* u) noexcept nogil
cdef int prove_ring(Uring* u) noexcept nogil
cdef int open_provided(Uring* u, int group) noexcept nogil
cdef void provide(Driver* d, int group) noexcept nogil
cdef io_uring_sqe* next_sqe(Driver* d, uint64_t tag) noexcept nogil

cdef void uring_accept(Driver* d, int fd, uint64_t tag) noexcept nogil
cdef void uring_receive(Driver* d, int fd, int group, int flags, uint64_t tag) noexcept nogil
cdef void uring_send(Driver* d, int fd, const char* data, uint32_t length, bint more, uint64_t tag) noexcept nogil
cdef void uring_connect(Driver* d, int fd, const sockaddr* address, socklen_t length, uint64_t tag) noexcept nogil
cdef void uring_writable(Driver* d, int fd, uint64_t tag) noexcept nogil
cdef void uring_await_end(Driver* d, int fd, uint64_t tag) noexcept nogil
cdef void uring_open_file(Driver* d, int folder, const char* path, open_how* how, uint64_t tag) noexcept nogil
cdef void uring_stat(Driver* d, int fd, statx_t* out, uint64_t tag) noexcept nogil
cdef void uring_read(Driver* d, int fd, char* data, uint32_t length, uint64_t offset, uint64_t tag) noexcept nogil
cdef void uring_receive_plain(Driver* d, int fd, char* data, uint32_t length, uint64_t tag) noexcept nogil
cdef bint is_pending(Uring* u, uint64_t tag) noexcept nogil
    # True: a completion with this tag is in the queue and has not been handled yet
cdef bint find_pending(Uring* u, uint32_t at, uint32_t to, uint64_t tag) noexcept nogil
cdef void note_pending(Uring* u, uint32_t at, uint32_t to) noexcept nogil
cdef bint uring_quiet(Driver* d, int fd, uint64_t tag, bint sure) noexcept nogil
cdef void uring_cancel(Driver* d, int fd, uint64_t tag) noexcept nogil
cdef void uring_close_fd(Driver* d, int fd) noexcept nogil
cdef uint32_t uring_buffers_left(Driver* d, int group) noexcept nogil
cdef int uring_grow(Driver* d, uint64_t files) noexcept nogil
cdef void uring_call_back(Driver* d) noexcept nogil
cdef int uring_wait(Driver* d, int timeout_ms) noexcept nogil
cdef bint uring_next(Driver* d, Completion* out) noexcept nogil
cdef void uring_shut(Driver* d) noexcept nogil

"""The io_uring driver: one ring, two rings of provided buffers, one system call a turn.

Some facts about io_uring that shape this file:

- DEFER_TASKRUN: completions appear only while the worker waits in the kernel, so a turn is: submit and wait, then
  walk all completions, then advance once. SINGLE_ISSUER binds the ring to the thread that made it.
- A provided buffer belongs to the kernel until a completion names it (IORING_CQE_F_BUFFER). A completion with 0 or
  an error names none, whatever its flag bits say.
- A ring of provided buffers cannot be emptied but by operations that take from it: buffers are called back by receives
  from a socket pair of ours.
- A multishot receive ends by itself, among others with -ENOBUFS when the ring of provided buffers ran dry.
- TASKRUN_FLAG: the ring says when something has happened of which wait() would make completions. liburing then makes a
  system call when it is asked for completions and there are none, so it is asked only when there are some.
- What is submitted twice in one turn goes in order; a full submission queue is flushed and used again.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffers
from ringway.engine.base.counters cimport Counters
from ringway.engine.kernel.driver cimport Completion, Driver
from ringway.engine.native.linux cimport open_how, sockaddr, socklen_t, statx_t
from ringway.engine.native.uring cimport io_uring, io_uring_buf_ring, io_uring_cqe, io_uring_sqe

cdef enum:
    SUBMISSIONS = 1024      # entries of the submission queue: flushed early when it is full
    COMPLETIONS = 8192      # entries of the completion queue
    BATCH = 256             # completions taken at once
    LOOK_MAX = 32           # completions that are looked through for a tag; of more a table is made, once a turn
    PENDING_WORDS = 64
    RING_BUFFERS = 64       # of each size with the kernel at most, a power of two: they are used in turn, and all of
                            # them pass through the CPU's cache
    HEARD_MAX = 20          # Linux 6.14 and later makes completions of no more than so many events at once. After as many
                            # in one turn there may be more that the ring does not tell of

cdef struct ProvidedRing:
    io_uring_buf_ring* ring # owned
    uint32_t provided       # buffers that the kernel has now

cdef struct Uring:
    io_uring ring
    ProvidedRing provided[2]    # by Group: small, large
    io_uring_cqe* batch[BATCH]
    uint32_t batch_count
    uint32_t batch_next
    uint32_t turn_count         # completions that were taken from the ring in this turn
    uint64_t pending[PENDING_WORDS] # a bit for each tag (pending_bit()) of the completions up to `pending_to`
    uint32_t pending_to         # place in the completion queue
    bint noted                  # `pending` was filled in this turn
    bint deferred               # DEFER_TASKRUN, and the ring says when there is something that wait() would make a completion

cdef inline uint32_t pending_bit(uint64_t tag) noexcept nogil:
    return <uint32_t>(tag ^ tag >> 48) % (64 * PENDING_WORDS)

cdef int uring_open(Driver* d, Buffers* buffers, Counters* counters) noexcept nogil
    # 0, or -errno with nothing left behind
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
cdef void uring_open_file(Driver* d, int folder, const char* path, open_how* how, uint64_t tag) noexcept nogil
cdef void uring_stat(Driver* d, int fd, statx_t* out, uint64_t tag) noexcept nogil
cdef void uring_read(Driver* d, int fd, char* data, uint32_t length, uint64_t offset, uint64_t tag) noexcept nogil
cdef void uring_receive_plain(Driver* d, int fd, char* data, uint32_t length, uint64_t tag) noexcept nogil
cdef bint is_pending(Uring* u, uint64_t tag) noexcept nogil
    # a completion of this tag is in the queue, and not its turn yet
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

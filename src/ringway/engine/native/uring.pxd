"""liburing 2.3, the parts that the driver uses. Declarations only.

Never set IORING_SETUP_NO_SQARRAY with this liburing: it silently breaks the ring.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.native.linux cimport open_how, sockaddr, socklen_t, statx_t

cdef extern from "<liburing.h>" nogil:
    cdef struct io_uring_cqe:
        uint64_t user_data
        int32_t res
        uint32_t flags
    cdef struct io_uring_sq:
        unsigned int* kflags
        unsigned int* kdropped
    cdef struct io_uring_cq:
        unsigned int* khead
        unsigned int* ktail
        unsigned int* koverflow
        unsigned int ring_mask
        io_uring_cqe* cqes
    cdef struct io_uring:
        io_uring_sq sq
        io_uring_cq cq
        unsigned int flags
        int ring_fd
        unsigned int features
    cdef struct io_uring_sqe:
        uint8_t opcode
        uint8_t flags
        uint16_t ioprio
        uint16_t buf_group
        uint64_t user_data
    cdef struct io_uring_params:
        uint32_t sq_entries
        uint32_t cq_entries
        uint32_t flags
        uint32_t features
    cdef struct io_uring_buf:
        uint64_t addr
        uint32_t len
        uint16_t bid
    cdef struct io_uring_buf_ring:
        uint16_t tail
    cdef struct io_uring_buf_reg:
        uint64_t ring_addr
        uint32_t ring_entries
        uint16_t bgid
    cdef struct io_uring_probe:
        pass
    cdef struct __kernel_timespec:
        int64_t tv_sec
        long long tv_nsec

    unsigned int IORING_SETUP_CQSIZE, IORING_SETUP_CLAMP, IORING_SETUP_SUBMIT_ALL, IORING_SETUP_COOP_TASKRUN
    unsigned int IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_TASKRUN_FLAG, IORING_SQ_TASKRUN
    unsigned int IORING_CQE_F_BUFFER, IORING_CQE_F_MORE, IORING_CQE_BUFFER_SHIFT
    unsigned int IORING_RECVSEND_POLL_FIRST, IORING_RECV_MULTISHOT, IORING_FEAT_EXT_ARG, IORING_FEAT_NODROP
    unsigned int IOSQE_BUFFER_SELECT, IOSQE_CQE_SKIP_SUCCESS
    int IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_CONNECT, IORING_OP_OPENAT2, IORING_OP_STATX
    int IORING_OP_READ, IORING_OP_CLOSE, IORING_OP_SHUTDOWN, IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD
    int IORING_ASYNC_CANCEL_ALL

    int io_uring_queue_init_params(unsigned int entries, io_uring* ring, io_uring_params* p)
    void io_uring_queue_exit(io_uring* ring)
    int io_uring_register_ring_fd(io_uring* ring)
    int io_uring_ring_dontfork(io_uring* ring)
    int io_uring_register_buf_ring(io_uring* ring, io_uring_buf_reg* reg, unsigned int flags)
    int io_uring_unregister_buf_ring(io_uring* ring, int group)
    void io_uring_buf_ring_init(io_uring_buf_ring* ring)
    int io_uring_buf_ring_mask(uint32_t entries)
    void io_uring_buf_ring_add(io_uring_buf_ring* ring, void* address, unsigned int length, unsigned short bid,
                               int mask, int offset)
    void io_uring_buf_ring_advance(io_uring_buf_ring* ring, int count)
    io_uring_sqe* io_uring_get_sqe(io_uring* ring)
    int io_uring_submit(io_uring* ring)
    int io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned int wait_for,
                                         __kernel_timespec* timeout, void* mask)
    int io_uring_wait_cqe_timeout(io_uring* ring, io_uring_cqe** cqe, __kernel_timespec* timeout)
    int io_uring_wait_cqe(io_uring* ring, io_uring_cqe** cqe)
    unsigned int io_uring_peek_batch_cqe(io_uring* ring, io_uring_cqe** cqes, unsigned int count)
    void io_uring_cq_advance(io_uring* ring, unsigned int count)
    void io_uring_cqe_seen(io_uring* ring, io_uring_cqe* cqe)
    void io_uring_sqe_set_data64(io_uring_sqe* sqe, uint64_t data)
    io_uring_probe* io_uring_get_probe_ring(io_uring* ring)
    void io_uring_free_probe(io_uring_probe* probe)
    bint io_uring_opcode_supported(io_uring_probe* probe, int operation)

    void io_uring_prep_nop(io_uring_sqe* sqe)
    void io_uring_prep_multishot_accept(io_uring_sqe* sqe, int fd, sockaddr* address, socklen_t* length, int flags)
    void io_uring_prep_accept(io_uring_sqe* sqe, int fd, sockaddr* address, socklen_t* length, int flags)
    void io_uring_prep_recv(io_uring_sqe* sqe, int fd, void* data, size_t length, int flags)
    void io_uring_prep_recv_multishot(io_uring_sqe* sqe, int fd, void* data, size_t length, int flags)
    void io_uring_prep_send(io_uring_sqe* sqe, int fd, const void* data, size_t length, int flags)
    void io_uring_prep_connect(io_uring_sqe* sqe, int fd, const sockaddr* address, socklen_t length)
    void io_uring_prep_openat2(io_uring_sqe* sqe, int folder, const char* path, open_how* how)
    void io_uring_prep_statx(io_uring_sqe* sqe, int folder, const char* path, int flags, unsigned int mask,
                             statx_t* out)
    void io_uring_prep_read(io_uring_sqe* sqe, int fd, void* data, unsigned int length, uint64_t offset)
    void io_uring_prep_close(io_uring_sqe* sqe, int fd)
    void io_uring_prep_shutdown(io_uring_sqe* sqe, int fd, int how)
    void io_uring_prep_poll_add(io_uring_sqe* sqe, int fd, unsigned int mask)
    void io_uring_prep_cancel64(io_uring_sqe* sqe, uint64_t user_data, int flags)

cdef extern from "<poll.h>" nogil:
    unsigned int POLLIN, POLLOUT, POLLRDHUP

"""The io_uring driver."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.kernel.driver import *
from cython.cimports.ringway.engine.native.linux import (
    AF_UNIX,
    AT_EMPTY_PATH,
    EAGAIN,
    EBUSY,
    EINTR,
    EINVAL,
    ENOMEM,
    ENOSYS,
    ETIME,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_PRIVATE,
    MSG_DONTWAIT,
    MSG_MORE,
    MSG_NOSIGNAL,
    PROT_READ,
    PROT_WRITE,
    SOCK_CLOEXEC,
    SOCK_STREAM,
    STATX_BASIC_STATS,
    close,
    mmap,
    munmap,
    send,
    socketpair,
)
from cython.cimports.ringway.engine.native.uring import (
    IORING_CQE_BUFFER_SHIFT,
    IORING_CQE_F_BUFFER,
    IORING_CQE_F_MORE,
    IORING_FEAT_EXT_ARG,
    IORING_FEAT_NODROP,
    IORING_RECVSEND_POLL_FIRST,
    IORING_SETUP_CLAMP,
    IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_CQSIZE,
    IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_SINGLE_ISSUER,
    IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_TASKRUN_FLAG,
    IORING_SQ_TASKRUN,
    IOSQE_BUFFER_SELECT,
    IOSQE_CQE_SKIP_SUCCESS,
    POLLOUT,
    POLLRDHUP,
    __kernel_timespec,
    io_uring_buf,
    io_uring_buf_reg,
    io_uring_buf_ring,
    io_uring_buf_ring_add,
    io_uring_buf_ring_advance,
    io_uring_buf_ring_init,
    io_uring_cq_advance,
    io_uring_cqe,
    io_uring_cqe_seen,
    io_uring_get_sqe,
    io_uring_params,
    io_uring_peek_batch_cqe,
    io_uring_prep_accept,
    io_uring_prep_cancel64,
    io_uring_prep_close,
    io_uring_prep_connect,
    io_uring_prep_multishot_accept,
    io_uring_prep_nop,
    io_uring_prep_openat2,
    io_uring_prep_poll_add,
    io_uring_prep_read,
    io_uring_prep_recv,
    io_uring_prep_recv_multishot,
    io_uring_prep_send,
    io_uring_prep_statx,
    io_uring_queue_exit,
    io_uring_queue_init_params,
    io_uring_register_buf_ring,
    io_uring_register_ring_fd,
    io_uring_ring_dontfork,
    io_uring_sqe,
    io_uring_sqe_set_data64,
    io_uring_submit,
    io_uring_submit_and_wait_timeout,
    io_uring_wait_cqe,
)

# ---------------------------------------------------------------------------------------------------- opening


def uring_open(d, buffers, counters):
    u: cython.pointer(Uring) = cast(cython.pointer(Uring), calloc(1, sizeof(Uring)))
    if u == NULL:
        return -ENOMEM
    d.name = b"io_uring"
    d.state = u
    d.buffers = buffers
    d.counters = counters
    d.accept = uring_accept
    d.receive = uring_receive
    d.send = uring_send
    d.connect = uring_connect
    d.writable = uring_writable
    d.await_end = uring_await_end
    d.open = uring_open_file
    d.stat = uring_stat
    d.read = uring_read
    d.receive_plain = uring_receive_plain
    d.quiet = uring_quiet
    d.cancel = uring_cancel
    d.close = uring_close_fd
    d.buffers_left = uring_buffers_left
    d.grow = uring_grow
    d.call_back = uring_call_back
    d.wait = uring_wait
    d.next = uring_next
    d.shut = uring_shut
    result: cython.int = setup_ring(d, u)
    if result < 0:
        free(u)
        d.state = NULL
        return result
    result = prove_ring(u)
    if result == 0:
        result = open_provided(u, GROUP_SMALL)
    if result == 0:
        result = open_provided(u, GROUP_LARGE)
    if result < 0:
        uring_shut(d)
        return result
    provide(d, GROUP_SMALL)
    provide(d, GROUP_LARGE)
    return 0


def setup_ring(d, u):
    # First the flags that the maintainers recommend, then those that older kernels and sandboxes accept.
    ladder: uint32_t[3]
    ladder[0] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG
    ladder[1] = IORING_SETUP_COOP_TASKRUN
    ladder[2] = 0
    p: io_uring_params
    result: cython.int = -EINVAL
    step: cython.int
    for step in range(3):
        memset(address(p), 0, sizeof(io_uring_params))
        p.flags = ladder[step] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL
        p.cq_entries = COMPLETIONS
        result = io_uring_queue_init_params(SUBMISSIONS, address(u.ring), address(p))
        if result == 0:
            d.features = b"multishot accept, multishot receive, provided buffer rings"
            u.deferred = p.flags & IORING_SETUP_DEFER_TASKRUN != 0
            if u.deferred:
                d.features = (
                    b"multishot accept, multishot receive, provided buffer rings, single issuer, deferred task work"
                )
            break
        if result != -EINVAL:
            return result
    if result < 0:
        return result
    if p.features & IORING_FEAT_EXT_ARG == 0 or p.features & IORING_FEAT_NODROP == 0:
        io_uring_queue_exit(address(u.ring))
        return -ENOSYS
    io_uring_register_ring_fd(address(u.ring))  # saves a look-up per turn; it may fail
    io_uring_ring_dontfork(address(u.ring))
    return 0


def prove_ring(u):
    # A sandbox may allow io_uring_setup() and refuse io_uring_enter(): run one operation.
    cqe: cython.pointer(io_uring_cqe) = NULL
    sqe: cython.pointer(io_uring_sqe) = io_uring_get_sqe(address(u.ring))
    io_uring_prep_nop(sqe)
    io_uring_sqe_set_data64(sqe, 0)
    result: cython.int = io_uring_submit(address(u.ring))
    if result < 0:
        return result
    result = io_uring_wait_cqe(address(u.ring), address(cqe))
    if result < 0:
        return result
    io_uring_cqe_seen(address(u.ring), cqe)
    return 0


def open_provided(u, group):
    p: cython.pointer(ProvidedRing) = address(u.provided[group])
    memory: cython.p_void = mmap(
        NULL,
        RING_BUFFERS * sizeof(io_uring_buf),
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS,
        -1,
        0,
    )
    if memory == MAP_FAILED:
        return -ENOMEM
    p.ring = cast(cython.pointer(io_uring_buf_ring), memory)
    reg: io_uring_buf_reg
    memset(address(reg), 0, sizeof(io_uring_buf_reg))
    reg.ring_addr = cast(uint64_t, memory)
    reg.ring_entries = RING_BUFFERS
    reg.bgid = cast(uint16_t, group)
    result: cython.int = io_uring_register_buf_ring(address(u.ring), address(reg), 0)
    if result < 0:
        return result
    io_uring_buf_ring_init(p.ring)
    return 0


def uring_shut(d):
    u: cython.pointer(Uring) = cast(cython.pointer(Uring), d.state)
    if u == NULL:
        return
    io_uring_queue_exit(address(u.ring))
    group: cython.int
    for group in range(2):
        if u.provided[group].ring != NULL:
            munmap(u.provided[group].ring, RING_BUFFERS * sizeof(io_uring_buf))
    free(u)
    d.state = NULL


# ------------------------------------------------------------------------------------------- provided buffers


def provide(d, group):
    """Fill the ring of provided buffers."""
    u: cython.pointer(Uring) = cast(cython.pointer(Uring), d.state)
    p: cython.pointer(ProvidedRing) = address(u.provided[group])
    added: cython.int = 0
    b: cython.pointer(Buffer)
    payload: uint32_t = d.buffers.pool[group].payload
    # At most half of a small pool: sending the received data needs the other half.
    most: uint32_t = min(RING_BUFFERS, max(d.buffers.pool[group].capacity // 2, 1))
    while p.provided < most and not buffer_scarce(d.buffers, group):
        b = buffer_take(d.buffers, group)
        if b == NULL:
            break
        BUG_ON(b.group != group)
        buffer_move(b, BUFFER_LENT)
        gauge(d.counters, GAUGE_BUFFERS, -1)
        io_uring_buf_ring_add(p.ring, b.base + HEADROOM, payload, b.id, RING_BUFFERS - 1, added)
        added += 1
        p.provided += 1
    if added:
        io_uring_buf_ring_advance(p.ring, added)


def uring_buffers_left(d, group):
    u: cython.pointer(Uring) = cast(cython.pointer(Uring), d.state)
    if u.provided[group].provided == 0:
        provide(d, group)
    return u.provided[group].provided


def uring_grow(d, files):
    return 0  # the kernel keeps completions that do not fit in the ring


def uring_call_back(d):
    u: cython.pointer(Uring) = cast(cython.pointer(Uring), d.state)
    octets: cython.char[RING_BUFFERS]
    pair: cython.int[2]
    group: cython.int
    i: uint32_t
    sqe: cython.pointer(io_uring_sqe)
    tag: uint64_t
    if socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0:
        return  # no free descriptor: then buffers come back when something is received into them
    memset(octets, 0, RING_BUFFERS)
    for group in range(2):
        send(pair[1], octets, u.provided[group].provided, MSG_DONTWAIT | MSG_NOSIGNAL)
        tag = receive_tag(OP_IGNORED, group, 0, 0)
        for i in range(u.provided[group].provided):
            sqe = next_sqe(d, tag)
            io_uring_prep_recv(sqe, pair[0], NULL, 1, 0)
            sqe.flags |= IOSQE_BUFFER_SELECT
            sqe.buf_group = cast(uint16_t, group)
            io_uring_sqe_set_data64(sqe, tag)
    close(pair[1])
    uring_close_fd(d, pair[0])  # submissions run in order: after the receives


# -------------------------------------------------------------------------------------------------- submitting


def next_sqe(d, tag):
    u: cython.pointer(Uring) = cast(cython.pointer(Uring), d.state)
    sqe: cython.pointer(io_uring_sqe) = io_uring_get_sqe(address(u.ring))
    while sqe == NULL:
        # Full: submit what is queued. No other thread fills the queue, so this ends.
        io_uring_submit(address(u.ring))
        sqe = io_uring_get_sqe(address(u.ring))
    gauge(d.counters, GAUGE_OPERATIONS, 1)
    sqe.user_data = tag
    return sqe


def uring_accept(d, fd, tag):
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    if d.single_accepts:
        io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC)
    else:
        io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC)
    io_uring_sqe_set_data64(sqe, tag)


def uring_receive(d, fd, group, flags, tag):
    # A completion does not say which ring its buffer came from. The tag says it: see receive_tag().
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    if flags & RECEIVE_MANY:
        io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0)
    else:
        io_uring_prep_recv(sqe, fd, NULL, d.buffers.pool[group].payload, 0)
    if flags & RECEIVE_LATER:
        sqe.ioprio |= cast(uint16_t, IORING_RECVSEND_POLL_FIRST)
    sqe.flags |= IOSQE_BUFFER_SELECT
    sqe.buf_group = cast(uint16_t, group)
    io_uring_sqe_set_data64(sqe, tag)


def uring_receive_plain(d, fd, data, length, tag):
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    io_uring_prep_recv(sqe, fd, data, length, 0)
    io_uring_sqe_set_data64(sqe, tag)


def uring_send(d, fd, data, length, more, tag):
    # Without MSG_WAITALL: a short send shows that the client reads, and its deadline depends on that.
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    io_uring_prep_send(sqe, fd, data, length, MSG_NOSIGNAL | (MSG_MORE if more else 0))
    io_uring_sqe_set_data64(sqe, tag)


def uring_connect(d, fd, address_, length, tag):
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    io_uring_prep_connect(sqe, fd, address_, length)
    io_uring_sqe_set_data64(sqe, tag)


def uring_writable(d, fd, tag):
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    io_uring_prep_poll_add(sqe, fd, POLLOUT)
    io_uring_sqe_set_data64(sqe, tag)


def uring_await_end(d, fd, tag):
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    io_uring_prep_poll_add(sqe, fd, POLLRDHUP)
    io_uring_sqe_set_data64(sqe, tag)


def uring_open_file(d, folder, path, how, tag):
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    io_uring_prep_openat2(sqe, folder, path, how)
    io_uring_sqe_set_data64(sqe, tag)


def uring_stat(d, fd, out, tag):
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    io_uring_prep_statx(sqe, fd, b"", AT_EMPTY_PATH, STATX_BASIC_STATS, out)
    io_uring_sqe_set_data64(sqe, tag)


def uring_read(d, fd, data, length, offset, tag):
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, tag)
    io_uring_prep_read(sqe, fd, data, length, offset)
    io_uring_sqe_set_data64(sqe, tag)


def uring_quiet(d, fd, tag, sure):
    # Whatever arrived while the worker slept is a completion of this turn, maybe one that is not handled yet. The ring
    # shows whether anything, on any socket, arrived since then.
    u: cython.pointer(Uring) = cast(cython.pointer(Uring), d.state)
    if is_pending(u, tag):
        return False
    if sure or not u.deferred or u.turn_count >= HEARD_MAX:
        return socket_quiet(fd)
    return load_acquire(u.ring.sq.kflags) & IORING_SQ_TASKRUN == 0 or socket_quiet(fd)


def is_pending(u, tag):
    # The head advances by whole batches.
    at: uint32_t = u.ring.cq.khead[0] + u.batch_next
    to: uint32_t = load_acquire(u.ring.cq.ktail)
    bit: uint32_t = pending_bit(tag)
    one: uint64_t = 1
    if to - at <= LOOK_MAX:
        return find_pending(u, at, to, tag)
    if not u.noted:
        u.noted = True
        u.pending_to = at
        memset(u.pending, 0, sizeof(u.pending))
    note_pending(u, u.pending_to, to)
    u.pending_to = to
    return u.pending[bit >> 6] & (one << (bit & 63)) != 0 and find_pending(u, at, to, tag)


def find_pending(u, at, to, tag):
    while at != to:
        if u.ring.cq.cqes[at & u.ring.cq.ring_mask].user_data == tag:
            return True
        at += 1
    return False


def note_pending(u, at, to):
    bit: uint32_t
    one: uint64_t = 1
    while at != to:
        bit = pending_bit(u.ring.cq.cqes[at & u.ring.cq.ring_mask].user_data)
        u.pending[bit >> 6] |= one << (bit & 63)
        at += 1


def uring_cancel(d, fd, tag):
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, 0)
    io_uring_prep_cancel64(sqe, tag, 0)
    io_uring_sqe_set_data64(sqe, 0)


def uring_close_fd(d, fd):
    # It completes only if it fails, so it does not count as in flight.
    sqe: cython.pointer(io_uring_sqe) = next_sqe(d, 0)
    gauge(d.counters, GAUGE_OPERATIONS, -1)
    io_uring_prep_close(sqe, fd)
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS
    io_uring_sqe_set_data64(sqe, tag_of(OP_CLOSE, 0, 0))


# -------------------------------------------------------------------------------------------------- completing


def uring_wait(d, timeout_ms):
    u: cython.pointer(Uring) = cast(cython.pointer(Uring), d.state)
    provide(d, GROUP_SMALL)
    provide(d, GROUP_LARGE)
    u.batch_count = 0
    u.batch_next = 0
    u.turn_count = 0
    u.noted = False
    cqe: cython.pointer(io_uring_cqe) = NULL
    limit: __kernel_timespec
    if timeout_ms >= 0:
        limit.tv_sec = timeout_ms // 1000
        limit.tv_nsec = cast(cython.longlong, timeout_ms % 1000) * 1000000
    result: cython.int = io_uring_submit_and_wait_timeout(
        address(u.ring), address(cqe), 1, address(limit) if timeout_ms >= 0 else NULL, NULL
    )
    # EBUSY: the completion queue overflowed; taking completions makes room. EAGAIN: no memory at the moment.
    if result < 0 and result != -ETIME and result != -EINTR and result != -EBUSY and result != -EAGAIN:
        return result
    return 0


def uring_next(d, out):
    u: cython.pointer(Uring) = cast(cython.pointer(Uring), d.state)
    if u.batch_next == u.batch_count:
        if u.batch_count:
            io_uring_cq_advance(address(u.ring), u.batch_count)
        u.batch_next = 0
        u.batch_count = 0
        if load_acquire(u.ring.cq.ktail) == u.ring.cq.khead[0]:
            return False
        u.batch_count = io_uring_peek_batch_cqe(address(u.ring), u.batch, BATCH)
        u.turn_count += u.batch_count
        if u.batch_count == 0:
            return False
    cqe: cython.pointer(io_uring_cqe) = u.batch[u.batch_next]
    u.batch_next += 1
    untag(out, cqe.user_data)
    out.result = cqe.res
    out.more = (cqe.flags & IORING_CQE_F_MORE) != 0
    out.buffer = NULL
    if not out.more and out.operation != OP_CLOSE:
        gauge(d.counters, GAUGE_OPERATIONS, -1)
    group: cython.int
    p: cython.pointer(ProvidedRing)
    b: cython.pointer(Buffer)
    if cqe.flags & IORING_CQE_F_BUFFER and cqe.res > 0:
        group = GROUP_LARGE if cqe.user_data >> 56 & RECEIVE_LARGE else GROUP_SMALL
        p = address(u.provided[group])
        b = address(d.buffers.pool[group].buffers[cqe.flags >> IORING_CQE_BUFFER_SHIFT])
        p.provided -= 1
        buffer_move(b, BUFFER_HELD)
        gauge(d.counters, GAUGE_BUFFERS, 1)
        b.start = HEADROOM
        b.end = HEADROOM + cast(uint32_t, cqe.res)
        out.buffer = b
    return True

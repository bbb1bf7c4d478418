"""The epoll driver."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import int64_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.kernel.driver import *
from cython.cimports.ringway.engine.native.epoll import (
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLLERR,
    EPOLLET,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLPRI,
    EPOLLRDHUP,
    RLIMIT_NOFILE,
    SOCK_NONBLOCK,
    SYS_openat2,
    accept4,
    connect,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    getrlimit,
    rlimit,
    syscall,
)
from cython.cimports.ringway.engine.native.ktls import POLLOUT, POLLRDHUP, poll, pollfd
from cython.cimports.ringway.engine.native.linux import (
    AF_UNIX,
    AT_EMPTY_PATH,
    CLOCK_MONOTONIC,
    EAGAIN,
    EALREADY,
    ECANCELED,
    EINPROGRESS,
    EINTR,
    EMFILE,
    ENOBUFS,
    ENOMEM,
    FIONBIO,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MSG_DONTWAIT,
    MSG_MORE,
    MSG_NOSIGNAL,
    PROT_READ,
    PROT_WRITE,
    SOCK_CLOEXEC,
    STATX_BASIC_STATS,
    clock_gettime,
    close,
    errno,
    ioctl,
    mmap,
    munmap,
    open_how,
    pread,
    recv,
    send,
    sockaddr,
    stat_at,
    timespec,
)

# ---------------------------------------------------------------------------------------------------- opening


def epoll_open(d, buffers, counters, files):
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), calloc(1, sizeof(Epoll)))
    limit: rlimit
    if e == NULL:
        return -ENOMEM
    d.name = b"epoll"
    d.features = b"edge-triggered"
    d.nonblocking = True
    d.state = e
    d.buffers = buffers
    d.counters = counters
    d.accept = epoll_accept
    d.receive = epoll_receive
    d.send = epoll_send
    d.connect = epoll_connect
    d.writable = epoll_writable
    d.await_end = epoll_await_end
    d.open = epoll_open_file
    d.stat = epoll_stat
    d.read = epoll_read
    d.receive_plain = epoll_receive_plain
    d.quiet = epoll_quiet
    d.cancel = epoll_cancel
    d.close = epoll_close
    d.buffers_left = epoll_buffers_left
    d.grow = epoll_grow
    d.call_back = epoll_call_back
    d.wait = epoll_wait_for
    d.next = epoll_next
    d.shut = epoll_shut
    e.watch_count = WATCHES_MAX
    if getrlimit(RLIMIT_NOFILE, address(limit)) == 0 and limit.rlim_cur < WATCHES_MAX:
        e.watch_count = cast(uint32_t, limit.rlim_cur)
    e.watches = cast(cython.pointer(Watch), epoll_reserve(e.watch_count * sizeof(Watch)))
    e.fd = epoll_create1(EPOLL_CLOEXEC)
    result: cython.int = -errno if e.fd < 0 else epoll_grow(d, files)
    if e.watches == NULL:
        result = -ENOMEM
    if result < 0:
        epoll_shut(d)
    return result


def epoll_reserve(size):
    """Zeroed memory that takes up no RAM before it is touched. NULL: no memory."""
    memory: cython.p_void = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    return NULL if memory == MAP_FAILED else memory


def epoll_shut(d):
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    if e == NULL:
        return
    if e.fd >= 0:
        close(e.fd)
    if e.watches != NULL:
        munmap(e.watches, e.watch_count * sizeof(Watch))
    if e.done != NULL:
        munmap(e.done, (e.done_mask + 1) * sizeof(Done))
    free(e)
    d.state = NULL


# ----------------------------------------------------------------------------------------------------- asking


def push_side(q, s):
    if s.queued:
        return
    s.queued = True
    s.next = NULL
    if q.last != NULL:
        q.last.next = s
    else:
        q.first = s
    q.last = s


def pop_side(q):
    s: cython.pointer(Side) = q.first
    if s != NULL:
        q.first = s.next
        if q.first == NULL:
            q.last = NULL
        s.queued = False
    return s


def ask(d, fd, direction, asked, tag):
    """The side for the operation; NULL: it failed, and its completion says so."""
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    gauge(d.counters, GAUGE_OPERATIONS, 1)
    if cast(uint32_t, fd) >= e.watch_count:
        push_done(d, tag, -EMFILE)
        return NULL
    s: cython.pointer(Side) = address(e.watches[fd].side[direction])
    BUG_ON(s.asked != ASKED_NOTHING)
    s.fd = fd
    s.tag = tag
    s.asked = cast(uint8_t, asked)
    return s


def side_settle(e, s):
    """Try it soon, or wait for an edge."""
    w: cython.pointer(Watch) = address(e.watches[s.fd])
    event: epoll_event
    if not s.dry:
        push_side(address(e.due), s)
        return
    if w.registered:
        return
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET
    event.data.u64 = cast(uint64_t, s.fd)
    if epoll_ctl(e.fd, EPOLL_CTL_ADD, s.fd, address(event)) < 0:
        end(e, s, -errno)
        return
    w.registered = True
    # Registering reports what has already arrived.
    w.side[INWARD].dry = True


def end(e, s, error):
    if s.asked == ASKED_PEER_END:
        s.dry = False  # bytes may be there to receive
    s.asked = ASKED_END
    s.error = error
    push_side(address(e.due), s)


def unregister(e, fd):
    """The supervisor has the listener open too, so closing it here would not unregister it."""
    w: cython.pointer(Watch) = address(e.watches[fd])
    event: epoll_event
    if w.registered:
        epoll_ctl(e.fd, EPOLL_CTL_DEL, fd, address(event))
    w.registered = False
    w.side[INWARD].dry = False


def epoll_accept(d, fd, tag):
    on: cython.int = 1
    s: cython.pointer(Side) = ask(d, fd, INWARD, ASKED_ACCEPT, tag)
    if s != NULL:
        ioctl(fd, FIONBIO, address(on))
        side_settle(cast(cython.pointer(Epoll), d.state), s)


def epoll_receive(d, fd, group, flags, tag):
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    s: cython.pointer(Side) = ask(d, fd, INWARD, ASKED_RECEIVE, tag)
    if s == NULL:
        return
    s.group = cast(uint8_t, group)
    s.flags = cast(uint8_t, flags)
    if flags & RECEIVE_RECORDS:
        s.dry = False
    elif flags & RECEIVE_LATER and not e.watches[fd].registered:
        s.dry = True
    side_settle(e, s)


def epoll_receive_plain(d, fd, data, length, tag):
    s: cython.pointer(Side) = ask(d, fd, INWARD, ASKED_RECEIVE_PLAIN, tag)
    if s != NULL:
        s.data = data
        s.length = length
        side_settle(cast(cython.pointer(Epoll), d.state), s)


def epoll_send(d, fd, data, length, more, tag):
    s: cython.pointer(Side) = ask(d, fd, OUTWARD, ASKED_SEND, tag)
    if s != NULL:
        s.data = cast(cython.p_char, data)
        s.length = length
        s.more = more
        side_settle(cast(cython.pointer(Epoll), d.state), s)


def epoll_connect(d, fd, address_, length, tag):
    on: cython.int = 1
    s: cython.pointer(Side) = ask(d, fd, OUTWARD, ASKED_CONNECT, tag)
    if s != NULL:
        ioctl(fd, FIONBIO, address(on))
        s.data = cast(cython.p_char, address_)
        s.length = length
        side_settle(cast(cython.pointer(Epoll), d.state), s)


def epoll_writable(d, fd, tag):
    s: cython.pointer(Side) = ask(d, fd, OUTWARD, ASKED_WRITABLE, tag)
    if s != NULL:
        # The caller has written to the socket without the driver, so `dry` may be out of date.
        s.dry = False
        side_settle(cast(cython.pointer(Epoll), d.state), s)


def epoll_await_end(d, fd, tag):
    s: cython.pointer(Side) = ask(d, fd, INWARD, ASKED_PEER_END, tag)
    if s != NULL:
        s.dry = False
        side_settle(cast(cython.pointer(Epoll), d.state), s)


def epoll_quiet(d, fd, tag, sure):
    return socket_quiet(fd)  # edges only show the state when the worker last slept


def epoll_cancel(d, fd, tag):
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    s: cython.pointer(Side)
    direction: cython.int
    if cast(uint32_t, fd) >= e.watch_count:
        return
    for direction in range(2):
        s = address(e.watches[fd].side[direction])
        if s.asked != ASKED_NOTHING and s.asked != ASKED_END and s.tag == tag:
            if s.asked == ASKED_ACCEPT:
                unregister(e, fd)
            end(e, s, -ECANCELED)


def epoll_close(d, fd):
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    w: cython.pointer(Watch)
    if cast(uint32_t, fd) < e.watch_count:
        w = address(e.watches[fd])
        BUG_ON(w.side[INWARD].asked != ASKED_NOTHING or w.side[OUTWARD].asked != ASKED_NOTHING)
        # A side may stay queued: it has nothing to do, or an operation of the next owner of this number.
        w.registered = False
        w.unsure = False
        w.side[INWARD].dry = False
        w.side[OUTWARD].dry = False
    close(fd)


def epoll_buffers_left(d, group):
    return buffers_left(d.buffers, group)


def epoll_call_back(d):
    pass  # this driver keeps no buffers ready


def epoll_grow(d, files):
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    done: cython.pointer(Done)
    slots: uint64_t = 64
    i: uint64_t
    while slots < files:
        slots *= 2
    if e.done != NULL and slots <= e.done_mask + 1:
        return 0
    done = cast(cython.pointer(Done), epoll_reserve(slots * sizeof(Done)))
    if done == NULL:
        return -ENOMEM
    for i in range(e.done_first, e.done_last):
        done[i & (slots - 1)] = e.done[i & e.done_mask]
    if e.done != NULL:
        munmap(e.done, (e.done_mask + 1) * sizeof(Done))
    e.done = done
    e.done_mask = slots - 1
    return 0


# ------------------------------------------------------------------------------------------------------ files


def push_done(d, tag, result):
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    done: cython.pointer(Done) = address(e.done[e.done_last & e.done_mask])
    BUG_ON(e.done_last - e.done_first > e.done_mask)
    done.tag = tag
    done.result = result
    e.done_last += 1


def epoll_open_file(d, folder, path, how, tag):
    gauge(d.counters, GAUGE_OPERATIONS, 1)
    fd: cython.long = syscall(SYS_openat2, folder, path, how, sizeof(open_how))
    push_done(d, tag, -errno if fd < 0 else cast(cython.int, fd))


def epoll_stat(d, fd, out, tag):
    gauge(d.counters, GAUGE_OPERATIONS, 1)
    push_done(d, tag, -errno if stat_at(fd, b"", AT_EMPTY_PATH, STATX_BASIC_STATS, out) < 0 else 0)


def epoll_read(d, fd, data, length, offset, tag):
    gauge(d.counters, GAUGE_OPERATIONS, 1)
    n: cython.Py_ssize_t = pread(fd, data, length, cast(int64_t, offset))
    push_done(d, tag, -errno if n < 0 else cast(cython.int, n))


# ------------------------------------------------------------------------------------------------- completing


def wake(e, s):
    s.dry = False
    if s.asked != ASKED_NOTHING:
        push_side(address(e.due), s)


def epoll_wait_for(d, timeout_ms):
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    i: cython.int
    events: uint32_t
    w: cython.pointer(Watch)
    if e.later.first != NULL:
        if e.due.last != NULL:
            e.due.last.next = e.later.first
        else:
            e.due.first = e.later.first
        e.due.last = e.later.last
        e.later.first = NULL
        e.later.last = NULL
    e.turn += 1
    stalled_wait: cython.int
    if e.stalled.first != NULL:
        stalled_wait = stalled_again(e)
        if timeout_ms < 0 or timeout_ms > stalled_wait:
            timeout_ms = stalled_wait
    if e.due.first != NULL or e.done_first != e.done_last:
        timeout_ms = 0
    count: cython.int = epoll_wait(e.fd, e.events, EVENTS_MAX, timeout_ms)
    if count < 0:
        return 0 if errno == EINTR else -errno
    for i in range(count):
        events = e.events[i].events
        w = address(e.watches[e.events[i].data.u64])
        if events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI):
            w.unsure = True
            wake(e, address(w.side[INWARD]))
        elif events & EPOLLIN:
            wake(e, address(w.side[INWARD]))
        if events & (EPOLLOUT | EPOLLHUP | EPOLLERR):
            wake(e, address(w.side[OUTWARD]))
    return 0


def backlog_full(s):
    return cast(cython.pointer(sockaddr), s.data).sa_family == AF_UNIX


def stalled_again(e):
    t: timespec
    s: cython.pointer(Side)
    tries: cython.int = 0
    clock_gettime(CLOCK_MONOTONIC, address(t))
    now_ms: uint64_t = cast(uint64_t, t.tv_sec) * 1000 + cast(uint64_t, t.tv_nsec) // 1000000
    if e.stalled_ms > now_ms + STALLED_MS or e.stalled_ms <= now_ms:
        e.stalled_ms = now_ms + STALLED_MS
        while tries < STALLED_TRIES and e.stalled.first != NULL:
            s = pop_side(address(e.stalled))
            push_side(address(e.due), s)
            tries += 1
    return cast(cython.int, e.stalled_ms - now_ms)


def epoll_next(d, out):
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    done: cython.pointer(Done)
    s: cython.pointer(Side)
    w: cython.pointer(Watch)
    out.more = False
    out.buffer = NULL
    if e.done_first != e.done_last:
        done = address(e.done[e.done_first & e.done_mask])
        e.done_first += 1
        untag(out, done.tag)
        out.result = done.result
        gauge(d.counters, GAUGE_OPERATIONS, -1)
        return True
    while True:
        s = pop_side(address(e.due))
        if s == NULL:
            return False
        if s.asked == ASKED_NOTHING:
            continue
        w = address(e.watches[s.fd])
        if w.turn != e.turn:
            w.turn = e.turn
            w.moved = 0
        if w.moved >= TURN_BYTES_MAX and s.asked != ASKED_END:
            push_side(address(e.later), s)
        elif attempt(d, w, s, out):
            return True


def attempt(d, w, s, out):
    """The system call. False: it would have blocked."""
    e: cython.pointer(Epoll) = cast(cython.pointer(Epoll), d.state)
    result: cython.int = s.error if s.asked == ASKED_END else call(d, w, s, out)
    if result == -EAGAIN and s.asked != ASKED_END:
        if s.asked == ASKED_CONNECT and backlog_full(s):
            push_side(address(e.stalled), s)
            return False
        s.dry = True
        side_settle(e, s)
        return False
    untag(out, s.tag)
    out.result = result
    if s.asked == ASKED_WRITABLE:
        w.moved = TURN_BYTES_MAX  # the driver cannot count these bytes: once in a turn
    elif (s.asked == ASKED_RECEIVE or s.asked == ASKED_SEND) and result > CALL_BYTES:
        w.moved += cast(uint32_t, result)
    else:
        w.moved += CALL_BYTES
    out.more = (s.asked == ASKED_ACCEPT and result >= 0 and not d.single_accepts) or (
        s.asked == ASKED_RECEIVE and s.flags & RECEIVE_MANY and result > 0
    )
    if out.more:
        side_settle(e, s)
        return True
    if s.asked == ASKED_ACCEPT:
        unregister(e, s.fd)
    s.asked = ASKED_NOTHING
    gauge(d.counters, GAUGE_OPERATIONS, -1)
    return True


def call(d, w, s, out):
    """The result of the system call, or -errno. -EAGAIN: it would have blocked."""
    n: cython.Py_ssize_t
    if s.asked == ASKED_RECEIVE:
        return call_receive(d, w, s, out)
    elif s.asked == ASKED_SEND:
        return call_send(s)
    elif s.asked == ASKED_ACCEPT:
        n = accept4(s.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)
    elif s.asked == ASKED_CONNECT:
        return call_connect(s)
    elif s.asked == ASKED_WRITABLE:
        return call_poll(s, POLLOUT)
    elif s.asked == ASKED_PEER_END:
        return call_poll(s, POLLRDHUP)
    else:
        n = recv(s.fd, s.data, s.length, MSG_DONTWAIT)
    return -errno if n < 0 else cast(cython.int, n)


def call_receive(d, w, s, out):
    b: cython.pointer(Buffer)
    if buffer_scarce(d.buffers, s.group):
        return -ENOBUFS
    b = buffer_take(d.buffers, s.group)
    if b == NULL:
        return -ENOBUFS
    room: uint32_t = d.buffers.pool[s.group].payload
    n: cython.Py_ssize_t = recv(s.fd, data_of(b), room, MSG_DONTWAIT)
    error: cython.int = errno
    if n <= 0:
        buffer_give(d.buffers, b)
        return -error if n < 0 else 0
    b.end += cast(uint32_t, n)
    out.buffer = b
    s.dry = n < room and not w.unsure and s.flags & RECEIVE_RECORDS == 0
    return cast(cython.int, n)


def call_send(s):
    n: cython.Py_ssize_t = send(s.fd, s.data, s.length, MSG_DONTWAIT | MSG_NOSIGNAL | (MSG_MORE if s.more else 0))
    if n < 0:
        return -errno
    s.dry = n < cast(cython.Py_ssize_t, s.length)
    return cast(cython.int, n)


def call_connect(s):
    # A second connect(2) returns the result of the first: EALREADY, 0, or its error.
    if connect(s.fd, cast(cython.pointer(sockaddr), s.data), s.length) == 0:
        return 0
    return -EAGAIN if errno == EINPROGRESS or errno == EALREADY else -errno


def call_poll(s, events):
    asked: pollfd
    asked.fd = s.fd
    asked.events = cast(cython.short, events)
    asked.revents = 0
    n: cython.int = poll(address(asked), 1, 0)
    if n < 0:
        return -errno
    return asked.revents if n else -EAGAIN

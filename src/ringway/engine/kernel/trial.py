"""The trial of a driver."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.string import memcmp, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.kernel.driver import *
from cython.cimports.ringway.engine.kernel.epoll import *
from cython.cimports.ringway.engine.kernel.uring import *
from cython.cimports.ringway.engine.native.epoll import INADDR_LOOPBACK, bind, getsockname, htonl, listen
from cython.cimports.ringway.engine.native.linux import (
    AF_INET,
    ECANCELED,
    EIO,
    ETIME,
    SOCK_CLOEXEC,
    SOCK_STREAM,
    close,
    errno,
    sockaddr,
    socket,
    socklen_t,
)


def trial(t, d):
    memset(t, 0, sizeof(Trial))
    t.driver = d
    t.client = -1
    t.server = -1
    t.listener = -1
    result: cython.int = listen_on_loopback(t)
    if result == 0:
        result = try_connecting(t)
    if result == 0:
        result = try_bytes(t)
    if result == 0:
        result = try_cancelling(t)
    if result == 0:
        result = try_files(t)
    if t.listener >= 0:
        close(t.listener)
    if t.client >= 0:
        close(t.client)
    if t.server >= 0:
        close(t.server)
    return result


def listen_on_loopback(t):
    size: socklen_t = sizeof(t.address)
    t.step = b"listening on 127.0.0.1 for a trial"
    t.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
    t.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
    if t.listener < 0 or t.client < 0:
        return -errno
    t.address.sin_family = cast(cython.ushort, AF_INET)
    t.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    if (
        bind(t.listener, cast(cython.pointer(sockaddr), address(t.address)), size) < 0
        or listen(t.listener, 8) < 0
        or getsockname(t.listener, cast(cython.pointer(sockaddr), address(t.address)), address(size)) < 0
    ):
        return -errno
    return 0


def try_connecting(t):
    d: cython.pointer(Driver) = t.driver
    t.step = b"connecting"
    d.accept(d, t.listener, tag_of(OP_ACCEPT, 0, 0))
    d.connect(
        d,
        t.client,
        cast(cython.pointer(sockaddr), address(t.address)),
        sizeof(t.address),
        tag_of(OP_UPSTREAM_CONNECT, 0, 0),
    )
    result: cython.int = completion(t, OP_UPSTREAM_CONNECT)
    if result < 0:
        return result
    t.step = b"accepting"
    t.server = completion(t, OP_ACCEPT)
    if t.server < 0:
        return t.server
    return 0 if t.seen[OP_ACCEPT].more else -EIO


def try_bytes(t):
    """Send twice, with one multishot receive into the driver's buffers."""
    d: cython.pointer(Driver) = t.driver
    t.step = b"receiving"
    d.receive(d, t.server, GROUP_SMALL, RECEIVE_MANY | RECEIVE_LATER, receive_tag(OP_CLIENT_RECEIVE, GROUP_SMALL, 0, 0))
    result: cython.int = pass_on(t)
    return pass_on(t) if result == 0 else result


def pass_on(t):
    d: cython.pointer(Driver) = t.driver
    b: cython.pointer(Buffer)
    forget(t, OP_CLIENT_RECEIVE)
    forget(t, OP_UPSTREAM_SEND)
    t.step = b"sending"
    d.send(d, t.client, b"ringway", 7, False, tag_of(OP_UPSTREAM_SEND, 0, 0))
    result: cython.int = completion(t, OP_UPSTREAM_SEND)
    if result != 7:
        return result if result < 0 else -EIO
    t.step = b"receiving"
    result = completion(t, OP_CLIENT_RECEIVE)
    if result != 7:
        return result if result < 0 else -EIO
    b = t.seen[OP_CLIENT_RECEIVE].buffer
    if b == NULL or memcmp(data_of(b), b"ringway", 7) != 0 or not t.seen[OP_CLIENT_RECEIVE].more:
        return -EIO
    return 0


def try_cancelling(t):
    d: cython.pointer(Driver) = t.driver
    t.step = b"cancelling"
    forget(t, OP_CLIENT_RECEIVE)
    forget(t, OP_ACCEPT)
    d.cancel(d, t.server, receive_tag(OP_CLIENT_RECEIVE, GROUP_SMALL, 0, 0))
    d.cancel(d, t.listener, tag_of(OP_ACCEPT, 0, 0))
    result: cython.int = completion(t, OP_CLIENT_RECEIVE)
    if result == -ECANCELED:
        result = completion(t, OP_ACCEPT)
    if result == -ECANCELED:
        return 0
    return result if result < 0 else -EIO


def try_files(t):
    """A stat always runs in a worker thread of io_uring, and a limit on processes may refuse the thread."""
    d: cython.pointer(Driver) = t.driver
    t.step = b"reading a file's status"
    d.stat(d, t.listener, address(t.found), tag_of(OP_FILE_STAT, 0, 0))
    return completion(t, OP_FILE_STAT)


def completion(t, operation):
    """Wait for this operation, which may already be complete, and return its result."""
    d: cython.pointer(Driver) = t.driver
    waits: uint32_t = TRIAL_MS // TRIAL_STEP_MS
    result: cython.int
    while not t.has[operation] and waits:
        waits -= 1
        result = d.wait(d, TRIAL_STEP_MS)
        if result < 0:
            return result
        take_all(t)
    return t.seen[operation].result if t.has[operation] else -ETIME


def take_all(t):
    c: Completion
    while t.driver.next(t.driver, address(c)):
        forget(t, c.operation)
        t.has[c.operation] = True
        t.seen[c.operation] = c


def forget(t, operation):
    if t.has[operation] and t.seen[operation].buffer != NULL:
        buffer_give(t.driver.buffers, t.seen[operation].buffer)
        t.seen[operation].buffer = NULL
    t.has[operation] = False


# ------------------------------------------------------------------------------------------------- from Python


def probe(name: str) -> dict:
    """Try the driver `name`: {"features": [words, ...]}, or {"error": errno, "step": the step that failed}."""
    d: Driver
    buffers: Buffers
    counters: Counters
    t: Trial
    t.step = b"setting it up"
    memset(address(d), 0, sizeof(Driver))
    memset(address(buffers), 0, sizeof(Buffers))
    memset(address(counters), 0, sizeof(Counters))
    try:
        if buffers_open(address(buffers), address(counters), 1 << 20, LARGE_BYTES) < 0:
            raise MemoryError
        result: cython.int
        if name == "epoll":
            result = epoll_open(address(d), address(buffers), address(counters), OPERATIONS)
        else:
            result = uring_open(address(d), address(buffers), address(counters))
        if result == 0:
            result = trial(address(t), address(d))
        if result < 0:
            return {"error": -result, "step": cast(bytes, t.step).decode()}
        return {"features": cast(bytes, d.features).decode().split(", ")}
    finally:
        if d.state != NULL:
            d.shut(address(d))
        buffers_close(address(buffers))

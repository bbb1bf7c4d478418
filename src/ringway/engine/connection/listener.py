"""Accept connections, wait when descriptors run out, remove a listener."""

import cython
from cython import NULL, address
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.client import *
from cython.cimports.ringway.engine.connection.shares import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.tell import *
from cython.cimports.ringway.engine.kernel import *
from cython.cimports.ringway.engine.native.linux import (
    ECANCELED,
    ECONNABORTED,
    EMFILE,
    F_SETFL,
    O_NONBLOCK,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    accept4,
    close,
    fcntl,
)


def listener_accept(w, index):
    listener: cython.pointer(Listener) = address(w.listeners[index])
    listener.accepting = True
    listener.again_ms = 0
    w.driver.accept(address(w.driver), listener.fd, tag_of(OP_ACCEPT, index, 0))


def listener_go_on(w, index):
    if w.descriptors_most == 0:
        listener_accept(w, index)
    elif w.clients.used + w.upstreams.used + counted(w.counters, GAUGE_FILES) < w.descriptors_most:
        listener_accept(w, index)
    else:
        listener_accept_later(w, address(w.listeners[index]), EMFILE)


def listener_accept_later(w, listener, error):
    # Most likely out of descriptors: an immediate retry would only burn CPU.
    count(w.counters, COUNT_ACCEPT_ERRORS, 1)
    tell(w, EVENT_ACCEPT_FAILED, error, NULL, 0)
    listener.again_ms = w.clock.now_ms + ACCEPT_AGAIN_MS


def listener_close(w, index):
    listener: cython.pointer(Listener) = address(w.listeners[index])
    if listener.fd >= 0:
        close(listener.fd)
        listener.fd = -1


def listener_remove(w, index):
    listener: cython.pointer(Listener) = address(w.listeners[index])
    listener.removed = True
    if listener.accepting:
        w.driver.cancel(address(w.driver), listener.fd, tag_of(OP_ACCEPT, index, 0))
    else:
        listener_end(w, index)
    client_drain(w, listener)


def listener_end(w, index):
    """Close the listener when no accept is in flight. First accept what is in the backlog.

    If other workers accept from the same socket, the kernel wakes one of them for each connection. When it has woken
    this one, no other worker comes for the connection until the next one arrives.
    """
    listener: cython.pointer(Listener) = address(w.listeners[index])
    fd: cython.int
    left: cython.int = ACCEPT_LAST_MAX
    if listener.fd < 0:
        return
    if not w.forced:
        # O_NONBLOCK belongs to the open file description. Another worker may share it and still accept there: one that
        # rejected the reload, or one that this worker stood in for. The flag does not disturb it: io_uring's accept
        # waits all the same on every kernel that has multishot accepts, and the epoll driver sets the flag itself.
        fcntl(listener.fd, F_SETFL, O_NONBLOCK)
        fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC | (SOCK_NONBLOCK if w.driver.nonblocking else 0))
        while fd >= 0:
            let_in(w, listener, fd)
            left -= 1
            if left == 0:
                break
            fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC | (SOCK_NONBLOCK if w.driver.nonblocking else 0))
    listener_close(w, index)


def listener_accepted(w, index, result, more):
    listener: cython.pointer(Listener) = address(w.listeners[index])
    ending: cython.bint = w.draining or listener.removed
    if not more:
        listener.accepting = False
        if ending:
            listener_end(w, index)
    if result < 0:
        if ending:
            return
        if result != -ECANCELED and result != -ECONNABORTED:
            listener_accept_later(w, listener, -result)
        elif not more:
            listener_go_on(w, index)
        return
    if not more and not ending:
        listener_go_on(w, index)
    let_in(w, listener, result)


def let_in(w, listener, fd):
    count(w.counters, COUNT_ACCEPTED, 1)
    if w.clients.used < w.snapshot.limits.client_connections or shares_make_room(w, fd):
        client_take(w, listener, fd)
    else:
        client_refuse(w, fd)

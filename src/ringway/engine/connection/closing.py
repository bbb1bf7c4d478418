"""The end of a stream."""

import cython
from cython import NULL, address
from cython.cimports.libc.stdlib import free
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.offload import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.waiting import *
from cython.cimports.ringway.engine.kernel import *
from cython.cimports.ringway.engine.native.linux import (
    SHUT_RD,
    SHUT_RDWR,
    SO_LINGER,
    SOL_SOCKET,
    linger,
    setsockopt,
    shutdown,
)
from cython.cimports.ringway.engine.tls import *


def stream_close(w, s):
    if s.closing:
        return
    s.closing = True
    drop_waiter(w, address(s.starving))
    drop_waiter(w, address(s.hungering))
    timer_clear(address(w.wheel), address(s.lane.timer))
    queue_give(address(w.buffers), address(s.lane.inbox))
    queue_give(address(w.buffers), address(s.cipher))
    queue_give(address(w.buffers), address(s.lane.outbox))
    if s.operations and s.fd >= 0:
        # close() would neither cancel operations in flight nor send FIN. So shut down, wait, then close.
        shutdown(s.fd, SHUT_RD if s.aborted else SHUT_RDWR)
        if s.aborted:
            # No FIN, so that the close resets the connection. Then the send in flight must be cancelled by its tag.
            if s.sending != NULL:
                w.driver.cancel(
                    address(w.driver), s.fd, tag_of(operation_of(s, OP_CLIENT_SEND), s.slot.index, s.slot.generation)
                )
            if s.polling:
                w.driver.cancel(address(w.driver), s.fd, tag_of(OP_CLIENT_WRITABLE, s.slot.index, s.slot.generation))
    if s.operations == 0:
        stream_finish(w, s)


def stream_abort(w, s):
    """Close with a reset, so that the peer does not take a part for the whole."""
    how: linger
    how.l_onoff = 1
    how.l_linger = 0
    if not s.closing and s.fd >= 0:
        setsockopt(s.fd, SOL_SOCKET, SO_LINGER, address(how), cython.sizeof(how))
        s.aborted = True
    stream_close(w, s)


def stream_finish(w, s):
    if s.operations or s.ready:
        return
    tls: cython.pointer(Tls) = s.tls
    queue_give(address(w.buffers), address(s.lane.outbox))
    offload_forget(s)
    if s.fd >= 0:
        w.driver.close(address(w.driver), s.fd)
        s.fd = -1
    free(s.identity)
    s.identity = NULL
    w.handlers.gone[s.lane.kind](w, s)  # releases the slot: do not use s from here on
    if tls != NULL:
        # After `gone`, because the access record of a request that was cut contains the name of the cipher.
        tls_close(tls)
        gauge(w.counters, GAUGE_TLS, -1)

"""Receive from a client while its request is served."""

import cython
from cython import NULL
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.client import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.stream import *


def client_watch(w, c, later):
    stream_want(w, cython.address(c.stream), GROUP_SMALL, client_many(c, 1), later)


def client_pipeline(w, c, bytes, watch):
    # A multishot receive brings 32 buffers, or RING_BUFFERS if the kernel runs it twice in a turn, before its cancel
    # takes effect in the next turn. So cancel it at the first bytes, and use single receives from then on. Each begins
    # only below the bound. Single receives alone would cost every request of the other clients one more operation.
    s: cython.pointer(Stream) = cython.address(c.stream)
    c.pipelines = c.pipelines or s.lane.inbox.first != NULL or s.cipher.first != NULL
    stream_pause(w, s)
    if s.lane.inbox.bytes + s.cipher.bytes < bytes:
        stream_want(w, s, GROUP_SMALL, False, True)
    elif watch:
        stream_watch(w, s)  # it can still disconnect

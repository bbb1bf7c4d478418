"""The two deadlines of a lane: for bytes from the peer, and for the peer to read."""

import cython
from cython import NULL, address
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.waiting import *


def lane_timer(w, lane):
    """The timer is due: has a deadline passed, or was it moved?"""
    s: cython.pointer(Stream) = lane.stream
    now: uint64_t = w.clock.now_ms
    if s.closing:
        return
    if lane.receive_due_ms and lane.receive_due_ms <= now:
        lane.receive_due_ms = 0
        lane.late = LATE_BUFFERS if stream_hungry(s) or s.receive == RECEIVE_STARVED else LATE_RECEIVE
        if lane.looking:
            lane.late = LATE_LOOK
        lane_expired(w, lane)
        return
    if lane.send_due_ms and lane.send_due_ms <= now:
        lane.send_due_ms = 0
        lane.late = LATE_BUFFERS if stream_hungry(s) and stream_drained(s) and not s.polling else LATE_SEND
        lane_expired(w, lane)
        return
    due: uint64_t = lane.receive_due_ms
    if due == 0 or (lane.send_due_ms and lane.send_due_ms < due):
        due = lane.send_due_ms
    if due:
        timer_set(address(w.wheel), address(lane.timer), due)


def lane_expired(w, lane):
    if lane.mux != NULL:
        w.handlers.lane_late(w, lane)
    else:
        w.handlers.late[lane.kind](w, lane.stream)


# For tests.


def pace(window_ms: int, steps: list) -> int:
    """Milliseconds until a client that repeats these steps (wait `ms`, take `bytes`) is late; an hour at most."""
    now: uint64_t = 0
    due: uint64_t = window_ms
    while now < 3600000:
        for ms, bytes in steps:
            if now + ms >= due:
                return due
            now += ms
            due = credited(now, due, window_ms, bytes)
    return now

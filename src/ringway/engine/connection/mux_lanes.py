"""The lanes of a connection with HTTP/2."""

import cython
from cython import NULL, address
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.http2 import *


def mux_lane_find(m, id):
    lane: cython.pointer(MuxLane) = m.buckets[(id >> 1) % MUX_BUCKETS]
    while lane != NULL and lane.id != id:
        lane = lane.next
    return lane


def mux_lane_add(w, m, x, id):
    lane: cython.pointer(MuxLane) = address(x.own)
    bucket: cython.pointer(cython.pointer(MuxLane)) = address(m.buckets[(id >> 1) % MUX_BUCKETS])
    memset(lane, 0, cython.sizeof(MuxLane))
    lane.lane.stream = address(m.client.stream)
    lane.lane.mux = m
    lane.lane.kind = KIND_CLIENT
    lane.lane.timer.owner = address(lane.lane)
    lane.lane.progress_bytes = m.client.stream.lane.progress_bytes
    lane.lane.send_window_ms = m.client.stream.lane.send_window_ms
    lane.exchange = x
    lane.id = id
    lane.send_window = m.initial
    lane.window = WINDOW_FIRST
    lane.receive_window = WINDOW_FIRST if m.settled else WINDOW_DEFAULT
    lane.next = bucket[0]
    bucket[0] = lane
    m.count += 1
    link_push(address(m.lanes), address(lane.link), lane)


def mux_lane_remove(w, m, lane):
    at: cython.pointer(cython.pointer(MuxLane)) = address(m.buckets[(lane.id >> 1) % MUX_BUCKETS])
    while at[0] != lane:
        at = address(at[0].next)
    at[0] = lane.next
    m.count -= 1
    m.granted -= lane.window - WINDOW_FIRST
    m.parked -= lane.lane.outbox.bytes
    link_drop(address(lane.link))
    link_drop(address(lane.ready))
    link_drop(address(lane.told))
    timer_clear(address(w.wheel), address(lane.lane.timer))
    queue_give(address(w.buffers), address(lane.lane.inbox))
    queue_give(address(w.buffers), address(lane.lane.outbox))


def mux_credit(lane, consumed):
    credit: uint32_t
    lane.consumed += consumed
    if lane.lane.eof or lane.consumed * 2 < lane.window:
        return 0
    credit = lane.consumed
    lane.consumed = 0
    lane.receive_window += credit
    return credit


def mux_grant(m, lane):
    if lane.window > WINDOW_FIRST or m.granted + WINDOW_MOST - WINDOW_FIRST > GRANT_MOST:
        return False
    m.granted += WINDOW_MOST - WINDOW_FIRST
    lane.window = WINDOW_MOST
    lane.receive_window += WINDOW_MOST - WINDOW_FIRST
    return True


def mux_note_reset(m, id):
    m.resets[m.resets_next % MUX_RESETS] = id
    m.resets_next += 1


def mux_was_reset(m, id):
    i: cython.int
    for i in range(MUX_RESETS):
        if m.resets[i] == id:
            return True
    return False


def link_push(list, link, owner):
    if link.list != NULL:
        return
    link.owner = owner
    link.list = list
    link.next = NULL
    link.before = list.last
    if list.last != NULL:
        list.last.next = link
    else:
        list.first = link
    list.last = link


def link_drop(link):
    list: cython.pointer(MuxLinks) = link.list
    if list == NULL:
        return
    if link.before != NULL:
        link.before.next = link.next
    else:
        list.first = link.next
    if link.next != NULL:
        link.next.before = link.before
    else:
        list.last = link.before
    link.list = NULL

"""The settings of a client with HTTP/2, and its windows."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import int64_t, uint32_t
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.mux_lanes import *
from cython.cimports.ringway.engine.connection.mux_send import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.http2 import *


def mux_setting(w, m):
    r: cython.pointer(FrameReader) = address(m.reader)
    link: cython.pointer(MuxLink)
    change: int64_t
    if r.setting == SETTING_HEADER_TABLE_SIZE:
        hpack_encoder_resize(address(m.encoder), r.value)
    elif r.setting == SETTING_MAX_FRAME_SIZE:
        m.frame_most = min(r.value, cast(uint32_t, FRAME_BYTES_DEFAULT))
    elif r.setting == SETTING_INITIAL_WINDOW_SIZE:
        # RFC 9113 6.9.2: it moves the windows of all open lanes, which may become negative.
        change = cast(int64_t, r.value) - m.initial
        m.initial = r.value
        if change < 0:
            mux_blame(w, m, BLAME_SETTINGS)
        link = m.lanes.first
        while link != NULL and m.state != MUX_GONE:
            link.owner.send_window += change
            if link.owner.send_window > WINDOW_MAX:
                mux_fail(w, m, H2_FLOW_CONTROL_ERROR)
            elif link.owner.send_window <= 0 and link.owner.lane.outbox.first != NULL:
                link_drop(address(link.owner.ready))
            link = link.next
        if change > 0 and m.state != MUX_GONE:
            mux_opened(w, m)


def mux_settled(w, m):
    link: cython.pointer(MuxLink) = m.lanes.first
    if m.settled:
        return
    m.settled = True
    while link != NULL:
        link.owner.receive_window -= WINDOW_DEFAULT - WINDOW_FIRST
        link = link.next
    mux_put_window(w, m, 0, WINDOW_CONNECTION - WINDOW_DEFAULT)
    m.receive_window += WINDOW_CONNECTION - WINDOW_DEFAULT


def mux_window(w, m):
    r: cython.pointer(FrameReader) = address(m.reader)
    lane: cython.pointer(MuxLane)
    stopped: cython.bint
    if m.updates == 0:
        mux_blame(w, m, 1)
    else:
        m.updates -= 1
    if r.id == 0:
        stopped = m.send_window <= 0
        m.send_window += r.value
        if m.send_window > WINDOW_MAX:
            mux_fail(w, m, H2_FLOW_CONTROL_ERROR)
        elif stopped and m.send_window > 0:
            mux_opened(w, m)
        return
    lane = mux_lane_find(m, r.id)
    if lane == NULL:
        if r.id > m.last_id:
            mux_fail(w, m, H2_PROTOCOL_ERROR)
        return
    stopped = lane.send_window <= 0
    lane.send_window += r.value
    if lane.send_window > WINDOW_MAX:
        mux_refuse(w, m, r.id, H2_FLOW_CONTROL_ERROR)
    elif stopped and lane.send_window > 0:
        mux_lane_ready(w, m, lane)
        link_push(address(m.told), address(lane.told), lane)  # its exchange waits for the window
        mux_due(w, m)


def mux_opened(w, m):
    """The windows of many lanes have opened: their exchanges go on."""
    link: cython.pointer(MuxLink) = m.lanes.first
    while link != NULL:
        mux_lane_ready(w, m, link.owner)
        link_push(address(m.told), address(link.owner.told), link.owner)
        link = link.next
    mux_due(w, m)

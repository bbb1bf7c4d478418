"""A connection with a client that speaks HTTP/2."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint8_t, uint32_t
from cython.cimports.libc.string import memcmp, memcpy, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.client import *
from cython.cimports.ringway.engine.connection.closing import *
from cython.cimports.ringway.engine.connection.deadlines import *
from cython.cimports.ringway.engine.connection.mux_lanes import *
from cython.cimports.ringway.engine.connection.mux_send import *
from cython.cimports.ringway.engine.connection.mux_windows import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.stream import *
from cython.cimports.ringway.engine.connection.waiting import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.http2 import *


def mux_move(m, to):
    # state.pxd has a diagram of the legal steps.
    BUG_ON(m.state == MUX_GONE and to != MUX_GONE)
    BUG_ON(to == MUX_OPEN and m.state != MUX_PREFACE)
    m.state = cast(uint8_t, to)


def mux_begin(w, c):
    m: cython.pointer(Mux) = cast(cython.pointer(Mux), slot_take(address(w.muxes)))
    if m == NULL:
        client_abort(w, c)  # cannot happen: there are as many places as for clients
        return
    count(w.counters, COUNT_HTTP2, 1)
    client_move(c, CLIENT_MUX)
    c.mux = m
    m.client = c
    m.streams = w.snapshot.limits.streams
    m.most_id = WINDOW_MAX
    m.frame_most = FRAME_BYTES_DEFAULT
    m.initial = WINDOW_DEFAULT
    m.send_window = WINDOW_DEFAULT
    m.receive_window = WINDOW_DEFAULT
    m.calm = CALM_MOST
    m.calm_ms = w.clock.now_ms
    m.updates = UPDATES_MOST
    frame_reader_begin(address(m.reader), True)
    hpack_decoder_begin(address(m.decoder))
    hpack_encoder_begin(address(m.encoder))
    memset(m.buckets, 0, cython.sizeof(m.buckets))
    lane_receive_within(w, address(c.stream.lane), w.snapshot.timeouts.head_ms, False)
    mux_settings(w, m)
    mux_received(w, m)


def mux_settings(w, m):
    out: cython.p_uchar = mux_room(w, m, FRAME_HEAD_BYTES + 4 * SETTING_BYTES)
    if out == NULL:
        return
    frame_write(out, 4 * SETTING_BYTES, FRAME_SETTINGS, 0, 0)
    out += FRAME_HEAD_BYTES
    out += setting_write(out, SETTING_MAX_CONCURRENT_STREAMS, m.streams)
    out += setting_write(out, SETTING_INITIAL_WINDOW_SIZE, WINDOW_FIRST)
    out += setting_write(out, SETTING_MAX_HEADER_LIST_SIZE, w.snapshot.limits.head_bytes)
    setting_write(out, SETTING_NO_RFC7540_PRIORITIES, 1)


# -------------------------------------------------------------------------------------------------- receiving


def mux_received(w, m):
    mux_read(w, m)
    mux_due(w, m)


def mux_read(w, m):
    s: cython.pointer(Stream) = address(m.client.stream)
    b: cython.pointer(Buffer)
    while m.state != MUX_GONE and not stream_full(w, s):
        b = queue_pop(address(s.lane.inbox))
        if b == NULL:
            stream_refill(w, s)
            b = queue_pop(address(s.lane.inbox))
        if b == NULL:
            break
        b = mux_read_one(w, m, b)
        if b != NULL:
            queue_push_front(address(s.lane.inbox), b)
    if m.state == MUX_GONE:
        return
    if s.lane.inbox.first == NULL and (s.lane.eof or s.lane.error or s.lane.send_error):
        m.lost = True
        mux_move(m, MUX_GONE)
    elif not stream_full(w, s):
        stream_want(w, s, GROUP_LARGE if m.reader.left > SMALL_BYTES else GROUP_SMALL, False, False)


def mux_read_one(w, m, b):
    used: uint32_t
    event: cython.int
    if m.preface < PREFACE_BYTES and not mux_preface(w, m, b):
        buffer_give(address(w.buffers), b)
        return NULL
    while not stream_full(w, address(m.client.stream)):
        used = 0
        event = frame_read(address(m.reader), cast(cython.p_uchar, data_of(b)), length_of(b), address(used))
        b.start += used
        if event != GOT_NONE:
            mux_event(w, m, event)
        if event == GOT_NONE or m.state == MUX_GONE:
            buffer_give(address(w.buffers), b)
            return NULL
    if length_of(b):
        return b
    buffer_give(address(w.buffers), b)
    return NULL


def mux_preface(w, m, b):
    """RFC 9113 3.4."""
    text: cython.p_const_char = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    n: uint32_t = min(length_of(b), cast(uint32_t, PREFACE_BYTES) - m.preface)
    if memcmp(data_of(b), text + m.preface, n) != 0:
        mux_fail(w, m, H2_PROTOCOL_ERROR)
        return False
    m.preface += cast(uint8_t, n)
    b.start += n
    if m.preface < PREFACE_BYTES:
        return False
    mux_move(m, MUX_OPEN)
    return True


def mux_event(w, m, event):
    r: cython.pointer(FrameReader) = address(m.reader)
    out: cython.p_uchar
    if event == GOT_DATA:
        mux_data(w, m)
    elif event == GOT_BLOCK:
        mux_block(w, m)
    elif event == GOT_WINDOW:
        mux_window(w, m)
    elif event == GOT_RESET:
        mux_reset(w, m)
    elif event == GOT_SETTING:
        mux_setting(w, m)
    elif event == GOT_SETTINGS_END:
        out = mux_room(w, m, FRAME_HEAD_BYTES)
        if out != NULL:
            frame_write(out, 0, FRAME_SETTINGS, FLAG_ACK, 0)
        mux_blame(w, m, BLAME_SETTINGS)
        mux_rest(w, m)
    elif event == GOT_SETTINGS_ACK:
        mux_settled(w, m)
    elif event == GOT_PING:
        out = mux_room(w, m, FRAME_HEAD_BYTES + 8)
        if out != NULL:
            ping_write(out, r.small, True)
        mux_blame(w, m, 1)
    elif event == GOT_PING_ACK:
        if m.pinged:
            m.pinged = False
            m.most_id = m.last_id
            mux_put_goaway(w, m, m.last_id, H2_NO_ERROR)
    elif event == GOT_LANE_ERROR:
        mux_refuse(w, m, r.id, r.code)
    elif event == GOT_ERROR:
        mux_fail(w, m, r.code)
    elif event == GOT_GOAWAY or event == GOT_PRIORITY or event == GOT_IGNORED:
        mux_blame(w, m, 1)


def mux_rest(w, m):
    if m.count == 0 and m.reader.block == 0:
        lane_receive_within(w, address(m.client.stream.lane), w.snapshot.timeouts.keepalive_ms, False)


# ------------------------------------------------------------------------------------------------------- DATA


def mux_data(w, m):
    r: cython.pointer(FrameReader) = address(m.reader)
    lane: cython.pointer(MuxLane) = mux_lane_find(m, r.id)
    credit: uint32_t
    m.receive_window -= r.counted
    m.received += r.counted
    if m.receive_window < 0:
        mux_fail(w, m, H2_FLOW_CONTROL_ERROR)
        return
    if m.received >= CREDIT_CONNECTION:
        mux_put_window(w, m, 0, m.received)
        m.receive_window += m.received
        m.received = 0
    if r.length < DATA_SMALL and r.left == 0 and not r.end:
        mux_blame_small(w, m)
    if m.state == MUX_GONE:
        return
    if lane == NULL:
        if r.id > m.last_id:
            mux_fail(w, m, H2_PROTOCOL_ERROR)  # RFC 9113 5.1: idle
        elif mux_was_reset(m, r.id):
            mux_blame(w, m, 1)  # a few are on their way
        else:
            mux_refuse(w, m, r.id, H2_STREAM_CLOSED)
        return
    if lane.lane.eof:
        mux_refuse(w, m, r.id, H2_STREAM_CLOSED)
        return
    lane.receive_window -= r.counted
    if lane.receive_window < 0:
        mux_refuse(w, m, r.id, H2_FLOW_CONTROL_ERROR)
        return
    if lane.counted:
        if r.piece_length > lane.expected or (r.end and r.piece_length != lane.expected):
            mux_refuse(w, m, r.id, H2_PROTOCOL_ERROR)  # RFC 9113 8.1.1: another length than it said
            return
        lane.expected -= r.piece_length
    if r.piece_length and not mux_store(w, m, lane):
        mux_refuse(w, m, r.id, H2_INTERNAL_ERROR)
        return
    if r.counted > r.piece_length:
        credit = mux_credit(lane, r.counted - r.piece_length)  # padding
        if credit:
            mux_put_window(w, m, lane.id, credit)
    lane.lane.eof = r.end
    lane_received(w, address(lane.lane), r.piece_length)
    if r.piece_length or r.end:
        w.handlers.client_received(w, lane.exchange)


def mux_blame_small(w, m):
    m.smalls += 1
    if m.smalls & 7 == 0:
        mux_blame(w, m, 1)


def mux_store(w, m, lane):
    r: cython.pointer(FrameReader) = address(m.reader)
    at: cython.p_const_uchar = r.piece
    left: uint32_t = r.piece_length
    n: uint32_t
    b: cython.pointer(Buffer) = lane.lane.inbox.last
    if b != NULL and room_behind(b) > 0:
        n = min(left, room_behind(b))
        memcpy(b.base + b.end, at, n)
        b.end += n
        lane.lane.inbox.bytes += n
        at += n
        left -= n
    while left:
        b = buffer_take(address(w.buffers), GROUP_SMALL if left + r.left <= SMALL_BYTES else GROUP_LARGE)
        if b == NULL:
            return False
        stream_charge(w, address(m.client.stream), b)
        n = min(left, room_behind(b))
        memcpy(data_of(b), at, n)
        b.end += n
        at += n
        left -= n
        queue_push(address(lane.lane.inbox), b)
    return True


# ------------------------------------------------------------------------------------------------ field blocks


def mux_block(w, m):
    r: cython.pointer(FrameReader) = address(m.reader)
    b: cython.pointer(Buffer)
    if r.begins and r.complete:
        mux_head(w, m, r.piece, r.piece_length)
        return
    if not mux_collect(w, m) or not r.complete:
        return
    b = m.block
    m.block = NULL
    mux_head(w, m, cast(cython.p_uchar, data_of(b)), length_of(b))
    buffer_give(address(w.buffers), b)


def mux_collect(w, m):
    r: cython.pointer(FrameReader) = address(m.reader)
    if r.begins:
        m.block_frames = 0
        lane_receive_within(w, address(m.client.stream.lane), w.snapshot.timeouts.head_ms, False)
        m.block = buffer_take(address(w.buffers), GROUP_LARGE)
        if m.block == NULL:
            m.lost = True
            mux_move(m, MUX_GONE)
            return False
        stream_charge(w, address(m.client.stream), m.block)
    if r.begins or r.piece_length + r.left == r.length:
        m.block_frames += 1
    if r.length == 0:
        mux_blame(w, m, BLAME_BLOCK)
    if m.block_frames > BLOCK_FRAMES:
        mux_fail(w, m, H2_ENHANCE_YOUR_CALM)
    if m.state != MUX_GONE and r.piece_length > room_behind(m.block):
        mux_fail(w, m, H2_ENHANCE_YOUR_CALM)
    if m.state == MUX_GONE:
        return False
    memcpy(m.block.base + m.block.end, r.piece, r.piece_length)
    m.block.end += r.piece_length
    return True


def mux_head(w, m, block, length):
    r: cython.pointer(FrameReader) = address(m.reader)
    lane: cython.pointer(MuxLane) = mux_lane_find(m, r.id)
    x: cython.pointer(Exchange) = NULL
    bounds: MessageBounds
    found: cython.int
    room: uint32_t = SCRATCH_BYTES // 2
    fresh: cython.bint = r.id > m.last_id
    bounds.bytes = w.snapshot.limits.head_bytes
    bounds.fields = w.snapshot.limits.head_fields
    if fresh and r.id & 1 == 0:
        mux_fail(w, m, H2_PROTOCOL_ERROR)  # RFC 9113 5.1.1: clients use odd numbers
        return
    if lane != NULL or not fresh:
        found = trailer_read(
            address(m.decoder), block, length, address(bounds), w.scratch, room, w.scratch + room, SCRATCH_BYTES - room
        )
    else:
        found = request_read(
            address(m.decoder),
            block,
            length,
            r.end,
            address(bounds),
            w.scratch,
            room,
            w.scratch + room,
            SCRATCH_BYTES - room,
            address(w.request),
        )
    if found == MESSAGE_BROKEN:
        mux_fail(w, m, H2_COMPRESSION_ERROR)
        return
    if lane != NULL:
        mux_trailer(w, m, lane, found)
        return
    if not fresh:
        if not mux_was_reset(m, r.id):
            mux_fail(w, m, H2_STREAM_CLOSED)
        return
    m.last_id = r.id
    if r.id > m.most_id:
        return  # after GOAWAY: RFC 9113 6.8
    if r.code:
        mux_put_reset(w, m, r.id, r.code)
        return
    if m.count < m.streams:
        x = w.handlers.take_exchange(w, m.client, True)
    if x == NULL:
        count(w.counters, COUNT_HTTP2_REFUSED, 1)
        mux_put_reset(w, m, r.id, H2_REFUSED_STREAM)
        return
    mux_lane_add(w, m, x, r.id)
    mux_request(w, m, x, found)


def mux_request(w, m, x, found):
    lane: cython.pointer(MuxLane) = address(x.own)
    b: cython.pointer(Buffer) = NULL
    lane_receive_within(w, address(m.client.stream.lane), 0, False)
    lane.lane.eof = m.reader.end
    lane.malformed = found < 0 and -found != HEAD_TOO_LARGE and -found != TOO_MANY_FIELDS
    if found > 0:
        lane.counted = w.request.has_length
        lane.expected = w.request.content_length
        b = buffer_take(address(w.buffers), GROUP_SMALL if found <= SMALL_BYTES else GROUP_LARGE)
        if b == NULL or room_behind(b) < cast(uint32_t, found):
            if b != NULL:
                buffer_give(address(w.buffers), b)
            b = NULL
            found = -OUT_OF_MEMORY
        else:
            stream_charge(w, address(m.client.stream), b)
            memcpy(data_of(b), w.scratch, found)
            b.end += cast(uint32_t, found)
    if m.client.requests == w.snapshot.limits.requests_per_connection:
        mux_put_goaway(w, m, m.last_id, H2_NO_ERROR)
        m.most_id = m.last_id
        mux_move(m, MUX_LEAVING)
    w.handlers.lane_request(w, x, b, found)


def mux_trailer(w, m, lane, found):
    x: cython.pointer(Exchange) = lane.exchange
    if lane.lane.eof:
        mux_refuse(w, m, lane.id, H2_STREAM_CLOSED)
    elif found < 0 or not m.reader.end or (lane.counted and lane.expected):
        mux_refuse(w, m, lane.id, H2_PROTOCOL_ERROR)  # RFC 9113 8.1
    else:
        lane.lane.eof = True
        if found <= cast(cython.int, min(x.rules.snapshot.limits.trailer_bytes, cast(uint32_t, TRAILER_BYTES_MAX))):
            memcpy(x.up_chunks.trailer, w.scratch, found)
            x.up_chunks.trailer_length = cast(uint32_t, found)
        w.handlers.client_received(w, x)


# ------------------------------------------------------------------------------------------------------ resets


def mux_reset(w, m):
    r: cython.pointer(FrameReader) = address(m.reader)
    lane: cython.pointer(MuxLane) = mux_lane_find(m, r.id)
    if lane == NULL:
        if r.id > m.last_id:
            mux_fail(w, m, H2_PROTOCOL_ERROR)
        else:
            mux_blame(w, m, 1)
        return
    mux_blame(w, m, 1)
    if m.state != MUX_GONE:
        mux_drop(w, m, lane)


# -------------------------------------------------------------------------------------------- events of the socket


def mux_sent(w, m):
    s: cython.pointer(Stream) = address(m.client.stream)
    link: cython.pointer(MuxLink) = m.lanes.first
    while link != NULL:
        if link.owner.hungry:
            link.owner.hungry = False
            link_push(address(m.told), address(link.owner.told), link.owner)
        link = link.next
    if s.lane.send_error:
        m.lost = True
        m.state = MUX_GONE
    mux_due(w, m)
    if not stream_full(w, s):
        mux_read(w, m)  # it had stopped while the stream was full


def mux_late(w, m):
    s: cython.pointer(Stream) = address(m.client.stream)
    if s.lane.late != LATE_RECEIVE:
        # It takes nothing, or it gives way to others.
        m.lost = True
        mux_move(m, MUX_GONE)
    elif m.state == MUX_LEAVING and m.pinged:
        m.pinged = False
        m.most_id = m.last_id
        mux_put_goaway(w, m, m.last_id, H2_NO_ERROR)
    else:
        mux_fail(w, m, H2_NO_ERROR if m.count == 0 and m.reader.block == 0 else H2_ENHANCE_YOUR_CALM)
    mux_due(w, m)


def mux_lane_late(w, lane):
    if lane.late == LATE_SEND and lane.outbox.first == NULL and cast(cython.pointer(MuxLane), lane).send_window > 0:
        return  # it has opened its window, and there is nothing to send
    count(w.counters, COUNT_TIMEOUTS, 1)
    w.handlers.client_late(w, cast(cython.pointer(MuxLane), lane).exchange)


def mux_drain(w, m):
    """RFC 9113 6.8: first say that the end is near, then, when what was on its way is here, which lane was the last."""
    out: cython.p_uchar
    nothing: uint8_t[8]
    if m.state != MUX_OPEN:
        return
    mux_move(m, MUX_LEAVING)
    memset(nothing, 0, 8)
    mux_put_goaway(w, m, WINDOW_MAX, H2_NO_ERROR)
    out = mux_room(w, m, FRAME_HEAD_BYTES + 8)
    if out != NULL:
        ping_write(out, nothing, False)
    m.pinged = True
    lane_receive_within(w, address(m.client.stream.lane), DRAIN_IDLE_MS, False)


def mux_turns(w):
    m: cython.pointer(Mux)
    while w.due != NULL:
        m = w.due
        w.due = m.next_due
        m.due = False
        if m.client.stream.state != CLIENT_MUX or m.client.stream.closing:
            continue
        if m.state != MUX_GONE:
            mux_flush(w, m)
        if m.state == MUX_LEAVING and m.count == 0 and not m.pinged:
            mux_move(m, MUX_GONE)
        if m.state == MUX_GONE:
            mux_end(w, m)


def mux_abandon(w, m):
    lane: cython.pointer(MuxLane)
    while m.lanes.first != NULL:
        lane = m.lanes.first.owner
        mux_drop(w, m, lane)
        BUG_ON(m.lanes.first != NULL and m.lanes.first.owner == lane)


def mux_end(w, m):
    c: cython.pointer(Client) = m.client
    mux_abandon(w, m)
    if m.lost:
        client_abort(w, c)
        return
    mux_push(w, m)
    stream_flush(w, address(c.stream))
    c.linger = True
    client_finish(w, c)


def mux_gone(w, m):
    at: cython.pointer(cython.pointer(Mux)) = address(w.due)
    m.state = MUX_GONE
    mux_abandon(w, m)  # rule: once: the connection is closed, so ending its exchanges closes nothing but upstreams
    while at[0] != NULL and at[0] != m:
        at = address(at[0].next_due)
    if at[0] == m:
        at[0] = m.next_due
    if m.gather != NULL:
        buffer_give(address(w.buffers), m.gather)
    if m.block != NULL:
        buffer_give(address(w.buffers), m.block)
    m.client.mux = NULL
    slot_give(address(w.muxes), address(m.slot))

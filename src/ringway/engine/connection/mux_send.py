"""What goes out on a connection with HTTP/2."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import int64_t, uint32_t
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.deadlines import *
from cython.cimports.ringway.engine.connection.mux_lanes import *
from cython.cimports.ringway.engine.connection.peer import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.stream import *
from cython.cimports.ringway.engine.connection.tell import *
from cython.cimports.ringway.engine.connection.waiting import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.http2 import *
from cython.cimports.ringway.engine.native.linux import ECONNRESET, ENOBUFS

# ---------------------------------------------------------------------------------------------------- each turn


def mux_due(w, m):
    if m.due:
        return
    m.due = True
    m.next_due = w.due
    w.due = m


def mux_flush(w, m):
    s: cython.pointer(Stream) = address(m.client.stream)
    while m.state != MUX_GONE and not s.closing:
        mux_schedule(w, m)
        mux_push(w, m)
        stream_flush(w, s)
        if not mux_tell(w, m) or stream_full(w, s):
            break
    mux_push(w, m)
    stream_flush(w, s)


def mux_tell(w, m):
    lane: cython.pointer(MuxLane)
    told: cython.bint = False
    while m.told.first != NULL and m.state != MUX_GONE:
        lane = m.told.first.owner
        link_drop(address(lane.told))
        told = True
        w.handlers.client_sent(w, lane.exchange)
    return told


def mux_schedule(w, m):
    s: cython.pointer(Stream) = address(m.client.stream)
    while m.ready.first != NULL and m.state != MUX_GONE and not stream_full(w, s):
        if not mux_send_one(w, m, m.ready.first.owner):
            return


def mux_send_one(w, m, lane):
    b: cython.pointer(Buffer) = lane.lane.outbox.first
    out: cython.p_uchar
    n: uint32_t
    last: cython.bint
    if b == NULL:
        mux_send_last(w, m, lane)
        return True
    BUG_ON(lane.send_window <= 0)
    if m.send_window <= 0:
        return False  # the client takes nothing of anybody
    n = min(length_of(b), m.frame_most)
    n = cast(uint32_t, min(cast(int64_t, n), min(lane.send_window, m.send_window)))
    if m.gather != NULL and room_behind(m.gather) < FRAME_HEAD_BYTES + min(n, cast(uint32_t, SMALL_BYTES // 4)):
        mux_push(w, m)
    out = mux_room(w, m, FRAME_HEAD_BYTES)
    if out == NULL:
        return False
    n = min(n, room_behind(m.gather))
    b = queue_pop(address(lane.lane.outbox))
    last = n == length_of(b) and lane.lane.outbox.first == NULL and lane.end_due and not has_trailers(lane)
    frame_write(out, n, FRAME_DATA, FLAG_END_STREAM if last and not lane.malformed else 0, lane.id)
    memcpy(m.gather.base + m.gather.end, data_of(b), n)
    m.gather.end += n
    b.start += n
    if length_of(b):
        queue_push_front(address(lane.lane.outbox), b)
    else:
        buffer_give(address(w.buffers), b)
    m.parked -= n
    lane.send_window -= n
    m.send_window -= n
    m.updates = min(m.updates + 2, cast(uint32_t, UPDATES_MOST))
    lane_took(w, address(lane.lane), n)
    link_drop(address(lane.ready))
    if last:
        mux_sent_end(lane)
    mux_lane_ready(w, m, lane)
    if lane.lane.outbox.first == NULL:
        lane.lane.send_due_ms = 0
    link_push(address(m.told), address(lane.told), lane)
    return True


def has_trailers(lane):
    x: cython.pointer(cython.const[Exchange]) = lane.exchange
    return x.down.framing == FRAMING_CHUNKED and x.down.done and x.down_chunks.trailer_length != 0


def mux_send_last(w, m, lane):
    x: cython.pointer(Exchange) = lane.exchange
    n: cython.int = -1
    out: cython.p_uchar
    if has_trailers(lane):
        n = message_write(
            address(m.encoder),
            MESSAGE_TRAILER,
            x.down_chunks.trailer,
            x.down_chunks.trailer_length,
            span(NULL, 0),
            cast(cython.p_uchar, w.path),
            PATH_BYTES,
        )
    if n > 0:
        mux_put_block(w, m, lane.id, cast(cython.p_uchar, w.path), cast(uint32_t, n), True)
    else:
        out = mux_room(w, m, FRAME_HEAD_BYTES)
        if out != NULL:
            frame_write(out, 0, FRAME_DATA, FLAG_END_STREAM, lane.id)
    link_drop(address(lane.ready))
    mux_sent_end(lane)
    lane.lane.send_due_ms = 0
    link_push(address(m.told), address(lane.told), lane)


def mux_sent_end(lane):
    lane.end_sent = True


def mux_push(w, m):
    if m.gather == NULL:
        return
    stream_queue(w, address(m.client.stream), m.gather)
    m.gather = NULL


# ----------------------------------------------------------------------------------------------------- frames


def mux_room(w, m, bytes):
    out: cython.p_uchar
    if m.gather != NULL and room_behind(m.gather) < bytes:
        mux_push(w, m)
    if m.gather == NULL:
        m.gather = buffer_take(address(w.buffers), GROUP_LARGE if m.count > GATHER_LANES else GROUP_SMALL)
        if m.gather == NULL:
            tell(w, EVENT_NO_BUFFERS, 0, NULL, 0)
            m.lost = True
            m.state = MUX_GONE
            mux_due(w, m)
            return NULL
        stream_charge(w, address(m.client.stream), m.gather)
    out = cast(cython.p_uchar, m.gather.base + m.gather.end)
    m.gather.end += bytes
    mux_due(w, m)
    return out


def mux_put_block(w, m, id, block, length, end):
    out: cython.p_uchar
    n: uint32_t
    room: uint32_t
    type: cython.int = FRAME_HEADERS
    while True:
        if m.gather != NULL and room_behind(m.gather) < min(length + FRAME_HEAD_BYTES, cast(uint32_t, SMALL_BYTES)):
            mux_push(w, m)
        out = mux_room(w, m, FRAME_HEAD_BYTES)
        if out == NULL:
            return
        room = room_behind(m.gather)
        n = min(length, min(room, m.frame_most))
        frame_write(
            out,
            n,
            type,
            (FLAG_END_HEADERS if n == length else 0) | (FLAG_END_STREAM if end and type == FRAME_HEADERS else 0),
            id,
        )
        memcpy(m.gather.base + m.gather.end, block, n)
        m.gather.end += n
        block += n
        length -= n
        if length == 0:
            return
        type = FRAME_CONTINUATION


def mux_put_window(w, m, id, increment):
    out: cython.p_uchar = mux_room(w, m, FRAME_HEAD_BYTES + 4)
    if out != NULL:
        window_write(out, id, increment)


def mux_put_reset(w, m, id, code):
    out: cython.p_uchar = mux_room(w, m, FRAME_HEAD_BYTES + 4)
    if out == NULL:
        return
    reset_write(out, id, code)
    mux_note_reset(m, id)
    mux_blame(w, m, 1)


def mux_put_goaway(w, m, last, code):
    out: cython.p_uchar = mux_room(w, m, FRAME_HEAD_BYTES + 8)
    if out != NULL:
        goaway_write(out, last, code)


def mux_blame(w, m, cost):
    if m.state == MUX_GONE:
        return
    # The budget grows with time: what a sound client costs in a second is nothing.
    if w.clock.now_ms - m.calm_ms > 1000:
        m.calm = cast(
            cython.int, min(cast(int64_t, CALM_MOST), m.calm + cast(int64_t, w.clock.now_ms - m.calm_ms) * 20 // 1000)
        )
        m.calm_ms = w.clock.now_ms
    m.calm -= cost
    if m.calm <= 0:
        count(w.counters, COUNT_HTTP2_BLAMED, 1)
        client_peer(m.client)
        tell(w, EVENT_HTTP2_BLAMED, 0, m.client.peer, m.client.peer_length)
        mux_fail(w, m, H2_ENHANCE_YOUR_CALM)


def mux_fail(w, m, code):
    if m.state == MUX_GONE:
        return
    mux_put_goaway(w, m, m.last_id, code)
    m.state = MUX_GONE
    mux_due(w, m)


def mux_drop(w, m, lane):
    lane.lane.error = ECONNRESET
    lane.lane.left = True
    w.handlers.client_received(w, lane.exchange)


def mux_refuse(w, m, id, code):
    lane: cython.pointer(MuxLane) = mux_lane_find(m, id)
    mux_put_reset(w, m, id, code)
    if lane != NULL and m.state != MUX_GONE:
        mux_drop(w, m, lane)


# ------------------------------------------------------------------------------------------------------ lanes


def mux_lane_ready(w, m, lane):
    """Can it send something now?"""
    if lane.end_sent or (lane.lane.outbox.first == NULL and not lane.end_due):
        return
    if lane.lane.outbox.first == NULL or lane.send_window > 0:
        link_push(address(m.ready), address(lane.ready), lane)
        mux_due(w, m)


def mux_lane_head(w, lane, b, head, end):
    m: cython.pointer(Mux) = lane.mux
    mine: cython.pointer(MuxLane) = cast(cython.pointer(MuxLane), lane)
    bare: cython.bint = end and length_of(b) == head
    n: cython.int = message_write(
        address(m.encoder),
        MESSAGE_RESPONSE,
        data_of(b),
        head,
        span(NULL, 0),
        cast(cython.p_uchar, w.path),
        PATH_BYTES,
    )
    if n < 0:
        lane.send_error = ENOBUFS
        buffer_give(address(w.buffers), b)
        link_push(address(m.told), address(mine.told), mine)
        mux_due(w, m)
        return
    mux_put_block(w, m, mine.id, cast(cython.p_uchar, w.path), cast(uint32_t, n), bare and not mine.malformed)
    b.start += head
    if bare:
        buffer_give(address(w.buffers), b)
        mine.end_due = True
        mux_sent_end(mine)
        link_push(address(m.told), address(mine.told), mine)
        return
    mine.end_due = end
    if length_of(b):
        mux_lane_send(w, lane, b)
    else:
        buffer_give(address(w.buffers), b)
        mux_lane_ready(w, m, mine)


def mux_lane_send(w, lane, b):
    m: cython.pointer(Mux) = lane.mux
    if m.state == MUX_GONE or lane.stream.closing:
        buffer_give(address(w.buffers), b)
        return
    m.parked += length_of(b)
    if lane.outbox.last == NULL or not join_last(w, lane.stream, address(lane.outbox), b):
        queue_push(address(lane.outbox), b)
    if lane.send_due_ms == 0:
        lane_send_within(w, lane, lane.send_window_ms)
    mux_lane_ready(w, m, cast(cython.pointer(MuxLane), lane))


def mux_lane_end(w, lane):
    mine: cython.pointer(MuxLane) = cast(cython.pointer(MuxLane), lane)
    mine.end_due = True
    mux_lane_ready(w, lane.mux, mine)


def mux_lane_take(w, lane):
    mine: cython.pointer(MuxLane) = cast(cython.pointer(MuxLane), lane)
    b: cython.pointer(Buffer) = queue_pop(address(lane.inbox))
    credit: uint32_t
    if b != NULL:
        credit = mux_credit(mine, length_of(b))
        if credit:
            mux_put_window(w, lane.mux, mine.id, credit)
    return b


def mux_lane_want(w, lane):
    mine: cython.pointer(MuxLane) = cast(cython.pointer(MuxLane), lane)
    if not lane.eof and mine.receive_window < WINDOW_FIRST and mux_grant(lane.mux, mine):
        mux_put_window(w, lane.mux, mine.id, WINDOW_MOST - WINDOW_FIRST)


def mux_lane_later(w, lane):
    cast(cython.pointer(MuxLane), lane).hungry = True
    stream_send_later(w, lane.stream)


def mux_lane_reset(w, lane):
    m: cython.pointer(Mux) = lane.mux
    mine: cython.pointer(MuxLane) = cast(cython.pointer(MuxLane), lane)
    if lane.error == 0 and m.state != MUX_GONE:
        mux_put_reset(w, m, mine.id, reset_code(mine.exchange.reason))
    mux_lane_over(w, m, mine)


def mux_lane_done(w, lane):
    m: cython.pointer(Mux) = lane.mux
    mine: cython.pointer(MuxLane) = cast(cython.pointer(MuxLane), lane)
    if mine.malformed:
        mux_put_reset(w, m, mine.id, H2_PROTOCOL_ERROR)  # RFC 9113 8.1.1, in place of END_STREAM
    elif not lane.eof and m.state != MUX_GONE:
        # RFC 9113 8.1: the response is complete, the rest of the request is not needed.
        out: cython.p_uchar = mux_room(w, m, FRAME_HEAD_BYTES + 4)
        if out != NULL:
            reset_write(out, mine.id, H2_NO_ERROR)
            mux_note_reset(m, mine.id)
    elif m.calm < CALM_MOST:
        m.calm += 1
    mux_lane_over(w, m, mine)


def mux_lane_over(w, m, lane):
    mux_lane_remove(w, m, lane)
    if m.count == 0 and m.state != MUX_GONE:
        mux_due(w, m)
        lane_receive_within(w, address(m.client.stream.lane), w.snapshot.timeouts.keepalive_ms, False)


def reset_code(reason):
    if reason == CLIENT_WRITE_TIMEOUT or reason == CLIENT_BODY_TIMEOUT or reason == STOPPED or reason == TUNNEL_IDLE:
        return H2_CANCEL
    return H2_INTERNAL_ERROR

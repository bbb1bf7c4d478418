"""Forward bytes in both directions after a 101 response."""

import cython
from cython import NULL, address
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection import *
from cython.cimports.ringway.engine.exchange.exchange import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.native.linux import ENOBUFS


def tunnel_begin(w, x, length):
    """Forward the 101. From here on bytes go both ways (RFC 9110 7.8)."""
    s: cython.pointer(Lane) = x.back
    b: cython.pointer(Buffer) = queue_pop(address(s.inbox))
    out: cython.pointer(Buffer) = buffer_take(address(w.buffers), GROUP_LARGE)
    if out == NULL:
        buffer_give(address(w.buffers), b)
        exchange_fail(w, x, OUT_OF_MEMORY)
        return
    r: Reply
    exchange_reply(w, x, address(r))
    r.upgrade = True
    n: uint32_t = write_response(w.scratch, data_of(b), address(w.response), address(r))
    if n > room_behind(out):
        buffer_give(address(w.buffers), out)
        buffer_give(address(w.buffers), b)
        exchange_fail(w, x, UPSTREAM_HEAD_TOO_LARGE)
        return
    memcpy(data_of(out), w.scratch, n)
    out.end += n
    b.start += length
    if length_of(b):
        queue_push_front(address(s.inbox), b)
    else:
        buffer_give(address(w.buffers), b)
    exchange_move(x, EXCHANGE_TUNNEL)
    upstream_move(x.upstream, UPSTREAM_TUNNEL)
    exchange_began(w, x, 101)
    lane_end_after(x.front)
    x.front.progress_bytes = 1
    lane_deliver_all(x.front)
    lane_pause(w, s)
    lane_pause(w, x.front)
    lane_send(w, x.front, out)
    tunnel_flow(w, x)


def tunnel_flow(w, x):
    s: cython.pointer(Lane) = x.front
    t: cython.pointer(Lane) = x.back
    s.looking = False
    t.looking = False
    # Bytes in one direction renew the deadline of both.
    lane_receive_within(w, s, x.rules.snapshot.timeouts.tunnel_ms, False)
    lane_receive_within(w, t, x.rules.snapshot.timeouts.tunnel_ms, False)
    tunnel_one_way(w, x, t, s)
    if tunnel_broken(t):
        if lane_drained(s):
            tunnel_break(w, x, s)
        return
    tunnel_one_way(w, x, s, t)
    if s.send_error == ENOBUFS or t.send_error == ENOBUFS:
        # No buffer to encrypt with, so bytes are lost. No completion reports it.
        exchange_cut(w, x, OUT_OF_MEMORY)
    elif tunnel_broken(s):
        if lane_drained(t):
            tunnel_break(w, x, t)
    elif s.shut_write and t.shut_write and lane_drained(s) and lane_drained(t):
        exchange_done(w, x)


def tunnel_broken(s):
    if s.inbox.first != NULL:
        return False
    # After an error nothing more is decrypted: bytes in `cipher` will not become readable.
    return s.error != 0 or (lane_empty(s) and s.send_error != 0 and s.eof)


def tunnel_break(w, x, s):
    left: cython.int = lane_unacknowledged(s)
    if left == 0 or s.error or s.send_error:
        exchange_cut(w, x, tunnel_reason(s))
        return
    if s.send_due_ms == 0 or left < x.client.left:
        lane_send_within(w, s, s.send_window_ms)
    elif s.send_due_ms <= w.clock.now_ms:
        # A look is due at the same time, and comes first.
        exchange_cut(w, x, tunnel_reason(s))
        return
    x.client.left = left
    lane_receive_within(w, s, TUNNEL_LOOK_MS, False)
    s.looking = True


def tunnel_reason(s):
    return UPSTREAM_CUT if s.kind == KIND_CLIENT else CLIENT_CLOSED


def tunnel_late(w, x, s):
    other: cython.pointer(Lane) = x.front if s.kind == KIND_UPSTREAM else x.back
    if not tunnel_broken(other):
        exchange_cut(w, x, TUNNEL_IDLE)
    elif s.late != LATE_SEND and lane_drained(s):
        tunnel_break(w, x, s)
    else:
        exchange_cut(w, x, tunnel_reason(s))


def tunnel_one_way(w, x, source, target):
    b: cython.pointer(Buffer)
    while not lane_full(w, target):
        b = lane_take(w, source)
        if b == NULL:
            break
        if target == x.front:
            x.down.total += length_of(b)
        lane_send(w, target, b)
    if source.inbox.first != NULL:
        return
    if not source.eof:
        lane_want(w, source)
    elif lane_drained(target) and not target.shut_write:
        lane_shut(w, target)  # half-close: forward the end of this direction; the other one continues

"""Forward bytes in both directions after a 101 response."""

import cython
from cython import NULL, address
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection import *
from cython.cimports.ringway.engine.exchange.exchange import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.native.linux import ENOBUFS, SHUT_WR, shutdown


def tunnel_begin(w, x, length):
    """Forward the 101. From here on bytes go both ways (RFC 9110 7.8)."""
    s: cython.pointer(Stream) = address(x.upstream.stream)
    c: cython.pointer(Client) = x.client
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
    c.last = True
    c.stream.progress_bytes = 1
    c.stream.delivers_all = True
    stream_pause(w, s)
    stream_pause(w, address(c.stream))
    stream_send(w, address(c.stream), out)
    tunnel_flow(w, x)


def tunnel_flow(w, x):
    s: cython.pointer(Stream) = address(x.client.stream)
    t: cython.pointer(Stream) = address(x.upstream.stream)
    s.looking = False
    t.looking = False
    # Bytes in one direction renew the deadline of both.
    stream_receive_within(w, s, x.rules.snapshot.timeouts.tunnel_ms, False)
    stream_receive_within(w, t, x.rules.snapshot.timeouts.tunnel_ms, False)
    tunnel_one_way(w, x, t, s)
    if tunnel_broken(t):
        if stream_drained(s):
            tunnel_break(w, x, s)
        return
    tunnel_one_way(w, x, s, t)
    if s.send_error == ENOBUFS or t.send_error == ENOBUFS:
        # No buffer to encrypt with, so bytes are lost. No completion reports it.
        exchange_cut(w, x, OUT_OF_MEMORY)
    elif tunnel_broken(s):
        if stream_drained(t):
            tunnel_break(w, x, t)
    elif s.shut_write and t.shut_write and stream_drained(s) and stream_drained(t):
        exchange_done(w, x)


def tunnel_broken(s):
    if s.inbox.first != NULL:
        return False
    # After an error nothing more is decrypted: bytes in `cipher` will not become readable.
    return s.error != 0 or (s.cipher.first == NULL and s.send_error != 0 and s.eof)


def tunnel_break(w, x, s):
    left: cython.int = unacknowledged(s)
    if left == 0 or s.error or s.send_error:
        exchange_cut(w, x, tunnel_reason(s))
        return
    if s.send_due_ms == 0 or left < x.client.left:
        stream_send_within(w, s, s.send_window_ms)
    elif s.send_due_ms <= w.clock.now_ms:
        # A look is due at the same time, and comes first.
        exchange_cut(w, x, tunnel_reason(s))
        return
    x.client.left = left
    stream_receive_within(w, s, TUNNEL_LOOK_MS, False)
    s.looking = True


def tunnel_reason(s):
    return UPSTREAM_CUT if s.kind == KIND_CLIENT else CLIENT_CLOSED


def tunnel_late(w, x, s):
    other: cython.pointer(Stream) = address(x.upstream.stream)
    if s.kind == KIND_UPSTREAM:
        other = address(x.client.stream)
    if not tunnel_broken(other):
        exchange_cut(w, x, TUNNEL_IDLE)
    elif s.late != LATE_SEND and stream_drained(s):
        tunnel_break(w, x, s)
    else:
        exchange_cut(w, x, tunnel_reason(s))


def tunnel_one_way(w, x, source, target):
    b: cython.pointer(Buffer)
    while not stream_full(w, target):
        b = queue_pop(address(source.inbox))
        if b == NULL:
            stream_refill(w, source)
            b = queue_pop(address(source.inbox))
        if b == NULL:
            break
        if target == address(x.client.stream):
            x.down.total += length_of(b)
        stream_send(w, target, b)
    if source.inbox.first != NULL:
        return
    if not source.eof:
        stream_want(w, source, GROUP_LARGE, False, False)
    elif stream_drained(target) and not target.shut_write:
        # Half-close: forward the end of this direction; the other one continues.
        target.shut_write = True
        if target.secure:
            stream_notify(w, target)
            stream_flush(w, target)
        if stream_drained(target):
            shutdown(target.fd, SHUT_WR)

"""One request and its response: how it begins and how it ends."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import strlen
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.native.linux import ENOBUFS
from cython.cimports.ringway.engine.plan import *


def exchange_move(x, to):
    # state.pxd has a diagram of the legal steps.
    was: cython.int = x.state
    BUG_ON(was == EXCHANGE_DONE and to != EXCHANGE_FREE)
    BUG_ON(to == EXCHANGE_WAIT and was != EXCHANGE_CONNECT)
    BUG_ON(to == EXCHANGE_STREAM and was != EXCHANGE_WAIT)
    BUG_ON(to == EXCHANGE_TUNNEL and was != EXCHANGE_WAIT)
    BUG_ON(to == EXCHANGE_SEND and was != EXCHANGE_OPEN)
    x.state = cast(cython.uchar, to)


def exchange_take(w, c, on_mux):
    x: cython.pointer(Exchange) = cast(cython.pointer(Exchange), slot_take(address(w.exchanges)))
    if x == NULL:
        return NULL
    x.client = c
    x.front = address(x.own.lane) if on_mux else address(c.stream.lane)
    x.rules = rules_refer(w.rules)
    x.state = EXCHANGE_ROUTED
    x.minor = 1
    x.began_ns = w.clock.now_ns if on_mux else c.next_ns
    c.next_ns = 0
    x.log.method_length = 0
    x.log.host_length = 0
    x.log.target_length = 0
    x.log.agent_length = 0
    x.log.referer_length = 0
    if not on_mux:
        c.exchange = x
    c.requests += 1
    gauge(w.counters, GAUGE_EXCHANGES, 1)
    count(w.counters, COUNT_REQUESTS, 1)
    return x


# -------------------------------------------------------------------------------------------------- answering


def exchange_reply(w, x, r):
    r.date_field = w.clock.date_field
    r.minor = x.minor
    if w.draining or x.client.listener.removed:
        lane_end_after(x.front)
    r.keep_alive = not lane_ends(x.front)
    r.chunked = False
    r.upgrade = False
    r.fields.length = 0
    if x.route != NULL and x.client.stream.secure:
        r.fields = span(text_at(x.rules.snapshot, x.route.hsts), x.route.hsts.length)


def exchange_room(w, r, more):
    # Check before anything is written: fields that the route adds (HSTS, for example) can have any length.
    if OWN_HEAD_MAX + r.fields.length + more > SMALL_BYTES:
        return NULL
    return buffer_take(address(w.buffers), GROUP_SMALL)


def exchange_began(w, x, status):
    x.answered = True
    x.status = status
    x.first_byte_ns = w.clock.now_ns
    count(w.counters, status_class(status), 1)


def status_class(status):
    return COUNT_STATUS_1XX + status // 100 - 1 if 100 <= status < 600 else COUNT_STATUS_2XX


def exchange_answer(w, x, status, fields, fields_length, body, body_length):
    exchange_move(x, EXCHANGE_ANSWER)
    if not x.up.done:
        lane_leave_rest(x.front)
    r: Reply
    exchange_reply(w, x, address(r))
    b: cython.pointer(Buffer) = exchange_room(w, address(r), cast(uint64_t, fields_length) + body_length)
    if b == NULL:
        exchange_cut(w, x, x.reason if x.reason else OUT_OF_MEMORY)
        return
    exchange_began(w, x, status)
    p: cython.p_char = b.base + HEADROOM
    p += write_own(p, status, address(r))
    if fields_length:
        p = put(p, fields, fields_length)
    head: uint32_t
    if status != 204 and status != 304:
        if body_length:
            p = put(p, b"Content-Type: text/plain; charset=utf-8\r\n", 41)
        p = put(p, b"Content-Length: ", 16)
        p = put_number(p, body_length)
        p = put(p, b"\r\n\r\n", 4)
        head = cast(uint32_t, p - data_of(b))
        if body_length and x.method != METHOD_HEAD:
            p = put(p, body, body_length)
            x.down.total = body_length
    else:
        p = put(p, b"\r\n", 2)
        head = cast(uint32_t, p - data_of(b))
    b.end = cast(uint32_t, p - b.base)
    BUG_ON(b.end > b.size - TAILROOM)
    lane_head(w, x.front, b, head, True)
    exchange_done(w, x)


def exchange_fail(w, x, reason):
    exchange_fail_with(w, x, reason, NULL, 0)


def exchange_fail_with(w, x, reason, fields, fields_length):
    """Turn the reason into a response. This is the one place that does."""
    status: cython.ushort = reason_status(reason)
    if x.answered or status == 0:
        exchange_cut(w, x, reason)
        return
    x.reason = cast(cython.uchar, reason)
    if reason <= BAD_EXPECTATION or CLIENT_HEAD_TIMEOUT <= reason <= CLIENT_TOO_SLOW:
        lane_leave_rest(x.front)
    exchange_leave_upstream(w, x)
    text: cython.char[512]
    p: cython.p_char = text
    p = put_number(p, status)
    p = put(p, b" ", 1)
    p = put(p, status_phrase(status), cast(uint32_t, strlen(status_phrase(status))))
    p = put(p, b"\n", 1)
    p = put(p, reason_name(reason), cast(uint32_t, strlen(reason_name(reason))))
    p = put(p, b": ", 2)
    p = put(p, reason_text(reason), cast(uint32_t, min(strlen(reason_text(reason)), 300)))
    p = put(p, b"\n", 1)
    exchange_answer(w, x, status, fields, fields_length, text, cast(uint32_t, p - cast(cython.p_char, text)))


def exchange_cut(w, x, reason):
    if reason == CLIENT_CLOSED and (x.front.send_error == ENOBUFS or x.front.error == ENOBUFS):
        reason = OUT_OF_MEMORY
        tell(w, EVENT_NO_BUFFERS, 0, NULL, 0)
    if x.reason == 0:
        x.reason = cast(cython.uchar, reason)
    # Reset the connection, so that the client does not take a partial response for a complete one. This releases the
    # exchange now, or, if operations are in flight, client_gone() releases it later.
    exchange_leave_upstream(w, x)
    c: cython.pointer(Client) = x.client
    if lane_frames(x.front):
        lane_reset(w, x.front)
        exchange_release(w, x)
        return
    if x.front.error and lane_tls_failed(x.front):
        # RFC 8446 6.2: TLS failed. Send its fatal alert, which also marks the response as incomplete.
        exchange_release(w, x)
        client_broken(w, c)
        return
    lane_reset(w, x.front)


def exchange_leave_upstream(w, x):
    if x.upstream == NULL:
        return
    if x.upstream.rival != NULL:
        upstream_forsake(w, x, NULL)  # rule: as below, one connection after another
        return
    x.upstream.exchange = NULL
    if x.back != NULL:
        if lane_lends(x.back, x.request):
            x.request = NULL  # the lane releases it when the send completes
        lane_keep(x.back, NULL)
        x.back = NULL
    if x.state == EXCHANGE_DONE or x.down.done:
        upstream_drop(w, x.upstream)  # rule: it has no exchange now, so closing it closes nothing else
    else:
        upstream_break(w, x.upstream)  # rule: as above
    x.upstream = NULL


# ------------------------------------------------------------------------------------ the client during an exchange


def client_has_left(w, x):
    if x.route.half_close or not lane_has_left(x.front):
        return False
    exchange_cut(w, x, CLIENT_CLOSED)
    return True


def keep_pipelined(w, x):
    lane_pipeline(
        w,
        x.front,
        x.rules.snapshot.limits.pipeline_bytes,
        x.route != NULL and x.route.kind == ROUTE_PROXY and not x.route.half_close,
    )


def watch_client(w, x, later):
    if lane_empty(x.front):
        lane_watch(w, x.front, later)
    else:
        keep_pipelined(w, x)


# ------------------------------------------------------------------------------------------------------ ending


def exchange_done(w, x):
    exchange_move(x, EXCHANGE_DONE)
    exchange_settle(w, x)


def exchange_settle(w, x):
    if x.front.send_error:
        exchange_cut(w, x, CLIENT_CLOSED)
    elif lane_drained(x.front):
        exchange_finish(w, x)


def exchange_finish(w, x):
    c: cython.pointer(Client) = x.client
    if not x.up.done:
        lane_leave_rest(x.front)
    if lane_frames(x.front):
        lane_done(w, x.front)
        exchange_release(w, x)
        return
    exchange_release(w, x)
    client_done(w, c)


def exchange_gone(w, x):
    exchange_release(w, x)


def exchange_release(w, x):
    exchange_leave_upstream(w, x)
    if w.snapshot.access_log:
        write_record(w, x)
    if x.request != NULL:
        buffer_give(address(w.buffers), x.request)
        x.request = NULL
    if x.head != NULL:
        buffer_give(address(w.buffers), x.head)
        x.head = NULL
    if x.file != NULL:
        if not file_settled(x.file):
            file_forget(w, x)
        file_release(w, x.file)
        x.file = NULL
    if not lane_frames(x.front):
        x.client.exchange = NULL
    x.state = EXCHANGE_FREE
    rules_release(w, x.rules)
    x.rules = NULL
    gauge(w.counters, GAUGE_EXCHANGES, -1)
    if x.reading:
        x.abandoned = True  # its buffer is lent: the completion of the read frees the slot
        return
    slot_give(address(w.exchanges), address(x.slot))


def write_record(w, x):
    c: cython.pointer(Client) = x.client
    client_peer(c)
    upstream: cython.pointer(UpstreamEntry) = NULL
    if x.route != NULL and x.route.kind == ROUTE_PROXY:
        upstream = cast(cython.pointer(UpstreamEntry), upstream_at(x.rules.snapshot, x.route.upstream))
    cipher: cython.p_const_char = b""
    cipher_length: uint32_t = c.stream.tls_cipher_length
    if cipher_length:
        cipher = c.stream.tls_cipher
    upstream_length: uint32_t = upstream.name.length if upstream != NULL else 0
    client: Span = span(c.peer, c.peer_length)
    if x.named_length:
        client = span(x.named, x.named_length)
    texts: uint32_t = client.length + x.log.host_length + x.log.method_length + x.log.target_length
    texts += upstream_length + x.log.agent_length + x.log.referer_length + cipher_length
    r: cython.pointer(Record) = record_begin(w.records, texts)
    if r == NULL:
        count(w.counters, COUNT_RECORDS_DROPPED, 1)
        return
    r.kind = RECORD_ACCESS
    r.minor = HTTP2_MINOR if lane_frames(x.front) else x.minor
    r.status = x.status
    r.reason = x.reason
    r.tls = c.stream.tls_version
    r.offload = c.stream.offload
    r.client_length = cast(cython.ushort, client.length)
    r.host_length = x.log.host_length
    r.method_length = x.log.method_length
    r.target_length = x.log.target_length
    r.upstream_length = cast(cython.ushort, upstream_length)
    r.agent_length = x.log.agent_length
    r.referer_length = x.log.referer_length
    r.cipher_length = cast(cython.ushort, cipher_length)
    r.time_ns = cast(cython.longlong, x.began_ns + w.clock.wall_offset_ns)
    r.bytes = x.down.total
    if x.first_byte_ns:
        r.first_byte_us = (x.first_byte_ns - x.began_ns) // 1000
    r.total_us = (w.clock.now_ns - x.began_ns) // 1000
    p: cython.p_char = cast(cython.p_char, r) + sizeof(Record)
    p = put_span(p, client)
    p = put(p, x.log.host, x.log.host_length)
    p = put(p, x.log.method, x.log.method_length)
    p = put(p, x.log.target, x.log.target_length)
    if upstream_length:
        p = put(p, text_at(x.rules.snapshot, upstream.name), upstream_length)
    p = put(p, x.log.agent, x.log.agent_length)
    p = put(p, x.log.referer, x.log.referer_length)
    p = put(p, cipher, cipher_length)
    record_end(w.records, r)

"""An exchange with an upstream."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memmove
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection import *
from cython.cimports.ringway.engine.exchange.exchange import *
from cython.cimports.ringway.engine.exchange.forward import *
from cython.cimports.ringway.engine.exchange.tunnel import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.plan import *

# ------------------------------------------------------------------------------------------------- the request


def proxy_begin(w, x, b, start, got, head, path):
    x.request = b
    if x.up.done and client_has_left(w, x):
        return
    if x.up.total > x.rules.snapshot.limits.request_body_bytes and x.rules.snapshot.limits.request_body_bytes:
        exchange_fail(w, x, BODY_TOO_LARGE)
        return
    if w.request.host.length > HOST_FIELD_BYTES_MAX:
        exchange_fail(w, x, BAD_HOST)
        return
    length: uint32_t = write_forward(w, x, b.base + head, path)
    BUG_ON(length > SCRATCH_BYTES)
    # Write the new head in front of the body that came with the old head.
    b.start = start
    b.end = start + got
    body_frame(address(x.up), b)
    if b.start < length:
        b = make_room(w, b, length)
        if b == NULL:
            exchange_fail(w, x, HEAD_TOO_LARGE)
            return
        x.request = b
    b.start -= length
    memcpy(b.base + b.start, w.scratch, length)
    x.request_start = b.start
    last: cython.bint = x.up.done and x.up.chunked_out
    if last:
        # The end must be in the same buffer, so that the whole request can be sent again.
        room: uint32_t = b.size - b.end
        if room < LAST_BYTES_MAX and x.up_chunks.trailer_length + 8 > room:
            exchange_fail(w, x, OUT_OF_MEMORY)
            return
        b.end += body_last(address(x.up), address(x.up_chunks), b.base + b.end)
    x.replayable = x.up.done and method_is_idempotent(x.method)
    exchange_move(x, EXCHANGE_CONNECT)
    upstream_acquire(w, x, False)
    if x.state == EXCHANGE_CONNECT and x.up.done:
        watch_client(w, x, True)


def make_room(w, b, length):
    n: uint32_t = length_of(b)
    to: cython.pointer(Buffer) = b
    if length + n + TAILROOM > b.size:
        if length + n + TAILROOM > w.buffers.pool[GROUP_LARGE].size:
            return NULL
        to = buffer_take(address(w.buffers), GROUP_LARGE)
        if to == NULL:
            return NULL
    memmove(to.base + length, data_of(b), n)
    to.start = length
    to.end = length + n
    if to != b:
        buffer_give(address(w.buffers), b)
    return to


def proxy_ready(w, x):
    b: cython.pointer(Buffer) = x.request
    exchange_move(x, EXCHANGE_WAIT)
    x.seen = 0
    x.back = address(x.upstream.stream.lane)
    x.back.sent_any = False
    if x.reused:
        lane_keep(x.back, b)  # it may be sent again
    else:
        lane_keep(x.back, NULL)
        x.request = NULL
    lane_send(w, x.back, b)
    if send_failed(x.back):
        exchange_fail(w, x, OUT_OF_MEMORY)
    elif x.up.done:
        lane_receive_within(w, x.back, x.rules.snapshot.timeouts.first_byte_ms, False)
        watch_client(w, x, True)
    else:
        proxy_pull_request(w, x)


def send_failed(lane):
    """Could a buffer not be encrypted, because no buffer was free? No completion reports this."""
    return lane.send_error != 0 and lane_tls_failed(lane)


def proxy_failed(w, x, reason):
    exchange_fail(w, x, reason)


def proxy_pull_request(w, x):
    """Take as much of the body from the client as the upstream connection has room for."""
    s: cython.pointer(Lane) = x.front
    t: cython.pointer(Lane) = x.back
    b: cython.pointer(Buffer)
    used: uint32_t
    start: uint32_t
    got: uint32_t
    result: cython.int
    while not x.up.done and not lane_full(w, t):
        b = lane_take(w, s)
        if b == NULL and s.eof and s.error == 0 and x.up.framing == FRAMING_LANE:
            x.up.done = True
            if not send_last(w, t, address(x.up), address(x.up_chunks), NULL):
                exchange_fail(w, x, OUT_OF_MEMORY)
                return
            break
        if b == NULL:
            if s.eof or s.error:
                exchange_cut(w, x, CLIENT_CLOSED)
                return
            lane_pause(w, s)
            lane_want(w, s)
            if x.expect_continue and x.state == EXCHANGE_WAIT:
                # RFC 9110 10.1.1: the client waits for 100, so the next bytes must come from the upstream.
                if t.receive_due_ms == 0:
                    lane_receive_within(w, t, x.rules.snapshot.timeouts.first_byte_ms, False)
            elif s.receive_due_ms == 0:
                lane_receive_within(w, s, x.rules.snapshot.timeouts.body_ms, True)
            return
        x.pulled = True
        if x.expect_continue and x.state == EXCHANGE_WAIT:
            x.expect_continue = False  # the client did not wait
            lane_receive_within(w, t, 0, False)
        result = body_decode(
            address(x.up), address(x.up_chunks), data_of(b), length_of(b), address(used), address(start), address(got)
        )
        if (
            result == 0
            and x.rules.snapshot.limits.request_body_bytes
            and x.up.total > x.rules.snapshot.limits.request_body_bytes
        ):
            result = -BODY_TOO_LARGE
        if result < 0:
            buffer_give(address(w.buffers), b)
            exchange_fail(w, x, -result)
            return
        if used < length_of(b) and not keep_rest(w, x, b, used):
            buffer_give(address(w.buffers), b)
            exchange_fail(w, x, OUT_OF_MEMORY)
            return
        b.start += start
        b.end = b.start + got
        body_frame(address(x.up), b)
        if x.up.done and not send_last(w, t, address(x.up), address(x.up_chunks), b):
            exchange_fail(w, x, OUT_OF_MEMORY)
            return
        if not x.up.done:
            send_some(w, t, b)
        if send_failed(t):
            exchange_fail(w, x, OUT_OF_MEMORY)
            return
    lane_receive_within(w, s, 0, False)  # the client has no deadline now
    if not x.up.done:
        lane_pause(w, s)  # the upstream is slower: what the client sends waits in the kernel
    else:
        if client_has_left(w, x):
            return
        client_next_seen(w, x.client)
        watch_client(w, x, False)
        request_sent(w, x)


def keep_rest(w, x, b, used):
    # Copy from the end, into as many buffers as necessary: a reload may have made buffers smaller than b.
    rest: cython.pointer(Buffer)
    n: uint32_t
    left: uint32_t = length_of(b) - used
    while left:
        rest = buffer_take(address(w.buffers), GROUP_SMALL if left <= SMALL_BYTES else GROUP_LARGE)
        if rest == NULL:
            lane_leave_rest(x.front)
            return False
        n = min(left, room_behind(rest))
        left -= n
        memcpy(data_of(rest), data_of(b) + used + left, n)
        rest.end += n
        queue_push_front(address(x.front.inbox), rest)
    return True


def send_some(w, lane, b):
    if length_of(b):
        lane_send(w, lane, b)
    else:
        buffer_give(address(w.buffers), b)


def send_last(w, lane, body, chunks, b):
    text: cython.char[LAST_BYTES_MAX]
    n: uint32_t = body_last(body, chunks, text)
    if n and b != NULL and b.size - b.end < n:
        lane_queue(w, lane, b)
        b = NULL
    if n and b == NULL:
        b = buffer_take(address(w.buffers), GROUP_SMALL)
        if b == NULL:
            return False
    if n:
        memcpy(b.base + b.end, text, n)
        b.end += n
    if b != NULL and length_of(b) and lane.kind == KIND_CLIENT:
        lane_send_end(w, lane, b)
    elif b != NULL:
        send_some(w, lane, b)
    if lane.kind == KIND_CLIENT:
        lane_end(w, lane)
    return True


def request_sent(w, x):
    # The deadline for the response begins when the request is sent. Before that, the deadline of sending counts.
    if x.state == EXCHANGE_WAIT and lane_drained(x.back):
        lane_receive_within(w, x.back, x.rules.snapshot.timeouts.first_byte_ms, False)


def release_request(w, x):
    """The request will not be sent again."""
    b: cython.pointer(Buffer) = x.request
    if b == NULL:
        return
    x.request = NULL
    if not lane_lends(x.back, b):
        buffer_give(address(w.buffers), b)
    lane_keep(x.back, NULL)


def proxy_client_received(w, x):
    s: cython.pointer(Lane) = x.front
    if x.state == EXCHANGE_TUNNEL:
        tunnel_flow(w, x)
    elif s.error:
        exchange_cut(w, x, CLIENT_CLOSED)
    elif not x.up.done and x.back != NULL and (x.state == EXCHANGE_WAIT or x.state == EXCHANGE_STREAM):
        proxy_pull_request(w, x)
    elif s.eof and not x.up.done and lane_empty(s) and x.up.framing != FRAMING_LANE:
        exchange_cut(w, x, CLIENT_CLOSED)
    elif (s.eof or s.left) and EXCHANGE_CONNECT <= x.state <= EXCHANGE_STREAM and client_has_left(w, x):
        return
    else:
        keep_pipelined(w, x)


def proxy_client_sent(w, x):
    if x.state == EXCHANGE_TUNNEL:
        tunnel_flow(w, x)
    elif x.front.send_error:
        exchange_cut(w, x, CLIENT_CLOSED)
    elif x.state == EXCHANGE_STREAM:
        proxy_pull_response(w, x)
    elif x.state == EXCHANGE_DONE:
        exchange_settle(w, x)


# ------------------------------------------------------------------------------------------------ the upstream


def proxy_upstream_sent(w, x):
    if x.back.send_error:
        # The upstream may have responded before it closed: read what is still readable first.
        if x.state == EXCHANGE_TUNNEL:
            tunnel_flow(w, x)
        elif x.state == EXCHANGE_WAIT and not lane_receives(x.back):
            proxy_broken(w, x)
        return
    if x.request != NULL and not lane_lends(x.back, x.request) and not x.replayable:
        release_request(w, x)
    if x.state == EXCHANGE_TUNNEL:
        tunnel_flow(w, x)
    elif not x.up.done:
        proxy_pull_request(w, x)
    else:
        request_sent(w, x)


def proxy_upstream_received(w, x):
    if x.state == EXCHANGE_WAIT:
        response_head(w, x)
    elif x.state == EXCHANGE_STREAM:
        proxy_pull_response(w, x)
    elif x.state == EXCHANGE_TUNNEL:
        tunnel_flow(w, x)


def proxy_upstream_late(w, x):
    if x.state == EXCHANGE_TUNNEL:
        tunnel_late(w, x, x.back)
    elif x.back.late == LATE_BUFFERS:
        exchange_fail(w, x, OUT_OF_MEMORY)  # no buffer was free to receive from the upstream
    elif x.state == EXCHANGE_WAIT and x.back.late != LATE_SEND:
        exchange_fail(w, x, UPSTREAM_FIRST_BYTE_TIMEOUT)
    else:
        exchange_fail(w, x, UPSTREAM_PROGRESS_TIMEOUT)


def proxy_broken(w, x):
    """The connection broke before a response: try once more on a new one, if that is safe."""
    u: cython.pointer(Upstream) = x.upstream
    # RFC 9110 9.2.2: a request may be sent again if it is idempotent, or if no byte of it was sent.
    safe: cython.bint = x.replayable or (not x.back.sent_any and not x.pulled)
    if not x.reused or x.request == NULL or not safe or lane_closing(x.front):
        exchange_fail(w, x, upstream_lost(w, u))
        return
    count(w.counters, COUNT_RETRIES, 1)
    x.retrying = True
    exchange_move(x, EXCHANGE_CONNECT)
    upstream_drop(w, u)  # proxy_upstream_gone() continues: until then the kernel may hold the request's buffer


def proxy_upstream_gone(w, x):
    x.back = NULL
    if not x.retrying:
        return
    x.retrying = False
    x.request.start = x.request_start
    upstream_acquire(w, x, True)  # rule: once for each request: no retry after a fresh connection


# ------------------------------------------------------------------------------------------------ the response


def response_head(w, x):
    s: cython.pointer(Lane) = x.back
    found: cython.int
    result: cython.int
    before: uint64_t
    while True:
        if s.inbox.first == NULL:
            lane_refill(w, s)
        if s.inbox.first == NULL:
            if s.eof or s.error:
                proxy_broken(w, x)
            return
        release_request(w, x)
        found = lane_find_response(w, s, address(x.seen))
        if found < 0:
            exchange_fail(w, x, UPSTREAM_HEAD_TOO_LARGE if found == -HEAD_TOO_LARGE else UPSTREAM_BAD_HEAD)
            return
        if found == 0:
            before = s.inbox.bytes
            lane_refill(w, s)
            if s.inbox.bytes > before:
                continue
            if s.eof or s.error:
                exchange_fail(w, x, UPSTREAM_CLOSED)
            return
        x.seen = 0
        result = response_parse(data_of(s.inbox.first), cast(uint32_t, found), x.method, address(w.response))
        if result == 0 and w.response.field_count > x.rules.snapshot.limits.head_fields:
            result = -UPSTREAM_HEAD_TOO_LARGE
        if result < 0:
            exchange_fail(w, x, -result)
            return
        if w.response.status >= 200:
            final_response(w, x, cast(uint32_t, found))
            return
        if w.response.status == 101:
            if w.response.upgrade and upgrade_agreed(w, x, data_of(s.inbox.first)):
                tunnel_begin(w, x, cast(uint32_t, found))
            else:
                exchange_fail(w, x, UPSTREAM_BAD_HEAD)
            return
        if not interim_response(w, x, cast(uint32_t, found)):
            return


def upgrade_agreed(w, x, data):
    """RFC 9110 7.8: did the request ask for every protocol that the 101 names?"""
    asked: cython.int = upgrades_asked(
        data,
        w.response.fields,
        w.response.field_count,
        span(text_at(x.rules.snapshot, x.route.upgrade), x.route.upgrade.length),
    )
    return asked != 0 and asked & ~cast(cython.int, x.upgrade) == 0


def interim_response(w, x, length):
    """RFC 9110 15.2: forward 1xx responses, but never to an HTTP/1.0 client."""
    s: cython.pointer(Lane) = x.back
    b: cython.pointer(Buffer) = queue_pop(address(s.inbox))
    out: cython.pointer(Buffer)
    r: Reply
    n: uint32_t
    if x.minor and lane_queued(x.front) >= OUTBOX_HIGH:
        # The upstream sends more of them than the client takes. All of them count as one head, which has a bound.
        buffer_give(address(w.buffers), b)
        exchange_fail(w, x, UPSTREAM_HEAD_TOO_LARGE)
        return False
    if x.minor:
        exchange_reply(w, x, address(r))
        n = write_response(w.scratch, data_of(b), address(w.response), address(r))
        out = buffer_take(address(w.buffers), GROUP_LARGE if n > SMALL_BYTES else GROUP_SMALL)
        if out == NULL or n > room_behind(out):
            if out != NULL:
                buffer_give(address(w.buffers), out)
            buffer_give(address(w.buffers), b)
            exchange_fail(w, x, OUT_OF_MEMORY if out == NULL else UPSTREAM_HEAD_TOO_LARGE)
            return False
        memcpy(data_of(out), w.scratch, n)
        out.end += n
        count(w.counters, COUNT_STATUS_1XX, 1)
        lane_head(w, x.front, out, n, False)
        if w.response.status == 100 and x.expect_continue:
            x.expect_continue = False  # the next bytes must come from the client
            lane_receive_within(w, s, 0, False)
            lane_receive_within(w, x.front, x.rules.snapshot.timeouts.body_ms, True)
    b.start += length
    if length_of(b):
        queue_push_front(address(s.inbox), b)
    else:
        buffer_give(address(w.buffers), b)
    return True


def final_response(w, x, length):
    s: cython.pointer(Lane) = x.back
    head: cython.pointer(ResponseHead) = address(w.response)
    b: cython.pointer(Buffer) = queue_pop(address(s.inbox))
    body_begin(
        address(x.down), address(x.down_chunks), head.framing, head.content_length, address(x.rules.snapshot.limits)
    )
    x.down_chunks.lenient = True
    delimited: cython.bint = head.framing != FRAMING_CHUNKED and head.framing != FRAMING_CLOSE
    x.down.chunked_out = not delimited and x.minor == 1 and not lane_frames(x.front)
    if not delimited and x.minor == 0:
        lane_end_after(x.front)  # RFC 9112 6.3: for an HTTP/1.0 client the close marks the end
    x.upstream_keep = head.keep_alive and head.framing != FRAMING_CLOSE
    used: uint32_t
    start: uint32_t
    got: uint32_t
    at: uint32_t = b.start + length
    result: cython.int = body_decode(
        address(x.down), address(x.down_chunks), b.base + at, b.end - at, address(used), address(start), address(got)
    )
    if not x.up.done and (x.down.done or (x.expect_continue and head.status >= 300)):
        # RFC 9112 9.6: the response came early. The rest of the request is not read (or may never come): say "close".
        lane_end_after(x.front)
    r: Reply
    exchange_reply(w, x, address(r))
    r.chunked = x.down.chunked_out
    n: uint32_t = write_response(w.scratch, data_of(b), head, address(r))
    BUG_ON(n > SCRATCH_BYTES)
    if result < 0 or at + start < n + 32:
        buffer_give(address(w.buffers), b)
        exchange_fail(w, x, UPSTREAM_BAD_BODY if result < 0 else UPSTREAM_HEAD_TOO_LARGE)
        return
    if at + used < b.end:
        x.upstream_keep = False  # it sent more than it announced
    b.start = at + start
    b.end = b.start + got
    body_frame(address(x.down), b)
    b.start -= n
    memcpy(b.base + b.start, w.scratch, n)
    exchange_move(x, EXCHANGE_STREAM)
    exchange_began(w, x, head.status)
    if x.down.done and lane_frames(x.front):
        if has_trailer(x):
            lane_head(w, x.front, b, n, False)
            lane_end(w, x.front)
        else:
            lane_head(w, x.front, b, n, True)
        response_done(w, x)
        return
    if x.down.done:
        if send_last(w, x.front, address(x.down), address(x.down_chunks), b):
            response_done(w, x)
        else:
            exchange_cut(w, x, OUT_OF_MEMORY)
        return
    lane_head(w, x.front, b, n, False)
    # Use single receives for a long body: each one is asked for, which slows the upstream down.
    lane_pause(w, s)
    lane_receive_within(w, s, x.rules.snapshot.timeouts.upstream_ms, True)
    proxy_pull_response(w, x)


def has_trailer(x):
    return x.down.framing == FRAMING_CHUNKED and x.down_chunks.trailer_length != 0


def proxy_pull_response(w, x):
    """Take as much of the body from the upstream as the client's connection has room for."""
    s: cython.pointer(Lane) = x.back
    t: cython.pointer(Lane) = x.front
    b: cython.pointer(Buffer)
    used: uint32_t
    start: uint32_t
    got: uint32_t
    while not lane_full(w, t):
        b = lane_take(w, s)
        if b == NULL:
            if (s.eof or s.error) and x.down.framing == FRAMING_CLOSE and s.error == 0:
                x.down.done = True
                if send_last(w, t, address(x.down), address(x.down_chunks), NULL):
                    response_done(w, x)
                else:
                    exchange_cut(w, x, OUT_OF_MEMORY)
            elif s.eof or s.error:
                exchange_cut(w, x, UPSTREAM_CUT)
            else:
                lane_want(w, s)
                if s.receive_due_ms == 0:
                    lane_receive_within(w, s, x.rules.snapshot.timeouts.upstream_ms, True)
            return
        if (
            body_decode(
                address(x.down),
                address(x.down_chunks),
                data_of(b),
                length_of(b),
                address(used),
                address(start),
                address(got),
            )
            < 0
        ):
            buffer_give(address(w.buffers), b)
            exchange_cut(w, x, UPSTREAM_BAD_BODY)
            return
        if used < length_of(b):
            x.upstream_keep = False  # it sent more than it announced
        b.start += start
        b.end = b.start + got
        body_frame(address(x.down), b)
        if x.down.done:
            if send_last(w, t, address(x.down), address(x.down_chunks), b):
                response_done(w, x)
            else:
                exchange_cut(w, x, OUT_OF_MEMORY)
            return
        send_some(w, t, b)
    lane_receive_within(w, s, 0, False)  # Ringway waits for the client, which has its own deadline
    lane_stalled(w, t)


def response_done(w, x):
    u: cython.pointer(Upstream) = x.upstream
    if x.up.done and x.upstream_keep and lane_drained(x.back):
        x.upstream = NULL
        x.back = NULL
        upstream_release(w, u)
    else:
        exchange_leave_upstream(w, x)
    if not x.up.done:
        lane_leave_rest(x.front)  # RFC 9112 9.3: the response came early
    exchange_done(w, x)

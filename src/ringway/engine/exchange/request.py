"""The beginning of a request."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import int32_t, uint32_t
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection import *
from cython.cimports.ringway.engine.exchange.exchange import *
from cython.cimports.ringway.engine.exchange.proxy import *
from cython.cimports.ringway.engine.exchange.serve import *
from cython.cimports.ringway.engine.exchange.tunnel import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.plan import *
from cython.cimports.ringway.engine.tls import *


def request_arrived(w, c, found):
    x: cython.pointer(Exchange) = exchange_take(w, c, False)
    if x == NULL:
        client_abort(w, c)  # cannot happen: there are more places for exchanges than for clients
        return
    reason: cython.int = found
    if found < 0:
        lane_leave_rest(x.front)
    b: cython.pointer(Buffer) = NULL
    start: uint32_t = 0
    got: uint32_t = 0
    head: uint32_t = 0
    if found > 0:
        b = queue_pop(address(x.front.inbox))
        head = b.start
        reason = request_accept(w, x, data_of(b), cast(uint32_t, found))
    if reason == 0:
        reason = take_body(w, x, address(b), address(head), cast(uint32_t, found), address(start), address(got))
    if reason < 0:
        if b != NULL:
            buffer_give(address(w.buffers), b)
        exchange_fail(w, x, -reason)
        return
    request_route(w, x, b, head, cast(uint32_t, found), start, got)


def request_on_lane(w, x, b, found):
    # w.request is filled: the head was decoded into lines.
    data: cython.p_char = w.scratch
    if b != NULL:
        data = data_of(b)
    reason: cython.int = request_judge(w, x, data, min(found, 0))
    if reason < 0:
        if b != NULL:
            buffer_give(address(w.buffers), b)
        exchange_fail(w, x, -reason)
        return
    request_route(w, x, b, b.start, cast(uint32_t, found), b.end, 0)


def request_accept(w, x, data, length):
    return request_judge(w, x, data, request_parse(data, length, address(w.request)))


def request_judge(w, x, data, reason):
    head: cython.pointer(RequestHead) = address(w.request)
    if x.rules.snapshot.access_log:
        keep_for_log(w, x, data)
    w.said.trusted = False
    if reason == 0 and trusts_anybody(x.rules.snapshot):
        hear_proxy(w, x, data)
    if reason == 0 and head.field_count > x.rules.snapshot.limits.head_fields:
        reason = -TOO_MANY_FIELDS
    if reason < 0:
        return reason
    x.method = head.method
    x.minor = head.minor
    x.upgrade = 0
    x.expect_continue = head.expect_continue
    if not head.keep_alive or x.client.requests >= x.rules.snapshot.limits.requests_per_connection:
        lane_end_after(x.front)
    body_begin(address(x.up), address(x.up_chunks), head.framing, head.content_length, address(x.rules.snapshot.limits))
    x.up.chunked_out = head.framing == FRAMING_CHUNKED or head.framing == FRAMING_LANE
    if head.method == METHOD_CONNECT:
        return -METHOD_NOT_IMPLEMENTED
    if (
        head.framing == FRAMING_LENGTH
        and x.rules.snapshot.limits.request_body_bytes
        and head.content_length > x.rules.snapshot.limits.request_body_bytes
    ):
        return -BODY_TOO_LARGE
    return 0


def hear_proxy(w, x, data):
    if client_trusted(x.rules.snapshot, x.client):
        forwarded_read(x.rules.snapshot, data, address(w.request), address(w.said))
        if w.said.found:
            x.named_length = cast(cython.uchar, ip_text(address(w.said.client), x.named))


def take_body(w, x, buffer, head, found, start, got):
    b: cython.pointer(Buffer) = buffer[0]
    used: uint32_t
    length: uint32_t = b.end - head[0] - found
    result: cython.int = body_decode(
        address(x.up), address(x.up_chunks), b.base + head[0] + found, length, address(used), start, got
    )
    if result < 0:
        return result
    if used < length and not part_from_rest(w, x, buffer, head, found + used):
        return -OUT_OF_MEMORY
    if x.up.done:
        client_next_seen(w, x.client)
    start[0] += head[0] + found
    return 0


def part_from_rest(w, x, buffer, head, length):
    # Copy the shorter of the two. Otherwise each short request would copy a large buffer.
    b: cython.pointer(Buffer) = buffer[0]
    out: cython.pointer(Buffer)
    b.start = head[0]
    if length > SMALL_BYTES or length_of(b) - length < length:
        return keep_rest(w, x, b, length)
    out = buffer_take(address(w.buffers), GROUP_SMALL)
    if out == NULL:
        lane_leave_rest(x.front)
        return False
    memcpy(data_of(out), data_of(b), length)
    out.end += length
    b.start += length
    queue_push_front(address(x.front.inbox), b)
    buffer[0] = out
    head[0] = out.start
    return True


def normal_path(w, data, out):
    """Bring the path into the form that the router compares."""
    path: Span = piece_span(data, w.request.path)
    n: cython.int
    if path.length == 0:
        out[0] = span(b"/", 1)  # absolute-form without a path: RFC 9112 3.2.2
        return 0
    if not path_is_normal(path.at, path.length):
        n = path_normalise(path.at, path.length, w.path, PATH_BYTES)
        if n < 0:
            return -BAD_TARGET
        path = span(w.path, cast(uint32_t, n))
    out[0] = path
    return 0


def request_route(w, x, b, head, length, start, got):
    data: cython.p_char = b.base + head
    path: Span
    host: Span = piece_span(data, w.request.host)
    found: int32_t = ROUTE_NONE
    reason: cython.int = 0
    if (x.client.mistaken or x.client.listener.https_port) and sent_on(w, x, data):
        buffer_give(address(w.buffers), b)
        return
    if w.request.form == FORM_ASTERISK:
        buffer_give(address(w.buffers), b)
        options_for_all(w, x)
        return
    reason = normal_path(w, data, address(path))
    if reason == 0 and x.rules.snapshot.client_auth:
        reason = at_the_door(w, x, host, path)
    if reason == 0:
        found = route_find(x.rules.snapshot, host.at, host.length, path.at, path.length)
        if found == ROUTE_NONE:
            reason = -NO_ROUTE
    if reason < 0:
        buffer_give(address(w.buffers), b)
        exchange_fail(w, x, -reason)
        return
    x.route = route_at(x.rules.snapshot, found)
    if x.method == METHOD_TRACE and x.route.kind != ROUTE_FILE:  # serve_begin() rejects it for files
        # RFC 9110 9.3.8: the response would show credentials, and fields that we add, to a script.
        buffer_give(address(w.buffers), b)
        exchange_fail_with(w, x, METHOD_NOT_ALLOWED, b"Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n", 53)
        return
    if path.at == cast(cython.p_const_char, w.path) and x.route.kind == ROUTE_PROXY:
        path = path_as_sent(x, piece_span(data, w.request.path), path)
    elif x.route.strip_prefix:
        path.at += x.route.prefix.length
        path.length -= x.route.prefix.length
    if x.route.kind == ROUTE_PROXY:
        proxy_begin(w, x, b, start, got, head, path)
    elif x.route.kind == ROUTE_FILE:
        serve_begin(w, x, b, head, length, path)
    else:
        redirect(w, x, data)
        buffer_give(address(w.buffers), b)


def path_as_sent(x, sent, normal):
    # RFC 9110 7.7: a proxy does not change the path. If the normal form has fewer segments, or the prefix matched
    # despite an encoded slash, forward the normal form: the upstream might understand the original path differently.
    end: cython.int = path_place(sent.at, sent.length, x.route.prefix.length, normal.length)
    if end < 0:
        sent = normal
        end = x.route.prefix.length
    if x.route.strip_prefix:
        sent.at += end
        sent.length -= cast(uint32_t, end)
    return sent


def sent_on(w, x, data):
    """Answer plain HTTP where the configuration wants HTTPS."""
    c: cython.pointer(Client) = x.client
    path: Span
    if c.mistaken:
        if c.listener.https_port and w.request.form != FORM_ASTERISK and not came_by_https(w):
            to_https(w, x, data)
        else:
            exchange_fail(w, x, PLAIN_HTTP)
        return True
    if c.listener.tls or w.request.form == FORM_ASTERISK:
        return False
    if normal_path(w, data, address(path)) < 0 or is_challenge(path) or came_by_https(w):
        return False
    to_https(w, x, data)
    return True


def came_by_https(w):
    """Did the client use HTTPS to a trusted proxy in front of us? A redirect would send it round in a circle."""
    return w.said.trusted and (span_is_text(w.said.proto, b"https", 5) or span_is_text(w.said.proto, b"wss", 3))


def is_challenge(path):
    # RFC 8555 8.3: a certificate authority checks by plain HTTP that the host is ours.
    return path.length > 28 and memcmp(path.at, cast(cython.p_char, b"/.well-known/acme-challenge/"), 28) == 0


def at_the_door(w, x, host, path):
    c: cython.pointer(Client) = x.client
    door = door_find(x.rules.snapshot, host.at, host.length)
    i: uint32_t
    if c.stream.secure:
        # A reload renumbers the policies. If the rules differ, compare what the numbers mean.
        if (c.stream.rules == x.rules and door.policy != c.stream.door) or (
            c.stream.rules != x.rules and not tls_same_door(c.stream.rules.tls, c.stream.door, x.rules.tls, door.policy)
        ):
            return -MISDIRECTED  # RFC 9110 15.5.20, 4.3.3
        return -CLIENT_CERTIFICATE_REFUSED if c.stream.refused != NULL else 0
    if door.auth != AUTH_REQUIRE:
        return 0
    # If a trusted proxy received the request by HTTPS, sent_on() does not redirect it. But we saw no certificate.
    if not x.client.listener.https_port or not is_challenge(path):
        return -CLIENT_CERTIFICATE_MISSING
    # A challenge: accept it, but nothing that an upstream might read as another path.
    for i in range(28, path.length):
        if not octet_is(path.at[i], OCTET_TOKEN) or path.at[i] == b"%":
            return -CLIENT_CERTIFICATE_MISSING
    return 0


def to_https(w, x, data):
    """`redirect_https`: redirect to the same target, with https."""
    host: Span = piece_span(data, w.request.host)
    path: Span = piece_span(data, w.request.path)
    query: Span = piece_span(data, w.request.query)
    end: uint32_t = host.length
    if host.length == 0:
        exchange_fail(w, x, BAD_HOST)  # HTTP/1.0 without Host: there is no host to redirect to
        return
    # Remove the port: the digits at the end and the colon before them. An IPv6 address ends with a bracket.
    while end > 0 and b"0" <= host.at[end - 1] <= b"9":
        end -= 1
    if end > 0 and host.at[end - 1] == b":":
        host.length = end - 1
    most: cython.p_char = cast(cython.p_char, w.scratch) + LOCATION_BYTES_MAX - 16  # the port, a slash, the line end
    p: cython.p_char = put(w.scratch, b"Location: https://", 18)
    p = put_within(p, most, host)
    if p != NULL and x.client.listener.https_port != 443:
        p = put(p, b":", 1)
        p = put_number(p, x.client.listener.https_port)
    if p != NULL and path.length == 0:
        p = put(p, b"/", 1)
    p = put_within(p, most, path)
    p = put_within(p, most, query)
    if p == NULL:
        exchange_fail(w, x, TARGET_TOO_LONG)
        return
    p = put(p, b"\r\n", 2)
    exchange_answer(w, x, 308, w.scratch, cast(uint32_t, p - w.scratch), NULL, 0)


def redirect(w, x, data):
    """Redirect to `location`, with "{path}" replaced by the request's path and query."""
    to: Span = span(text_at(x.rules.snapshot, x.route.location), x.route.location.length)
    path: Span = piece_span(data, w.request.path)
    query: Span = piece_span(data, w.request.query)
    length: uint32_t = write_location(w.scratch, LOCATION_BYTES_MAX, to, path, query)
    if length == 0:
        exchange_fail(w, x, TARGET_TOO_LONG)
        return
    exchange_answer(w, x, x.route.redirect_status, w.scratch, length, NULL, 0)


def options_for_all(w, x):
    """OPTIONS * asks about the server as a whole (RFC 9110 9.3.7)."""
    exchange_answer(w, x, 204, b"Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n", 53, NULL, 0)


# ---------------------------------------------------------------------------------------------------- access log


def keep_for_log(w, x, data):
    i: cython.int
    head: cython.pointer(RequestHead) = address(w.request)
    client_peer(x.client)  # now, because after a reset the socket has no peer
    x.log.method_length = keep_text(x.log.method, LOG_METHOD_BYTES, piece_span(data, head.method_text))
    x.log.host_length = keep_text(x.log.host, LOG_HOST_BYTES, piece_span(data, head.host))
    x.log.target_length = keep_text(x.log.target, LOG_TARGET_BYTES, piece_span(data, head.target))
    for i in range(head.field_count):
        if head.fields[i].id == FIELD_USER_AGENT:
            x.log.agent_length = keep_text(x.log.agent, LOG_AGENT_BYTES, piece_span(data, head.fields[i].value))
        elif head.fields[i].id == FIELD_REFERER:
            x.log.referer_length = keep_text(x.log.referer, LOG_REFERER_BYTES, piece_span(data, head.fields[i].value))


def keep_text(out, room, text):
    n: uint32_t = min(text.length, room)
    memcpy(out, text.at, n)
    return cast(cython.ushort, n)


# ----------------------------------------------------------------------------- client events during an exchange


def client_event_received(w, x):
    if x.state == EXCHANGE_SEND or x.state == EXCHANGE_DONE or x.route == NULL or x.route.kind != ROUTE_PROXY:
        if x.front.error:
            exchange_cut(w, x, CLIENT_CLOSED)
        else:
            keep_pipelined(w, x)
    else:
        proxy_client_received(w, x)


def client_event_sent(w, x):
    if x.state == EXCHANGE_SEND:
        serve_continue(w, x)
    elif x.state == EXCHANGE_DONE:
        exchange_settle(w, x)
    elif x.state == EXCHANGE_OPEN:
        if file_settled(x.file):
            serve_ready(w, x)  # it waited for a buffer
    else:
        proxy_client_sent(w, x)


def client_event_late(w, x):
    if x.front.late == LATE_GAVE_WAY:
        # The upstream may be the slow one: it does not take what the client sent.
        upstream_slow: cython.bint = x.back != NULL and not lane_drained(x.back)
        exchange_fail(w, x, OUT_OF_MEMORY if upstream_slow else CLIENT_TOO_SLOW)
    elif x.state == EXCHANGE_TUNNEL:
        tunnel_late(w, x, x.front)
    elif x.front.late == LATE_SEND:
        exchange_cut(w, x, CLIENT_WRITE_TIMEOUT)
    elif x.front.late == LATE_BUFFERS:
        exchange_fail(w, x, OUT_OF_MEMORY)
    else:
        exchange_fail(w, x, CLIENT_BODY_TIMEOUT)

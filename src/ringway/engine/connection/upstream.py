"""Connections to upstreams: acquire, connect, release, watch, close."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import strlen
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.client import *
from cython.cimports.ringway.engine.connection.closing import *
from cython.cimports.ringway.engine.connection.deadlines import *
from cython.cimports.ringway.engine.connection.peer import *
from cython.cimports.ringway.engine.connection.reach import *
from cython.cimports.ringway.engine.connection.rules import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.stream import *
from cython.cimports.ringway.engine.connection.tell import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.kernel import *
from cython.cimports.ringway.engine.native.linux import (
    AF_UNIX,
    ECONNREFUSED,
    ENOBUFS,
    ENOENT,
    ETIMEDOUT,
    IPPROTO_TCP,
    SOCK_CLOEXEC,
    SOCK_STREAM,
    TCP_NODELAY,
    setsockopt,
    sockaddr,
    socket,
)
from cython.cimports.ringway.engine.native.openssl import X509_STORE
from cython.cimports.ringway.engine.plan import *
from cython.cimports.ringway.engine.tls import *


def upstream_move(u, to):
    # state.pxd has a diagram of the legal steps.
    was: cython.int = u.stream.state
    BUG_ON(to == UPSTREAM_CONNECTING and was != UPSTREAM_FREE)
    BUG_ON(to == UPSTREAM_HANDSHAKE and was != UPSTREAM_CONNECTING)
    BUG_ON(to == UPSTREAM_BUSY and was != UPSTREAM_CONNECTING and was != UPSTREAM_HANDSHAKE and was != UPSTREAM_IDLE)
    BUG_ON(to == UPSTREAM_IDLE and was != UPSTREAM_BUSY)
    BUG_ON(to == UPSTREAM_TUNNEL and was != UPSTREAM_BUSY)
    BUG_ON(was == UPSTREAM_CLOSING and to != UPSTREAM_FREE)
    u.stream.state = cast(cython.uchar, to)


# --------------------------------------------------------------------------------------------------- acquiring


def upstream_acquire(w, x, fresh):
    origin: cython.pointer(Origin) = address(x.rules.origins[x.route.upstream])
    u: cython.pointer(Upstream) = origin.idle_newest
    reason: cython.int = UPSTREAM_LIMIT
    while u != NULL and u.version != address_version(origin.rules.addresses, origin.index):
        upstream_drop(w, u)  # the name has other addresses now
        u = origin.idle_newest
    if u != NULL and not fresh:
        u = pool_quiet(w, origin)
    if u != NULL and not fresh:
        pool_remove(w, u)
        upstream_move(u, UPSTREAM_BUSY)
        lane_receive_within(w, address(u.stream.lane), 0, False)
        u.exchange = x
        x.upstream = u
        x.reused = True
        count(w.counters, COUNT_REUSED, 1)
        w.handlers.upstream_ready(w, x)
        return
    x.reused = False
    if upstream_may_open(origin):
        reason = upstream_connect(w, x, origin)
    if reason:
        w.handlers.upstream_failed(w, x, reason)


def upstream_may_open(origin):
    return origin.open - origin.idle < origin.rules.snapshot.limits.upstream_connections


def upstream_connect(w, x, origin):
    u: cython.pointer(Upstream) = cast(cython.pointer(Upstream), slot_take(address(w.upstreams)))
    if u == NULL:
        return UPSTREAM_LIMIT
    s: cython.pointer(Stream) = address(u.stream)
    x.attempts += 1
    x.addresses = reach_next(w, x, u, origin)
    fd: cython.int = -1
    if x.addresses:
        fd = socket(u.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)
    if fd < 0:
        slot_give(address(w.upstreams), address(s.slot))
        return TOO_MANY_OPEN_FILES if x.addresses else UPSTREAM_UNRESOLVED
    one: cython.int = 1
    if u.address.ss_family != AF_UNIX:
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, address(one), cython.sizeof(one))
    gauge(w.counters, GAUGE_UPSTREAMS, 1)
    count(w.counters, COUNT_CONNECTS, 1)
    stream_open(w, s, KIND_UPSTREAM, fd, False)
    s.lane.progress_bytes = 1  # an upstream is trusted: one byte is progress (server-sent events come slowly)
    s.lane.send_window_ms = origin.rules.snapshot.timeouts.upstream_ms
    u.origin = origin
    s.rules = rules_refer(origin.rules)
    origin.open += 1
    u.exchange = x
    u.rival = x.upstream
    x.upstream = u
    upstream_move(u, UPSTREAM_CONNECTING)
    lane_receive_within(w, address(s.lane), origin.rules.snapshot.timeouts.connect_ms, False)
    if x.attempts < x.addresses:
        lane_send_within(w, address(s.lane), RACE_MS)
    s.operations += 1
    w.driver.connect(
        address(w.driver),
        fd,
        cast(cython.pointer(sockaddr), address(u.address)),
        u.address_length,
        tag_of(OP_UPSTREAM_CONNECT, s.slot.index, s.slot.generation),
    )
    return 0


def upstream_race(w, x):
    origin: cython.pointer(Origin) = x.upstream.origin
    if x.attempts < x.addresses and upstream_may_open(origin):
        upstream_connect(w, x, origin)  # if this fails, the other attempts continue


def upstream_forsake(w, x, but):
    u: cython.pointer(Upstream) = x.upstream
    rival: cython.pointer(Upstream)
    while u != NULL:
        rival = u.rival
        u.rival = NULL
        if u != but:
            u.exchange = NULL
            if but != NULL:
                reach_failed(w, u, ETIMEDOUT)  # overtaken
            upstream_drop(w, u)
        u = rival
    x.upstream = but


def upstream_connected(w, u, result):
    s: cython.pointer(Stream) = address(u.stream)
    s.operations -= 1
    if s.closing:
        stream_finish(w, s)
        return
    name: cython.pointer(UpstreamEntry) = cast(
        cython.pointer(UpstreamEntry), upstream_at(u.origin.rules.snapshot, u.origin.index)
    )
    if result < 0:
        reach_failed(w, u, -result)
        connect_failed(w, u, connect_reason(-result))
        return
    reach_answered(u)
    lane_send_within(w, address(s.lane), 0)
    if u.rival != NULL or u.exchange.upstream != u:
        upstream_forsake(w, u.exchange, u)
    if name.proxy_protocol and not send_proxy_header(w, u, name.proxy_protocol):
        connect_failed(w, u, OUT_OF_MEMORY)
        return
    # This receive serves the handshake and responses, and watches the connection while it is idle.
    stream_want(w, s, GROUP_LARGE, True, True)
    if u.origin.tls != NULL:
        # The deadline of connecting still counts.
        upstream_move(u, UPSTREAM_HANDSHAKE)
        if not stream_secure(w, s, u.origin.tls) or not stream_shake(w, s):
            connect_failed(w, u, OUT_OF_MEMORY)
        return
    lane_receive_within(w, address(s.lane), 0, False)
    upstream_move(u, UPSTREAM_BUSY)
    w.handlers.upstream_ready(w, u.exchange)


def send_proxy_header(w, u, version):
    ends: Ends
    none: uint32_t = 0
    x: cython.pointer(Exchange) = u.exchange
    b: cython.pointer(Buffer) = buffer_take(address(w.buffers), GROUP_SMALL)
    if b == NULL:
        return False
    client_ends(x.client, address(ends))
    if x.named_length:
        # The address of the client comes from a trusted proxy, which does not report the port.
        ends.known = ip_parse(x.named, x.named_length, address(ends.source))
        ends.source_port = 0
    if x.client.peer_family == AF_UNIX and ip_is_v4(address(ends.source)):
        ip_from_v4(address(ends.destination), address(none))  # a Unix socket has no address, of either family
    b.end += proxy_header_write(b.base + b.end, version, address(ends))
    stream_queue(w, address(u.stream), b)
    return True


def upstream_handshake(w, u):
    s: cython.pointer(Stream) = address(u.stream)
    if u.exchange == NULL:
        return  # the exchange no longer waits for it
    if s.lane.error == ENOBUFS:
        connect_failed(w, u, OUT_OF_MEMORY)
    elif s.lane.error or s.lane.eof:
        connect_failed(w, u, tls_reason(w, u))
    elif s.lane.inbox.first != NULL:
        # RFC 9112 9.2: bytes that come before a request are not a response.
        connect_failed(w, u, UPSTREAM_BAD_HEAD)
    elif s.tls_version == 0:
        stream_flush(w, s)
    else:
        lane_receive_within(w, address(s.lane), 0, False)
        upstream_move(u, UPSTREAM_BUSY)
        w.handlers.upstream_ready(w, u.exchange)


def upstream_lost(w, u):
    return tls_reason(w, u) if u.stream.tls != NULL and u.stream.tls.why else UPSTREAM_CLOSED


def tls_reason(w, u):
    """Log why TLS failed, and return it as a Reason."""
    text: cython.char[TELL_BYTES_MAX]
    name: cython.pointer(UpstreamEntry) = cast(
        cython.pointer(UpstreamEntry), upstream_at(u.origin.rules.snapshot, u.origin.index)
    )
    event: cython.int = EVENT_UPSTREAM_UNTRUSTED
    why: cython.p_const_char = tls_untrusted(u.stream.tls)
    if why == NULL:
        event = EVENT_UPSTREAM_TLS_FAILED
        why = tls_why(u.stream.tls)
    if why == NULL:
        why = b"the connection ended during the handshake"
    p: cython.p_char = put(text, text_at(u.origin.rules.snapshot, name.name), min(name.name.length, TELL_NAME_MAX))
    p = put(p, b" (", 2)
    p = put(p, why, cast(uint32_t, min(strlen(why), cast(cython.size_t, TELL_WHY_MAX))))
    p = put(p, b")", 1)
    count(w.counters, COUNT_UPSTREAM_TLS_ERRORS, 1)
    tell(w, event, 0, text, cast(uint32_t, p - cast(cython.p_char, text)))
    return UPSTREAM_UNTRUSTED if event == EVENT_UPSTREAM_UNTRUSTED else UPSTREAM_TLS_FAILED


def connect_failed(w, u, reason):
    x: cython.pointer(Exchange) = u.exchange
    origin: cython.pointer(Origin) = u.origin
    if u.stream.state == UPSTREAM_HANDSHAKE and reason != OUT_OF_MEMORY:
        reach_failed(w, u, 0)
    attempt_over(x, u)
    u.exchange = NULL
    upstream_drop(w, u)
    if x.attempts < x.addresses:
        if upstream_may_open(origin):
            upstream_connect(w, x, origin)
    elif x.upstream == NULL and x.addresses > 1:
        reach_tell(w, u, 0)
    if x.upstream == NULL:
        w.handlers.upstream_failed(w, x, reason)


def attempt_over(x, u):
    at: cython.pointer(cython.pointer(Upstream)) = address(x.upstream)
    while at[0] != u:
        at = address(at[0].rival)
    at[0] = u.rival
    u.rival = NULL


def connect_reason(error):
    if error == ECONNREFUSED or error == ENOENT:  # ENOENT: the Unix socket does not exist (yet)
        return UPSTREAM_REFUSED
    return UPSTREAM_CONNECT_TIMEOUT if error == ETIMEDOUT else UPSTREAM_UNREACHABLE


# -------------------------------------------------------------------------------------------------------- pool


def upstream_release(w, u):
    s: cython.pointer(Stream) = address(u.stream)
    origin: cython.pointer(Origin) = u.origin
    entry: cython.pointer(UpstreamEntry) = cast(
        cython.pointer(UpstreamEntry), upstream_at(origin.rules.snapshot, origin.index)
    )
    u.exchange = NULL
    u.served += 1
    s.keep = NULL
    if s.lane.inbox.first == NULL:
        stream_refill(w, s)  # it may already have sent more
    given_up: cython.bint = w.draining or origin.rules != w.rules or entry.proxy_protocol != 0
    if s.lane.eof or s.lane.error or s.lane.inbox.first != NULL or not stream_drained(s) or given_up:
        upstream_drop(w, u)
        return
    if s.tls != NULL and s.tls.context != origin.tls:
        upstream_drop(w, u)  # it was opened with older authorities or an older client certificate
        return
    if origin.idle >= origin.rules.snapshot.limits.upstream_idle:
        if origin.idle == 0:
            upstream_drop(w, u)
            return
        upstream_drop(w, origin.idle_oldest)
    upstream_move(u, UPSTREAM_IDLE)
    u.idle_ns = w.clock.now_ns
    pool_put(w, u)
    lane_receive_within(w, address(s.lane), origin.rules.snapshot.timeouts.upstream_idle_ms, False)
    stream_want(w, s, GROUP_LARGE, True, True)


def pool_quiet(w, origin):
    u: cython.pointer(Upstream) = origin.idle_newest
    looks: cython.int = 0
    while u != NULL and looks < POOL_LOOKS_MAX:
        if u.idle_ns != w.clock.now_ns and upstream_quiet(w, u):
            return u
        u = u.older
        looks += 1
    u = origin.idle_newest
    return (
        u
        if u != NULL and u.idle_ns == w.clock.now_ns and upstream_quiet(w, u)
        else cast(cython.pointer(Upstream), NULL)
    )


def upstream_quiet(w, u):
    s: cython.pointer(Stream) = address(u.stream)
    if s.tls != NULL and not tls_at_rest(s.tls):
        return False
    watched: cython.bint = s.receive == RECEIVE_MULTI and u.idle_ns != w.clock.now_ns
    return w.driver.quiet(address(w.driver), s.fd, s.receive_tag, not watched)


def pool_put(w, u):
    origin: cython.pointer(Origin) = u.origin
    u.newer = NULL
    u.older = origin.idle_newest
    if u.older != NULL:
        u.older.newer = u
    else:
        origin.idle_oldest = u
    origin.idle_newest = u
    origin.idle += 1
    gauge(w.counters, GAUGE_UPSTREAMS_IDLE, 1)


def pool_remove(w, u):
    origin: cython.pointer(Origin) = u.origin
    if u.newer != NULL:
        u.newer.older = u.older
    else:
        origin.idle_newest = u.older
    if u.older != NULL:
        u.older.newer = u.newer
    else:
        origin.idle_oldest = u.newer
    u.newer = NULL
    u.older = NULL
    origin.idle -= 1
    gauge(w.counters, GAUGE_UPSTREAMS_IDLE, -1)


def upstream_drop(w, u):
    upstream_leave(w, u)
    stream_part(w, address(u.stream))
    stream_close(w, address(u.stream))


def upstream_break(w, u):
    upstream_leave(w, u)
    stream_abort(w, address(u.stream))


def upstream_leave(w, u):
    s: cython.pointer(Stream) = address(u.stream)
    if s.state == UPSTREAM_IDLE:
        pool_remove(w, u)
    if s.state == UPSTREAM_CONNECTING and s.operations:
        w.driver.cancel(address(w.driver), s.fd, tag_of(OP_UPSTREAM_CONNECT, s.slot.index, s.slot.generation))
    if s.state != UPSTREAM_CLOSING:
        upstream_move(u, UPSTREAM_CLOSING)


def upstream_drain(w):
    i: uint32_t
    u: cython.pointer(Upstream)
    for i in range(w.upstreams.made):
        u = cast(cython.pointer(Upstream), slot_at(address(w.upstreams), i))
        if u.stream.slot.used and u.stream.state == UPSTREAM_IDLE:
            upstream_drop(w, u)


# ------------------------------------------------------------------------- authorities and client certificates


def upstream_take(w, rules, head):
    i: uint32_t
    failed: cython.int = 0
    origin: cython.pointer(Origin)
    context: cython.pointer(TlsContext)
    stores: cython.pointer(cython.pointer(X509_STORE)) = cast(
        cython.pointer(cython.pointer(X509_STORE)), calloc(head.authority_count + 1, cython.sizeof(cython.p_void))
    )
    if stores == NULL:
        return 1
    for i in range(min(head.peer_count, rules.snapshot.upstream_count)):
        origin = address(rules.origins[i])
        if peer_at(head, i).edition == 0:
            continue
        if origin.tls != NULL and origin.tls.edition == peer_at(head, i).edition:
            continue
        context = tls_peer_open(head, i, stores, address(w.buffers))
        if context == NULL:
            failed = failed or cast(cython.int, i + 1)
            continue
        # Proofs under the old context no longer count: close its idle connections, and forget its session.
        while origin.idle_newest != NULL:
            upstream_drop(w, origin.idle_newest)
        tls_context_close(origin.tls)
        origin.tls = context
    for i in range(head.authority_count):
        authorities_close(stores[i])
    free(stores)
    return failed


# ------------------------------------------------------------------------------------------------------ events


def upstream_received(w, s):
    u: cython.pointer(Upstream) = cast(cython.pointer(Upstream), s)
    if s.state == UPSTREAM_HANDSHAKE:
        upstream_handshake(w, u)
    elif u.exchange != NULL:
        w.handlers.upstream_received(w, u.exchange)
    elif s.lane.inbox.first != NULL or s.lane.eof or s.lane.error:
        # An idle connection closed, or sent something out of turn. Do not use it again (response smuggling).
        count(w.counters, COUNT_IDLE_DROPPED, 1)
        if s.lane.inbox.first != NULL:
            upstream_break(w, u)
        else:
            upstream_drop(w, u)


def upstream_sent(w, s):
    u: cython.pointer(Upstream) = cast(cython.pointer(Upstream), s)
    if s.state == UPSTREAM_HANDSHAKE:
        return  # the request was not sent yet. If sending failed, receiving reports it
    if u.exchange != NULL:
        w.handlers.upstream_sent(w, u.exchange)
    elif s.lane.error:
        upstream_drop(w, u)


def upstream_late(w, s):
    u: cython.pointer(Upstream) = cast(cython.pointer(Upstream), s)
    x: cython.pointer(Exchange) = u.exchange
    if x == NULL:
        upstream_drop(w, u)  # `upstream_idle` has passed
        return
    if s.state == UPSTREAM_CONNECTING and s.lane.late == LATE_SEND:
        upstream_race(w, x)
        timer_set(
            address(w.wheel), address(s.lane.timer), s.lane.receive_due_ms
        )  # the deadline of this attempt is later
        return
    if s.lane.late != LATE_LOOK:
        count(w.counters, COUNT_TIMEOUTS, 1)
    if s.state == UPSTREAM_CONNECTING:
        reach_failed(w, u, ETIMEDOUT)
    if s.state == UPSTREAM_CONNECTING or s.state == UPSTREAM_HANDSHAKE:
        connect_failed(w, u, UPSTREAM_CONNECT_TIMEOUT)
        return
    w.handlers.upstream_late(w, x)


def upstream_gone(w, s):
    u: cython.pointer(Upstream) = cast(cython.pointer(Upstream), s)
    x: cython.pointer(Exchange) = u.exchange
    u.origin.open -= 1
    u.exchange = NULL
    s.state = UPSTREAM_FREE
    gauge(w.counters, GAUGE_UPSTREAMS, -1)
    rules_release(w, s.rules)
    slot_give(address(w.upstreams), address(s.slot))
    if x != NULL:
        x.upstream = NULL
        w.handlers.upstream_gone(w, x)

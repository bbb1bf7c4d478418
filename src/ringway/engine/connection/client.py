"""A client connection, from accept to close."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import int64_t, uint32_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcmp, strlen
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.closing import *
from cython.cimports.ringway.engine.connection.deadlines import *
from cython.cimports.ringway.engine.connection.inbox import *
from cython.cimports.ringway.engine.connection.offload import *
from cython.cimports.ringway.engine.connection.peer import *
from cython.cimports.ringway.engine.connection.rules import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.stream import *
from cython.cimports.ringway.engine.connection.tell import *
from cython.cimports.ringway.engine.connection.waiting import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.native.linux import (
    AF_INET,
    FIONREAD,
    SHUT_WR,
    SIOCOUTQ,
    SIOCOUTQNSD,
    close,
    ioctl,
    shutdown,
)
from cython.cimports.ringway.engine.plan import *
from cython.cimports.ringway.engine.tls import *


def client_move(c, to):
    # state.pxd has a diagram of the legal steps.
    was: cython.int = c.stream.state
    BUG_ON(to == CLIENT_PROXY and was != CLIENT_FREE)
    BUG_ON(to == CLIENT_HANDSHAKE and was != CLIENT_FREE and was != CLIENT_PROXY)
    BUG_ON(to == CLIENT_HEAD and was != CLIENT_IDLE)
    BUG_ON(to == CLIENT_BUSY and was != CLIENT_IDLE and was != CLIENT_HEAD)
    BUG_ON(was == CLIENT_CLOSING and to != CLIENT_FREE)
    c.stream.state = cast(cython.uchar, to)


# --------------------------------------------------------------------------------------------------- accepting


def client_take(w, listener, fd):
    c: cython.pointer(Client) = cast(cython.pointer(Client), slot_take(address(w.clients)))
    if c == NULL:
        client_refuse(w, fd)
        return
    gauge(w.counters, GAUGE_CLIENTS, 1)
    c.listener = listener
    listener.clients += 1
    c.stream.rules = rules_refer(w.rules)
    s: cython.pointer(Stream) = address(c.stream)
    s.lane.progress_bytes = w.snapshot.limits.progress_bytes
    s.lane.send_window_ms = w.snapshot.timeouts.write_ms
    c.place = PLACE_UNKNOWN
    c.secured = listener.tls
    if not stream_open(w, s, KIND_CLIENT, fd, listener.tls and not listener.proxied):
        stream_close(w, s)
    elif listener.proxied:
        await_proxy_header(w, c)
    else:
        client_begin(w, c)
        stream_want(w, s, GROUP_SMALL, False, False)


def client_refuse(w, fd):
    count(w.counters, COUNT_REFUSED, 1)
    tell(w, EVENT_CLIENTS_FULL, 0, NULL, 0)
    close(fd)


def client_begin(w, c):
    # Use single receives until the first request is served. A connection with one request then ends with nothing in
    # flight, which saves a completion and a system call.
    if c.secured:
        client_move(c, CLIENT_HANDSHAKE)
        lane_receive_within(w, address(c.stream.lane), w.snapshot.timeouts.handshake_ms, False)
    else:
        client_idle(w, c, w.snapshot.timeouts.head_ms)


# ----------------------------------------------------------------------------------------------- PROXY protocol


def await_proxy_header(w, c):
    s: cython.pointer(Stream) = address(c.stream)
    if not client_trusted(w.snapshot, c):
        refuse_proxy(w, c, b"it is not in trusted_proxies")
        return
    client_move(c, CLIENT_PROXY)
    lane_receive_within(
        w, address(s.lane), w.snapshot.timeouts.handshake_ms if c.secured else w.snapshot.timeouts.head_ms, False
    )
    stream_want(w, s, GROUP_SMALL, False, False)


def proxy_header_received(w, c):
    s: cython.pointer(Stream) = address(c.stream)
    found: cython.int = find_proxy_header(w, c)
    if found < 0:
        refuse_proxy(w, c, b"the header is missing or malformed")
    elif found == 0 and s.lane.eof:
        client_abort(w, c)  # a probe of the port
    elif found == 0:
        stream_want(w, s, GROUP_SMALL, False, False)
    else:
        if c.ends.known:
            c.peer_length = cast(cython.uchar, ip_text(address(c.ends.source), c.peer))
            c.peer_family = AF_INET  # of IPv6 too: it only says that the peer has an address
            c.trust = TRUST_UNKNOWN
        client_begin(w, c)
        if c.secured and not stream_secure_now(w, s):
            client_abort(w, c)
        else:
            client_received(w, s)  # rule: once: the state is no longer CLIENT_PROXY


def find_proxy_header(w, c):
    s: cython.pointer(Stream) = address(c.stream)
    b: cython.pointer(Buffer)
    found: cython.int = 0
    while s.lane.inbox.first != NULL:
        found = proxy_header_read(data_of(s.lane.inbox.first), length_of(s.lane.inbox.first), address(c.ends))
        if found != 0 or s.lane.inbox.first.next == NULL:
            break
        if not merge_first(w, s, PROXY_HEADER_MAX):
            return -1
    if found > 0:
        b = queue_pop(address(s.lane.inbox))
        b.start += cast(uint32_t, found)
        if length_of(b):
            queue_push_front(address(s.lane.inbox), b)
        else:
            buffer_give(address(w.buffers), b)
    return found


def refuse_proxy(w, c, why):
    text: cython.char[TELL_PEER_BYTES]
    client_peer(c)
    p: cython.p_char = put(text, c.peer, c.peer_length)
    p = put(p, b" (", 2)
    p = put(p, why, cast(uint32_t, min(strlen(why), 64)))
    p = put(p, b")", 1)
    count(w.counters, COUNT_PROXY_REFUSED, 1)
    tell(w, EVENT_PROXY_REFUSED, 0, text, cast(uint32_t, p - cast(cython.p_char, text)))
    stream_abort(w, address(c.stream))


# --------------------------------------------------------------------------------------------------- receiving


def client_received(w, s):
    c: cython.pointer(Client) = cast(cython.pointer(Client), s)
    state: cython.int = s.state
    if state == CLIENT_BUSY:
        if c.exchange.up.done:
            client_next_seen(w, c)
        w.handlers.client_received(w, c.exchange)
    elif state == CLIENT_MUX:
        w.handlers.mux_received(w, c.mux)
    elif state == CLIENT_LINGER:
        queue_give(address(w.buffers), address(s.lane.inbox))
        if s.lane.eof or s.lane.error:
            if stream_drained(s):
                stream_close(w, s)
        else:
            stream_want(w, s, GROUP_SMALL, True, False)
    elif s.lane.error:
        if state == CLIENT_HANDSHAKE and s.refused != NULL:
            tell_refused(w, c)
        if state == CLIENT_HANDSHAKE and s.tls.plain:
            client_plain(w, c)
        else:
            client_broken(w, c)
    elif state == CLIENT_PROXY:
        proxy_header_received(w, c)
    elif state == CLIENT_HANDSHAKE:
        if s.tls_version:
            if s.refused != NULL:
                tell_refused(w, c)
            if s.http2:
                w.handlers.mux_begin(w, c)
                return
            client_idle(w, c, w.snapshot.timeouts.head_ms)
            client_next_request(w, c)
        elif s.lane.eof:
            client_abort(w, c)
        else:
            stream_want(w, s, GROUP_SMALL, client_many(c, 0), False)
    else:
        client_next_request(w, c)


def client_broken(w, c):
    s: cython.pointer(Stream) = address(c.stream)
    if s.tls == NULL or not s.tls.failed or s.lane.send_error:
        client_abort(w, c)
        return
    if not (offload_final_alert(s) if s.offload & OFFLOAD_SEND else s.sending != NULL or s.lane.outbox.first != NULL):
        client_abort(w, c)
        return
    # RFC 8446 6.2: send what is queued, then the fatal alert, then FIN. Read and discard what the client still sends: a
    # closed socket would answer it with a reset, which can overtake the alert.
    s.lane.error = 0
    end_tls(w, s)
    queue_give(address(w.buffers), address(s.lane.inbox))
    client_move(c, CLIENT_LINGER)
    c.linger = True
    lane_receive_within(w, address(s.lane), w.snapshot.timeouts.linger_ms, False)
    lane_send_within(w, address(s.lane), w.snapshot.timeouts.linger_ms)
    stream_flush(w, s)
    if stream_drained(s):
        c.shut = True
        shutdown(s.fd, SHUT_WR)
    stream_want(w, s, GROUP_SMALL, True, False)


def client_plain(w, c):
    s: cython.pointer(Stream) = address(c.stream)
    s.lane.error = 0
    end_tls(w, s)
    c.secured = False
    c.mistaken = True
    client_idle(w, c, w.snapshot.timeouts.head_ms)
    client_next_request(w, c)


def end_tls(w, s):
    while s.cipher.first != NULL:
        queue_push(address(s.lane.inbox), queue_pop(address(s.cipher)))
    s.lane.eof = s.lane.eof or s.ended
    s.ended = False
    s.secure = False
    offload_forget(s)
    s.offload_wanted = 0
    tls_close(s.tls)
    s.tls = NULL
    gauge(w.counters, GAUGE_TLS, -1)


def tell_refused(w, c):
    text: cython.char[256]
    p: cython.p_char = text
    count(w.counters, COUNT_CLIENT_CERTIFICATE_ERRORS, 1)
    client_peer(c)
    p = put(p, c.peer, c.peer_length)
    p = put(p, b" (", 2)
    p = put(p, c.stream.refused, cast(uint32_t, min(strlen(c.stream.refused), 190)))
    p = put(p, b")", 1)
    tell(w, EVENT_CLIENT_UNTRUSTED, 0, text, cast(uint32_t, p - cast(cython.p_char, text)))


def client_next_request(w, c):
    s: cython.pointer(Stream) = address(c.stream)
    if not s.lane.eof and s.lane.error == 0:
        stream_refill(w, s)  # also if part of a head is here: the rest may wait to be decrypted
    if s.lane.inbox.first == NULL:
        if s.lane.error:
            client_broken(w, c)
        elif s.lane.eof:
            client_finish(w, c)
        else:
            stream_want(w, s, GROUP_SMALL, client_many(c, 0), False)
        return
    if c.requests == 0 and not s.secure and c.listener.h2c and begins_http2(s.lane.inbox.first):
        w.handlers.mux_begin(w, c)
        return
    client_next_seen(w, c)
    found: cython.int = look_for_head(w, s, address(c.seen), True)
    if found > 0 and buffers_short(w, GROUP_SMALL):
        stream_wait_buffers(w, s)  # no buffer is free for a response; the deadline of the head still counts
        return
    if found != 0:
        c.seen = 0
        client_move(c, CLIENT_BUSY)
        lane_receive_within(w, address(s.lane), 0, False)
        w.handlers.request(w, c, found)
        return
    if s.lane.error:
        client_broken(w, c)
        return
    if s.lane.eof:
        client_abort(w, c)  # RFC 9112 8: an incomplete request, and the client is gone
        return
    if s.lane.outbox.first != NULL:
        # A ticket: send it now, because no response follows yet.
        stream_flush(w, s)
    if s.state == CLIENT_IDLE:
        # The deadline for the whole head begins with its first byte. More bytes do not renew it.
        client_move(c, CLIENT_HEAD)
        lane_receive_within(w, address(s.lane), w.snapshot.timeouts.head_ms, False)
    stream_want(w, s, GROUP_SMALL, client_many(c, 0), False)


def begins_http2(b):
    """RFC 9113 3.3: the client knows that we speak HTTP/2. No method of HTTP/1 begins like that (3.4)."""
    return length_of(b) >= 5 and memcmp(data_of(b), cast(cython.p_char, b"PRI *"), 5) == 0


def client_later(w, c):
    # Do not serve a request from the end of the one before it: a client that sends many at once would decide how deep
    # the stack becomes.
    s: cython.pointer(Stream) = address(c.stream)
    if s.ready:
        return
    s.ready = True
    s.next_ready = NULL
    if w.ready == NULL:
        w.ready = s
    else:
        w.ready_last.next_ready = s
    w.ready_last = s


def client_turns(w):
    s: cython.pointer(Stream)
    i: cython.int
    for i in range(TURN_REQUESTS):
        s = w.ready
        if s == NULL:
            return
        w.ready = s.next_ready
        s.ready = False
        if s.closing:
            stream_finish(w, s)
        elif s.state == CLIENT_IDLE:
            client_next_request(w, cast(cython.pointer(Client), s))


def client_next_seen(w, c):
    if c.next_ns == 0 and c.stream.lane.inbox.first != NULL:
        c.next_ns = w.clock.now_ns


# --------------------------------------------------------------------------------------------------- responding


def client_sent(w, s):
    c: cython.pointer(Client) = cast(cython.pointer(Client), s)
    if s.state == CLIENT_BUSY:
        w.handlers.client_sent(w, c.exchange)
    elif s.state == CLIENT_MUX:
        w.handlers.mux_sent(w, c.mux)
    elif s.lane.send_error or (s.state == CLIENT_LINGER and stream_drained(s) and not c.linger):
        stream_close(w, s)
    elif s.state == CLIENT_LINGER and stream_drained(s) and not c.shut:
        c.shut = True
        shutdown(s.fd, SHUT_WR)


def client_done(w, c):
    s: cython.pointer(Stream) = address(c.stream)
    c.exchange = NULL
    if s.lane.error or s.lane.send_error:
        client_broken(w, c)
    elif c.last:
        client_finish(w, c)
    else:
        client_idle(w, c, w.snapshot.timeouts.keepalive_ms)
        if stream_holds(s):
            client_later(w, c)
        elif s.lane.eof:
            client_finish(w, c)
        else:
            stream_want(w, s, GROUP_SMALL, client_many(c, 0), False)


def client_idle(w, c, ms):
    client_move(c, CLIENT_IDLE)
    lane_receive_within(
        w, address(c.stream.lane), min(ms, DRAIN_IDLE_MS) if w.draining or c.listener.removed else ms, False
    )


def client_finish(w, c):
    s: cython.pointer(Stream) = address(c.stream)
    if s.secure:
        stream_notify(w, s)
        stream_flush(w, s)
    client_move(c, CLIENT_LINGER)
    if not c.linger and not s.lane.eof:
        c.linger = may_lose(s)
    queue_give(address(w.buffers), address(s.lane.inbox))
    queue_give(address(w.buffers), address(s.cipher))
    if s.tls != NULL:
        s.tls.left = 0
    if not c.linger or s.lane.eof:
        # The client sends nothing more, so an orderly end need not wait.
        c.linger = False
        if stream_drained(s):
            stream_close(w, s)
        return
    # After a close, more of the request would cause a reset, and the client might lose the response.
    lane_receive_within(w, address(s.lane), w.snapshot.timeouts.linger_ms, False)
    lane_send_within(w, address(s.lane), w.snapshot.timeouts.linger_ms)
    stream_want(w, s, GROUP_SMALL, True, False)
    if stream_drained(s):
        c.shut = True
        shutdown(s.fd, SHUT_WR)


def may_lose(s):
    # RFC 9112 9.6: a closed socket answers further bytes with a reset, and the client then loses what it has not read.
    # This can happen if the client sent more than we read, or if our socket still has bytes to send.
    return s.lane.inbox.first != NULL or s.cipher.first != NULL or unread(s) or unsent(s) > 0


def unread(s):
    count: cython.int = 0
    return ioctl(s.fd, FIONREAD, address(count)) == 0 and count > 0


def unsent(s):
    left: cython.int = 0
    return left if ioctl(s.fd, SIOCOUTQNSD, address(left)) == 0 else 0


def unacknowledged(s):
    left: cython.int = 0
    return left if ioctl(s.fd, SIOCOUTQ, address(left)) == 0 else 0


def takes_on(c):
    """Has a slow client taken more of the response since the last check? Then `linger` begins again."""
    left: cython.int = unsent(address(c.stream))
    progress: cython.bint = left > 0 and (c.left == 0 or left < c.left)
    c.left = left
    return progress


def client_abort(w, c):
    if c.stream.state != CLIENT_CLOSING and c.stream.state != CLIENT_FREE:
        client_move(c, CLIENT_CLOSING)
    stream_close(w, address(c.stream))


def client_late(w, s):
    c: cython.pointer(Client) = cast(cython.pointer(Client), s)
    if s.lane.late != LATE_LOOK:
        count(w.counters, COUNT_TIMEOUTS, 1)
    if s.state == CLIENT_BUSY:
        w.handlers.client_late(w, c.exchange)
    elif s.state == CLIENT_MUX:
        w.handlers.mux_late(w, c.mux)
    elif s.state == CLIENT_IDLE and s.lane.late == LATE_BUFFERS and s.lane.inbox.first != NULL:
        client_move(c, CLIENT_BUSY)  # its complete request waited for buffers
        w.handlers.request(w, c, -OUT_OF_MEMORY)
    elif s.state == CLIENT_HEAD and s.lane.late != LATE_SEND:
        # RFC 9110 15.5.9: part of a request is here, so answer with 408.
        c.seen = 0
        client_move(c, CLIENT_BUSY)
        w.handlers.request(w, c, -late_head(s.lane.late))
    elif s.state == CLIENT_LINGER:
        if c.linger and s.lane.late == LATE_RECEIVE and takes_on(c):
            lane_receive_within(w, address(s.lane), w.snapshot.timeouts.linger_ms, False)
        else:
            stream_close(w, s)
    elif s.state == CLIENT_IDLE:
        client_finish(w, c)
    elif s.state == CLIENT_PROXY:
        refuse_proxy(w, c, b"the header did not arrive in time")
    else:
        client_abort(w, c)


def late_head(late):
    if late == LATE_BUFFERS:
        return OUT_OF_MEMORY
    return CLIENT_TOO_SLOW if late == LATE_GAVE_WAY else CLIENT_HEAD_TIMEOUT


def client_gone(w, s):
    c: cython.pointer(Client) = cast(cython.pointer(Client), s)
    if c.exchange != NULL:
        w.handlers.client_gone(w, c.exchange)
        c.exchange = NULL
    if c.mux != NULL:
        w.handlers.mux_gone(w, c.mux)
    s.state = CLIENT_FREE
    gauge(w.counters, GAUGE_CLIENTS, -1)
    c.listener.clients -= 1
    rules_release(w, s.rules)
    slot_give(address(w.clients), address(s.slot))


def client_drain(w, listener):
    i: uint32_t
    window: int64_t
    left: int64_t
    c: cython.pointer(Client)
    for i in range(w.clients.made):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), i))
        if not c.stream.slot.used or c.stream.closing or (listener != NULL and c.listener != listener):
            continue
        if c.stream.state == CLIENT_MUX:
            w.handlers.mux_drain(w, c.mux)
        elif c.stream.state == CLIENT_IDLE:
            # Close it when it has been idle for DRAIN_IDLE_MS, or at once if it has. Do this by its deadline, so that
            # bytes that have already arrived are handled first.
            window = w.snapshot.timeouts.keepalive_ms if c.requests else w.snapshot.timeouts.head_ms
            left = cast(int64_t, c.stream.lane.receive_due_ms - w.clock.now_ms) - window + DRAIN_IDLE_MS
            left = max(min(left, cast(int64_t, DRAIN_IDLE_MS)), cast(int64_t, 1))
            lane_receive_within(w, address(c.stream.lane), cast(uint32_t, left), False)


# For tests.


def turns(count: int) -> list:
    """How many of `count` clients that have a pipelined request are left after each turn."""
    i: cython.int
    w: cython.pointer(Worker) = cast(cython.pointer(Worker), calloc(1, cython.sizeof(Worker)))
    c: cython.pointer(Client) = cast(cython.pointer(Client), calloc(max(count, 1), cython.sizeof(Client)))
    if w == NULL or c == NULL:
        raise MemoryError
    for i in range(count):
        client_later(w, c + i)
        client_later(w, c + i)  # it has one place in the list
    left = []
    while w.ready != NULL:
        client_turns(w)
        left.append(sum(1 for i in range(count) if c[i].stream.ready))
    free(c)
    free(w)
    return left

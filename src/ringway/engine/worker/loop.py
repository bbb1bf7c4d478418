"""The loop, the switch, commands of the supervisor, draining."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection import *
from cython.cimports.ringway.engine.exchange import *
from cython.cimports.ringway.engine.http2 import *
from cython.cimports.ringway.engine.kernel import *
from cython.cimports.ringway.engine.native.linux import MAP_FAILED, close, munmap
from cython.cimports.ringway.engine.plan import *
from cython.cimports.ringway.engine.tls import *


def worker_loop(w):
    c: Completion
    sleep_ms: cython.int
    result: cython.int
    stream_tighten(w)
    while not w.stopping and not w.renewing and not all_ended(w):
        sleep_ms = wheel_wait_ms(address(w.wheel), w.clock.now_ms)
        if sleep_ms < 0 or sleep_ms > TURN_MS_MAX:
            sleep_ms = TURN_MS_MAX
        if w.waiting:
            sleep_ms = 0 if w.feed_on else min(sleep_ms, LOOK_MS)
        if w.ready != NULL:
            sleep_ms = 0
        if w.draining and w.drain_due_ms < w.clock.now_ms + sleep_ms:
            # The supervisor kills the worker one second after this deadline.
            sleep_ms = max(10, cast(cython.int, w.drain_due_ms) - cast(cython.int, w.clock.now_ms))
        result = w.driver.wait(address(w.driver), sleep_ms)
        if result < 0:
            return result
        clock_update(address(w.clock))
        while w.driver.next(address(w.driver), address(c)):
            dispatch(w, address(c))
        expire_timers(w)
        look_after(w)
        if w.due != NULL:
            mux_turns(w)
    return 0


def dispatch(w, c):
    """Give a completion to its handler. The branches follow the life of a request."""
    s: cython.pointer(Stream)
    f: cython.pointer(File)
    x: cython.pointer(Exchange)
    operation: cython.int = c.operation
    if operation == OP_CLIENT_RECEIVE:
        s = cast(cython.pointer(Stream), slot_find(address(w.clients), c.index, c.generation))
        if s != NULL:
            stream_received(w, s, c)
            return
    elif operation == OP_CLIENT_SEND:
        s = cast(cython.pointer(Stream), slot_find(address(w.clients), c.index, c.generation))
        if s != NULL:
            stream_sent(w, s, c.result)
            return
    elif operation == OP_UPSTREAM_RECEIVE:
        s = cast(cython.pointer(Stream), slot_find(address(w.upstreams), c.index, c.generation))
        if s != NULL:
            stream_received(w, s, c)
            return
    elif operation == OP_UPSTREAM_SEND:
        s = cast(cython.pointer(Stream), slot_find(address(w.upstreams), c.index, c.generation))
        if s != NULL:
            stream_sent(w, s, c.result)
            return
    elif operation == OP_ACCEPT:
        listener_accepted(w, c.index, c.result, c.more)
        return
    elif operation == OP_UPSTREAM_CONNECT:
        s = cast(cython.pointer(Stream), slot_find(address(w.upstreams), c.index, c.generation))
        if s != NULL:
            upstream_connected(w, cast(cython.pointer(Upstream), s), c.result)
            return
    elif operation == OP_CLIENT_WRITABLE:
        s = cast(cython.pointer(Stream), slot_find(address(w.clients), c.index, c.generation))
        if s != NULL:
            s.polling = False
            s.operations -= 1
            if s.closing:
                stream_finish(w, s)
            elif s.notify_due or s.lane.outbox.first != NULL:
                stream_writable(w, s)
            else:
                serve_writable(w, cast(cython.pointer(Client), s).exchange)
            return
    elif operation == OP_CLIENT_END:
        s = cast(cython.pointer(Stream), slot_find(address(w.clients), c.index, c.generation))
        if s != NULL:
            stream_left(w, s, c.result)
            return
    elif operation == OP_FILE_OPEN or operation == OP_FILE_STAT or operation == OP_FILE_LOAD:
        f = cast(cython.pointer(File), slot_find(address(w.files), c.index, c.generation))
        if f != NULL:
            if operation == OP_FILE_OPEN:
                file_opened(w, f, c.result)
            elif operation == OP_FILE_STAT:
                file_stated(w, f, c.result)
            else:
                file_loaded(w, f, c.result)
            return
    elif operation == OP_FOLDER_OPEN:
        f = cast(cython.pointer(File), slot_find(address(w.files), c.index, c.generation))
        if f != NULL:
            folder_looked(w, f, c.result)
            return
    elif operation == OP_BODY_READ:
        x = cast(cython.pointer(Exchange), slot_find(address(w.exchanges), c.index, c.generation))
        if x != NULL:
            if x.abandoned:
                w.moving -= 1
                buffer_give(address(w.buffers), x.read_buffer)
                slot_give(address(w.exchanges), address(x.slot))
            else:
                serve_read(w, x, c.result)
            return
    elif operation == OP_CONTROL:
        control_received(w, c.result)
        return
    else:
        # A cancel, a close, a buffer that was called back: none has a handler.
        if c.buffer != NULL:
            buffer_give(address(w.buffers), c.buffer)
        return
    late(w, c)


def late(w, c):
    """The owner of the completion is gone: release the buffer or descriptor that it brings."""
    count(w.counters, COUNT_STALE, 1)
    if c.buffer != NULL:
        buffer_give(address(w.buffers), c.buffer)
    if (c.operation == OP_FILE_OPEN or c.operation == OP_FOLDER_OPEN) and c.result >= 0:
        close(c.result)


def expire_timers(w):
    t: cython.pointer(Timer) = wheel_expire(address(w.wheel), w.clock.now_ms)
    while t != NULL:
        lane_timer(w, cast(cython.pointer(Lane), t.owner))
        t = wheel_expire(address(w.wheel), w.clock.now_ms)


def share_out(w):
    if w.waiting:
        feed_hungry(w)
        feed_starved(w)
    shares_look(w)


def look_after(w):
    """Do the work that no completion starts."""
    i: uint32_t
    if w.ready != NULL:
        client_turns(w)
    stream_tighten(w)
    if w.waiting or stream_tight(w, GROUP_SMALL) or stream_tight(w, GROUP_LARGE):
        share_out(w)
    if w.clock.now_ms < w.next_look_ms:
        return
    w.next_look_ms = w.clock.now_ms + 100
    for i in range(w.listener_count):
        if w.listeners[i].again_ms and w.listeners[i].again_ms <= w.clock.now_ms and not w.draining:
            if w.listeners[i].accepting or w.listeners[i].removed:
                w.listeners[i].again_ms = 0
            else:
                listener_go_on(w, i)
    if w.draining and w.drain_due_ms <= w.clock.now_ms:
        stop_now(w)


# ------------------------------------------------------------------------------------------------ control socket


def control_received(w, result):
    if result <= 0:
        begin_drain(w)  # the supervisor is gone
        return
    if w.control_byte == b"s":
        begin_drain(w)
        stop_now(w)
    elif w.control_byte == b"d":
        begin_drain(w)
    elif w.control_byte == b"c" and w.rules.tls != NULL:
        if take_certificates(w, w.rules) < 0:
            tell(w, EVENT_CERTIFICATES, 0, NULL, 0)
    elif w.control_byte == b"u" and w.rules.peers >= 0:
        renew_peers(w)
    elif w.control_byte == b"r" and not w.draining:
        w.renewing = True  # run() reads what follows on the socket
        return
    w.driver.receive_plain(address(w.driver), w.control, address(w.control_byte), 1, tag_of(OP_CONTROL, 0, 0))


def renew_peers(w):
    failed: cython.int = take_peers(w, w.rules)
    name: cython.pointer(UpstreamEntry)
    if failed != 0:
        name = cast(cython.pointer(UpstreamEntry), upstream_at(w.snapshot, max(failed, 1) - 1))
        tell(w, EVENT_PEERS, 0, text_at(w.snapshot, name.name), min(name.name.length, TELL_NAME_MAX))


def take_peers(w, r):
    sequence: uint64_t = 0
    size: uint64_t = 0
    failed: cython.int = -1
    block: cython.p_void = newest_block(r.peers, r.peers_seen, address(sequence), address(size))
    if block == NULL:
        return 0
    if block == MAP_FAILED:
        return -1
    if peers_valid(cast(cython.pointer(PeersHead), block), size):
        failed = upstream_take(w, r, cast(cython.pointer(PeersHead), block))
        count(w.counters, COUNT_PEERS, sequence - r.peers_seen)
        r.peers_seen = sequence
    munmap(block, size)
    return failed


def begin_drain(w):
    """Stop accepting, close idle connections, let the others finish."""
    i: uint32_t
    if w.draining:
        return
    w.draining = True
    w.drain_due_ms = w.clock.now_ms + w.snapshot.timeouts.drain_ms
    for i in range(w.listener_count):
        if w.listeners[i].accepting:
            w.driver.cancel(address(w.driver), w.listeners[i].fd, tag_of(OP_ACCEPT, i, 0))
        else:
            listener_end(w, i)
    client_drain(w, NULL)
    upstream_drain(w)


def stop_now(w):
    """End all remaining connections: the drain deadline passed, or the supervisor stops the worker."""
    i: uint32_t
    c: cython.pointer(Client)
    for i in range(w.clients.made):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), i))
        if c.stream.slot.used and not c.stream.closing:
            if c.mux != NULL:
                stop_lanes(w, c.mux)
            if c.exchange != NULL:
                # With an orderly close, a response that ends with the connection would look complete.
                c.exchange.reason = STOPPED
                stream_abort(w, address(c.stream))
            else:
                stream_close(w, address(c.stream))
    # A second call leaves the loop: what is still open then ends with the process.
    w.stopping = w.stopping or w.forced
    w.forced = True
    w.drain_due_ms = w.clock.now_ms + 500


def stop_lanes(w, m):
    while m.lanes.first != NULL:
        exchange_cut(w, m.lanes.first.owner.exchange, STOPPED)
    mux_fail(w, m, H2_NO_ERROR)
    mux_push(w, m)
    stream_flush(w, address(m.client.stream))


def all_ended(w):
    i: uint32_t
    if not w.draining or w.clients.used or w.upstreams.used or w.exchanges.used:
        return False
    for i in range(w.listener_count):
        if w.listeners[i].accepting:
            return False
    return True

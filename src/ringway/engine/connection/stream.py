"""One socket and its bytes: receiving, decrypting, sending, deadlines, closing."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.closing import *
from cython.cimports.ringway.engine.connection.deadlines import *
from cython.cimports.ringway.engine.connection.handshake import *
from cython.cimports.ringway.engine.connection.offload import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.tell import *
from cython.cimports.ringway.engine.connection.waiting import *
from cython.cimports.ringway.engine.kernel import *
from cython.cimports.ringway.engine.native.linux import (
    ECANCELED,
    ECONNRESET,
    EIO,
    ENOBUFS,
    EPIPE,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    SHUT_WR,
    send,
    shutdown,
)
from cython.cimports.ringway.engine.tls import *


def stream_open(w, s, kind, fd, tls):
    s.lane.kind = cast(cython.uchar, kind)
    s.fd = fd
    s.nonblocking = w.driver.nonblocking
    s.lane.stream = s
    s.lane.timer.owner = address(s.lane)
    return stream_secure_now(w, s) if tls else True


def stream_secure_now(w, s):
    if not stream_secure(w, s, s.rules.tls):
        return False
    offload_attach(w, s)
    while s.lane.inbox.first != NULL:
        queue_push(address(s.cipher), queue_pop(address(s.lane.inbox)))
    if s.cipher.first != NULL:
        pump(w, s)
    return True


def stream_secure(w, s, context):
    s.secure = True
    s.tls = tls_open(context, session_to_resume(context), address(s.lane.outbox))
    if s.tls == NULL:
        return False
    gauge(w.counters, GAUGE_TLS, 1)
    return True


def stream_shake(w, s):
    if tls_handshake(s.tls) < 0:
        s.lane.error = EPIPE
        return False
    stream_flush(w, s)
    return True


# --------------------------------------------------------------------------------------------------- receiving


def stream_want(w, s, group, many, later):
    if s.closing or s.lane.eof or s.lane.error or s.ended:
        return
    s.want_group = cast(cython.uchar, group)
    s.want_many = many
    s.want_later = later
    s.watched = False  # a receive shows the end too
    if s.receive == RECEIVE_OFF:
        start_receive(w, s)
    elif s.receive == RECEIVE_ENDING:
        s.wanted = True
    elif s.receive == RECEIVE_END_ONLY:
        s.wanted = True
        s.receive = RECEIVE_ENDING
        w.driver.cancel(address(w.driver), s.fd, s.receive_tag)


def start_receive(w, s):
    group: cython.int = s.want_group
    left: uint32_t[ROOMS]
    if w.waiting or stream_tight(w, group) or w.driver.buffers_left(address(w.driver), group) == 0:
        # Who waits for the same comes first.
        group = NO_BUFFER
        if w.starved[s.want_group].first == NULL:
            rooms_left(w, left)
            group = group_for(w, s, left)
        if group < 0:
            starve(w, s, group)
            return
    ask_receive(w, s, group)


def ask_receive(w, s, group):
    s.spared = group != s.want_group
    # The kernel can take over receiving only while no receive is in flight.
    many: cython.bint = s.want_many and not s.spared and s.offload_wanted & ~s.offload & OFFLOAD_RECEIVE == 0
    flags: cython.int = RECEIVE_MANY if many else RECEIVE_ONCE
    # Bytes that were in the socket before kernel TLS took over show up on a receive, not on a poll.
    if s.offload & OFFLOAD_RECEIVE:
        flags |= RECEIVE_RECORDS
    elif s.want_later:
        flags |= RECEIVE_LATER
    s.receive_tag = receive_tag(operation_of(s, OP_CLIENT_RECEIVE), group, s.slot.index, s.slot.generation)
    s.receive = RECEIVE_MULTI if many else RECEIVE_SINGLE
    s.operations += 1
    w.driver.receive(address(w.driver), s.fd, group, flags, s.receive_tag)


def stream_watch(w, s):
    if s.closing or s.lane.eof or s.lane.error or s.ended or s.lane.left:
        return
    s.watched = s.receive == RECEIVE_ENDING
    if s.receive != RECEIVE_OFF:
        return
    s.receive_tag = tag_of(OP_CLIENT_END, s.slot.index, s.slot.generation)
    s.receive = RECEIVE_END_ONLY
    s.operations += 1
    w.driver.await_end(address(w.driver), s.fd, s.receive_tag)


def stream_left(w, s, result):
    s.operations -= 1
    s.receive = RECEIVE_OFF
    if s.closing:
        stream_finish(w, s)
        return
    s.lane.left = s.lane.left or result > 0
    if s.wanted:
        s.wanted = False
        start_receive(w, s)  # the receive reports the end too
    elif s.lane.left:
        w.handlers.received[s.lane.kind](w, s)
    elif s.watched:
        stream_watch(w, s)  # it was cancelled for a receive that is no longer wanted


def stream_pause(w, s):
    s.wanted = False
    s.watched = False
    if s.receive == RECEIVE_MULTI:
        s.receive = RECEIVE_ENDING
        w.driver.cancel(address(w.driver), s.fd, s.receive_tag)


def starve(w, s, why):
    # A buffer is released when a send completes. Then the loop tries again (feed_starved).
    count(w.counters, COUNT_NO_BUFFERS, 1)
    tell(w, EVENT_NO_BUFFERS, 0, NULL, 0)
    s.receive = RECEIVE_STARVED
    push_waiter(
        w, address(w.held_back[0]) if why == NO_SHARE else address(w.starved[s.want_group]), address(s.starving), s
    )


# ------------------------------------------------------------------------------------------- waiting for buffers


def stream_wait_buffers(w, s):
    if stream_hungry(s):
        return
    if s.lane.receive_due_ms == 0 and s.lane.send_due_ms == 0:
        lane_send_within(w, address(s.lane), s.lane.send_window_ms * HUNGRY_WINDOWS)
    count(w.counters, COUNT_NO_BUFFERS, 1)
    tell(w, EVENT_NO_BUFFERS, 0, NULL, 0)
    push_waiter(w, address(w.hungry[wait_of(s)]), address(s.hungering), s)


def stream_send_later(w, s):
    stream_flush(w, s)
    if stream_drained(s):
        stream_wait_buffers(w, s)


def stream_received(w, s, c):
    mode: cython.int = s.receive
    if s.granted:
        end_grant(w, s)
    if not c.more:
        s.operations -= 1
        s.receive = RECEIVE_OFF
    if s.closing:
        if c.buffer != NULL:
            buffer_give(address(w.buffers), c.buffer)
        stream_finish(w, s)
        return
    if c.result > 0:
        count(w.counters, COUNT_CLIENT_BYTES_IN if s.lane.kind == KIND_CLIENT else COUNT_UPSTREAM_BYTES_IN, c.result)
        s.moved += cast(uint32_t, c.result)
        lane_received(w, address(s.lane), cast(uint32_t, c.result))
        stream_charge(w, s, c.buffer)
        if not s.secure or s.offload & OFFLOAD_RECEIVE:
            if s.lane.inbox.last == NULL or not join_last(w, s, address(s.lane.inbox), c.buffer):
                queue_push(address(s.lane.inbox), c.buffer)
        else:
            push_cipher(w, s, c.buffer)
            pump(w, s)
    elif c.result == 0:
        socket_ended(w, s, 0)
    elif c.result == -ENOBUFS or c.result == -ECANCELED:
        # No buffer, or paused: nothing is lost. Receive again when wanted.
        if c.result == -ENOBUFS:
            s.wanted = s.wanted or mode != RECEIVE_ENDING
    elif c.result == -EIO and s.offload & OFFLOAD_RECEIVE:
        control_record(w, s)
        if s.lane.outbox.first != NULL:
            stream_flush(w, s)  # while OpenSSL encrypts, it writes the answer to a KeyUpdate
        s.wanted = s.wanted or mode != RECEIVE_ENDING
    else:
        socket_ended(w, s, -c.result)
        if s.offload & OFFLOAD_RECEIVE:
            offload_broken(w, s, s.lane.error)
    if c.result < 0 and s.watched and not s.wanted:
        stream_watch(w, s)
    if s.receive == RECEIVE_OFF and (
        s.wanted or (s.want_many and c.result > 0 and (mode == RECEIVE_MULTI or s.spared))
    ):
        # The owner asked again while the receive was being cancelled, or a multishot receive ended by itself.
        s.wanted = False
        if c.result == -ENOBUFS:
            starve(w, s, NO_BUFFER)  # or all that ask would be refused again in each turn, but for a few
        elif not s.lane.eof and s.lane.error == 0 and not s.ended:
            start_receive(w, s)
    if c.result > 0 or s.lane.eof or s.lane.error:
        w.handlers.received[s.lane.kind](w, s)


def push_cipher(w, s, b):
    length: uint32_t = length_of(b)
    if s.cipher.last == NULL or not join_last(w, s, address(s.cipher), b):
        queue_push(address(s.cipher), b)
    elif s.tls.left and s.cipher.last == s.cipher.first:
        s.tls.left += length  # OpenSSL is reading this buffer


def join_last(w, s, q, b):
    last: cython.pointer(Buffer) = q.last
    length: uint32_t = length_of(b)
    if length * JOIN_PART > last.size or last.group == GROUP_VIEW or b.group == GROUP_VIEW:
        return False
    if last == s.keep or b == s.keep or room_behind(last) < length:
        return False
    memcpy(last.base + last.end, data_of(b), length)
    last.end += length
    q.bytes += length
    buffer_give(address(w.buffers), b)
    return True


def socket_ended(w, s, error):
    if s.secure and s.offload & OFFLOAD_RECEIVE == 0 and (error == 0 or s.lane.kind == KIND_UPSTREAM or s.delivers_all):
        # Earlier bytes may still wait to be decrypted, because the inbox is full. They are not lost. But a request ends
        # at once when its client has reset the connection: nobody waits for its response.
        s.ended = True
        s.ended_error = error
        pump(w, s)
    elif error == 0:
        s.lane.eof = True
    else:
        s.lane.error = error


def pump(w, s):
    """Decrypt what waits, until the inbox is full."""
    more: cython.bint
    written: uint64_t = s.lane.outbox.bytes
    established: cython.bint = s.tls.established
    replied: cython.bint
    while (
        (s.cipher.first != NULL or tls_pending(s.tls))
        and s.lane.inbox.bytes < INBOX_HIGH
        and not s.lane.eof
        and s.lane.error == 0
    ):
        if s.tls.left == 0 and s.cipher.first != NULL:
            tls_feed(s.tls, data_of(s.cipher.first), length_of(s.cipher.first))
        more = pump_one(w, s)
        if s.tls.left == 0 and s.cipher.first != NULL:
            buffer_give(address(w.buffers), queue_pop(address(s.cipher)))
        if not more:
            break
    replied = s.lane.outbox.bytes != written and established
    if replied:
        bound_replies(s, s.lane.outbox.bytes - written)
    elif s.tls.replied and s.lane.inbox.first != NULL and s.lane.error == 0 and stream_drained(s):
        s.tls.replied = 0
    if s.ended and s.cipher.first == NULL and not tls_pending(s.tls) and not s.lane.eof and s.lane.error == 0:
        if s.lane.kind == KIND_CLIENT and s.ended_error == 0:
            s.lane.eof = True
        else:
            # RFC 9112 9.8, RFC 8446 6.1: without close_notify anybody may have ended it: a response may be incomplete.
            s.lane.error = s.ended_error if s.ended_error else ECONNRESET
    if s.offload_wanted:
        offload_check(w, s)
        offload_step(w, s)
    if s.lane.kind == KIND_UPSTREAM and (s.state == UPSTREAM_HANDSHAKE or s.lane.error):
        return  # the records go out with the request that follows, or before the close
    if s.lane.outbox.first != NULL and (s.lane.inbox.first == NULL or replied):
        # Send handshake records and alerts now: the peer may wait for them. With plaintext in the inbox a response
        # follows, and a ticket goes out with it. After half a head, client_next_request() sends the ticket.
        stream_flush(w, s)


def control_record(w, s):
    written: uint64_t = s.lane.outbox.bytes
    if s.tls != NULL and stream_drained(s):
        s.tls.replied = 0
    offload_control(w, s)
    if s.lane.outbox.bytes > written:
        bound_replies(s, s.lane.outbox.bytes - written)


def bound_replies(s, written):
    """Back-pressure does not apply to what OpenSSL writes on its own, so it has its own bound."""
    s.tls.replied += cast(uint32_t, written)
    if s.tls.replied > TLS_REPLIES_MAX and not s.lane.eof and s.lane.error == 0:
        s.lane.error = EPIPE


def pump_one(w, s):
    """Decrypt the ciphertext that OpenSSL has, until the inbox is full. False: it cannot continue."""
    result: cython.int
    b: cython.pointer(Buffer)
    behind: cython.bint
    if not s.tls.established:
        result = handshake_step(w, s)
        if result <= 0:
            return result == 0
    while s.lane.inbox.bytes < INBOX_HIGH:
        # Append to the last buffer. Otherwise a peer that sends records of one byte would use a buffer for each.
        b = s.lane.inbox.last
        behind = b != NULL and b.group != GROUP_VIEW and room_behind(b) >= FILL_MIN
        if not behind:
            # The buffer of the ciphertext is released in exchange, so the reserve suffices.
            b = buffer_take(address(w.buffers), GROUP_SMALL if s.spared else s.want_group)
        if b == NULL:
            stream_wait_buffers(w, s)
            return False
        result = tls_read(s.tls, b.base + b.end, room_behind(b))
        if result <= 0:
            if not behind:
                buffer_give(address(w.buffers), b)
            if result == TLS_CLOSED:
                s.lane.eof = True
            elif result < 0:
                s.lane.error = EPIPE
            return result == 0
        b.end += cast(uint32_t, result)
        if behind:
            s.lane.inbox.bytes += cast(uint32_t, result)
        else:
            queue_push(address(s.lane.inbox), b)
    return True


def stream_refill(w, s):
    if s.tls != NULL and not s.closing and (s.cipher.first != NULL or s.ended or tls_pending(s.tls)):
        pump(w, s)


# ----------------------------------------------------------------------------------------------------- sending


def stream_send(w, s, b):
    stream_queue(w, s, b)
    stream_flush(w, s)


def stream_send_end(w, s, b):
    stream_queue(w, s, b)
    stream_notify(w, s)
    stream_flush(w, s)


def stream_notify(w, s):
    if s.notified or s.tls_version == 0:
        return
    s.notified = True
    if s.offload & OFFLOAD_SEND:
        s.notify_due = True
    else:
        tls_notify(s.tls)


def stream_queue(w, s, b):
    BUG_ON(b.state != BUFFER_HELD or b.start == b.end)
    if s.closing or s.lane.send_error:
        if b != s.keep:
            buffer_give(address(w.buffers), b)
        return
    if offload_due(w, s):
        offload_step(w, s)
    if stream_sends_plain(s):
        if s.lane.outbox.last == NULL or not join_last(w, s, address(s.lane.outbox), b):
            queue_push(address(s.lane.outbox), b)
    else:
        s.tls_written += length_of(b)
        if tls_write(s.tls, data_of(b), length_of(b)) < 0:
            s.lane.send_error = ENOBUFS if s.tls.exhausted else EPIPE
        if b != s.keep:
            buffer_give(address(w.buffers), b)


def stream_flush(w, s):
    if s.sending != NULL or s.closing:
        return
    if s.lane.outbox.first == NULL:
        if s.notify_due and not s.polling:
            say_goodbye(w, s)
        return
    if not offload_update(w, s):
        await_room(w, s)
        return
    b: cython.pointer(Buffer) = queue_pop(address(s.lane.outbox))
    if s.lane.send_due_ms == 0:
        lane_send_within(w, address(s.lane), s.lane.send_window_ms)
    lend(w, s, b)


def lend(w, s, b):
    """Lend the buffer to the kernel until stream_sent()."""
    buffer_move(b, BUFFER_LENT)
    s.sending = b
    w.moving += 1
    s.operations += 1
    w.driver.send(
        address(w.driver),
        s.fd,
        data_of(b),
        length_of(b),
        s.lane.outbox.first != NULL,
        tag_of(operation_of(s, OP_CLIENT_SEND), s.slot.index, s.slot.generation),
    )


def stream_part(w, s):
    b: cython.pointer(Buffer)
    sent: cython.longlong
    if s.closing or s.sending != NULL or s.lane.send_error or s.tls == NULL:
        return
    # RFC 8446 6.1: each side sends close_notify before it closes. After an error OpenSSL has written an alert instead.
    stream_notify(w, s)
    b = s.lane.outbox.first
    while b != NULL:
        sent = send(s.fd, data_of(b), length_of(b), MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent != cast(cython.longlong, length_of(b)):
            return  # the socket is full: close without it
        count(w.counters, COUNT_UPSTREAM_BYTES_OUT, sent)
        buffer_give(address(w.buffers), queue_pop(address(s.lane.outbox)))
        b = s.lane.outbox.first


def say_goodbye(w, s):
    """Send close_notify through kernel TLS as soon as the socket has room for it."""
    if offload_notify(w, s):
        s.notify_due = False
    else:
        await_room(w, s)


def await_room(w, s):
    """Have stream_writable() called when the socket has room."""
    if s.polling:
        return
    if s.lane.send_due_ms == 0:
        lane_send_within(w, address(s.lane), s.lane.send_window_ms)
    s.polling = True
    s.operations += 1
    w.driver.writable(address(w.driver), s.fd, tag_of(OP_CLIENT_WRITABLE, s.slot.index, s.slot.generation))


def stream_shut(w, s):
    s.lane.shut_write = True
    if s.secure:
        stream_notify(w, s)
        stream_flush(w, s)
    if stream_drained(s):
        shutdown(s.fd, SHUT_WR)


def stream_writable(w, s):
    stream_flush(w, s)
    if stream_drained(s):
        s.lane.send_due_ms = 0
        w.handlers.sent[s.lane.kind](w, s)


def stream_sent(w, s, result):
    b: cython.pointer(Buffer) = s.sending
    s.operations -= 1
    s.sending = NULL
    w.moving -= 1
    buffer_move(b, BUFFER_HELD)
    if result > 0:
        count(w.counters, COUNT_CLIENT_BYTES_OUT if s.lane.kind == KIND_CLIENT else COUNT_UPSTREAM_BYTES_OUT, result)
        s.lane.sent_any = True
        b.start += cast(uint32_t, result)
        lane_took(w, address(s.lane), cast(uint32_t, result))
    elif s.lane.send_error == 0:
        s.lane.send_error = -result if result < 0 else EPIPE
        queue_give(address(w.buffers), address(s.lane.outbox))
    if result > 0 and b.start < b.end and not s.closing:
        # A short send: send the rest before everything else.
        lend(w, s, b)
        return
    if b != s.keep:
        buffer_give(address(w.buffers), b)
    if s.closing:
        stream_finish(w, s)
        return
    stream_flush(w, s)
    if stream_drained(s):
        s.lane.send_due_ms = 0
    w.handlers.sent[s.lane.kind](w, s)


# For tests.


def ignore(d, fd, tag):
    pass


def ignore_receive(d, fd, group, flags, tag):
    pass


def one_left(d, group):
    return 1


def watching(steps: list) -> list:
    """What is in flight (ReceiveMode) after each step: "watch", "want", "many" (want a multishot receive), "pause", or
    "cancelled" (the completion of what was cancelled)."""
    w: cython.pointer(Worker) = cast(cython.pointer(Worker), calloc(1, cython.sizeof(Worker)))
    s: cython.pointer(Stream) = cast(cython.pointer(Stream), calloc(1, cython.sizeof(Stream)))
    c: Completion
    if w == NULL or s == NULL:
        raise MemoryError
    w.driver.cancel = ignore
    w.driver.await_end = ignore
    w.driver.receive = ignore_receive
    w.driver.buffers_left = one_left
    w.buffers.pool[GROUP_SMALL].tight = 1
    c.more = False
    c.result = -ECANCELED
    c.buffer = NULL
    found = []
    for step in steps:
        if step == "watch":
            stream_watch(w, s)
        elif step == "pause":
            stream_pause(w, s)
        elif step != "cancelled":
            stream_want(w, s, GROUP_SMALL, step == "many", False)
        elif s.receive_tag >> 56 == OP_CLIENT_END:
            stream_left(w, s, -ECANCELED)
        else:
            stream_received(w, s, address(c))
        found.append(s.receive)
    free(s)
    free(w)
    return found

"""What an exchange sees of its two sides: `x.front` leads to the client, `x.back` to the upstream.

    client <-- front: Lane <-- Exchange --> back: Lane --> upstream

A lane has the bytes of one exchange: `inbox`, the ends and errors of both directions, and two deadlines (deadlines.pxd).
With HTTP/1 it is the whole connection, and these functions are those of its stream. With HTTP/2 it is one of many: `mux` is
set, and the functions are those of mux_send.pxd. Modules of `exchange` use only this
page for bytes: they call no function of a stream, and of `x.client.stream` and `x.upstream.stream` they read only facts
(`secure`, `door`, `tls_version` ...). tools/check_engine.py holds that.

The owner asks for input with lane_want() and takes it with lane_take(). It gives output to lane_send() as long as the
lane is not lane_full(). lane_want() leads to a call of `w.handlers.client_received` or `upstream_received`, lane_send()
to one of `client_sent` or `upstream_sent`.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport GROUP_LARGE, Buffer, queue_pop
from ringway.engine.connection.client cimport unacknowledged
from ringway.engine.connection.closing cimport stream_abort
from ringway.engine.connection.deadlines cimport lane_send_within, stream_drained
from ringway.engine.connection.mux_send cimport (
    LANE_HIGH, MUX_HIGH, mux_lane_done, mux_lane_end, mux_lane_head, mux_lane_later, mux_lane_reset, mux_lane_send, mux_lane_take,
    mux_lane_want,
)
from ringway.engine.connection.inbox cimport look_for_head
from ringway.engine.connection.offload cimport offload_due, offload_step
from ringway.engine.connection.pipelining cimport client_pipeline, client_watch
from ringway.engine.connection.sendfile cimport stream_send_now, stream_sendfile
from ringway.engine.connection.state cimport RECEIVE_OFF, Client, Lane, MuxLane, Worker
from ringway.engine.connection.stream cimport (
    await_room, stream_flush, stream_full, stream_pause, stream_queue, stream_queued, stream_refill,
    stream_send, stream_send_end, stream_send_later, stream_sends_plain, stream_shut, stream_want,
)
from ringway.engine.connection.waiting cimport stream_charge, stream_short_large

# ------------------------------------------------------------------------------------------------------ receiving

cdef inline Buffer* lane_take(Worker* w, Lane* lane) noexcept nogil:
    """The next received bytes; the caller owns them. NULL: there are none now. Then look at `eof` and `error`."""
    if lane.mux != NULL:
        return mux_lane_take(w, lane)
    cdef Buffer* b = queue_pop(&lane.inbox)
    if b == NULL:
        stream_refill(w, lane.stream)
        b = queue_pop(&lane.inbox)
    return b

cdef inline void lane_refill(Worker* w, Lane* lane) noexcept nogil:
    """Decrypt what waits, as far as the inbox has room. This may reach the end: look at `eof` and `error`."""
    if lane.mux == NULL:
        stream_refill(w, lane.stream)

cdef inline void lane_want(Worker* w, Lane* lane) noexcept nogil:
    """Receive more of a body."""
    if lane.mux != NULL:
        mux_lane_want(w, lane)
    else:
        stream_want(w, lane.stream, GROUP_LARGE, False, False)

cdef inline void lane_pause(Worker* w, Lane* lane) noexcept nogil:
    """Back-pressure: stop receiving, as far as that is possible at once. On a mux the window does it: nothing is given back."""
    if lane.mux == NULL:
        stream_pause(w, lane.stream)

cdef inline bint lane_receives(const Lane* lane) noexcept nogil:
    """Is a receive in flight, or about to be? If not, what failed is known already."""
    return lane.stream.receive != RECEIVE_OFF

cdef inline int lane_find_response(Worker* w, Lane* lane, uint32_t* seen) noexcept nogil:
    """Upstream: the head of a response at inbox.first: its bytes. 0: more is needed. <0: -Reason."""
    return look_for_head(w, lane.stream, seen, False)

cdef inline bint lane_empty(const Lane* lane) noexcept nogil:
    """Is nothing left of what was received, decrypted or not?"""
    return lane.inbox.first == NULL and (lane.mux != NULL or lane.stream.cipher.first == NULL)

# -------------------------------------------------------------------------------------------------------- sending

cdef inline void lane_send(Worker* w, Lane* lane, Buffer* b) noexcept nogil:
    """Queue the bytes, and begin to send them. Takes over b."""
    if lane.mux != NULL:
        mux_lane_send(w, lane, b)
    else:
        stream_send(w, lane.stream, b)

cdef inline void lane_queue(Worker* w, Lane* lane, Buffer* b) noexcept nogil:
    """As lane_send(), but the caller queues more at once."""
    if lane.mux != NULL:
        mux_lane_send(w, lane, b)
    else:
        stream_queue(w, lane.stream, b)

cdef inline void lane_send_end(Worker* w, Lane* lane, Buffer* b) noexcept nogil:
    """As lane_send(), for the last bytes of a response: if the connection ends with them, close_notify goes with them."""
    if lane.mux != NULL:
        mux_lane_send(w, lane, b)
        mux_lane_end(w, lane)
    elif (<Client*> lane.stream).last:
        stream_send_end(w, lane.stream, b)
    else:
        stream_send(w, lane.stream, b)

cdef inline void lane_head(Worker* w, Lane* lane, Buffer* b, uint32_t head, bint end) noexcept nogil:
    """Client: send the head of a response, the first `head` bytes of b, and the body behind it. `end`: that is all of it, as
    for lane_send_end(). Takes over b."""
    if lane.mux != NULL:
        mux_lane_head(w, lane, b, head, end)
    elif end:
        lane_send_end(w, lane, b)
    else:
        stream_send(w, lane.stream, b)

cdef inline void lane_end(Worker* w, Lane* lane) noexcept nogil:
    """Client: the response is complete. With HTTP/1 its bytes say so."""
    if lane.mux != NULL:
        mux_lane_end(w, lane)

cdef inline bint lane_frames(const Lane* lane) noexcept nogil:
    """Does the carrier mark the end of a message? Otherwise its bytes do (RFC 9112 6.3)."""
    return lane.mux != NULL

cdef inline void lane_flush(Worker* w, Lane* lane) noexcept nogil:
    """Begin to send what is queued."""
    stream_flush(w, lane.stream)

cdef inline void lane_shut(Worker* w, Lane* lane) noexcept nogil:
    """End our direction; receiving continues."""
    stream_shut(w, lane.stream)

cdef inline void lane_send_later(Worker* w, Lane* lane) noexcept nogil:
    """Buffers are scarce: the owner gets `sent` when the queued bytes are sent, or, if none are, when buffers are free."""
    if lane.mux != NULL:
        mux_lane_later(w, lane)
    else:
        stream_send_later(w, lane.stream)

cdef inline bint lane_full(const Worker* w, const Lane* lane) noexcept nogil:
    """Is so much queued that the owner should wait for `sent`?"""
    if lane.mux == NULL:
        return stream_full(w, lane.stream)
    if (<const MuxLane*> lane).send_window <= 0 or lane.mux.send_window <= 0:
        return True  # what its client does not take waits in the file, or in the socket of the upstream
    if lane.outbox.first != NULL and lane.mux.parked >= MUX_HIGH:
        return True
    return lane.outbox.bytes >= min(w.outbox_high, <uint32_t> LANE_HIGH)

cdef inline void lane_stalled(Worker* w, Lane* lane) noexcept nogil:
    """The owner has more, but the lane is full: from now on the peer has to take something within its deadline."""
    if lane.mux != NULL and lane.send_due_ms == 0:
        lane_send_within(w, lane, lane.send_window_ms)

cdef inline bint lane_drained(const Lane* lane) noexcept nogil:
    """Was everything sent?"""
    if lane.mux == NULL:
        return stream_drained(lane.stream)
    return lane.outbox.first == NULL and (<const MuxLane*> lane).end_due == (<const MuxLane*> lane).end_sent

cdef inline uint64_t lane_queued(const Lane* lane) noexcept nogil:
    """Bytes that the socket has not taken yet."""
    return stream_queued(lane.stream) if lane.mux == NULL else lane.outbox.bytes

cdef inline int lane_unacknowledged(Lane* lane) noexcept nogil:
    """Bytes that the socket has taken and the peer has not acknowledged."""
    return unacknowledged(lane.stream)

cdef inline void lane_keep(Lane* lane, Buffer* b) noexcept nogil:
    """Upstream: do not release this buffer after it was sent: the exchange may need it again. NULL: none."""
    lane.stream.keep = b

cdef inline bint lane_lends(const Lane* lane, const Buffer* b) noexcept nogil:
    """Upstream: does the kernel have this buffer now?"""
    return b != NULL and lane.stream.sending == b

# ---------------------------------------------------------------------------------------------- files, by sendfile

cdef inline bint lane_sends_plain(const Lane* lane) noexcept nogil:
    """Do queued bytes go to the socket as they are? Then files can go there too, without passing through buffers."""
    return lane.mux == NULL and stream_sends_plain(lane.stream)

cdef inline bint lane_changes(Worker* w, Lane* lane) noexcept nogil:
    """Could the kernel take over the encryption now, once everything queued is sent?"""
    return lane.mux == NULL and offload_due(w, lane.stream)

cdef inline bint lane_becomes_plain(Worker* w, Lane* lane) noexcept nogil:
    """Have the kernel take over the encryption, if it does not encrypt yet. False: it refused."""
    if not stream_sends_plain(lane.stream):
        offload_step(w, lane.stream)
    return stream_sends_plain(lane.stream)

cdef inline bint lane_send_now(Lane* lane, Buffer* b) noexcept nogil:
    """Send b at once. False: part of it is left."""
    return stream_send_now(lane.stream, b)

cdef inline int64_t lane_sendfile(Worker* w, Lane* lane, int fd, uint64_t at, uint64_t length) noexcept nogil:
    """As stream_sendfile()."""
    return stream_sendfile(w, lane.stream, fd, at, length)

cdef inline void lane_wait(Worker* w, Lane* lane) noexcept nogil:
    """Have the owner's `sent` called when the socket has room."""
    await_room(w, lane.stream)

cdef inline bint lane_waits(const Lane* lane) noexcept nogil:
    """Has lane_wait() begun, and the socket had no room since?"""
    return lane.stream.polling

# --------------------------------------------------------------------------------------------------------- buffers

cdef inline bint lane_short(Worker* w, const Lane* lane) noexcept nogil:
    """Are large buffers so scarce that its address gets none now?"""
    return stream_short_large(w, lane.stream)

cdef inline void lane_charge(Worker* w, Lane* lane, Buffer* b) noexcept nogil:
    """Its address has taken this buffer."""
    stream_charge(w, lane.stream, b)

# ------------------------------------------------------------------------------------------------------- the end

cdef inline void lane_deliver_all(Lane* lane) noexcept nogil:
    """A tunnel: what came before a reset is taken too, also what is not decrypted yet."""
    lane.stream.delivers_all = True

cdef inline bint lane_closing(const Lane* lane) noexcept nogil:
    """Is it being closed? Its exchange ends as soon as nothing is in flight."""
    return lane.stream.closing

cdef inline void lane_reset(Worker* w, Lane* lane) noexcept nogil:
    """End it so that the peer does not take what it has for the whole. On a mux it is gone then."""
    if lane.mux != NULL:
        mux_lane_reset(w, lane)
    else:
        stream_abort(w, lane.stream)

cdef inline bint lane_tls_failed(const Lane* lane) noexcept nogil:
    return lane.mux == NULL and lane.stream.tls != NULL and lane.stream.tls.failed

# ------------------------------------------------------------------------------------------------------ the client

cdef inline void lane_watch(Worker* w, Lane* lane, bint later) noexcept nogil:
    """Client: the whole request is here. Notice when the client leaves. `later`: nothing is expected at once."""
    if lane.mux == NULL:
        client_watch(w, <Client*> lane.stream, later)

cdef inline void lane_pipeline(Worker* w, Lane* lane, uint64_t bytes, bint watch) noexcept nogil:
    """Client: it sent something after the request. Keep at most `bytes` of it. `watch`: notice when the client leaves."""
    if lane.mux == NULL:
        client_pipeline(w, <Client*> lane.stream, bytes, watch)

cdef inline bint lane_ends(const Lane* lane) noexcept nogil:
    """Client: does the connection end with this response?"""
    return lane.mux == NULL and (<const Client*> lane.stream).last

cdef inline void lane_end_after(Lane* lane) noexcept nogil:
    """Client: the connection ends with this response, and the response says so. On a mux nothing needs to end."""
    if lane.mux == NULL:
        (<Client*> lane.stream).last = True

cdef inline void lane_leave_rest(Lane* lane) noexcept nogil:
    """Client: the rest of the request is not read, so nobody can know where the next request begins. The connection ends
    with this response, and until the client has it, Ringway reads and discards what still comes. On a mux the lane ends."""
    if lane.mux == NULL:
        (<Client*> lane.stream).last = True
        (<Client*> lane.stream).linger = True

cdef inline bint lane_has_left(const Lane* lane) noexcept nogil:
    """Client: did it end its side? With HTTP/1 it has most probably closed the connection, on a mux its request is complete."""
    return lane.left or (lane.mux == NULL and lane.eof)

cdef inline void lane_done(Worker* w, Lane* lane) noexcept nogil:
    """Client, on a mux: its exchange has ended, and everything was sent."""
    mux_lane_done(w, lane)

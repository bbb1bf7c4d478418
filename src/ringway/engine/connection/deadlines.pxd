"""The two deadlines of a lane: for bytes from the peer (`receive_due_ms`), and for the peer to read (`send_due_ms`).

A deadline moves without touching the timer (timers.pxd: "lazy"). When the timer fires, lane_timer() finds out which
deadline has passed, sets `late` and calls the owner's `late`.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.base.timers cimport timer_before
from ringway.engine.connection.state cimport KIND_UPSTREAM, Lane, Stream, Worker

cdef enum LateSide:
    LATE_RECEIVE = 1
    LATE_SEND = 2
    LATE_BUFFERS = 3        # it waited for Ringway's buffers: the peer is not to blame
    LATE_GAVE_WAY = 4       # buffers are scarce, and it moves less than others: see shares.pxd
    LATE_LOOK = 5           # not late: time for the next check, see `looking`

cdef enum:
    LEAST_RATE = 256        # bytes a second on average that a client must take of a response. A slower client (GSM data
                            # is four times as fast) is not worth its buffer. It begins with a credit of `write`, and
                            # never has more

cdef void lane_timer(Worker* w, Lane* lane) noexcept nogil
    # its timer has fired
cdef void lane_expired(Worker* w, Lane* lane) noexcept nogil

cdef inline bint stream_drained(const Stream* s) noexcept nogil:
    return s.sending == NULL and s.lane.outbox.first == NULL and not s.notify_due

cdef inline void lane_receive_within(Worker* w, Lane* lane, uint32_t ms, bint renewed) noexcept nogil:
    """Set a deadline for bytes from the peer; `renewed`: progress renews it. 0: no deadline."""
    lane.received_since = 0
    lane.receive_window_ms = ms if renewed else 0
    lane.receive_due_ms = 0
    if ms:
        lane.receive_due_ms = w.clock.now_ms + ms
        timer_before(&w.wheel, &lane.timer, lane.receive_due_ms)

cdef inline void lane_send_within(Worker* w, Lane* lane, uint32_t ms) noexcept nogil:
    """Set a deadline for the peer to read. 0: no deadline."""
    lane.sent_since = 0
    lane.send_due_ms = 0
    if ms:
        lane.send_due_ms = w.clock.now_ms + ms
        timer_before(&w.wheel, &lane.timer, lane.send_due_ms)

cdef inline void lane_received(Worker* w, Lane* lane, uint32_t bytes) noexcept nogil:
    """The peer sent `bytes`: enough of them renew its deadline."""
    lane.received_since += bytes
    if lane.receive_window_ms and lane.received_since >= lane.progress_bytes:
        lane.received_since = 0
        lane.receive_due_ms = w.clock.now_ms + lane.receive_window_ms

cdef inline uint64_t credited(uint64_t now_ms, uint64_t due_ms, uint32_t window_ms, uint32_t bytes) noexcept nogil:
    """The new deadline of a client that took `bytes`: later by the time that they need at LEAST_RATE."""
    return min(now_ms + window_ms, due_ms + <uint64_t> bytes * 1000 // LEAST_RATE)

cdef inline void lane_took(Worker* w, Lane* lane, uint32_t bytes) noexcept nogil:
    """The peer took `bytes`: enough of them move its deadline."""
    lane.sent_since += bytes
    lane.stream.moved += bytes
    if lane.sent_since >= lane.progress_bytes:
        if lane.send_due_ms and lane.kind == KIND_UPSTREAM:
            lane.send_due_ms = w.clock.now_ms + lane.send_window_ms
        elif lane.send_due_ms:
            # A credit: a client that takes less than LEAST_RATE on average uses it up, however it spreads its bytes.
            lane.send_due_ms = credited(w.clock.now_ms, lane.send_due_ms, lane.send_window_ms, lane.sent_since)
        lane.sent_since = 0

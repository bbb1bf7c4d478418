"""What goes out on a connection with HTTP/2: all lanes share one send a turn.

    heads, windows, resets ----------------------+
                                                  +--> gather --> stream --> TLS records, socket
    outbox of a lane --by turns, as windows allow-+

Frames without flow control are written to `gather` at once, DATA when the turn of the loop ends (mux_turns() in mux.py), so that
one record and one system call carry what all lanes have to say. Each lane sends at most one frame, then the next one has
its turn. A lane without a window is in no list: it costs nothing until its client takes something.

The exchange of a lane is told (`client_sent`) after the send, never within: it may end, and its lane with it.
"""
from libc.stdint cimport uint8_t, uint32_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.connection.state cimport Lane, Mux, MuxLane, Worker

cdef enum:
    LANE_HIGH = 65536           # octets: with this many in its outbox a lane is full
    MUX_HIGH = 262144           # octets: with this many in the outboxes of all lanes, each lane is full that has any
    UPDATES_MOST = 1000         # window updates that a client has in credit: two for each frame of DATA that we send
    CALM_MOST = 200             # the budget for bad manners: a reset or a ping costs 1. It grows by 20 a second, and by 1 for
                                # each request that ends in order. 0: ENHANCE_YOUR_CALM
    GATHER_LANES = 8            # with more lanes than this, what they say is gathered in a large buffer

cdef void mux_due(Worker* w, Mux* m) noexcept nogil
    # it has something to send: when this turn ends
cdef void mux_flush(Worker* w, Mux* m) noexcept nogil
    # sends what there is and tells the exchanges
cdef bint mux_tell(Worker* w, Mux* m) noexcept nogil            # False: there was nobody to tell
cdef void mux_schedule(Worker* w, Mux* m) noexcept nogil        # DATA, until the stream is full
cdef bint mux_send_one(Worker* w, Mux* m, MuxLane* lane) noexcept nogil
    # one frame. False: nobody can send any now
cdef void mux_send_last(Worker* w, Mux* m, MuxLane* lane) noexcept nogil       # END_STREAM, with the trailers if there are any
cdef void mux_sent_end(MuxLane* lane) noexcept nogil
cdef void mux_push(Worker* w, Mux* m) noexcept nogil            # gives `gather` to the stream

cdef uint8_t* mux_room(Worker* w, Mux* m, uint32_t bytes) noexcept nogil
    # where the next `bytes` of frames go, at most SMALL_BYTES; the caller writes all of them. NULL: no buffer is free, and
    # the connection ends
cdef void mux_put_block(Worker* w, Mux* m, uint32_t id, const uint8_t* block, uint32_t length, bint end) noexcept nogil
    # HEADERS, and CONTINUATION if it is long
cdef void mux_put_window(Worker* w, Mux* m, uint32_t id, uint32_t increment) noexcept nogil
cdef void mux_put_reset(Worker* w, Mux* m, uint32_t id, uint32_t code) noexcept nogil
    # every RST_STREAM that we send costs the client some of its budget
cdef void mux_put_goaway(Worker* w, Mux* m, uint32_t last, uint32_t code) noexcept nogil
cdef void mux_blame(Worker* w, Mux* m, int cost) noexcept nogil
    # the client's bad manners cost it so much of its budget
cdef void mux_fail(Worker* w, Mux* m, uint32_t code) noexcept nogil
    # GOAWAY; nothing is read any more, and the connection ends when this turn does
cdef void mux_refuse(Worker* w, Mux* m, uint32_t id, uint32_t code) noexcept nogil
    # RST_STREAM; its exchange, if it has one, ends
cdef void mux_drop(Worker* w, Mux* m, MuxLane* lane) noexcept nogil
    # it is over for the client: its exchange ends, and nothing more is sent on it

# What lane.pxd calls.
cdef void mux_lane_head(Worker* w, Lane* lane, Buffer* b, uint32_t head, bint end) noexcept nogil
cdef void mux_lane_send(Worker* w, Lane* lane, Buffer* b) noexcept nogil
cdef void mux_lane_end(Worker* w, Lane* lane) noexcept nogil
cdef Buffer* mux_lane_take(Worker* w, Lane* lane) noexcept nogil
cdef void mux_lane_want(Worker* w, Lane* lane) noexcept nogil
cdef void mux_lane_later(Worker* w, Lane* lane) noexcept nogil
cdef void mux_lane_reset(Worker* w, Lane* lane) noexcept nogil
cdef void mux_lane_done(Worker* w, Lane* lane) noexcept nogil
cdef uint32_t reset_code(int reason) noexcept nogil            # H2Error for a Reason
cdef void mux_lane_ready(Worker* w, Mux* m, MuxLane* lane) noexcept nogil
cdef void mux_lane_over(Worker* w, Mux* m, MuxLane* lane) noexcept nogil
cdef bint has_trailers(const MuxLane* lane) noexcept nogil

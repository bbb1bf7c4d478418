"""A connection with a client that speaks HTTP/2 (RFC 9113): frames in, exchanges out.

    stream.inbox --frame_read()--> mux_event() --> HEADERS: a lane, an exchange, `lane_request`
                                               --> DATA:    lane.inbox, `client_received`
                                               --> the rest: windows, resets, settings, pings
    lanes --mux_send.pxd--> stream

The connection is a Client in the state CLIENT_MUX, and this module handles all its events. Each request is a lane
(`Exchange.own`) with the deadlines that a connection has in HTTP/1. The connection has its own: the preface and each
field block must be complete within `head`, and without a lane it closes after `keepalive`.

Nothing here closes the stream while frames are handled, because a request may be answered, and its lane be gone, within
the call that delivers it. An error sets MUX_GONE, and mux_turns() ends the connection when the turn ends.

What bounds a client: `streams` lanes, WINDOW_FIRST octets for each that nobody takes, a field block of HEAD_BLOCKS heads
and BLOCK_FRAMES frames; nothing is read while the stream is full; and `calm`, a budget that bad manners use up.
"""
from libc.stdint cimport uint32_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.connection.state cimport Client, Exchange, Lane, Mux, MuxLane, Worker

cdef enum:
    BLOCK_FRAMES = 16           # HEADERS and CONTINUATION of one field block
    BLAME_BLOCK = 20            # of `calm`: an empty HEADERS or CONTINUATION
    DATA_SMALL = 64             # octets: a frame of DATA with fewer costs more than it brings

cdef void mux_move(Mux* m, int to) noexcept nogil
cdef void mux_begin(Worker* w, Client* c) noexcept nogil
    # Handlers.mux_begin: the client negotiated h2, or its first octets are the preface
cdef void mux_received(Worker* w, Mux* m) noexcept nogil
cdef void mux_sent(Worker* w, Mux* m) noexcept nogil
cdef void mux_late(Worker* w, Mux* m) noexcept nogil
cdef void mux_gone(Worker* w, Mux* m) noexcept nogil
    # nothing is in flight any more: releases everything
cdef void mux_drain(Worker* w, Mux* m) noexcept nogil
    # GOAWAY: no new lanes soon; ends with the last lane
cdef void mux_lane_late(Worker* w, Lane* lane) noexcept nogil
cdef void mux_turns(Worker* w) noexcept nogil
    # the end of a turn: sends for those that mux_due() noted, and ends those that are over

cdef void mux_settings(Worker* w, Mux* m) noexcept nogil               # sends ours
cdef void mux_read(Worker* w, Mux* m) noexcept nogil
cdef Buffer* mux_read_one(Worker* w, Mux* m, Buffer* b) noexcept nogil
    # the frames in b; returns b with what is left of it; NULL: all of it was used
cdef bint mux_preface(Worker* w, Mux* m, Buffer* b) noexcept nogil     # True: it is complete
cdef void mux_event(Worker* w, Mux* m, int event) noexcept nogil       # a FrameEvent of m.reader
cdef void mux_data(Worker* w, Mux* m) noexcept nogil
cdef void mux_blame_small(Worker* w, Mux* m) noexcept nogil
    # frames with few octets cost more than they bring: every eighth costs the client something
cdef bint mux_store(Worker* w, Mux* m, MuxLane* lane) noexcept nogil   # the piece of DATA. False: no buffer
cdef void mux_block(Worker* w, Mux* m) noexcept nogil
cdef bint mux_collect(Worker* w, Mux* m) noexcept nogil                # a piece of a block. False: the connection ends
cdef void mux_head(Worker* w, Mux* m, const unsigned char* block, uint32_t length) noexcept nogil
cdef void mux_request(Worker* w, Mux* m, Exchange* x, int found) noexcept nogil
cdef void mux_trailer(Worker* w, Mux* m, MuxLane* lane, int found) noexcept nogil
cdef void mux_reset(Worker* w, Mux* m) noexcept nogil                  # by the client
cdef void mux_abandon(Worker* w, Mux* m) noexcept nogil                # ends all exchanges
cdef void mux_end(Worker* w, Mux* m) noexcept nogil                    # MUX_GONE: ends the connection
cdef void mux_rest(Worker* w, Mux* m) noexcept nogil                   # sets the deadline for the client's next octets

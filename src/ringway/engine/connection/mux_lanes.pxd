"""The lanes of a connection with HTTP/2: by id, in lists, and their windows for receiving.

A client's window for a lane is `window` octets: WINDOW_FIRST at the beginning, which all lanes may have at once, and up to
WINDOW_MOST for those whose bytes are being taken, as long as the connection's budget (GRANT_MOST) lasts. What the exchange
takes is given back to the window. The window of the connection is larger than all of that, and given back at once: it
never stops a lane because another one is slow.
"""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Exchange, Mux, MuxLane, MuxLink, MuxLinks, Worker

cdef enum:
    WINDOW_FIRST = 16384            # octets: SETTINGS_INITIAL_WINDOW_SIZE
    WINDOW_MOST = 131072            # of a lane whose bytes are taken: 10 Mbit/s at 100 ms
    GRANT_MOST = 1048576            # of all lanes of a connection, beyond WINDOW_FIRST for each
    WINDOW_CONNECTION = 4194304     # of the connection: more than its lanes may have together
    CREDIT_CONNECTION = 32768       # octets that came: then they are given back to the window of the connection

cdef MuxLane* mux_lane_find(Mux* m, uint32_t id) noexcept nogil    # NULL: it is idle or closed
cdef void mux_lane_add(Worker* w, Mux* m, Exchange* x, uint32_t id) noexcept nogil
    # x.own becomes the lane `id`
cdef void mux_lane_remove(Worker* w, Mux* m, MuxLane* lane) noexcept nogil
    # out of the table and all lists; gives back what it holds
cdef uint32_t mux_credit(MuxLane* lane, uint32_t consumed) noexcept nogil
    # the exchange took so many octets: by how many the window grows now, 0: later
cdef bint mux_grant(Mux* m, MuxLane* lane) noexcept nogil
    # bytes of this lane are taken as they come: may its window grow?
cdef void mux_note_reset(Mux* m, uint32_t id) noexcept nogil
cdef bint mux_was_reset(const Mux* m, uint32_t id) noexcept nogil

cdef void link_push(MuxLinks* list, MuxLink* link, MuxLane* owner) noexcept nogil      # at the end, if it is in no list
cdef void link_drop(MuxLink* link) noexcept nogil                                      # from its list, if it is in one

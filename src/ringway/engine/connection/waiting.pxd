"""Streams that wait for buffers, and what an address may take of them while they are scarce.

    start_receive() --no buffer--> starved --feed_starved(): there is one--> receives
    stream_wait_buffers() -------> hungry ---feed_hungry()-----------------> `received`, `sent`
             |                       |
             +--it has its share-----+--> held_back --the next look: stream_let_in()--> starved, hungry

A stream is in each kind of list once at most, and leaves it when it is closed. What lies behind the first of a list for
which there is nothing is not tried. See shares.pxd for what a share is.
"""
from libc.stdint cimport uint32_t

from ringway.engine.base.buffers cimport GROUP_LARGE, Buffer, buffer_charge, buffer_scarce
from ringway.engine.connection.state cimport Stream, Waiter, Waiters, Worker

cdef enum:
    ROOM_SPARE = 2          # small buffers that stand in for large ones: half of the pool is left to heads
    ROOMS = 3
    NO_BUFFER = -1          # instead of a Group: wait until there are some
    NO_SHARE = -2           # ... or, if its address has its share, until it gives some back

cdef bint has_share(Worker* w, Stream* s, int group) noexcept nogil
    # does its address hold as many of these as it may? Not asked of who needs more to use what it has
cdef void grant(Worker* w, Stream* s, int group) noexcept nogil
cdef void end_grant(Worker* w, Stream* s) noexcept nogil
cdef void rooms_left(Worker* w, uint32_t* left) noexcept nogil
    # by Group, and ROOM_SPARE: for so many receives there are buffers
cdef int group_for(Worker* w, Stream* s, uint32_t* left) noexcept nogil
    # Group to receive into: the wanted one, or a small one where large ones are scarce; NO_BUFFER, NO_SHARE
cdef void stream_let_in(Worker* w) noexcept nogil
    # those who were held back are tried again
cdef void push_waiter(Worker* w, Waiters* list, Waiter* one, Stream* s) noexcept nogil
cdef void drop_waiter(Worker* w, Waiter* one) noexcept nogil     # from its list, if it is in one
cdef int wait_of(const Stream* s) noexcept nogil    # Wait of one that is hungry
cdef bint hungry_short(const Worker* w, const Stream* s) noexcept nogil

cdef inline bint buffers_short(const Worker* w, int group) noexcept nogil:
    """Nothing new is to be begun with a buffer of this group: wait."""
    return not w.feeding and buffer_scarce(&w.buffers, group)

cdef inline bint stream_tight(const Worker* w, int group) noexcept nogil:
    """Three quarters of them are taken: nobody gets more than its share."""
    return w.buffers.pool[group].out >= w.buffers.pool[group].tight

cdef inline bint stream_short_large(Worker* w, Stream* s) noexcept nogil:
    """Nothing new is to be begun for it with a large buffer: wait."""
    if w.feeding:
        return False
    return buffer_scarce(&w.buffers, GROUP_LARGE) or (
        stream_tight(w, GROUP_LARGE) and has_share(w, s, GROUP_LARGE)
    )

cdef inline void stream_charge(Worker* w, Stream* s, Buffer* b) noexcept nogil:
    """Its address has taken this one."""
    if w.waiting or stream_tight(w, b.group):
        buffer_charge(&w.buffers, b, w.handlers.place(w, s))

cdef inline bint stream_hungry(const Stream* s) noexcept nogil:
    return s.hungering.list != NULL

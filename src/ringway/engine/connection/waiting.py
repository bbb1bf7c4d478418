"""Who waits for buffers, and what an address may take of them."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.state import *


def push_waiter(w, list, one, s):
    one.owner = s
    one.list = list
    one.next = NULL
    one.before = list.last
    if list.last != NULL:
        list.last.next = one
    else:
        list.first = one
    list.last = one
    list.count += 1
    w.waiting += 1


def drop_waiter(w, one):
    list: cython.pointer(Waiters) = one.list
    if list == NULL:
        return
    if one.before != NULL:
        one.before.next = one.next
    else:
        list.first = one.next
    if one.next != NULL:
        one.next.before = one.before
    else:
        list.last = one.before
    one.list = NULL
    list.count -= 1
    w.waiting -= 1


def stream_let_in(w):
    s: cython.pointer(Stream)
    while w.held_back[0].first != NULL:
        s = w.held_back[0].first.owner
        drop_waiter(w, address(s.starving))
        push_waiter(w, address(w.starved[s.want_group]), address(s.starving), s)
    while w.held_back[1].first != NULL:
        s = w.held_back[1].first.owner
        drop_waiter(w, address(s.hungering))
        push_waiter(w, address(w.hungry[wait_of(s)]), address(s.hungering), s)


def wait_of(s):
    # A request that has not begun needs a small one alone. It must not wait for large ones that others hold.
    head: cython.bint = s.lane.kind == KIND_CLIENT and (s.state == CLIENT_IDLE or s.state == CLIENT_HEAD)
    return WAIT_SMALL if head else WAIT_LARGE


def hungry_short(w, s):
    return buffers_short(w, GROUP_SMALL) or (wait_of(s) == WAIT_LARGE and buffers_short(w, GROUP_LARGE))


# ------------------------------------------------------------------------------------------------------- shares


def has_share(w, s, group):
    place: uint32_t
    busy: cython.bint = s.lane.kind == KIND_CLIENT and s.state == CLIENT_BUSY
    if s.cipher.first != NULL or (s.lane.inbox.first != NULL and not busy):
        return False
    if w.clock.now_ms >= w.share_until_ms:
        w.handlers.take_stock(w)
    place = w.handlers.place(w, s)
    return place != PLACE_NONE and w.buffers.charged[group][place] + w.granted[group][place] >= w.share[group]


def grant(w, s, group):
    w.granted[group][w.handlers.place(w, s)] += 1
    s.granted = cast(cython.uchar, group + 1)


def end_grant(w, s):
    held: cython.pointer(uint32_t) = address(w.granted[s.granted - 1][w.handlers.place(w, s)])
    s.granted = 0
    if held[0]:
        held[0] -= 1


def rooms_left(w, left):
    small: cython.pointer(BufferPool) = address(w.buffers.pool[GROUP_SMALL])
    left[WAIT_SMALL] = w.driver.buffers_left(address(w.driver), GROUP_SMALL)
    left[WAIT_LARGE] = w.driver.buffers_left(address(w.driver), GROUP_LARGE)
    left[ROOM_SPARE] = 0
    if small.out * 2 < small.capacity:
        left[ROOM_SPARE] = min(small.capacity // 2 - small.out, left[WAIT_SMALL])


def group_for(w, s, left):
    want: cython.int = s.want_group
    shared: cython.bint = (w.waiting or stream_tight(w, want)) and has_share(w, s, want)
    if not shared and left[want]:
        left[want] -= 1
        grant(w, s, want)
        return want
    # A small one at a time, so that the next one may be large again.
    if want == GROUP_LARGE and left[ROOM_SPARE] and not has_share(w, s, GROUP_SMALL):
        left[ROOM_SPARE] -= 1
        grant(w, s, GROUP_SMALL)
        return GROUP_SMALL
    return NO_SHARE if shared else NO_BUFFER

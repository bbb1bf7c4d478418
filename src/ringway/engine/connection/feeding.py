"""Streams that waited for buffers go on."""

import cython
from cython import NULL, address
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.deadlines import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.stream import *
from cython.cimports.ringway.engine.connection.waiting import *


def feed_starved(w):
    s: cython.pointer(Stream)
    wait: cython.int
    group: cython.int
    left: uint32_t[ROOMS]
    fed: cython.bint = False
    rooms_left(w, left)
    for wait in range(WAITS):
        while w.starved[wait].first != NULL:
            s = w.starved[wait].first.owner
            group = group_for(w, s, left)
            if group == NO_BUFFER:
                break
            drop_waiter(w, address(s.starving))
            if group == NO_SHARE:
                push_waiter(w, address(w.held_back[0]), address(s.starving), s)
                continue
            ask_receive(w, s, group)
            fed = True
    # What they were given may be left over: the next turn comes at once.
    w.feed_on = fed and (w.starved[WAIT_SMALL].first != NULL or w.starved[WAIT_LARGE].first != NULL)


def feed_hungry(w):
    s: cython.pointer(Stream)
    wait: cython.int
    turns: uint32_t
    fed: cython.bint = False
    for wait in range(WAITS):
        turns = w.hungry[wait].count  # who waits again has its turn in the next round
        while turns and w.hungry[wait].first != NULL:
            turns -= 1
            s = w.hungry[wait].first.owner
            if hungry_short(w, s):
                break
            drop_waiter(w, address(s.hungering))
            if wait == WAIT_LARGE and has_share(w, s, GROUP_LARGE):
                push_waiter(w, address(w.held_back[1]), address(s.hungering), s)
            else:
                fed = True
                feed(w, s)
    if fed or w.moving:
        return
    # While nothing moves, nothing comes back either: one goes on with the reserve, rather one that is under way.
    for wait in range(WAITS - 1, -1, -1):
        if w.hungry[wait].first != NULL:
            s = w.hungry[wait].first.owner
            drop_waiter(w, address(s.hungering))
            w.feeding = True
            feed(w, s)
            w.feeding = False
            return


def feed(w, s):
    generation: uint32_t = s.slot.generation
    if stream_drained(s) and not s.polling:
        s.lane.send_due_ms = 0
    stream_refill(w, s)
    if s.lane.inbox.first != NULL or s.lane.eof or s.lane.error:
        w.handlers.received[s.lane.kind](w, s)
    if s.slot.generation == generation and s.slot.used and not s.closing:
        w.handlers.sent[s.lane.kind](w, s)

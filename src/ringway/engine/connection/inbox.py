"""Finds a head in the inbox of a stream."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.string import memcpy, memmove
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.waiting import *
from cython.cimports.ringway.engine.http import *


def look_for_head(w, s, seen, request):
    limit: uint32_t = w.snapshot.limits.head_bytes
    b: cython.pointer(Buffer)
    found: cython.int
    while True:
        b = s.lane.inbox.first
        if request:
            found = request_scan(data_of(b), length_of(b), seen[0])
        else:
            found = response_scan(data_of(b), length_of(b), seen[0])
        if found < 0 and not request and mend_first(s):
            seen[0] = 0
            continue
        if found < 0:
            return found
        if found > cast(cython.int, limit) or (found == 0 and length_of(b) >= limit):
            return request_too_long(data_of(b), min(length_of(b), limit)) if request else -HEAD_TOO_LARGE
        if found > 0:
            return found
        seen[0] = length_of(b)
        if b.next == NULL:
            return 0
        if not merge_first(w, s, limit):
            return -OUT_OF_MEMORY


def mend_first(s):
    b: cython.pointer(Buffer) = queue_pop(address(s.lane.inbox))
    mended: cython.bint = response_mend(b)
    queue_push_front(address(s.lane.inbox), b)
    return mended


def merge_first(w, s, limit):
    """Join the first two buffers of the inbox, so that a head is in one piece."""
    a: cython.pointer(Buffer) = queue_pop(address(s.lane.inbox))
    b: cython.pointer(Buffer) = queue_pop(address(s.lane.inbox))
    wide: cython.pointer(Buffer)
    n: uint32_t
    if room_behind(a) < length_of(b) and a.start > HEADROOM:
        # The bytes in front (interim responses, for example) were used: move the rest to their place.
        n = length_of(a)
        memmove(a.base + HEADROOM, data_of(a), n)
        a.start = HEADROOM
        a.end = HEADROOM + n
    if room_behind(a) == 0 and a.size < w.buffers.pool[GROUP_LARGE].size:
        # Not earlier: the head may end within the room that is left, and large buffers may be scarce. Do not use the
        # reserve: clients that never finish their heads would use it up.
        wide = NULL
        if not stream_short_large(w, s):
            wide = buffer_take(address(w.buffers), GROUP_LARGE)
        if wide == NULL or room_behind(wide) < length_of(a):
            if wide != NULL:
                buffer_give(address(w.buffers), wide)
            buffer_give(address(w.buffers), a)
            buffer_give(address(w.buffers), b)
            return False
        stream_charge(w, s, wide)
        memcpy(data_of(wide), data_of(a), length_of(a))
        wide.end += length_of(a)
        buffer_give(address(w.buffers), a)
        a = wide
    n = min(room_behind(a), length_of(b))
    memcpy(a.base + a.end, data_of(b), n)
    a.end += n
    b.start += n
    if length_of(b):
        queue_push_front(address(s.lane.inbox), b)
    else:
        buffer_give(address(w.buffers), b)
    queue_push_front(address(s.lane.inbox), a)
    return n > 0

"""Pools of buffers, and queues: take a buffer, release it, replace a slab."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.base.check import *
from cython.cimports.ringway.engine.base.counters import *
from cython.cimports.ringway.engine.base.poison import *
from cython.cimports.ringway.engine.native.linux import (
    ENOMEM,
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
    getpagesize,
    madvise,
    mmap,
    munmap,
)


def buffers_open(all, counters, bytes, large_bytes):
    i: cython.int
    for i in range(GROUPS):
        all.pool[i].counters = counters
        all.pool[i].buffers = cast(cython.pointer(Buffer), calloc(BUFFER_IDS_MAX, sizeof(Buffer)))
        if all.pool[i].buffers == NULL:
            buffers_close(all)
            return -ENOMEM
    pool_move(address(all.pool[GROUP_VIEW]), NULL, 0, BUFFER_IDS_MAX)
    result: cython.int = buffers_resize(all, bytes, large_bytes)
    if result < 0:
        buffers_close(all)
    return min(result, 0)


def buffers_resize(all, bytes, large_bytes):
    # A quarter for heads, three quarters for bodies, and at least what the ring needs at its start.
    count: uint64_t[2]
    payload: uint32_t[2]
    slab: cython.pointer(Slab)[2]
    i: cython.int
    payload[GROUP_SMALL] = SMALL_BYTES
    payload[GROUP_LARGE] = large_bytes
    count[GROUP_SMALL] = max(bytes // 4 // (HEADROOM + SMALL_BYTES + TAILROOM), 64)
    count[GROUP_LARGE] = max((bytes - bytes // 4) // (HEADROOM + large_bytes + TAILROOM), 16)
    for i in range(2):
        count[i] = min(count[i], BUFFER_IDS_MAX)
    if (
        count[GROUP_SMALL] == all.pool[GROUP_SMALL].capacity
        and count[GROUP_LARGE] == all.pool[GROUP_LARGE].capacity
        and large_bytes == all.pool[GROUP_LARGE].payload
    ):
        return 0
    for i in range(2):
        slab[i] = slab_open(count[i] * with_red_zone(HEADROOM + payload[i] + TAILROOM))
    if slab[GROUP_SMALL] == NULL or slab[GROUP_LARGE] == NULL:
        slab_close(slab[GROUP_SMALL])
        slab_close(slab[GROUP_LARGE])
        return -ENOMEM
    for i in range(2):
        pool_move(address(all.pool[i]), slab[i], payload[i], cast(uint32_t, count[i]))
    return 1


def buffers_close(all):
    i: cython.int
    j: uint32_t
    pool: cython.pointer(BufferPool)
    for i in range(GROUPS):
        pool = address(all.pool[i])
        for j in range(pool.made):
            if i != GROUP_VIEW and pool.buffers[j].owner != NULL:
                take_bare(pool, address(pool.buffers[j]))
        slab_close(pool.slab)
        free(pool.buffers)
        memset(pool, 0, sizeof(BufferPool))


# ------------------------------------------------------------------------------------------------------- slabs


def slab_open(bytes):
    slab: cython.pointer(Slab) = cast(cython.pointer(Slab), calloc(1, sizeof(Slab)))
    if slab == NULL:
        return NULL
    memory: cython.p_void = mmap(
        NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
    )
    if memory == MAP_FAILED:
        free(slab)
        return NULL
    slab.memory = cast(cython.p_char, memory)
    slab.bytes = bytes
    poison(slab.memory, bytes)
    return slab


def slab_close(slab):
    if slab != NULL:
        unpoison(slab.memory, slab.bytes)  # a later mmap() may return this memory
        munmap(slab.memory, slab.bytes)
        free(slab)


def slab_drop(slab, begin, end):
    """Give the pages from `begin` to `end` back to the system: a slow client can keep an old slab open for long."""
    page: uint64_t = getpagesize()
    begin = (begin + page - 1) // page * page
    end = end // page * page
    if begin < end:
        madvise(slab.memory + begin, end - begin, MADV_DONTNEED)


def slab_trim(pool, slab):
    """Give the pages between the buffers that are out back to the system."""
    used: cython.p_char = cast(cython.p_char, calloc(pool.placed, 1))
    each: uint64_t = with_red_zone(pool.size)
    i: uint32_t
    begin: uint64_t = 0
    if used == NULL:
        return
    for i in range(pool.made):
        if cast(cython.pointer(Slab), pool.buffers[i].owner) == slab:
            used[cast(uint64_t, pool.buffers[i].base - slab.memory) // each] = 1
    for i in range(pool.placed + 1):
        if i == pool.placed or used[i]:
            slab_drop(slab, begin, i * each)
            begin = (i + 1) * each
    free(used)


def pool_move(pool, slab, payload, capacity):
    """Free buffers move to the new slab; buffers that are out stay in the old one."""
    old: cython.pointer(Slab) = pool.slab
    b: cython.pointer(Buffer)
    i: uint32_t
    pool.free = NULL
    pool.bare = NULL
    for i in range(pool.made):
        b = address(pool.buffers[i])
        if b.state == BUFFER_FREE:
            b.next = pool.bare
            pool.bare = b
        elif b.owner == NULL:
            b.owner = old
            old.left += 1
    if old != NULL and old.left:
        slab_trim(pool, old)
    else:
        slab_close(old)
    pool.slab = slab
    pool.payload = payload
    pool.size = HEADROOM + payload + TAILROOM
    pool.capacity = capacity
    pool.reserve = min(capacity // 4, cast(uint32_t, RESERVE_MAX))
    pool.tight = (capacity - pool.reserve) * 3 // 4
    pool.placed = 0


def place_one(pool, group):
    """Give a bare or new buffer a place in the slab and return it. NULL: all places are taken."""
    b: cython.pointer(Buffer) = pool.bare
    if pool.placed == pool.capacity:
        return NULL
    if b != NULL:
        pool.bare = b.next
    elif pool.made < BUFFER_IDS_MAX:
        b = address(pool.buffers[pool.made])
        b.id = cast(uint16_t, pool.made)
        b.group = group
        pool.made += 1
    else:
        return NULL
    if pool.slab != NULL:
        b.base = pool.slab.memory + cast(uint64_t, with_red_zone(pool.size)) * pool.placed
        b.size = pool.size
    pool.placed += 1
    return b


def take_bare(pool, b):
    """A buffer in an old slab becomes bare. The last one closes the slab."""
    slab: cython.pointer(Slab) = cast(cython.pointer(Slab), b.owner)
    at: uint64_t = b.base - slab.memory
    b.owner = NULL
    b.next = pool.bare
    pool.bare = b
    slab.left -= 1
    if slab.left == 0:
        slab_close(slab)
    else:
        slab_drop(slab, at, at + b.size)


# ------------------------------------------------------------------------------------------ taking and releasing


def buffer_take(all, group):
    pool: cython.pointer(BufferPool) = address(all.pool[group])
    b: cython.pointer(Buffer) = pool.free
    if b != NULL:
        pool.free = b.next
    else:
        b = place_one(pool, group)
        if b == NULL:
            # rule: once: there is no group larger than the large one
            return buffer_take(all, GROUP_LARGE) if group == GROUP_SMALL else NULL
    BUG_ON(b.state != BUFFER_FREE)
    if group != GROUP_VIEW:
        unpoison(b.base, b.size)
    buffer_move(b, BUFFER_HELD)
    b.start = HEADROOM
    b.end = HEADROOM
    b.next = NULL
    pool.out += 1
    gauge(pool.counters, GAUGE_BUFFERS, 1)
    return b


def buffer_take_view(all, base, length, owner):
    b: cython.pointer(Buffer) = buffer_take(all, GROUP_VIEW)
    if b != NULL:
        b.base = base
        b.start = 0
        b.end = length
        b.size = length
        b.owner = owner
    return b


def buffer_give(all, b):
    pool: cython.pointer(BufferPool) = address(all.pool[b.group])
    BUG_ON(b.state != BUFFER_HELD)
    buffer_move(b, BUFFER_FREE)
    pool.out -= 1
    if b.place != PLACE_NONE:
        all.charged[b.group][b.place] -= 1
        b.place = PLACE_NONE
    gauge(pool.counters, GAUGE_BUFFERS, -1)
    if b.group != GROUP_VIEW:
        poison(b.base, b.size)
        if b.owner != NULL:
            take_bare(pool, b)
            return
    elif b.owner != NULL:
        all.view_given(b.owner)
        b.owner = NULL
    b.next = pool.free
    pool.free = b


def queue_push(q, b):
    b.next = NULL
    if q.last != NULL:
        q.last.next = b
    else:
        q.first = b
    q.last = b
    q.count += 1
    q.bytes += length_of(b)


def queue_push_front(q, b):
    b.next = q.first
    q.first = b
    if q.last == NULL:
        q.last = b
    q.count += 1
    q.bytes += length_of(b)


def queue_pop(q):
    b: cython.pointer(Buffer) = q.first
    if b == NULL:
        return NULL
    q.first = b.next
    if q.first == NULL:
        q.last = NULL
    b.next = NULL
    q.count -= 1
    q.bytes -= length_of(b)
    return b


def queue_give(all, q):
    b: cython.pointer(Buffer) = queue_pop(q)
    while b != NULL:
        buffer_give(all, b)
        b = queue_pop(q)


def exercise(bytes: int, large_bytes: int, steps: list) -> list:
    """For tests: open buffers of this bound and size, then run ("take", group), ("give", number of the take),
    ("room", number of the take, bytes in it) and ("resize", bytes, large_bytes). Returns for each step the size taken
    or 0, whether both ends of the buffer are as they were written, the room behind so many bytes, or the result of
    buffers_resize(). The last two items are (capacity, out, buffers in an old slab, scarce) of each group."""
    all: Buffers
    counters: Counters
    held: cython.pointer(Buffer)[1024]
    b: cython.pointer(Buffer)
    taken: cython.int = 0
    i: cython.int
    memset(address(all), 0, sizeof(Buffers))
    memset(address(counters), 0, sizeof(Counters))
    if buffers_open(address(all), address(counters), bytes, large_bytes) < 0:
        raise MemoryError
    found = []
    for name, *more in steps:
        if name == "take":
            b = buffer_take(address(all), more[0])
            held[taken] = b
            if b != NULL:
                memset(b.base, taken & 255, 64)
                memset(b.base + b.size - 64, taken & 255, 64)
            found.append(b.size if b != NULL else 0)
            taken += 1
        elif name == "give":
            i = more[0]
            b = held[i]
            found.append(b.base[:64] + b.base[b.size - 64 : b.size] == chr(i & 255).encode("latin-1") * 128)
            buffer_give(address(all), b)
        elif name == "room":
            i = more[0]
            b = held[i]
            b.end = b.start + cast(uint32_t, more[1])
            found.append(room_behind(b))
        else:
            found.append(buffers_resize(address(all), more[0], more[1]))
    for i in range(2):
        old = sum(1 for j in range(all.pool[i].made) if all.pool[i].buffers[j].owner != NULL)
        found.append((all.pool[i].capacity, all.pool[i].out, old, bool(buffer_scarce(address(all), i))))
    buffers_close(address(all))
    return found

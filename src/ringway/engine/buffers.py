"""Buffers: taken, lent to the kernel, given back. Every change of hands happens here."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.ringway.engine.check import BUG_ON
from cython.cimports.ringway.engine.counters import GAUGE_BUFFERS, gauge
from cython.cimports.ringway.engine.native.linux import (
    ENOMEM,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
    mmap,
    munmap,
)


def pool_open(pool, payload, count):
    pool.payload = payload
    pool.stride = HEADROOM + payload + TAILROOM if payload else 0
    pool.capacity = cast(uint32_t, min(count, BUFFER_IDS_MAX))
    pool.reserve = min(pool.capacity // 4, cast(uint32_t, RESERVE_MAX))
    pool.buffers = cast(cython.pointer(Buffer), calloc(pool.capacity, sizeof(Buffer)))
    if pool.buffers == NULL:
        return -ENOMEM
    if payload:
        pool.memory = cast(
            cython.p_char,
            mmap(
                NULL,
                pool.capacity * pool.stride,
                PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1,
                0,
            ),
        )
        if pool.memory == MAP_FAILED:
            pool.memory = NULL
            return -ENOMEM
    return 0


def buffers_open(all, counters, bytes, large_bytes):
    i: cython.int
    for i in range(GROUPS):
        all.pool[i].counters = counters
    # A quarter for heads, three quarters for bodies; at least enough for the ring to begin with.
    small: uint64_t = bytes // 4 // (HEADROOM + SMALL_BYTES + TAILROOM)
    large: uint64_t = (bytes - bytes // 4) // (HEADROOM + large_bytes + TAILROOM)
    if (
        pool_open(address(all.pool[GROUP_SMALL]), SMALL_BYTES, max(small, 64)) < 0
        or pool_open(address(all.pool[GROUP_LARGE]), large_bytes, max(large, 16)) < 0
        or pool_open(address(all.pool[GROUP_VIEW]), 0, BUFFER_IDS_MAX) < 0
    ):
        buffers_close(all)
        return -ENOMEM
    return 0


def buffers_close(all):
    i: cython.int
    for i in range(GROUPS):
        if all.pool[i].memory != NULL:
            munmap(all.pool[i].memory, all.pool[i].capacity * all.pool[i].stride)
        free(all.pool[i].buffers)
        all.pool[i].memory = NULL
        all.pool[i].buffers = NULL


def buffer_take(all, group):
    pool: cython.pointer(BufferPool) = address(all.pool[group])
    b: cython.pointer(Buffer) = pool.free
    if b != NULL:
        pool.free = b.next
    elif pool.made < pool.capacity:
        b = address(pool.buffers[pool.made])
        b.id = cast(uint16_t, pool.made)
        b.group = group
        b.base = pool.memory + pool.stride * pool.made
        pool.made += 1
    elif group == GROUP_SMALL:
        return buffer_take(all, GROUP_LARGE)
    else:
        return NULL
    BUG_ON(b.state != BUFFER_FREE)
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
        b.owner = owner
    return b


def buffer_give(all, b):
    pool: cython.pointer(BufferPool) = address(all.pool[b.group])
    BUG_ON(b.state != BUFFER_HELD)
    if b.owner != NULL:
        all.view_given(b.owner)
        b.owner = NULL
    buffer_move(b, BUFFER_FREE)
    b.next = pool.free
    pool.free = b
    pool.out -= 1
    gauge(pool.counters, GAUGE_BUFFERS, -1)


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

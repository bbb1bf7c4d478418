"""Slots: take one, release it, grow the table."""

import cython
from cython import NULL, cast, sizeof
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.base.check import *
from cython.cimports.ringway.engine.native.linux import (
    ENOMEM,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    mmap,
    mprotect,
    munmap,
)


def slots_open(slots, size, zeroed, capacity, most):
    memset(slots, 0, sizeof(Slots))
    slots.stride = (size + 63) // 64 * 64  # a slot begins on a cache line
    slots.zeroed = zeroed - sizeof(Slot)
    slots.most = max(capacity, most)
    memory: cython.p_void = reserve(slots.stride * slots.most)
    if memory == MAP_FAILED:
        # The address space is limited (ulimit -v): the table cannot grow.
        slots.most = capacity
        memory = reserve(slots.stride * slots.most)
    if memory == MAP_FAILED:
        return -ENOMEM
    slots.memory = cast(cython.p_char, memory)
    return slots_grow(slots, capacity)


def reserve(bytes):
    # Memory that cannot be written does not count, not even if the kernel does not overcommit.
    return mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)


def slots_grow(slots, capacity):
    if capacity <= slots.capacity:
        return 0
    if capacity > slots.most:
        return -ENOMEM
    if mprotect(slots.memory, slots.stride * capacity, PROT_READ | PROT_WRITE) < 0:
        return -ENOMEM
    slots.capacity = capacity
    return 0


def slots_close(slots):
    if slots.memory != NULL:
        munmap(slots.memory, slots.stride * slots.most)
    slots.memory = NULL


def slot_take(slots):
    s: cython.pointer(Slot) = slots.free
    if s != NULL:
        slots.free = s.next
        memset(cast(cython.p_char, s) + sizeof(Slot), 0, slots.zeroed)
    elif slots.made < slots.capacity:
        s = slot_at(slots, slots.made)
        s.index = slots.made
        s.generation = 1
        slots.made += 1
    else:
        return NULL
    s.used = True
    s.next = NULL
    slots.used += 1
    return s


def slot_give(slots, s):
    BUG_ON(not s.used)
    s.used = False
    s.generation = (s.generation + 1) & GENERATION_MASK
    if s.generation == 0:
        s.generation = 1
    s.next = slots.free
    slots.free = s
    slots.used -= 1

"""Slots: taken, given back, found by index and generation."""

import cython
from cython import NULL, cast, sizeof
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.check import BUG_ON
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


def slots_open(slots, size, zeroed, capacity):
    memset(slots, 0, sizeof(Slots))
    slots.stride = (size + 63) // 64 * 64  # a slot begins on a cache line
    slots.zeroed = zeroed - sizeof(Slot)
    slots.capacity = capacity
    memory: cython.p_void = mmap(
        NULL, slots.stride * capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
    )
    if memory == MAP_FAILED:
        return -ENOMEM
    slots.memory = cast(cython.p_char, memory)
    return 0


def slots_close(slots):
    if slots.memory != NULL:
        munmap(slots.memory, slots.stride * slots.capacity)
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

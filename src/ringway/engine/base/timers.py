"""The timer wheel: set, clear, expire."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.base.check import *


def wheel_open(wheel, now_ms):
    memset(wheel, 0, cython.sizeof(Wheel))
    wheel.tick = now_ms // TICK_MS


def timer_set(wheel, t, due_ms):
    if t.set:
        timer_clear(wheel, t)
    # Rounded up: a timer never fires early.
    tick: uint64_t = due_ms // TICK_MS + 1
    if tick <= wheel.tick:
        tick = wheel.tick + 1
    elif tick >= wheel.tick + WHEEL_SLOTS:
        tick = wheel.tick + WHEEL_SLOTS - 1
    slot: uint32_t = cast(uint32_t, tick % WHEEL_SLOTS)
    t.due_ms = due_ms
    t.slot = cast(uint16_t, slot)
    t.set = True
    t.before = NULL
    t.next = wheel.slots[slot]
    if t.next != NULL:
        t.next.before = t
    wheel.slots[slot] = t
    wheel.busy[slot >> 6] |= cast(uint64_t, 1) << (slot & 63)
    wheel.count += 1


def timer_clear(wheel, t):
    if not t.set:
        return
    if t.before != NULL:
        t.before.next = t.next
    else:
        BUG_ON(wheel.slots[t.slot] != t)
        wheel.slots[t.slot] = t.next
        if t.next == NULL:
            wheel.busy[t.slot >> 6] &= ~(cast(uint64_t, 1) << (t.slot & 63))
    if t.next != NULL:
        t.next.before = t.before
    t.set = False
    t.next = NULL
    t.before = NULL
    wheel.count -= 1


def wheel_expire(wheel, now_ms):
    now_tick: uint64_t = now_ms // TICK_MS
    t: cython.pointer(Timer)
    if wheel.count == 0:
        wheel.tick = now_tick
        return NULL
    while wheel.tick <= now_tick:
        t = wheel.slots[wheel.tick % WHEEL_SLOTS]
        while t != NULL:
            timer_clear(wheel, t)
            if t.due_ms <= now_ms:
                return t
            timer_set(wheel, t, t.due_ms)  # beyond the horizon, or due later in this tick
            t = wheel.slots[wheel.tick % WHEEL_SLOTS]
        if wheel.tick == now_tick:
            break
        wheel.tick += 1
    return NULL


def wheel_wait_ms(wheel, now_ms):
    if wheel.count == 0:
        return -1
    slot: cython.uint = cast(cython.uint, wheel.tick % WHEEL_SLOTS)
    word: cython.uint = slot >> 6
    ahead: cython.uint = 0
    bits: uint64_t = wheel.busy[word] >> (slot & 63)
    if bits == 0:
        ahead = 64 - (slot & 63)
        word = (word + 1) % WHEEL_WORDS
        while wheel.busy[word] == 0 and ahead < WHEEL_SLOTS:
            ahead += 64
            word = (word + 1) % WHEEL_WORDS
        bits = wheel.busy[word]
    ahead += lowest_bit(bits)
    due_ms: uint64_t = (wheel.tick + ahead) * TICK_MS
    return cast(cython.int, due_ms - now_ms) if due_ms > now_ms else 0


def exercise(now_ms: int, due: list, until_ms: int, step_ms: int) -> list:
    """For tests: set timers at `due`, turn the wheel in steps, return [(time of firing, due), ...]."""
    wheel: Wheel
    timers: Timer[256]
    t: cython.pointer(Timer)
    wheel_open(address(wheel), now_ms)
    memset(timers, 0, cython.sizeof(timers))
    i: cython.int
    for i in range(len(due)):
        timer_set(address(wheel), address(timers[i]), due[i])
    fired = []
    while now_ms <= until_ms:
        t = wheel_expire(address(wheel), now_ms)
        while t != NULL:
            fired.append((now_ms, t.due_ms))
            t = wheel_expire(address(wheel), now_ms)
        wait = wheel_wait_ms(address(wheel), now_ms)
        now_ms += max(step_ms, wait) if wait >= 0 else step_ms
    return fired

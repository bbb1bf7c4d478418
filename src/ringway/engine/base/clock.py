"""Read the clock once in each turn of the loop; write the Date field again when its second is over."""

from cython import address, cast
from cython.cimports.libc.stdint import int64_t, uint64_t
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base.dates import *
from cython.cimports.ringway.engine.native.linux import CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec


def read_ns(which):
    t: timespec
    clock_gettime(which, address(t))
    return cast(uint64_t, t.tv_sec) * NANOSECONDS + cast(uint64_t, t.tv_nsec)


def clock_update(clock):
    clock.now_ns = read_ns(CLOCK_MONOTONIC)
    clock.now_ms = clock.now_ns // 1_000_000
    if clock.now_ms < clock.next_wall_ms:
        return
    wall: uint64_t = read_ns(CLOCK_REALTIME)
    clock.wall_offset_ns = wall - clock.now_ns
    clock.next_wall_ms = clock.now_ms + 1000 - (wall // 1_000_000) % 1000
    clock.wall_seconds = cast(int64_t, wall // NANOSECONDS)
    memcpy(clock.date_field, b"Date: ", 6)
    date_write(clock.date_field + 6, clock.wall_seconds)
    memcpy(clock.date_field + 6 + DATE_BYTES, b"\r\n", 2)

"""Events for the operator."""

import cython
from cython import NULL, cast, sizeof
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.state import *


def tell(w, event, number, text, length):
    BUG_ON(event >= TOLD_MAX)
    if w.told_ms[event] and w.clock.now_ms < w.told_ms[event] + 1000:
        return
    w.told_ms[event] = w.clock.now_ms
    r: cython.pointer(Record) = record_begin(w.records, length)
    if r == NULL:
        count(w.counters, COUNT_RECORDS_DROPPED, 1)
        return
    r.kind = RECORD_EVENT
    r.code = cast(cython.ushort, event)
    r.number = number
    r.upstream_length = cast(cython.ushort, length)
    if length:
        memcpy(cast(cython.p_char, r) + sizeof(Record), text, length)
    record_end(w.records, r)

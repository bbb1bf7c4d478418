"""Numbers as text, for the heads that the engine writes."""

import cython
from cython import cast
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.ringway.engine.base.spans import *


def put_number(out, value):
    digits: cython.char[20]  # 2**64 has 20 digits
    n: uint32_t = 20
    while True:
        n -= 1
        digits[n] = cast(cython.char, ord("0") + value % 10)
        value //= 10
        if value == 0:
            break
    return put(out, cython.address(digits[n]), 20 - n)


def put_hex(out, value):
    digits: cython.char[16]
    n: uint32_t = 16
    d: cython.int
    while True:
        n -= 1
        d = cast(cython.int, value & 15)
        digits[n] = cast(cython.char, ord("0") + d if d < 10 else ord("a") + d - 10)
        value >>= 4
        if value == 0:
            break
    return put(out, cython.address(digits[n]), 16 - n)


# For tests and tools.


def number_text(value: uint64_t) -> bytes:
    out: cython.char[24]
    end: cython.p_char = put_number(out, value)
    return out[: end - cython.cast(cython.p_char, out)]


def hex_text(value: uint64_t) -> bytes:
    out: cython.char[24]
    end: cython.p_char = put_hex(out, value)
    return out[: end - cython.cast(cython.p_char, out)]


def same_without_case(text: bytes, lower_text: bytes) -> bool:
    a: cython.p_const_char = text
    b: cython.p_const_char = lower_text
    return len(text) == len(lower_text) and same_text(a, b, cast(uint32_t, len(text)))

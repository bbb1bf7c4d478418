"""The Huffman decoder: a table of 12 bits gives up to two octets a step. It holds the codes of nearly all text."""

import cython
from cython import address, cast
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http2.huffman import *

# RFC 7541 Appendix B: the length of each octet's code, and of EOS, in bits.
LENGTHS = """
    13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
     6 10 10 12 13  6  8 11 10 10  8 11  8  6  6  6  5  5  5  6  6  6  6  6  6  6  7  8 15  6 12 10
    13  6  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  8  7  8 13 19 13 14  6
    15  5  6  5  6  5  6  6  6  5  7  7  6  6  6  5  6  7  6  5  5  6  7  7  7  7  7 15 11 14 13 28
    20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
    22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
    26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
    20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
    30
"""


def build_tables(lengths: list) -> None:
    """Builds the tables from the lengths of all 257 codes."""
    code: uint32_t = 0
    bits: cython.int
    i: uint32_t
    symbols: list = sorted(range(257), key=lambda symbol: (lengths[symbol], symbol))
    codes: dict = {}
    rank: cython.int = 0
    for bits in range(1, HUFFMAN_BITS_MAX + 1):
        code <<= 1
        HUFFMAN_FIRST[bits] = code
        HUFFMAN_RANK[bits] = rank
        while rank < 257 and lengths[symbols[rank]] == bits:
            HUFFMAN_SYMBOLS[rank] = symbols[rank]
            codes[symbols[rank]] = code
            code += 1
            rank += 1
        HUFFMAN_COUNT[bits] = rank - HUFFMAN_RANK[bits]
    for symbol, value in codes.items():
        bits = lengths[symbol]
        for i in range(1 << (HUFFMAN_FAST_BITS - bits) if bits <= HUFFMAN_FAST_BITS else 0):
            HUFFMAN_FAST[(value << (HUFFMAN_FAST_BITS - bits)) + i] = HuffmanStep(symbol, 0, bits, bits)
    # Add the second octet. `steps` has the first ones, since the loop changes HUFFMAN_FAST.
    steps: list = [(HUFFMAN_FAST[i].first, HUFFMAN_FAST[i].first_bits) for i in range(1 << HUFFMAN_FAST_BITS)]
    for i in range(1 << HUFFMAN_FAST_BITS):
        bits = HUFFMAN_FAST[i].first_bits
        octet, more = steps[(i << bits) & ((1 << HUFFMAN_FAST_BITS) - 1)]
        if bits and more and bits + more <= HUFFMAN_FAST_BITS:
            HUFFMAN_FAST[i].second = octet
            HUFFMAN_FAST[i].bits = bits + more


build_tables([int(text) for text in LENGTHS.split()])


def huffman_decode(data, length, out, room):
    bits: uint64_t = 0  # the next bits; the first one is the highest
    have: uint32_t = 0
    at: uint32_t = 0
    n: uint32_t = 0
    step: HuffmanStep
    long_bits: uint32_t = 0
    symbol: cython.int
    while True:
        while have <= 56 and at < length:
            bits |= cast(uint64_t, data[at]) << (56 - have)
            have += 8
            at += 1
        if have == 0:
            return cast(cython.int, n)
        # Fill up with ones after the end, like the padding.
        window: uint32_t = cast(uint32_t, (bits | (cast(uint64_t, -1) >> have if have < 64 else 0)) >> 34)
        step = HUFFMAN_FAST[window >> (HUFFMAN_BITS_MAX - HUFFMAN_FAST_BITS)]
        if step.first_bits == 0:
            symbol = huffman_long(window, address(long_bits))
            if symbol == HUFFMAN_EOS or long_bits > have:
                break
            step.first = cast(uint8_t, symbol)
            step.first_bits = cast(uint8_t, long_bits)
            step.bits = step.first_bits
        elif step.bits > have:
            step.bits = step.first_bits
            if step.bits > have:
                break
        if n + 2 > room and n + (1 if step.bits == step.first_bits else 2) > room:
            return HUFFMAN_NO_ROOM
        out[n] = cast(cython.char, step.first)
        n += 1
        if step.bits != step.first_bits:
            out[n] = cast(cython.char, step.second)
            n += 1
        bits <<= step.bits
        have -= step.bits
    # RFC 7541 5.2: the rest must be padding: fewer than 8 bits, all ones.
    if have > 7 or at < length or (bits >> (64 - have)) != (1 << have) - 1:
        return HUFFMAN_BROKEN
    return cast(cython.int, n)


def huffman_long(bits, length):
    size: uint32_t
    for size in range(HUFFMAN_FAST_BITS + 1, HUFFMAN_BITS_MAX + 1):
        code: uint32_t = bits >> (HUFFMAN_BITS_MAX - size)
        if code - HUFFMAN_FIRST[size] < HUFFMAN_COUNT[size]:
            length[0] = size
            return HUFFMAN_SYMBOLS[HUFFMAN_RANK[size] + code - HUFFMAN_FIRST[size]]
    length[0] = HUFFMAN_BITS_MAX
    return HUFFMAN_EOS


# For tests and tools.


def decode_huffman(data: bytes, room: int = 1 << 16) -> bytes:
    """Returns the text. Raises ValueError: "broken" or "no room"."""
    # Memory of exactly this length, so that a sanitizer detects a read beyond it.
    length: uint32_t = len(data)
    most: uint32_t = room
    memory: cython.p_uchar = cast(cython.p_uchar, malloc(length if length else 1))
    out: cython.p_char = cast(cython.p_char, malloc(most if most else 1))
    memcpy(memory, cast(cython.p_const_char, data), length)
    n: cython.int = huffman_decode(memory, length, out, most)
    text: bytes = out[:n] if n > 0 else b""
    free(memory)
    free(out)
    if n < 0:
        raise ValueError("no room" if n == HUFFMAN_NO_ROOM else "broken")
    return text

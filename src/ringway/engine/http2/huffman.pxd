"""Decodes the Huffman code of RFC 7541 5.2 and Appendix B. We send strings without it: coding them saves 6 to 9 octets
a response and costs 900 instructions (docs/decisions/0023-http2-codec.md).

The code is canonical: codes of one length ascend with their symbols, and longer codes continue after the shorter ones.
The lengths define the whole code, so the module builds the tables below from the lengths when it is imported.

    HUFFMAN_FAST[the next 12 bits] -> one octet or two, and the number of their bits
    codes of more than 12 bits: by their length, HUFFMAN_FIRST, HUFFMAN_COUNT and HUFFMAN_RANK
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    HUFFMAN_FAST_BITS = 12
    HUFFMAN_BITS_MAX = 30
    HUFFMAN_EOS = 256           # all ones: never sent as a symbol; its first bits pad the last octet
    HUFFMAN_BROKEN = -1
    HUFFMAN_NO_ROOM = -2

cdef struct HuffmanStep:        # the symbols at the start of 12 bits
    uint8_t first               # the first octet
    uint8_t second              # the next octet, if the 12 bits hold all of its code
    uint8_t first_bits          # 0: the code is longer than 12 bits
    uint8_t bits                # of both octets, or first_bits if there is only one

cdef HuffmanStep HUFFMAN_FAST[4096]
cdef uint32_t HUFFMAN_FIRST[31]     # by length: the first code
cdef uint16_t HUFFMAN_COUNT[31]     # number of codes
cdef uint16_t HUFFMAN_RANK[31]      # index of the first symbol in HUFFMAN_SYMBOLS
cdef uint16_t HUFFMAN_SYMBOLS[257]

cdef int huffman_decode(const uint8_t* data, uint32_t length, char* out, uint32_t room) noexcept nogil
    # octets written to `out`; HUFFMAN_BROKEN: an error by RFC 7541 5.2; HUFFMAN_NO_ROOM: the text is longer than `room`

# A part of it.
cdef int huffman_long(uint32_t bits, uint32_t* length) noexcept nogil
    # the symbol at the start of 30 bits, if its code has more than 12 bits; `length`: bits of its code

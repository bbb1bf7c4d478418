"""The Huffman code of RFC 7541 5.2 and Appendix B, decoded. We send strings as they are: coding them saves 6 to 9 octets
an answer and costs 900 instructions (docs/decisions/0022).

The code is canonical: among codes of one length the octets ascend, and a longer code follows the last shorter one. So the
lengths say everything, and the tables below are made from them when the module is imported.

    HUFFMAN_FAST[the next 12 bits] -> one octet or two, and how many bits they take
    codes of more than 12 bits: by their length, HUFFMAN_FIRST, HUFFMAN_COUNT and HUFFMAN_RANK
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    HUFFMAN_FAST_BITS = 12
    HUFFMAN_BITS_MAX = 30
    HUFFMAN_EOS = 256           # all ones: never sent as a symbol, its first bits pad the last octet
    HUFFMAN_BROKEN = -1
    HUFFMAN_NO_ROOM = -2

cdef struct HuffmanStep:        # what 12 bits begin with
    uint8_t first               # the octet
    uint8_t second              # and the one behind it, if its code is whole within the 12 bits
    uint8_t first_bits          # 0: the code is longer than 12 bits
    uint8_t bits                # of both, or first_bits when there is one

cdef HuffmanStep HUFFMAN_FAST[4096]
cdef uint32_t HUFFMAN_FIRST[31]     # by length: the first code,
cdef uint16_t HUFFMAN_COUNT[31]     # how many there are,
cdef uint16_t HUFFMAN_RANK[31]      # and the place of its symbol in HUFFMAN_SYMBOLS
cdef uint16_t HUFFMAN_SYMBOLS[257]

cdef int huffman_decode(const uint8_t* data, uint32_t length, char* out, uint32_t room) noexcept nogil
    # octets written to `out`; HUFFMAN_BROKEN: RFC 7541 5.2 makes it an error; HUFFMAN_NO_ROOM: there are more than `room`

# A part of it.
cdef int huffman_long(uint32_t bits, uint32_t* length) noexcept nogil
    # the symbol of the code that the 30 bits begin with, of which the 12-bit table does not know

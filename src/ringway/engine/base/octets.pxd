"""The classes of each octet, as one table of bits (octets.h), and the octets that delimit HTTP's lines."""
from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    OCTET_TOKEN = 1     # tchar: RFC 9110 5.6.2
    OCTET_TARGET = 2    # visible ASCII without "#": clients never send a fragment (RFC 9110 4.1)
    OCTET_VALUE = 4     # HTAB, SP, VCHAR, obs-text: RFC 9110 5.5
    OCTET_HOST = 8      # reg-name of RFC 3986 3.2.2, without "," and "%"; see host_check() in request_head
    OCTET_DIGIT = 16
    OCTET_HEX = 32

cdef enum:
    HT = 9
    LF = 10
    CR = 13
    SP = 32

cdef extern from "octets.h" nogil:
    const uint8_t OCTETS[256]
    # the number of octets at `at` that are in the class
    uint32_t value_run(const char* at, uint32_t length)
    uint32_t token_run(const char* at, uint32_t length)
    uint32_t target_run(const char* at, uint32_t length)
    # bit i is set if at[i] is this octet, for 16 octets
    uint32_t octet_mask(const char* at, char octet)

cdef inline bint octet_is(char c, int classes) noexcept nogil:
    return (OCTETS[<uint8_t>c] & classes) != 0

"""The header of the PROXY protocol: the first bytes of a connection, with the addresses of the original connection.

    v1   PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 CR LF
    v2   CR LF CR LF NUL CR LF "QUIT" LF | version, command | family | length, 16 bits | addresses, ports | TLVs

The specification is HAProxy's doc/proxy-protocol.txt. Section numbers here refer to it.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ringway.engine.plan.ips cimport Ip

cdef enum:
    PROXY_V1_MAX = 107          # 2.1: bytes of the longest line, with its CR LF
    PROXY_V2_FIXED = 16         # bytes before the addresses
    PROXY_HEADER_MAX = 4096     # bytes: addresses take 36, the TLVs of load balancers a few hundred
    PROXY_WRITTEN_MAX = 128     # bytes: enough for all headers that Ringway writes

cdef struct Ends:               # the two ends of the original connection
    bint known                  # False: the proxy's own connection (LOCAL), or one without IP addresses
    Ip source
    Ip destination
    uint16_t source_port        # host order
    uint16_t destination_port

cdef int proxy_header_read(const char* data, uint32_t length, Ends* out) noexcept nogil
    # >0: bytes of the header; 0: more is needed; -1: missing or malformed
cdef uint32_t proxy_header_write(char* out, int version, const Ends* ends) noexcept nogil

# Parts of both.
cdef int read_v1(const char* data, uint32_t length, Ends* out) noexcept nogil
cdef int read_v2(const char* data, uint32_t length, Ends* out) noexcept nogil
cdef bint read_line(const char* line, uint32_t length, Ends* out) noexcept nogil
    # the line after "PROXY "
cdef uint32_t next_word(const char* line, uint32_t length, uint32_t* at) noexcept nogil
    # length of the word at line[at], 0: none. `at` moves past the word and the space after it
cdef bint read_port(const char* text, uint32_t length, uint16_t* out) noexcept nogil
cdef uint32_t write_v1(char* out, const Ends* ends) noexcept nogil
cdef uint32_t write_v2(char* out, const Ends* ends) noexcept nogil
cdef uint16_t read_16(const char* at) noexcept nogil        # network order
cdef char* put_16(char* out, uint16_t value) noexcept nogil
cdef char* put_ip(char* out, const Ip* ip, bint v4) noexcept nogil

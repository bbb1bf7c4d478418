"""IP addresses as sixteen bytes, and which of them belong to trusted proxies (`[server] trusted_proxies`)."""
from libc.stdint cimport uint8_t, uint32_t

from ringway.engine.plan.snapshot cimport Snapshot

cdef enum:
    IP_TEXT_MAX = 46        # bytes of the longest text, with its terminating zero

cdef struct Ip:
    uint8_t bytes[16]       # network order; IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so one comparison fits both

cdef bint ip_is_v4(const Ip* ip) noexcept nogil
cdef void ip_from_v4(Ip* ip, const void* four) noexcept nogil
cdef bint ip_parse(const char* text, uint32_t length, Ip* out) noexcept nogil
    # "192.0.2.1" or "2001:db8::1" and nothing else
cdef bint node_parse(const char* text, uint32_t length, Ip* out) noexcept nogil
    # ... or with a port, and an IPv6 address then in brackets: RFC 7239 6, and X-Forwarded-For as proxies write it
cdef uint32_t ip_text(const Ip* ip, char* out) noexcept nogil
    # writes the text and a terminating zero to `out`, which has IP_TEXT_MAX bytes; returns the length
cdef bint ip_trusted(const Snapshot* s, const Ip* ip) noexcept nogil

"""What a trusted proxy says about where a request came from: X-Forwarded-For, -Proto and -Host, and Forwarded.

    X-Forwarded-For: client, proxy, proxy      Forwarded: for=client;proto=https;host=example.com, for=proxy

Each proxy writes behind what it got, so the list is walked from the right as long as who wrote an entry is trusted:
the first address that is no trusted proxy is the client. What stands left of it anybody may have written.
X-Forwarded-Proto, -Host and -Port may be lists too: their entry for the client is as far from the right as its address.

X-Forwarded-For is believed where there is one, Forwarded where there is none: most proxies know only the former, and
pass a client's Forwarded on as it came. Of Forwarded, `proto` and `host` of the client's entry count.
"""
from libc.stdint cimport uint32_t

from ringway.engine.plan.ips cimport Ip
from ringway.engine.http.request_head cimport RequestHead
from ringway.engine.plan.snapshot cimport Snapshot
from ringway.engine.base.spans cimport Span

cdef struct Said:           # spans are borrowed from the head
    bint trusted            # the peer may say; else nothing below is set
    bint chain              # there is an X-Forwarded-For: it is passed on, with the peer behind it
    bint found              # ... or a Forwarded; either names a client
    Ip client               # when found
    uint32_t hops           # entries from the right to the client's, with it
    Span proto              # how the client came; length 0: not said
    Span host               # what it asked for
    Span port               # ... at which port
    Span prefix             # what was taken from its path, without a slash at the end

cdef void forwarded_read(const Snapshot* s, const char* data, const RequestHead* head, Said* out) noexcept nogil

# Parts of it.
cdef struct Element:        # of Forwarded, RFC 7239 4
    Span node               # `for`
    Span proto
    Span host

cdef void walk(const Snapshot* s, const char* data, const RequestHead* head, int id, Said* out) noexcept nogil
cdef bint read_element(Span text, Element* out) noexcept nogil
    # False: malformed, or it does not say for whom
cdef bint read_value(Span* value) noexcept nogil
    # a token or a quoted-string, without its quotes. False: neither
cdef Span trimmed(const char* text, uint32_t length) noexcept nogil
cdef Span last_value(const char* data, const RequestHead* head, int id) noexcept nogil
cdef Span said_of_client(const char* data, const RequestHead* head, int id, uint32_t hops) noexcept nogil
    # entry number `hops` from the right, from 1; the first one where there are fewer

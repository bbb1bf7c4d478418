"""What a trusted proxy says about the origin of a request: X-Forwarded-For, -Proto and -Host, and Forwarded.

    X-Forwarded-For: client, proxy, proxy      Forwarded: for=client;proto=https;host=example.com, for=proxy

Each proxy appends an entry. So Ringway walks the list from the right while the writer of the entry is trusted. The
first address that is not a trusted proxy is the client; anybody may have written the entries to the left of it. The
walk ends after FORWARDED_ENTRIES_MAX entries. X-Forwarded-Proto, -Host and -Port may be lists too: the entry for the
client is at the same distance from the right as its address.

Ringway uses X-Forwarded-For if the request has it, else Forwarded: most proxies know only X-Forwarded-For and pass a
client's Forwarded unchanged. In Forwarded, the `proto` and `host` of the client's entry count.
"""
from libc.stdint cimport uint32_t

from ringway.engine.plan.ips cimport Ip
from ringway.engine.http.request_head cimport RequestHead
from ringway.engine.plan.snapshot cimport Snapshot
from ringway.engine.base.spans cimport Span

cdef enum:
    # Bound on the entries walked, over all lines, including empty ones. A chain of proxies has a few. A client can
    # write thousands into one head, and each costs a search. At the bound, the last entry read is the client.
    FORWARDED_ENTRIES_MAX = 64

cdef struct Said:           # spans are borrowed from the head
    bint trusted            # the peer is a trusted proxy; otherwise nothing below is set
    bint chain              # there is an X-Forwarded-For: Ringway forwards it and appends the peer
    bint found              # X-Forwarded-For or Forwarded names a client
    Ip client               # valid if `found`
    uint32_t hops           # number of the client's entry, counted from the right, from 1
    Span proto              # scheme that the client used; length 0: unknown
    Span host               # host that it requested
    Span port               # ... and the port
    Span prefix             # prefix that was stripped from its path, without a slash at the end

cdef void forwarded_read(const Snapshot* s, const char* data, const RequestHead* head, Said* out) noexcept nogil

# Parts of forwarded_read().
cdef struct Element:        # of Forwarded, RFC 7239 4
    Span node               # `for`
    Span proto
    Span host

cdef void walk(const Snapshot* s, const char* data, const RequestHead* head, int id, Said* out) noexcept nogil
cdef bint read_element(Span text, Element* out) noexcept nogil
    # False: malformed, or without `for`
cdef bint read_value(Span* value) noexcept nogil
    # removes the quotes of a quoted-string. False: neither a token nor a quoted-string
cdef Span trimmed(const char* text, uint32_t length) noexcept nogil
cdef Span last_value(const char* data, const RequestHead* head, int id) noexcept nogil
cdef Span said_of_client(const char* data, const RequestHead* head, int id, uint32_t hops) noexcept nogil
    # entry number `hops` from the right, from 1; the first one if there are fewer

"""Which address of an upstream's name is next, and which addresses fail.

A name has up to ADDRESSES_MAX addresses, used in turn. If connecting to an address fails, or another address answers
before it does, this address comes last for UNREACHABLE_MS, so that not every request waits for it. After that one
request tries it in its turn. Other requests still try it last until it has answered. Each worker keeps its own list of
failed addresses, and clears it when the addresses of the name change.
"""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Exchange, Origin, Upstream, Worker

cdef enum:
    UNREACHABLE_MS = 10000  # as nginx's fail_timeout
    REACH_NAME_MAX = 300    # bytes of the upstream's name in an event, and of all its text
    REACH_TEXT_MAX = 360

cdef int reach_next(Worker* w, Exchange* x, Upstream* u, Origin* origin) noexcept nogil
    # fills in where to connect to: an address that this exchange has not tried. Returns how many the name has; 0: none
cdef void reach_answered(Upstream* u) noexcept nogil
cdef void reach_failed(Worker* w, Upstream* u, int error) noexcept nogil
    # logs `error` (0: already logged). If the name has other addresses, this one comes last for a while
cdef void reach_tell(Worker* w, Upstream* u, int error) noexcept nogil
    # logs that connecting to the upstream failed

cdef int reach_unix(Upstream* u, Origin* origin) noexcept nogil
cdef uint32_t reach_choose(Worker* w, const Exchange* x, Origin* origin, uint32_t count) noexcept nogil

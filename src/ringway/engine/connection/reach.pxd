"""Which address of an upstream's name is next, and which do not answer.

A name has up to ADDRESSES_MAX addresses, taken in turn. One that cannot be connected to, or that a later attempt overtook, is
remembered for UNREACHABLE_MS: until then it comes after the others, so that requests do not wait for it one after another.
Then one request tries it again, first of all; the next ones still come after the others, until it has answered.
What is remembered is this worker's, and of one version of the addresses: other addresses begin anew.
"""
from libc.stdint cimport uint32_t

from ringway.engine.connection.state cimport Exchange, Origin, Upstream, Worker

cdef enum:
    UNREACHABLE_MS = 10000  # as nginx's fail_timeout
    REACH_NAME_MAX = 300    # bytes of the upstream's name in an event, and of all its text
    REACH_TEXT_MAX = 360

cdef int reach_next(Worker* w, Exchange* x, Upstream* u, Origin* origin) noexcept nogil
    # fills in where to connect to: an address that this exchange has not tried; the number of its addresses, 0: none
cdef void reach_answered(Upstream* u) noexcept nogil
cdef void reach_failed(Worker* w, Upstream* u, int error) noexcept nogil
    # the operator is told, and if there are others its address is remembered. 0: it was told already
cdef void reach_tell(Worker* w, Upstream* u, int error) noexcept nogil
    # none of its addresses can be connected to

cdef int reach_unix(Upstream* u, Origin* origin) noexcept nogil
cdef uint32_t reach_choose(Worker* w, const Exchange* x, Origin* origin, uint32_t count) noexcept nogil

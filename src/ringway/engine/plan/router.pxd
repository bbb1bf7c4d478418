"""Finds the route of a host and path in the tables of the snapshot, for the engine and for the `ringway` commands.

Order: the host's paths, the host, its nearest wildcard's paths, that wildcard, ..., "*"'s paths, "*", else none.
Host names compare without case and without port. A prefix matches on segment boundaries: "/api" matches "/api",
"/api/" and "/api/x", but not "/apix". The longest match wins.
"""
from libc.stdint cimport int32_t, uint32_t

from ringway.engine.plan.snapshot cimport Door, Snapshot

cdef int32_t route_find(const Snapshot* s, const char* host, uint32_t host_length, const char* path,
                        uint32_t path_length) noexcept nogil
    # index of the route, or ROUTE_NONE. `path` is normalised (paths.pxd)
cdef const Door* door_find(const Snapshot* s, const char* host, uint32_t host_length) noexcept nogil
    # what the host demands of its clients: its own door, else its nearest wildcard's, else that of all other hosts

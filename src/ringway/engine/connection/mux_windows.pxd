"""The settings of a client with HTTP/2, and its windows (RFC 9113 5.2, 6.5, 6.9).

A window that opens lets its lane send what waits in its outbox, and its exchange is told, because it may have waited before
it took more from the file or the upstream.
"""
from ringway.engine.connection.state cimport Mux, Worker

cdef enum:
    BLAME_SETTINGS = 5          # ... SETTINGS: one at the beginning is enough

cdef void mux_setting(Worker* w, Mux* m) noexcept nogil   # one of the client's settings
cdef void mux_settled(Worker* w, Mux* m) noexcept nogil   # it has acknowledged ours
cdef void mux_window(Worker* w, Mux* m) noexcept nogil    # WINDOW_UPDATE
cdef void mux_opened(Worker* w, Mux* m) noexcept nogil    # of many lanes: their exchanges go on

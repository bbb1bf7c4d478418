"""The TLS handshake of a stream: counts it, and keeps what it found out about the peer."""
from ringway.engine.connection.state cimport Stream, Worker

cdef int handshake_step(Worker* w, Stream* s) noexcept nogil
    # goes on with it. >0: it is complete; 0: it needs more from the peer; <0: it failed, and s.lane.error says so
cdef bint keep_identity(Stream* s) noexcept nogil
    # copies the client's identity, because OpenSSL's part may be freed. False: no memory

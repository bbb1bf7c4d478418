"""The end of a stream: stream_close() is allowed at any time.

    stream_close(), stream_abort() --nothing in flight--> stream_finish() --> `gone`: the slot is free
                   |                                           ^
                   +--> shut down, wait for the completions ---+
"""
from ringway.engine.kernel.driver cimport OP_CLIENT_RECEIVE, OP_UPSTREAM_RECEIVE, OP_UPSTREAM_SEND
from ringway.engine.connection.state cimport KIND_CLIENT, Stream, Worker

cdef void stream_close(Worker* w, Stream* s) noexcept nogil
cdef void stream_abort(Worker* w, Stream* s) noexcept nogil             # as close, with a reset instead of an end
cdef void stream_finish(Worker* w, Stream* s) noexcept nogil
    # closes the socket if nothing is in flight. Do not use s afterwards

cdef inline int operation_of(const Stream* s, int client_operation) noexcept nogil:
    """Operation of a stream: that of a client, or the same of an upstream."""
    if s.lane.kind == KIND_CLIENT:
        return client_operation
    return OP_UPSTREAM_RECEIVE if client_operation == OP_CLIENT_RECEIVE else OP_UPSTREAM_SEND

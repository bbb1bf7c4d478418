"""The TLS handshake of a stream."""

import cython
from cython import NULL, cast
from cython.cimports.libc.stdlib import malloc
from cython.cimports.libc.string import memcpy, strlen
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.offload import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.native.linux import EPIPE
from cython.cimports.ringway.engine.tls import *


def handshake_step(w, s):
    result: cython.int = tls_handshake(s.tls)
    if result < 0:
        if s.lane.kind == KIND_CLIENT:
            count(w.counters, COUNT_HANDSHAKE_ERRORS, 1)
            if s.tls.door != NULL and s.tls.door.policy:
                s.refused = client_fault(s.tls.ssl, s.tls.why)
        s.lane.error = EPIPE
        return -1
    if result == 0:
        return 0
    count(w.counters, COUNT_HANDSHAKES if s.lane.kind == KIND_CLIENT else COUNT_UPSTREAM_HANDSHAKES, 1)
    if tls_resumed(s.tls):
        count(w.counters, COUNT_RESUMED if s.lane.kind == KIND_CLIENT else COUNT_UPSTREAM_RESUMED, 1)
    s.tls_version = cast(cython.uchar, tls_version(s.tls))
    s.http2 = tls_speaks_http2(s.tls)
    s.tls_cipher = tls_cipher(s.tls)
    s.tls_cipher_length = cast(cython.ushort, strlen(s.tls_cipher))
    if s.lane.kind == KIND_CLIENT and not (keep_identity(s) and offload_begin(w, s)):
        s.lane.error = EPIPE
        return -1
    return 1


def keep_identity(s):
    text: cython.char[IDENTITY_BYTES_MAX]
    length: cython.int
    if s.tls.door == NULL or s.tls.door.policy == 0:
        return True
    s.door = s.tls.door.policy
    length = client_identity(s.tls.ssl, text)
    if length < 0:
        s.refused = client_fault(s.tls.ssl, 0)
        if s.refused == NULL:
            s.refused = b"its names are too long, or not allowed in a header field"
        return True
    s.identity = cast(cython.p_char, malloc(length))
    if s.identity == NULL:
        return False
    memcpy(s.identity, text, length)
    s.identity_length = cast(cython.ushort, length)
    return True

"""The client's side of TLS: whom we connect to, what is checked, what is shown, and the session that is used again.

A context (TlsContext with `client`) is opened for each server before the loop starts, and another one in its place when
what is trusted or shown changes. Connections are those of tls.pxd. What is checked stands in the context, so that no connection can leave it out.
"""
from libc.stdint cimport uint32_t

from ringway.engine.base.buffers cimport Buffers
from ringway.engine.native.openssl cimport SSL, SSL_SESSION, X509_STORE
from ringway.engine.tls.peers cimport PeersHead
from ringway.engine.tls.tls_context cimport TlsContext

cdef enum:
    PROVEN_SECONDS_MAX = 3600   # a chain of sessions goes on for so long, then the certificate is checked again

cdef struct TlsPeer:        # a server that we connect to, and what we show to it; all borrowed while the context is opened
    const char* name        # terminated: the name (or address) that its certificate must have
    bint address            # `name` is an IP address: RFC 6066 3, no SNI
    bint verify
    X509_STORE* authorities # those that are trusted; NULL: none
    const char* certificate # ours, if it asks for one; NULL: none
    int certificate_length
    const char* key
    int key_length

cdef TlsContext* tls_peer_open(const PeersHead* head, uint32_t index, X509_STORE** stores, Buffers* buffers) noexcept nogil
    # of one upstream of the block. `stores`: one for each of its authorities, NULL until it is used. NULL: see OpenSSL's
    # error queue
cdef TlsContext* tls_client_open(const TlsPeer* peer, Buffers* buffers) noexcept nogil
    # the client's side, for the connections to one server. NULL: see OpenSSL's error queue

cdef SSL_SESSION* session_to_resume(TlsContext* context) noexcept nogil
    # borrowed; NULL: a full handshake
cdef int expect_server(TlsContext* context, const TlsPeer* peer) noexcept nogil
cdef int keep_session(SSL* ssl, SSL_SESSION* session) noexcept nogil

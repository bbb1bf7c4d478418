"""The client's side of TLS: the server's name, trusted authorities, the client certificate, and session resumption.

The worker opens a context (TlsContext with `client`) for each upstream before the loop starts. It replaces the context
when the authorities or the client certificate change. The checks belong to the context, so no connection can omit them.
Connections are those of tls.pxd.
"""
from libc.stdint cimport uint32_t

from ringway.engine.base.buffers cimport Buffers
from ringway.engine.native.openssl cimport SSL, SSL_SESSION, X509_STORE
from ringway.engine.tls.peers cimport PeersHead
from ringway.engine.tls.tls_context cimport TlsContext

cdef enum:
    PROVEN_SECONDS_MAX = 3600   # sessions are resumed for this long, then a full handshake checks the certificate again

cdef struct TlsPeer:        # an upstream and the client certificate for it; borrowed while the context is opened
    const char* name        # terminated: the name (or address) that its certificate must have
    bint address            # `name` is an IP address: RFC 6066 3, no SNI
    bint verify
    X509_STORE* authorities # trusted authorities; NULL: none
    const char* certificate # client certificate, sent if the upstream requests one; NULL: none
    int certificate_length
    const char* key
    int key_length

cdef TlsContext* tls_peer_open(const PeersHead* head, uint32_t index, X509_STORE** stores,
                               Buffers* buffers) noexcept nogil
    # the context of one upstream of the block. `stores`: one for each of its authorities, NULL until first use.
    # Returns NULL: see OpenSSL's error queue
cdef TlsContext* tls_client_open(const TlsPeer* peer, Buffers* buffers) noexcept nogil
    # the context for connections to one server. NULL: see OpenSSL's error queue

cdef SSL_SESSION* session_to_resume(TlsContext* context) noexcept nogil
    # borrowed; NULL: a full handshake
cdef int expect_server(TlsContext* context, const TlsPeer* peer) noexcept nogil
cdef int keep_session(SSL* ssl, SSL_SESSION* session) noexcept nogil

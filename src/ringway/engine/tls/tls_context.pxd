"""Contexts of TLS connections, on the server's side (tls_server.pxd) and on the client's side (tls_client.pxd).

The owner of a context and each of its connections (tls.pxd) hold a reference to it. So another context can replace it
at any time. The last connection frees the old one.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffers
from ringway.engine.tls.certificates cimport CertificatesHead, TicketKeys
from ringway.engine.tls.client_auth cimport Trusted
from ringway.engine.native.openssl cimport BIO, BIO_METHOD, EVP_PKEY, SSL_CTX, SSL_SESSION, X509
from ringway.engine.plan.snapshot cimport Snapshot

cdef enum:
    CIPHERS_BYTES_MAX = 2048    # of a list of ciphers or groups: OpenSSL's names, separated by colons

cdef struct KtlsPolicy:     # which parts of a connection the kernel takes over, see docs/tls.md
    bint enabled
    bint required           # close connections that the kernel cannot take over
    bint receive            # both directions, not only sending
    bint rekeys             # the kernel accepts new keys after a KeyUpdate (Linux 6.14); the supervisor has tried it
    uint8_t usable[2][2]    # by KtlsDirection and version - 12: bit KtlsCipher; the supervisor has tried them
    uint64_t after_bytes    # plaintext that OpenSSL encrypts before the kernel takes over sending

cdef struct TlsPolicy:      # what Ringway negotiates
    int min_version         # TLS1_2_VERSION or TLS1_3_VERSION
    bint http2              # offer h2 beside http/1.1
    char ciphers[CIPHERS_BYTES_MAX]     # TLS 1.2
    char suites[CIPHERS_BYTES_MAX]      # TLS 1.3
    char groups[CIPHERS_BYTES_MAX]      # of the key exchange

cdef struct CertificateStore:   # one block of certificates, and the contexts opened from it
    const CertificatesHead* head    # owned: mapped memory
    uint64_t size           # bytes of it
    TicketKeys tickets      # a copy: the supervisor wipes old blocks, and the worker must not seal with zeros
    uint32_t context_count  # a copy for the same reason: number of `contexts`
    uint32_t authorities_count  # ... number of `trusted`
    SSL_CTX** contexts      # owned: one for each context of the block; NULL: not opened yet
    X509** leaves           # owned array of borrowed pointers: the certificate of each choice of an opened context
    Trusted* trusted        # owned: one for each entry of authorities, opened at first use

cdef struct TlsContext:     # one for the server's side, and one for each upstream
    uint32_t references     # the owner's, and one for each connection
    BIO_METHOD* method      # owned
    CertificateStore* store # owned: the newest; NULL: the client's side
    const Snapshot* snapshot  # borrowed: what hosts demand of their clients; NULL: the client's side
    Buffers* buffers        # borrowed
    KtlsPolicy ktls
    TlsPolicy policy
    # only on the client's side
    SSL_CTX* client         # owned; NULL: the server's side
    uint32_t edition        # of the peer that it was opened from, see peers.pxd
    bint verify             # verify the server's certificate
    char* server_name       # owned: sent as SNI; NULL: an address
    SSL_SESSION* session    # owned: the last one that the server sent; NULL: none
    int64_t proven_s        # last full check of the server's certificate: resumption does not check it

cdef void tls_context_close(TlsContext* context) noexcept nogil
    # releases a reference; the last one frees the context
cdef void store_close(CertificateStore* store) noexcept nogil
cdef int use_pair(SSL_CTX* ctx, const char* chain, int chain_bytes, const char* key, int key_bytes) noexcept nogil
    # 1, or 0: see OpenSSL's error queue (last_error())
cdef int use_chain(SSL_CTX* ctx, const char* chain, int chain_bytes) noexcept nogil     # likewise
cdef EVP_PKEY* read_key(const char* key, int key_bytes) noexcept nogil
    # owned; NULL: invalid, or it has a passphrase
cdef X509* next_certificate(BIO* bio, bint* broken) noexcept nogil
    # the next certificate of a PEM text, owned; NULL: there are no more, or (`broken`) it is unreadable

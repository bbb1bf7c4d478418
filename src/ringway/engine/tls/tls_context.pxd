"""Contexts of TLS: what connections begin from, on the server's side (tls_server.pxd) and on the client's (tls_client.pxd).

A context has references: its owner's, and one of each connection (tls.pxd). So another one may take its place at any time, and the
old one goes with the last connection that began from it.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffers
from ringway.engine.tls.certificates cimport CertificatesHead, TicketKeys
from ringway.engine.tls.client_auth cimport Trusted
from ringway.engine.native.openssl cimport BIO, BIO_METHOD, EVP_PKEY, SSL_CTX, SSL_SESSION, X509
from ringway.engine.plan.snapshot cimport Snapshot

cdef enum:
    CIPHERS_BYTES_MAX = 2048    # of a list of ciphers or groups, OpenSSL's names with colons between

cdef struct KtlsPolicy:     # what of a connection the kernel is to take over, see docs/tls.md
    bint enabled
    bint required           # refuse a connection of which it cannot
    bint receive            # both directions, not sending alone
    bint rekeys             # it takes new keys behind a KeyUpdate (Linux 6.14), tried by the supervisor
    uint8_t usable[2][2]    # by KtlsDirection and version - 12: bit KtlsCipher, tried by the supervisor
    uint64_t after_bytes    # of plaintext that OpenSSL encrypts before the kernel sends

cdef struct TlsPolicy:      # what is agreed to
    int min_version         # TLS1_2_VERSION or TLS1_3_VERSION
    char ciphers[CIPHERS_BYTES_MAX]     # TLS 1.2
    char suites[CIPHERS_BYTES_MAX]      # TLS 1.3
    char groups[CIPHERS_BYTES_MAX]      # of the key exchange

cdef struct CertificateStore:   # one block of certificates, and what was opened of it
    const CertificatesHead* head    # owned: mapped memory
    uint64_t size           # bytes of it
    TicketKeys tickets      # copied from it: a worker that misses some publications has a wiped block, and must not seal with zeros
    uint32_t context_count  # copied likewise: of `contexts`
    uint32_t authorities_count  # ... of `trusted`
    SSL_CTX** contexts      # owned: one for each context of the block; NULL: no client asked for it yet
    X509** leaves           # owned; borrowed from them: the certificate of each of the block's choices, once it is opened
    Trusted* trusted        # owned: likewise, one for each entry of authorities

cdef struct TlsContext:     # one as a server, and one for each server that it connects to, until another takes its place
    uint32_t references     # its owner's, and one of each connection
    BIO_METHOD* method      # owned
    CertificateStore* store # owned: the newest; NULL: a client's
    const Snapshot* snapshot  # borrowed: what hosts want of their clients; NULL: a client's
    Buffers* buffers        # borrowed
    KtlsPolicy ktls
    TlsPolicy policy
    # a client's alone
    SSL_CTX* client         # owned; NULL: we are the server
    uint32_t edition        # of what it was opened from, see peers.pxd
    bint verify             # the server must be who it says
    char* server_name       # owned: sent by SNI; NULL: an address
    SSL_SESSION* session    # owned: the last one that the server gave; NULL: none
    int64_t proven_s        # when the server's certificate was checked last: resumption does not

cdef void tls_context_close(TlsContext* context) noexcept nogil
    # a reference less; with the last one it is gone
cdef void store_close(CertificateStore* store) noexcept nogil
cdef int use_pair(SSL_CTX* ctx, const char* chain, int chain_bytes, const char* key, int key_bytes) noexcept nogil
    # 1, or 0: see OpenSSL's error queue (last_error())
cdef int use_chain(SSL_CTX* ctx, const char* chain, int chain_bytes) noexcept nogil     # likewise
cdef EVP_PKEY* read_key(const char* key, int key_bytes) noexcept nogil
    # owned; NULL: it is none, or has a passphrase
cdef X509* next_certificate(BIO* bio, bint* broken) noexcept nogil
    # the next one of a text, owned; NULL: there is none, or (`broken`) it cannot be read

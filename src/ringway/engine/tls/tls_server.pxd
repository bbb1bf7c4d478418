"""The server's side of TLS: contexts with certificates, and which certificate a client gets.

    ClientHello --client_hello()--> name --> context of its certificates, and demand of its door (client_auth.pxd)

One context (TlsContext without `client`) serves until a reload replaces it. Renewed certificates replace the old ones
within the context. Connections are those of tls.pxd.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffers
from ringway.engine.tls.certificates cimport CertificatesHead, TicketKeys
from ringway.engine.tls.client_auth cimport Trusted
from ringway.engine.native.openssl cimport EVP_CIPHER_CTX, EVP_MAC_CTX, SSL, SSL_CTX
from ringway.engine.plan.snapshot cimport Snapshot
from ringway.engine.tls.tls_context cimport CertificateStore, KtlsPolicy, TlsContext, TlsPolicy

cdef TlsContext* tls_server_open(const TlsPolicy* policy, const KtlsPolicy* ktls, const Snapshot* snapshot,
                                 Buffers* buffers) noexcept nogil
    # a context without certificates. NULL: no memory
cdef int tls_server_take(TlsContext* context, const CertificatesHead* head, uint64_t size,
                         const TicketKeys* tickets) noexcept nogil
    # use this block of certificates for new connections; takes ownership of the mapping. -1: the default context or
    # one with a fresh pair is unusable, see OpenSSL's error queue (last_error()); the old block stays in use
cdef bint tls_same_door(const TlsContext* one, uint32_t policy, const TlsContext* other,
                        uint32_t other_policy) noexcept nogil
    # True: both policies, each in the certificates of its context, have the same demand and the same authorities

cdef SSL_CTX* store_context(TlsContext* context, CertificateStore* store, uint32_t index) noexcept nogil
    # opens the context at first use; NULL: it is unusable
cdef Trusted* store_trusted(CertificateStore* store, uint32_t policy) noexcept nogil
    # likewise
cdef bint open_fresh(TlsContext* context, CertificateStore* store) noexcept nogil
    # opens the contexts with fresh pairs. False: one of them is unusable
cdef SSL_CTX* new_context(TlsContext* context) noexcept nogil
cdef int client_hello(SSL* ssl, int* alert, void* arg) noexcept nogil
cdef bint asked_name(SSL* ssl, const unsigned char** name, uint32_t* length) noexcept nogil
    # the host name of the ClientHello, RFC 6066 3
cdef bint demand(TlsContext* context, SSL* ssl, const char* name, uint32_t length) noexcept nogil
    # sets what the host's door demands of the client. False: failed
cdef int status_asked(SSL* ssl, void* arg) noexcept nogil
cdef int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                    int encrypt) noexcept nogil
cdef int select_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                         unsigned int offered_length, void* arg) noexcept nogil

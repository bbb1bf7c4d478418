"""Client certificates: which ones Ringway accepts, and what it tells upstreams about them.

    ClientHello -> door (router.pxd) -> client_demand() -> handshake -> client_identity() -> field lines of the client

A session ticket contains the certificate and the result of its verification, so a resumed connection has the same
identity. A ticket opens only for a host with the same demand and the same authorities (its context), and only until
the certificate expires.
"""
from ringway.engine.native.openssl cimport SSL, SSL_SESSION, X509, X509_NAME, X509_NAMES, X509_STORE, X509_STORE_CTX, BIO

cdef enum:
    IDENTITY_BYTES_MAX = 2048   # of all field lines; a certificate with longer names is not accepted
    SHA256_BYTES = 32

cdef struct Trusted:        # the loaded authorities of one policy
    X509_STORE* store       # owned
    X509_NAMES* names       # owned: sent to clients, so they can choose a matching certificate

cdef X509_STORE* authorities_open(const char* text, int length, X509_NAMES* names) noexcept nogil
    # loads PEM and adds the subjects to `names`, unless it is NULL. NULL: there is no readable certificate in it
cdef void authorities_close(X509_STORE* store) noexcept nogil
    # contexts and connections that use it have their own references
cdef bint trusted_open(Trusted* trusted, const char* text, int length) noexcept nogil
cdef void trusted_close(Trusted* trusted) noexcept nogil

cdef bint client_demand(SSL* ssl, const Trusted* trusted, bint required, const unsigned char* context) noexcept nogil
    # in the ClientHello callback: request a certificate. False: no memory
cdef bint client_excuse(SSL* ssl) noexcept nogil
    # in the ClientHello callback: request none
cdef int client_identity(SSL* ssl, char* out) noexcept nogil
    # after the handshake: writes the field lines and returns their bytes, at most IDENTITY_BYTES_MAX. -1: the
    # certificate is not accepted
cdef const char* client_fault(SSL* ssl, unsigned long why) noexcept nogil
    # why the client's certificate was not accepted. `why`: OpenSSL's code of a failed handshake, or 0. NULL: no fault

cdef int accept_any(int ok, X509_STORE_CTX* context) noexcept nogil
cdef int ticket_opened(SSL* ssl, SSL_SESSION* session, const unsigned char* name, size_t length, int status,
                       void* arg) noexcept nogil
cdef int write_identity(BIO* bio, X509* x, char* out) noexcept nogil
cdef char* put_name(char* out, const char* end, const char* label, const X509_NAME* name, BIO* bio) noexcept nogil
cdef char* put_value(char* out, const char* end, const char* label, BIO* bio) noexcept nogil

"""Certificates that clients show: whose are accepted, and what an upstream is told of them.

    ClientHello -> door (router.pxd) -> client_demand() -> handshake -> client_identity() -> field lines, once a connection

A session ticket carries the certificate and what was found of it, so a resumed connection has the same identity. It opens
only at a door with the same demand and the same authorities (its context), and not when the certificate has expired.
"""
from ringway.engine.native.openssl cimport SSL, SSL_SESSION, X509, X509_NAME, X509_NAMES, X509_STORE, X509_STORE_CTX, BIO

cdef enum:
    IDENTITY_BYTES_MAX = 2048   # of the field lines; a certificate with longer names is not accepted
    SHA256_BYTES = 32

cdef struct Trusted:        # the authorities of one policy, opened
    X509_STORE* store       # owned
    X509_NAMES* names       # owned: shown to clients, so that they find the certificate which fits

cdef X509_STORE* authorities_open(const char* text, int length, X509_NAMES* names) noexcept nogil
    # PEM; their subjects are added to `names`, unless it is NULL. NULL: there is no certificate in it
cdef void authorities_close(X509_STORE* store) noexcept nogil
    # contexts and connections that use it have references of their own
cdef bint trusted_open(Trusted* trusted, const char* text, int length) noexcept nogil
cdef void trusted_close(Trusted* trusted) noexcept nogil

cdef bint client_demand(SSL* ssl, const Trusted* trusted, bint required, const unsigned char* context) noexcept nogil
    # within the ClientHello's callback: ask for a certificate. False: no memory
cdef bint client_excuse(SSL* ssl) noexcept nogil
    # likewise: ask for none
cdef int client_identity(SSL* ssl, char* out) noexcept nogil
    # after the handshake: bytes of field lines, at most IDENTITY_BYTES_MAX. -1: what it showed is not accepted
cdef const char* client_fault(SSL* ssl, unsigned long why) noexcept nogil
    # what is wrong with the client's certificate. `why`: OpenSSL's code of a failed handshake, or 0. NULL: nothing is

cdef int accept_any(int ok, X509_STORE_CTX* context) noexcept nogil
cdef int ticket_opened(SSL* ssl, SSL_SESSION* session, const unsigned char* name, size_t length, int status,
                       void* arg) noexcept nogil
cdef int write_identity(BIO* bio, X509* x, char* out) noexcept nogil
cdef char* put_name(char* out, const char* end, const char* label, const X509_NAME* name, BIO* bio) noexcept nogil
cdef char* put_value(char* out, const char* end, const char* label, BIO* bio) noexcept nogil

"""Client certificates: authorities, the demand in the handshake, and the identity for upstreams."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint8_t, uint32_t
from cython.cimports.libc.string import memcpy, strlen
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.native.openssl import (
    BIO,
    ERR_GET_REASON,
    PEM_R_NO_START_LINE,
    SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE,
    SSL_TICKET_RETURN_IGNORE_RENEW,
    SSL_TICKET_RETURN_USE,
    SSL_TICKET_RETURN_USE_RENEW,
    SSL_TICKET_SUCCESS,
    SSL_TICKET_SUCCESS_RENEW,
    SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    SSL_VERIFY_NONE,
    SSL_VERIFY_PEER,
    X509,
    X509_NAME,
    X509_NAMES,
    X509_STORE,
    X509_V_FLAG_PARTIAL_CHAIN,
    X509_V_OK,
    XN_FLAG_RFC2253,
    BIO_free,
    BIO_get_mem_data,
    BIO_new,
    BIO_new_mem_buf,
    BIO_reset,
    BIO_s_mem,
    ERR_clear_error,
    ERR_peek_last_error,
    ERR_reason_error_string,
    EVP_sha256,
    PEM_read_bio_X509,
    SSL_dup_CA_list,
    SSL_get0_peer_certificate,
    SSL_get_verify_result,
    SSL_SESSION_get0_peer,
    SSL_set1_verify_cert_store,
    SSL_set_client_CA_list,
    SSL_set_session_id_context,
    SSL_set_verify,
    X509_cmp_current_time,
    X509_digest,
    X509_free,
    X509_get0_notAfter,
    X509_get0_serialNumber,
    X509_get_issuer_name,
    X509_get_subject_name,
    X509_NAME_dup,
    X509_NAME_free,
    X509_NAME_print_ex,
    X509_STORE_add_cert,
    X509_STORE_free,
    X509_STORE_new,
    X509_STORE_set_flags,
    X509_verify_cert_error_string,
    i2a_ASN1_INTEGER,
    sk_X509_NAME_new_null,
    sk_X509_NAME_pop_free,
    sk_X509_NAME_push,
)
from cython.cimports.ringway.engine.tls.certificates import *

# ------------------------------------------------------------------------------------------------- authorities


def authorities_open(text, length, names):
    store: cython.pointer(X509_STORE) = X509_STORE_new()
    bio: cython.pointer(BIO) = BIO_new_mem_buf(text, length)
    x: cython.pointer(X509)
    subject: cython.pointer(X509_NAME)
    some: cython.bint = False
    while store != NULL and bio != NULL:
        x = PEM_read_bio_X509(bio, NULL, NULL, NULL)
        if x == NULL and ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE:
            break  # that was the last one
        if x == NULL:
            ERR_clear_error()
            continue  # skip a certificate that OpenSSL cannot read, and keep the others
        some = X509_STORE_add_cert(store, x) == 1 or some
        if names != NULL:
            subject = X509_NAME_dup(X509_get_subject_name(x))
            if subject != NULL and sk_X509_NAME_push(names, subject) == 0:
                X509_NAME_free(subject)
        X509_free(x)
    ERR_clear_error()
    BIO_free(bio)
    if some:
        return store
    X509_STORE_free(store)
    return NULL


def authorities_close(store):
    X509_STORE_free(store)


def trusted_open(trusted, text, length):
    trusted.names = sk_X509_NAME_new_null()
    if trusted.names != NULL:
        trusted.store = authorities_open(text, length, trusted.names)
    if trusted.store == NULL:
        trusted_close(trusted)
        return False
    # A configured authority is trusted even if it is not self-signed.
    X509_STORE_set_flags(trusted.store, X509_V_FLAG_PARTIAL_CHAIN)
    return True


def trusted_close(trusted):
    if trusted.names != NULL:
        sk_X509_NAME_pop_free(trusted.names, X509_NAME_free)
    X509_STORE_free(trusted.store)
    trusted.names = NULL
    trusted.store = NULL


# ----------------------------------------------------------------------------------------------- the handshake


def client_demand(ssl, trusted, required, context):
    # Set everything on the SSL, not on the context: hosts with different demands may share a certificate.
    names: cython.pointer(X509_NAMES) = SSL_dup_CA_list(trusted.names)
    if names == NULL:
        return False
    SSL_set_client_CA_list(ssl, names)  # takes ownership
    if required:
        SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL)
    else:
        SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_any)
    if SSL_set1_verify_cert_store(ssl, trusted.store) != 1:
        return False
    # RFC 8446 4.6.1, RFC 5077 3.4: a ticket replaces the check of the certificate, so it must match this demand.
    return SSL_set_session_id_context(ssl, context, TICKET_CONTEXT_BYTES) == 1


def client_excuse(ssl):
    # The ClientHello after a HelloRetryRequest may name another host than the first one did.
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL)
    return SSL_set_session_id_context(ssl, cast(cython.p_const_uchar, cast(cython.p_const_char, b"ringway")), 7) == 1


def accept_any(ok, context):
    """Let the handshake succeed. OpenSSL keeps the error, and Ringway rejects the request with an HTTP response."""
    return 1


def ticket_opened(ssl, session, name, length, status, arg):
    peer: cython.pointer(X509)
    if status != SSL_TICKET_SUCCESS and status != SSL_TICKET_SUCCESS_RENEW:
        return SSL_TICKET_RETURN_IGNORE_RENEW
    # Otherwise renewed tickets would outlive the certificate. A full handshake rejects it with an alert.
    peer = SSL_SESSION_get0_peer(session)
    if peer != NULL and X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0:
        return SSL_TICKET_RETURN_IGNORE_RENEW
    return SSL_TICKET_RETURN_USE if status == SSL_TICKET_SUCCESS else SSL_TICKET_RETURN_USE_RENEW


def client_fault(ssl, why):
    result: cython.long = SSL_get_verify_result(ssl)
    if result != X509_V_OK:
        return X509_verify_cert_error_string(result)
    if ERR_GET_REASON(why) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return ERR_reason_error_string(why)
    return NULL


# ------------------------------------------------------------------------------------------------ the identity


def client_identity(ssl, out):
    x: cython.pointer(X509) = SSL_get0_peer_certificate(ssl)
    bio: cython.pointer(BIO)
    length: cython.int = -1
    if x == NULL:
        memcpy(out, b"X-Client-Verified: NONE\r\n", 25)
        return 25
    if SSL_get_verify_result(ssl) != X509_V_OK:
        return -1
    bio = BIO_new(BIO_s_mem())
    if bio != NULL:
        length = write_identity(bio, x, out)
    BIO_free(bio)
    ERR_clear_error()
    return length


def write_identity(bio, x, out):
    end: cython.p_const_char = out + IDENTITY_BYTES_MAX
    digest: cython.uchar[SHA256_BYTES]
    digits: cython.p_const_char = b"0123456789abcdef"
    i: uint32_t
    p: cython.p_char = put(out, b"X-Client-Verified: SUCCESS\r\n", 28)
    p = put_name(p, end, b"X-Client-Subject: ", X509_get_subject_name(x), bio)
    if p != NULL:
        p = put_name(p, end, b"X-Client-Issuer: ", X509_get_issuer_name(x), bio)
    if p != NULL and i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(x)) > 0:
        p = put_value(p, end, b"X-Client-Serial: ", bio)
    if p == NULL or X509_digest(x, EVP_sha256(), digest, NULL) != 1 or end - p < 24 + 2 * SHA256_BYTES:
        return -1
    p = put(p, b"X-Client-Fingerprint: ", 22)
    for i in range(SHA256_BYTES):
        p[0] = digits[digest[i] >> 4]
        p[1] = digits[digest[i] & 15]
        p += 2
    p = put(p, b"\r\n", 2)
    return cast(cython.int, p - out)


def put_name(out, end, label, name, bio):
    # RFC 4514, formerly RFC 2253: escapes control characters and everything that is not ASCII.
    if X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0:
        return NULL
    return put_value(out, end, label, bio)


def put_value(out, end, label, bio):
    """Write the content of `bio` as one field line. NULL: it is too long or has invalid octets. Never truncates it."""
    data: cython.p_char = NULL
    length: cython.long = BIO_get_mem_data(bio, address(data))
    i: cython.long
    if length < 0 or length + cast(cython.long, strlen(label)) + 2 > end - out:
        return NULL
    for i in range(length):
        if cast(uint8_t, data[i]) < 32 or cast(uint8_t, data[i]) > 126:
            return NULL
    out = put(out, label, cast(uint32_t, strlen(label)))
    if length:
        out = put(out, data, cast(uint32_t, length))
    BIO_reset(bio)
    return put(out, b"\r\n", 2)

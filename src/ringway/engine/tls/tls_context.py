"""Contexts of TLS: closing them, and loading certificates and keys into them."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.stdlib import free
from cython.cimports.ringway.engine.native.linux import munmap
from cython.cimports.ringway.engine.native.openssl import (
    BIO,
    ERR_GET_REASON,
    EVP_PKEY,
    PEM_R_NO_START_LINE,
    X509,
    BIO_free,
    BIO_meth_free,
    BIO_new_mem_buf,
    ERR_clear_error,
    ERR_error_string_n,
    ERR_get_error,
    ERR_peek_last_error,
    ERR_reason_error_string,
    EVP_PKEY_free,
    OPENSSL_cleanse,
    PEM_read_bio_PrivateKey,
    PEM_read_bio_X509,
    SSL_CTX_add1_chain_cert,
    SSL_CTX_check_private_key,
    SSL_CTX_clear_chain_certs,
    SSL_CTX_free,
    SSL_CTX_get0_certificate,
    SSL_CTX_new,
    SSL_CTX_use_certificate,
    SSL_CTX_use_PrivateKey,
    SSL_SESSION_free,
    TLS_server_method,
    X509_check_private_key,
    X509_free,
    i2d_X509,
)
from cython.cimports.ringway.engine.tls.certificates import *
from cython.cimports.ringway.engine.tls.client_auth import *


def tls_context_close(context):
    if context == NULL:
        return
    context.references -= 1
    if context.references:
        return
    store_close(context.store)
    SSL_SESSION_free(context.session)
    SSL_CTX_free(context.client)
    BIO_meth_free(context.method)
    free(context.server_name)
    free(context)


def store_close(store):
    i: uint32_t
    if store == NULL:
        return
    if store.contexts != NULL:
        for i in range(store.context_count):
            SSL_CTX_free(store.contexts[i])
    free(store.contexts)
    free(store.leaves)
    if store.trusted != NULL:
        for i in range(store.authorities_count):
            trusted_close(address(store.trusted[i]))
    free(store.trusted)
    munmap(cast(cython.p_void, store.head), store.size)
    OPENSSL_cleanse(address(store.tickets), sizeof(TicketKeys))
    free(store)


def use_pair(ctx, chain, chain_bytes, key, key_bytes):
    """Load a chain and its key; a context holds one pair for each kind of key."""
    if use_chain(ctx, chain, chain_bytes) != 1:
        return 0
    k: cython.pointer(EVP_PKEY) = read_key(key, key_bytes)
    ok: cython.int = k != NULL and SSL_CTX_use_PrivateKey(ctx, k) == 1 and SSL_CTX_check_private_key(ctx) == 1
    EVP_PKEY_free(k)
    return ok


def use_chain(ctx, chain, chain_bytes):
    broken: cython.bint = False
    bio: cython.pointer(BIO) = BIO_new_mem_buf(chain, chain_bytes)
    x: cython.pointer(X509) = next_certificate(bio, address(broken))
    ok: cython.int = x != NULL and SSL_CTX_use_certificate(ctx, x) == 1
    X509_free(x)
    while ok:  # the rest of the chain
        x = next_certificate(bio, address(broken))
        if x == NULL:
            break
        ok = SSL_CTX_add1_chain_cert(ctx, x) == 1
        X509_free(x)
    BIO_free(bio)
    return ok and not broken


def read_key(key, key_bytes):
    bio: cython.pointer(BIO) = BIO_new_mem_buf(key, key_bytes)
    # The last argument is an empty passphrase: without one OpenSSL would prompt on the terminal.
    k: cython.pointer(EVP_PKEY) = PEM_read_bio_PrivateKey(
        bio, NULL, NULL, cast(cython.p_void, cast(cython.p_char, b""))
    )
    BIO_free(bio)
    return k


def next_certificate(bio, broken):
    x: cython.pointer(X509) = PEM_read_bio_X509(bio, NULL, NULL, NULL)
    if x == NULL:
        broken[0] = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE
        if not broken[0]:
            ERR_clear_error()
    return x


# For the supervisor: check certificates with OpenSSL in the same way as workers load them.


def read_certificates(pem: bytes) -> list[bytes]:
    """The certificates of a PEM text, each in DER form. Raises ValueError with OpenSSL's reason if one is invalid."""
    broken: cython.bint = False
    size: cython.int
    at: cython.p_uchar
    found = []
    ERR_clear_error()
    bio: cython.pointer(BIO) = BIO_new_mem_buf(cast(cython.p_char, pem), cast(cython.int, len(pem)))
    x: cython.pointer(X509) = next_certificate(bio, address(broken))
    while x != NULL:
        size = i2d_X509(x, NULL)
        der = bytearray(max(size, 1))
        at = cast(cython.p_uchar, der)
        i2d_X509(x, address(at))
        found.append(bytes(der[:size]))
        X509_free(x)
        x = next_certificate(bio, address(broken))
    BIO_free(bio)
    if broken:
        raise ValueError(last_reason())
    return found


@cython.cclass
class Judge:
    """Tries pairs in the way a worker opens them. Use one for many pairs: creating a context takes a millisecond."""

    ctx: cython.pointer(SSL_CTX)

    def __cinit__(self):
        self.ctx = SSL_CTX_new(TLS_server_method())

    def __dealloc__(self):
        SSL_CTX_free(self.ctx)

    def pair(self, chain: bytes, key: bytearray) -> tuple[str, str]:
        """Try a chain and its key, or only a key if `chain` is empty. Returns ("", ""), or which of the two is
        unusable, "chain" or "key", and OpenSSL's reason."""
        failed = ""
        ERR_clear_error()
        SSL_CTX_clear_chain_certs(self.ctx)
        if chain and use_chain(self.ctx, cast(cython.p_char, chain), cast(cython.int, len(chain))) != 1:
            failed = "chain"
        else:
            # Do not put the key into the context: it would stay there and count as the key of a later certificate.
            k: cython.pointer(EVP_PKEY) = read_key(cast(cython.p_char, key), cast(cython.int, len(key)))
            if k == NULL or (chain and X509_check_private_key(SSL_CTX_get0_certificate(self.ctx), k) != 1):
                failed = "key"
            EVP_PKEY_free(k)
        return failed, last_reason() if failed else ""


def last_reason() -> str:
    """As last_error(), without the location in OpenSSL."""
    text: cython.p_const_char = ERR_reason_error_string(ERR_get_error())
    ERR_clear_error()
    return cast(bytes, text).decode("latin-1") if text != NULL else "no reason given"


def last_error() -> str:
    """OpenSSL's oldest error as a sentence. Clears the error queue."""
    text: cython.char[256]
    code: cython.ulong = ERR_get_error()
    ERR_clear_error()
    if code == 0:
        return "no reason given"
    ERR_error_string_n(code, text, 256)
    return cast(bytes, cast(cython.p_char, text)).decode("latin-1")

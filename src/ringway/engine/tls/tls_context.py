"""Contexts of TLS: their end, and a certificate with its key in OpenSSL's hands."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.stdlib import free
from cython.cimports.ringway.engine.native.linux import munmap
from cython.cimports.ringway.engine.native.openssl import (
    BIO,
    EVP_PKEY,
    X509,
    BIO_free,
    BIO_meth_free,
    BIO_new_mem_buf,
    ERR_clear_error,
    ERR_error_string_n,
    ERR_get_error,
    EVP_PKEY_free,
    OPENSSL_cleanse,
    PEM_read_bio_PrivateKey,
    PEM_read_bio_X509,
    SSL_CTX_add1_chain_cert,
    SSL_CTX_check_private_key,
    SSL_CTX_free,
    SSL_CTX_use_certificate,
    SSL_CTX_use_PrivateKey,
    SSL_SESSION_free,
    X509_free,
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
    """A chain and its key; OpenSSL keeps one for each kind of key."""
    bio: cython.pointer(BIO) = BIO_new_mem_buf(chain, chain_bytes)
    x: cython.pointer(X509) = PEM_read_bio_X509(bio, NULL, NULL, NULL)
    ok: cython.int = x != NULL and SSL_CTX_use_certificate(ctx, x) == 1
    X509_free(x)
    while ok:  # the rest of the chain, to its end
        x = PEM_read_bio_X509(bio, NULL, NULL, NULL)
        if x == NULL:
            ERR_clear_error()  # "no start line": that was the last one
            break
        ok = SSL_CTX_add1_chain_cert(ctx, x) == 1
        X509_free(x)
    BIO_free(bio)
    if not ok:
        return 0
    bio = BIO_new_mem_buf(key, key_bytes)
    k: cython.pointer(EVP_PKEY) = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)
    ok = k != NULL and SSL_CTX_use_PrivateKey(ctx, k) == 1 and SSL_CTX_check_private_key(ctx) == 1
    EVP_PKEY_free(k)
    BIO_free(bio)
    return ok


def last_error() -> str:
    """OpenSSL's oldest error as a sentence, and forget it."""
    text: cython.char[256]
    code: cython.ulong = ERR_get_error()
    ERR_clear_error()
    if code == 0:
        return "no reason given"
    ERR_error_string_n(code, text, 256)
    return cast(bytes, cast(cython.p_char, text)).decode("latin-1")

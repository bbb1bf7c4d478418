"""The client's side of TLS: contexts and sessions."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdlib import calloc
from cython.cimports.libc.string import memset, strdup, strlen
from cython.cimports.libc.time import time
from cython.cimports.ringway.engine.native.openssl import (
    SSL_CTX,
    SSL_MODE_RELEASE_BUFFERS,
    SSL_OP_NO_COMPRESSION,
    SSL_OP_NO_RENEGOTIATION,
    SSL_SESS_CACHE_CLIENT,
    SSL_SESS_CACHE_NO_INTERNAL,
    SSL_VERIFY_NONE,
    SSL_VERIFY_PEER,
    TLS1_2_VERSION,
    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
    X509_V_FLAG_PARTIAL_CHAIN,
    X509_VERIFY_PARAM,
    SSL_CTX_get0_param,
    SSL_CTX_new,
    SSL_CTX_sess_set_new_cb,
    SSL_CTX_set1_cert_store,
    SSL_CTX_set_alpn_protos,
    SSL_CTX_set_min_proto_version,
    SSL_CTX_set_mode,
    SSL_CTX_set_options,
    SSL_CTX_set_session_cache_mode,
    SSL_CTX_set_verify,
    SSL_get_app_data,
    SSL_SESSION_free,
    SSL_SESSION_is_resumable,
    SSL_session_reused,
    TLS_client_method,
    X509_VERIFY_PARAM_set1_host,
    X509_VERIFY_PARAM_set1_ip_asc,
    X509_VERIFY_PARAM_set_flags,
    X509_VERIFY_PARAM_set_hostflags,
)
from cython.cimports.ringway.engine.plan import *
from cython.cimports.ringway.engine.tls.client_auth import *
from cython.cimports.ringway.engine.tls.peers import *
from cython.cimports.ringway.engine.tls.tls import *
from cython.cimports.ringway.engine.tls.tls_context import *


def tls_peer_open(head, index, stores, buffers):
    base: cython.p_const_char = cast(cython.p_const_char, head)
    p: cython.pointer(cython.const[Peer]) = peer_at(head, index)
    text: Text
    peer: TlsPeer
    memset(address(peer), 0, sizeof(TlsPeer))
    peer.name = base + p.name.at
    peer.address = p.address
    peer.verify = p.verify
    if p.authorities:
        text = authorities_at(head, p.authorities - 1)
        if stores[p.authorities - 1] == NULL:
            stores[p.authorities - 1] = authorities_open(base + text.at, cast(cython.int, text.length), NULL)
        peer.authorities = stores[p.authorities - 1]
        if peer.authorities == NULL:
            return NULL
    if p.certificate.length:
        peer.certificate = base + p.certificate.at
        peer.certificate_length = cast(cython.int, p.certificate.length)
        peer.key = base + p.key.at
        peer.key_length = cast(cython.int, p.key.length)
    context: cython.pointer(TlsContext) = tls_client_open(address(peer), buffers)
    if context != NULL:
        context.edition = p.edition
    return context


def tls_client_open(peer, buffers):
    context: cython.pointer(TlsContext) = cast(cython.pointer(TlsContext), calloc(1, sizeof(TlsContext)))
    if context == NULL:
        return NULL
    context.references = 1
    context.buffers = buffers
    context.verify = peer.verify
    context.method = new_method()
    ctx: cython.pointer(SSL_CTX) = SSL_CTX_new(TLS_client_method())
    context.client = ctx
    if context.method == NULL or ctx == NULL or expect_server(context, peer) != 1:
        tls_context_close(context)
        return NULL
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION)
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS)
    # With TLS 1.3, sessions arrive after the handshake, one by one. keep_session() keeps the last one, OpenSSL none.
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL)
    SSL_CTX_sess_set_new_cb(ctx, keep_session)
    return context


def expect_server(context, peer):
    """1, or 0: see OpenSSL's error queue."""
    ctx: cython.pointer(SSL_CTX) = context.client
    param: cython.pointer(X509_VERIFY_PARAM) = SSL_CTX_get0_param(ctx)
    # Connections inherit these parameters. RFC 9110 4.3.4: the certificate must be valid for the host of the URI.
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)
    # A configured authority is trusted even if it is not self-signed.
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN)
    if peer.verify:
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL)
        if peer.address:
            if X509_VERIFY_PARAM_set1_ip_asc(param, peer.name) != 1:
                return 0
        elif X509_VERIFY_PARAM_set1_host(param, peer.name, strlen(peer.name)) != 1:
            return 0
    else:
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL)
    if peer.authorities != NULL:
        SSL_CTX_set1_cert_store(ctx, peer.authorities)
    if not peer.address:
        context.server_name = strdup(peer.name)
        if context.server_name == NULL:
            return 0
    if SSL_CTX_set_alpn_protos(ctx, cast(cython.p_const_uchar, cast(cython.p_const_char, b"\x08http/1.1")), 9) != 0:
        return 0
    if peer.certificate == NULL:
        return 1
    return use_pair(ctx, peer.certificate, peer.certificate_length, peer.key, peer.key_length)


def keep_session(ssl, session):
    tls: cython.pointer(Tls) = cast(cython.pointer(Tls), SSL_get_app_data(ssl))
    SSL_SESSION_free(tls.context.session)
    tls.context.session = session
    if SSL_session_reused(ssl) == 0:
        tls.context.proven_s = time(NULL)
    return 1  # takes ownership of the reference


def session_to_resume(context):
    # RFC 8446 4.6.1: without a bound, renewed tickets would outlive the check of the certificate.
    if context.session == NULL or time(NULL) - context.proven_s > PROVEN_SECONDS_MAX:
        return NULL
    # The session of a broken connection is not resumable.
    return context.session if SSL_SESSION_is_resumable(context.session) == 1 else NULL

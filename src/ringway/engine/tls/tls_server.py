"""The server's side of TLS: contexts with certificates, and OpenSSL's callbacks in the handshake."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.stdlib import calloc
from cython.cimports.libc.string import memcmp, memcpy, memset
from cython.cimports.libc.time import time
from cython.cimports.ringway.engine.native.linux import (
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
    mmap,
    munmap,
)
from cython.cimports.ringway.engine.native.openssl import (
    OPENSSL_NPN_NEGOTIATED,
    OSSL_PARAM,
    SSL_AD_INTERNAL_ERROR,
    SSL_CLIENT_HELLO_ERROR,
    SSL_CLIENT_HELLO_SUCCESS,
    SSL_CTX,
    SSL_MODE_RELEASE_BUFFERS,
    SSL_OP_NO_COMPRESSION,
    SSL_OP_NO_RENEGOTIATION,
    SSL_SESS_CACHE_OFF,
    SSL_TLSEXT_ERR_ALERT_FATAL,
    SSL_TLSEXT_ERR_NOACK,
    SSL_TLSEXT_ERR_OK,
    TLS1_3_VERSION,
    X509,
    EVP_aes_256_cbc,
    EVP_DecryptInit_ex,
    EVP_EncryptInit_ex,
    EVP_MAC_CTX_set_params,
    OPENSSL_malloc,
    OSSL_PARAM_construct_end,
    OSSL_PARAM_construct_octet_string,
    OSSL_PARAM_construct_utf8_string,
    RAND_bytes,
    SSL_client_hello_get0_ext,
    SSL_CTX_free,
    SSL_CTX_get0_certificate,
    SSL_CTX_get_app_data,
    SSL_CTX_new,
    SSL_CTX_set1_groups_list,
    SSL_CTX_set_alpn_select_cb,
    SSL_CTX_set_app_data,
    SSL_CTX_set_cipher_list,
    SSL_CTX_set_ciphersuites,
    SSL_CTX_set_client_hello_cb,
    SSL_CTX_set_keylog_callback,
    SSL_CTX_set_min_proto_version,
    SSL_CTX_set_mode,
    SSL_CTX_set_msg_callback,
    SSL_CTX_set_num_tickets,
    SSL_CTX_set_options,
    SSL_CTX_set_session_cache_mode,
    SSL_CTX_set_session_id_context,
    SSL_CTX_set_session_ticket_cb,
    SSL_CTX_set_tlsext_status_cb,
    SSL_CTX_set_tlsext_ticket_key_evp_cb,
    SSL_get_app_data,
    SSL_get_certificate,
    SSL_get_SSL_CTX,
    SSL_select_next_proto,
    SSL_set_SSL_CTX,
    SSL_set_tlsext_status_ocsp_resp,
    SSL_version,
    TLS_server_method,
    TLSEXT_TYPE_server_name,
)
from cython.cimports.ringway.engine.plan import *
from cython.cimports.ringway.engine.tls.certificates import *
from cython.cimports.ringway.engine.tls.client_auth import *
from cython.cimports.ringway.engine.tls.tls import *
from cython.cimports.ringway.engine.tls.tls_context import *


def tls_server_open(policy, ktls, snapshot, buffers):
    context: cython.pointer(TlsContext) = cast(cython.pointer(TlsContext), calloc(1, sizeof(TlsContext)))
    if context == NULL:
        return NULL
    context.references = 1
    context.buffers = buffers
    context.snapshot = snapshot
    context.ktls = ktls[0]
    context.policy = policy[0]
    context.method = new_method()
    if context.method == NULL:
        tls_context_close(context)
        return NULL
    return context


def tls_server_take(context, head, size, tickets):
    store: cython.pointer(CertificateStore) = cast(
        cython.pointer(CertificateStore), calloc(1, sizeof(CertificateStore))
    )
    if store == NULL:
        munmap(cast(cython.p_void, head), size)
        return -1
    store.head = head
    store.size = size
    store.tickets = tickets[0]
    store.context_count = head.context_count
    store.authorities_count = head.authorities_count
    store.contexts = cast(cython.pointer(cython.pointer(SSL_CTX)), calloc(head.context_count, sizeof(cython.p_void)))
    store.leaves = cast(cython.pointer(cython.pointer(X509)), calloc(head.choice_count + 1, sizeof(cython.p_void)))
    store.trusted = cast(cython.pointer(Trusted), calloc(head.authorities_count + 1, sizeof(Trusted)))
    if (
        store.contexts == NULL
        or store.leaves == NULL
        or store.trusted == NULL
        or store_context(context, store, head.default_context) == NULL
        or not open_fresh(context, store)
    ):
        store_close(store)
        return -1
    # Connections hold their own references to the parts of the old store that they use.
    store_close(context.store)
    context.store = store
    return 0


def open_fresh(context, store):
    """Detect an unusable renewal now, not when the first client fails."""
    index: uint32_t
    which: uint32_t
    pair: cython.pointer(cython.const[CertificatePair])
    for index in range(store.head.context_count):
        which = 0
        pair = certificates_pair(store.head, index, 0)
        while pair != NULL:
            if pair.fresh and store_context(context, store, index) == NULL:
                return False
            which += 1
            pair = certificates_pair(store.head, index, which)
    return True


def store_context(context, store, index):
    ctx: cython.pointer(SSL_CTX) = store.contexts[index]
    base: cython.p_const_char = cast(cython.p_const_char, store.head)
    pair: cython.pointer(cython.const[CertificatePair])
    which: uint32_t = 0
    if ctx != NULL:
        return ctx
    ctx = new_context(context)
    pair = certificates_pair(store.head, index, 0)
    while ctx != NULL and pair != NULL:
        if use_pair(ctx, base + pair.chain_at, pair.chain_bytes, base + pair.key_at, pair.key_bytes) != 1:
            SSL_CTX_free(ctx)
            return NULL
        store.leaves[certificates_choice(store.head, index, which)] = SSL_CTX_get0_certificate(ctx)
        which += 1
        pair = certificates_pair(store.head, index, which)
    if ctx != NULL:
        SSL_CTX_set_app_data(ctx, cast(cython.p_void, cast(cython.size_t, index)))
    store.contexts[index] = ctx
    return ctx


def store_trusted(store, policy):
    authorities: cython.pointer(cython.const[ClientAuthorities]) = certificates_authorities(store.head, policy)
    trusted: cython.pointer(Trusted)
    if authorities == NULL:
        return NULL
    trusted = address(store.trusted[policy - 1])
    if trusted.store == NULL:
        trusted_open(trusted, cast(cython.p_const_char, store.head) + authorities.at, authorities.length)
    return trusted if trusted.store != NULL else NULL


def new_context(context):
    ctx: cython.pointer(SSL_CTX) = SSL_CTX_new(TLS_server_method())
    if ctx == NULL:
        return NULL
    SSL_CTX_set_min_proto_version(ctx, context.policy.min_version)
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION)
    # Without this mode an idle connection keeps 34 KB of record buffers.
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS)
    # Resumption only with tickets: all workers can open them, and no worker needs a cache.
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF)
    SSL_CTX_set_session_id_context(ctx, b"ringway", 7)
    SSL_CTX_set_num_tickets(ctx, 1)
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key)
    SSL_CTX_set_session_ticket_cb(ctx, NULL, ticket_opened, NULL)
    SSL_CTX_set_alpn_select_cb(ctx, select_protocol, context)
    SSL_CTX_set_client_hello_cb(ctx, client_hello, context)
    SSL_CTX_set_tlsext_status_cb(ctx, status_asked)
    if context.ktls.enabled:
        SSL_CTX_set_keylog_callback(ctx, note_keylog)
        SSL_CTX_set_msg_callback(ctx, note_message)
    if (
        SSL_CTX_set_cipher_list(ctx, context.policy.ciphers) != 1
        or SSL_CTX_set_ciphersuites(ctx, context.policy.suites) != 1
        or SSL_CTX_set1_groups_list(ctx, context.policy.groups) != 1
    ):
        SSL_CTX_free(ctx)
        return NULL
    return ctx


# ------------------------------------------------------------------------------------------- callbacks of the handshake


def client_hello(ssl, alert, arg):
    """Before the negotiation: set certificate and demands of the requested host, RFC 6066 3."""
    context: cython.pointer(TlsContext) = cast(cython.pointer(TlsContext), arg)
    store: cython.pointer(CertificateStore) = context.store
    name: cython.pointer(cython.const[cython.uchar]) = NULL
    length: uint32_t = 0
    index: uint32_t = store.head.default_context
    ctx: cython.pointer(SSL_CTX)
    if store.head.context_count > 1 or context.snapshot.client_auth:
        if asked_name(ssl, address(name), address(length)):
            index = certificates_find(store.head, cast(cython.p_const_char, name), length)
        else:
            length = 0
    ctx = store_context(context, store, index)
    if (
        ctx == NULL
        or SSL_set_SSL_CTX(ssl, ctx) == NULL
        or (context.snapshot.client_auth and not demand(context, ssl, cast(cython.p_const_char, name), length))
    ):
        alert[0] = SSL_AD_INTERNAL_ERROR
        return SSL_CLIENT_HELLO_ERROR
    return SSL_CLIENT_HELLO_SUCCESS


def asked_name(ssl, name, length):
    # struct { ServerNameList: uint16 bytes; { NameType host_name(0); uint16 bytes; opaque name } ... }
    data: cython.pointer(cython.const[cython.uchar]) = NULL
    size: cython.size_t = 0
    if SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, address(data), address(size)) != 1 or size < 5:
        return False
    length[0] = (cast(uint32_t, data[3]) << 8) | data[4]
    name[0] = data + 5
    return data[2] == 0 and length[0] + 5 <= size


def demand(context, ssl, name, length):
    """Call after SSL_set_SSL_CTX(), which also replaces settings of the SSL."""
    tls: cython.pointer(Tls) = cast(cython.pointer(Tls), SSL_get_app_data(ssl))
    trusted: cython.pointer(Trusted)
    tls.door = door_find(context.snapshot, name, length)
    if tls.door.policy == 0:
        return client_excuse(ssl)
    trusted = store_trusted(context.store, tls.door.policy)
    return trusted != NULL and client_demand(
        ssl,
        trusted,
        tls.door.auth == AUTH_REQUIRE,
        certificates_authorities(context.store.head, tls.door.policy).context,
    )


def tls_same_door(one, policy, other, other_policy):
    if policy == 0 or other_policy == 0 or other == NULL:
        return policy == other_policy
    a: cython.pointer(cython.const[ClientAuthorities]) = certificates_authorities(one.store.head, policy)
    b: cython.pointer(cython.const[ClientAuthorities]) = certificates_authorities(other.store.head, other_policy)
    return a != NULL and b != NULL and memcmp(a.context, b.context, sizeof(a.context)) == 0


def status_asked(ssl, arg):
    """RFC 6066 8, RFC 8446 4.4.2.1: staple the OCSP response for the chosen certificate while it is valid."""
    store: cython.pointer(CertificateStore) = cast(cython.pointer(Tls), SSL_get_app_data(ssl)).context.store
    ctx: cython.pointer(SSL_CTX) = SSL_get_SSL_CTX(ssl)
    index: cython.size_t = cast(cython.size_t, SSL_CTX_get_app_data(ctx))
    leaf: cython.pointer(X509) = SSL_get_certificate(ssl)
    pair: cython.pointer(cython.const[CertificatePair])
    which: uint32_t = 0
    response: cython.p_void
    if index >= store.head.context_count or store.contexts[index] != ctx:
        return SSL_TLSEXT_ERR_NOACK  # new certificates arrived during the handshake
    pair = certificates_pair(store.head, cast(uint32_t, index), 0)
    while pair != NULL and store.leaves[certificates_choice(store.head, cast(uint32_t, index), which)] != leaf:
        which += 1
        pair = certificates_pair(store.head, cast(uint32_t, index), which)
    if pair == NULL or pair.staple_bytes == 0 or pair.staple_until_s <= time(NULL):
        return SSL_TLSEXT_ERR_NOACK
    response = OPENSSL_malloc(pair.staple_bytes)
    if response == NULL:
        return SSL_TLSEXT_ERR_NOACK
    memcpy(response, cast(cython.p_const_char, store.head) + pair.staple_at, pair.staple_bytes)
    SSL_set_tlsext_status_ocsp_resp(ssl, response, pair.staple_bytes)
    return SSL_TLSEXT_ERR_OK


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def tickets_of(store: cython.pointer(cython.const[CertificateStore])) -> cython.pointer(cython.const[TicketKeys]):
    return address(store.tickets)


def ticket_key(ssl, name, iv, cipher, mac, encrypt):
    """RFC 5077 4: select the keys that seal or open a ticket. 1: found; 2: found, and send a new ticket; 0: none."""
    tls: cython.pointer(Tls) = cast(cython.pointer(Tls), SSL_get_app_data(ssl))
    tickets: cython.pointer(cython.const[TicketKeys]) = tickets_of(tls.context.store)
    which: uint32_t = 0
    key: cython.pointer(cython.const[cython.uchar])
    params: OSSL_PARAM[3]
    if encrypt:
        if RAND_bytes(iv, 16) != 1:
            return -1
        memcpy(name, tickets.key[0], 16)
    else:
        while which < tickets.count and memcmp(name, tickets.key[which], 16) != 0:
            which += 1
        if which == tickets.count:
            return 0
    key = tickets.key[which]
    params[0] = OSSL_PARAM_construct_octet_string(b"key", cast(cython.p_void, key + 16), 32)
    params[1] = OSSL_PARAM_construct_utf8_string(b"digest", cast(cython.p_char, b"sha256"), 0)
    params[2] = OSSL_PARAM_construct_end()
    if EVP_MAC_CTX_set_params(mac, params) != 1:
        return -1
    if encrypt:
        return 1 if EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + 48, iv) == 1 else -1
    if EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + 48, iv) != 1:
        return -1
    # RFC 8446 C.4: a TLS 1.3 client uses a ticket only once, so each resumption sends it a new one.
    return 1 if which == 0 and SSL_version(ssl) != TLS1_3_VERSION else 2


def select_protocol(ssl, out, out_length, offered, offered_length, arg):
    # RFC 7301 3.2: a client that offers only unsupported protocols gets the alert no_application_protocol. Ringway's
    # order counts: HTTP/2 first.
    http2: cython.bint = cast(cython.pointer(TlsContext), arg).policy.http2
    protocols: cython.p_const_char = b"\x02h2\x08http/1.1\x08http/1.0"
    skipped: cython.uint = 0 if http2 else 3
    if (
        SSL_select_next_proto(
            cast(cython.pp_uchar, out),
            out_length,
            cast(cython.p_uchar, cast(cython.p_char, protocols)) + skipped,
            21 - skipped,
            offered,
            offered_length,
        )
        == OPENSSL_NPN_NEGOTIATED
    ):
        return SSL_TLSEXT_ERR_OK
    return SSL_TLSEXT_ERR_ALERT_FATAL


# For tests.


def tickets_when_wiped(block: bytes) -> list:
    """The ticket keys that a worker uses after the supervisor has wiped this block of certificates."""
    policy: TlsPolicy
    ktls: KtlsPolicy
    tickets: TicketKeys
    size: cython.size_t = len(block)
    text: cython.p_const_char = block
    i: cython.int
    memset(address(policy), 0, sizeof(TlsPolicy))
    memset(address(ktls), 0, sizeof(KtlsPolicy))
    policy.min_version = TLS1_3_VERSION
    memcpy(policy.ciphers, b"ECDHE+AESGCM", 13)
    memcpy(policy.suites, b"TLS_AES_128_GCM_SHA256", 23)
    memcpy(policy.groups, b"X25519", 7)
    memory: cython.p_void = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    memcpy(memory, text, size)
    head: cython.pointer(CertificatesHead) = cast(cython.pointer(CertificatesHead), memory)
    tickets.count = head.ticket_key_count
    for i in range(TICKET_KEYS_MAX):
        memcpy(tickets.key[i], head.ticket_keys[i], TICKET_KEY_BYTES)
    context: cython.pointer(TlsContext) = tls_server_open(address(policy), address(ktls), NULL, NULL)
    if context == NULL or tls_server_take(context, head, size, address(tickets)) < 0:
        raise ValueError("unusable block")
    memset(memory, 0, size)
    found = tickets_of(context.store)
    keys = [bytes([found.key[number][place] for place in range(TICKET_KEY_BYTES)]) for number in range(found.count)]
    tls_context_close(context)
    return keys

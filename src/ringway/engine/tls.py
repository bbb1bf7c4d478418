"""TLS as a codec: OpenSSL between two queues of buffers."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.libc.time import time
from cython.cimports.ringway.engine.buffers import (
    GROUP_LARGE,
    GROUP_SMALL,
    HEADROOM,
    SMALL_BYTES,
    TAILROOM,
    Buffer,
    buffer_take,
    queue_push,
)
from cython.cimports.ringway.engine.certificates import (
    CertificatePair,
    CertificatesHead,
    ClientAuthorities,
    certificates_authorities,
    certificates_choice,
    certificates_find,
    certificates_pair,
)
from cython.cimports.ringway.engine.client_auth import (
    Trusted,
    client_demand,
    client_excuse,
    ticket_opened,
    trusted_close,
    trusted_open,
)
from cython.cimports.ringway.engine.ktls import (
    KTLS_RANDOM_BYTES,
    KTLS_RECEIVE,
    KTLS_SEND,
    ktls_cipher_of,
    ktls_keylog,
    ktls_message,
    ktls_record,
)
from cython.cimports.ringway.engine.native.linux import munmap
from cython.cimports.ringway.engine.native.openssl import (
    BIO,
    BIO_CTRL_FLUSH,
    BIO_METHOD,
    BIO_TYPE_SOURCE_SINK,
    EVP_PKEY,
    OPENSSL_NPN_NEGOTIATED,
    OSSL_PARAM,
    SSL3_RT_HANDSHAKE,
    SSL3_RT_HEADER,
    SSL_AD_INTERNAL_ERROR,
    SSL_CLIENT_HELLO_ERROR,
    SSL_CLIENT_HELLO_SUCCESS,
    SSL_CTX,
    SSL_ERROR_WANT_READ,
    SSL_ERROR_ZERO_RETURN,
    SSL_KEY_UPDATE_NONE,
    SSL_KEY_UPDATE_NOT_REQUESTED,
    SSL_MODE_RELEASE_BUFFERS,
    SSL_OP_NO_COMPRESSION,
    SSL_OP_NO_RENEGOTIATION,
    SSL_RECEIVED_SHUTDOWN,
    SSL_SENT_SHUTDOWN,
    SSL_SESS_CACHE_OFF,
    SSL_TLSEXT_ERR_ALERT_FATAL,
    SSL_TLSEXT_ERR_NOACK,
    SSL_TLSEXT_ERR_OK,
    TLS1_3_VERSION,
    X509,
    X509_V_OK,
    BIO_clear_retry_flags,
    BIO_free,
    BIO_get_data,
    BIO_meth_free,
    BIO_meth_new,
    BIO_meth_set_ctrl,
    BIO_meth_set_read,
    BIO_meth_set_write,
    BIO_new,
    BIO_new_mem_buf,
    BIO_set_data,
    BIO_set_init,
    BIO_set_retry_read,
    ERR_clear_error,
    ERR_error_string_n,
    ERR_get_error,
    ERR_peek_error,
    ERR_reason_error_string,
    EVP_aes_256_cbc,
    EVP_DecryptInit_ex,
    EVP_EncryptInit_ex,
    EVP_MAC_CTX_set_params,
    EVP_PKEY_free,
    OPENSSL_malloc,
    OSSL_PARAM_construct_end,
    OSSL_PARAM_construct_octet_string,
    OSSL_PARAM_construct_utf8_string,
    PEM_read_bio_PrivateKey,
    PEM_read_bio_X509,
    RAND_bytes,
    SSL_CIPHER_get_name,
    SSL_client_hello_get0_ext,
    SSL_CTX_add1_chain_cert,
    SSL_CTX_check_private_key,
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
    SSL_CTX_use_certificate,
    SSL_CTX_use_PrivateKey,
    SSL_do_handshake,
    SSL_free,
    SSL_get_app_data,
    SSL_get_certificate,
    SSL_get_client_random,
    SSL_get_current_cipher,
    SSL_get_error,
    SSL_get_key_update_type,
    SSL_get_server_random,
    SSL_get_SSL_CTX,
    SSL_get_verify_result,
    SSL_key_update,
    SSL_new,
    SSL_pending,
    SSL_read,
    SSL_select_next_proto,
    SSL_SESSION_free,
    SSL_session_reused,
    SSL_set_accept_state,
    SSL_set_app_data,
    SSL_set_bio,
    SSL_set_connect_state,
    SSL_set_msg_callback_arg,
    SSL_set_session,
    SSL_set_shutdown,
    SSL_set_SSL_CTX,
    SSL_set_tlsext_host_name,
    SSL_set_tlsext_status_ocsp_resp,
    SSL_shutdown,
    SSL_version,
    SSL_write,
    TLS_server_method,
    TLSEXT_TYPE_server_name,
    X509_free,
    X509_verify_cert_error_string,
)
from cython.cimports.ringway.engine.router import door_find
from cython.cimports.ringway.engine.snapshot import AUTH_REQUIRE

# ----------------------------------------------------------------------------------------------------- context


def tls_context_open(policy, ktls, snapshot, buffers):
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


def new_method():
    method: cython.pointer(BIO_METHOD) = BIO_meth_new(BIO_TYPE_SOURCE_SINK, b"ringway")
    if method != NULL:
        BIO_meth_set_read(method, bio_read)
        BIO_meth_set_write(method, bio_write)
        BIO_meth_set_ctrl(method, bio_ctrl)
    return method


def tls_context_take(context, head, size):
    store: cython.pointer(CertificateStore) = cast(
        cython.pointer(CertificateStore), calloc(1, sizeof(CertificateStore))
    )
    if store == NULL:
        munmap(cast(cython.p_void, head), size)
        return -1
    store.head = head
    store.size = size
    store.contexts = cast(cython.pointer(cython.pointer(SSL_CTX)), calloc(head.context_count, sizeof(cython.p_void)))
    store.leaves = cast(cython.pointer(cython.pointer(X509)), calloc(head.choice_count + 1, sizeof(cython.p_void)))
    store.trusted = cast(cython.pointer(Trusted), calloc(head.authorities_count + 1, sizeof(Trusted)))
    if (
        store.contexts == NULL
        or store.leaves == NULL
        or store.trusted == NULL
        or store_context(context, store, head.default_context) == NULL
    ):
        store_close(store)
        return -1
    # A connection has references of its own to what it uses of the old one.
    store_close(context.store)
    context.store = store
    return 0


def store_close(store):
    i: uint32_t
    if store == NULL:
        return
    if store.contexts != NULL:
        for i in range(store.head.context_count):
            SSL_CTX_free(store.contexts[i])
    free(store.contexts)
    free(store.leaves)
    if store.trusted != NULL:
        for i in range(store.head.authorities_count):
            trusted_close(address(store.trusted[i]))
    free(store.trusted)
    munmap(cast(cython.p_void, store.head), store.size)
    free(store)


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
    # Without it an idle connection keeps 34 KB of record buffers.
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS)
    # Resumption by tickets only: any worker can open them, and no worker keeps a cache.
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF)
    SSL_CTX_set_session_id_context(ctx, b"ringway", 7)
    SSL_CTX_set_num_tickets(ctx, 1)
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key)
    SSL_CTX_set_session_ticket_cb(ctx, NULL, ticket_opened, NULL)
    SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL)
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


def select_protocol(ssl, out, out_length, offered, offered_length, arg):
    # RFC 7301 3.2: a client that offers only what we do not speak gets no_application_protocol.
    if (
        SSL_select_next_proto(
            cast(cython.pp_uchar, out),
            out_length,
            cast(cython.p_uchar, cast(cython.p_char, b"\x08http/1.1\x08http/1.0")),
            18,
            offered,
            offered_length,
        )
        == OPENSSL_NPN_NEGOTIATED
    ):
        return SSL_TLSEXT_ERR_OK
    return SSL_TLSEXT_ERR_ALERT_FATAL


def client_hello(ssl, alert, arg):
    """Before anything is agreed on: certificate and demands of the host that is asked for, RFC 6066 3."""
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


def status_asked(ssl, arg):
    """RFC 6066 8, RFC 8446 4.4.2.1: the authority's word about the chosen certificate, while it is good."""
    store: cython.pointer(CertificateStore) = cast(cython.pointer(Tls), SSL_get_app_data(ssl)).context.store
    ctx: cython.pointer(SSL_CTX) = SSL_get_SSL_CTX(ssl)
    index: cython.size_t = cast(cython.size_t, SSL_CTX_get_app_data(ctx))
    leaf: cython.pointer(X509) = SSL_get_certificate(ssl)
    pair: cython.pointer(cython.const[CertificatePair])
    which: uint32_t = 0
    response: cython.p_void
    if index >= store.head.context_count or store.contexts[index] != ctx:
        return SSL_TLSEXT_ERR_NOACK  # new certificates came within the handshake
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


def demand(context, ssl, name, length):
    """After the context was taken: that brings a certificate's own settings along."""
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


def asked_name(ssl, name, length):
    # struct { ServerNameList: uint16 bytes; { NameType host_name(0); uint16 bytes; opaque name } ... }
    data: cython.pointer(cython.const[cython.uchar]) = NULL
    size: cython.size_t = 0
    if SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, address(data), address(size)) != 1 or size < 5:
        return False
    length[0] = (cast(uint32_t, data[3]) << 8) | data[4]
    name[0] = data + 5
    return data[2] == 0 and length[0] + 5 <= size


def ticket_key(ssl, name, iv, cipher, mac, encrypt):
    """RFC 5077 4: which keys seal a ticket, or open it. 1: these; 2: these, and give a new ticket; 0: none."""
    tls: cython.pointer(Tls) = cast(cython.pointer(Tls), SSL_get_app_data(ssl))
    head: cython.pointer(cython.const[CertificatesHead]) = tls.context.store.head
    which: uint32_t = 0
    key: cython.pointer(cython.const[cython.uchar])
    params: OSSL_PARAM[3]
    if encrypt:
        if RAND_bytes(iv, 16) != 1:
            return -1
        memcpy(name, head.ticket_keys[0], 16)
    else:
        while which < head.ticket_key_count and memcmp(name, head.ticket_keys[which], 16) != 0:
            which += 1
        if which == head.ticket_key_count:
            return 0
    key = head.ticket_keys[which]
    params[0] = OSSL_PARAM_construct_octet_string(b"key", cast(cython.p_void, key + 16), 32)
    params[1] = OSSL_PARAM_construct_utf8_string(b"digest", cast(cython.p_char, b"sha256"), 0)
    params[2] = OSSL_PARAM_construct_end()
    if EVP_MAC_CTX_set_params(mac, params) != 1:
        return -1
    if encrypt:
        return 1 if EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + 48, iv) == 1 else -1
    if EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + 48, iv) != 1:
        return -1
    # RFC 8446 C.4: a client of TLS 1.3 uses a ticket once, so each resumption brings it the next one.
    return 1 if which == 0 and SSL_version(ssl) != TLS1_3_VERSION else 2


def last_error() -> str:
    """OpenSSL's oldest error as a sentence, and forget it."""
    text: cython.char[256]
    code: cython.ulong = ERR_get_error()
    ERR_clear_error()
    if code == 0:
        return "no reason given"
    ERR_error_string_n(code, text, 256)
    return cast(bytes, cast(cython.p_char, text)).decode("latin-1")


# ------------------------------------------------------------------------------------------------- connections


def tls_open(context, resume, out):
    tls: cython.pointer(Tls) = cast(cython.pointer(Tls), calloc(1, sizeof(Tls)))
    if tls == NULL:
        return NULL
    tls.out = out
    tls.context = context
    context.references += 1
    if context.client != NULL:
        tls.ssl = SSL_new(context.client)
    else:
        tls.ssl = SSL_new(context.store.contexts[context.store.head.default_context])
    bio: cython.pointer(BIO) = BIO_new(context.method)
    if tls.ssl == NULL or bio == NULL:
        BIO_free(bio)
        tls_close(tls)
        return NULL
    BIO_set_data(bio, tls)
    BIO_set_init(bio, 1)
    SSL_set_bio(tls.ssl, bio, bio)  # takes over the one reference
    SSL_set_app_data(tls.ssl, tls)
    if context.client != NULL:
        SSL_set_connect_state(tls.ssl)
        if context.server_name != NULL and SSL_set_tlsext_host_name(tls.ssl, context.server_name) != 1:
            tls_close(tls)
            return NULL
        if resume != NULL:
            SSL_set_session(tls.ssl, resume)
    else:
        SSL_set_accept_state(tls.ssl)
    if context.ktls.enabled:
        SSL_set_msg_callback_arg(tls.ssl, tls)
    return tls


def tls_close(tls):
    if tls.ssl != NULL:
        if tls.context.client != NULL and not tls.failed:
            # Or OpenSSL takes a connection that we give up for a broken one, and its session for not to be used again.
            SSL_set_shutdown(tls.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        SSL_free(tls.ssl)
    tls_context_close(tls.context)
    free(tls)


def tls_feed(tls, data, length):
    tls.at = data
    tls.left = length


def tls_handshake(tls):
    ERR_clear_error()
    result: cython.int = SSL_do_handshake(tls.ssl)
    if result == 1:
        tls.established = True
        return 1
    if SSL_get_error(tls.ssl, result) == SSL_ERROR_WANT_READ and not tls.failed:
        return 0
    note_failure(tls)
    return TLS_FAILED


def note_failure(tls):
    tls.failed = True
    if tls.why == 0:
        tls.why = ERR_peek_error()
    ERR_clear_error()


def tls_read(tls, out, size):
    ERR_clear_error()
    result: cython.int = SSL_read(tls.ssl, out, cast(cython.int, size))
    if result > 0:
        return result
    why: cython.int = SSL_get_error(tls.ssl, result)
    if why == SSL_ERROR_WANT_READ and not tls.failed:
        return 0
    if why == SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED
    note_failure(tls)
    return TLS_FAILED


def tls_write(tls, data, length):
    if tls.failed:
        return TLS_FAILED
    ERR_clear_error()
    # Our BIO takes everything, so the write is whole or an error.
    if length and SSL_write(tls.ssl, data, cast(cython.int, length)) != cast(cython.int, length):
        note_failure(tls)
        return TLS_FAILED
    return 0


def tls_pending(tls):
    return SSL_pending(tls.ssl) > 0


def tls_notify(tls):
    # RFC 8446 6.1: both sides send close_notify; after an error OpenSSL must not be asked for it.
    if tls.established and not tls.failed and not tls.silent:
        ERR_clear_error()
        SSL_shutdown(tls.ssl)
        ERR_clear_error()


def tls_version(tls):
    return 13 if SSL_version(tls.ssl) == TLS1_3_VERSION else 12


def tls_cipher(tls):
    return SSL_CIPHER_get_name(SSL_get_current_cipher(tls.ssl))


def tls_resumed(tls):
    return SSL_session_reused(tls.ssl) == 1


def tls_untrusted(tls):
    result: cython.long = SSL_get_verify_result(tls.ssl)
    if not tls.context.verify or result == X509_V_OK:
        return NULL
    return X509_verify_cert_error_string(result)


def tls_why(tls):
    return ERR_reason_error_string(tls.why) if tls.why else NULL


# --------------------------------------------------------------------------------------------- for the kernel's TLS


def tls_agreed(tls):
    tls.keys.version = cast(cython.uchar, tls_version(tls))
    tls.keys.cipher = cast(cython.uchar, ktls_cipher_of(tls_cipher(tls)))
    SSL_get_client_random(tls.ssl, tls.keys.client_random, KTLS_RANDOM_BYTES)
    SSL_get_server_random(tls.ssl, tls.keys.server_random, KTLS_RANDOM_BYTES)


def tls_between_records(tls):
    return tls.left == 0 and tls.header_bytes == 0 and tls.body_left == 0 and SSL_pending(tls.ssl) == 0


def tls_owes_key_update(tls):
    return SSL_get_key_update_type(tls.ssl) != SSL_KEY_UPDATE_NONE


def tls_key_update(tls):
    ERR_clear_error()
    SSL_key_update(tls.ssl, SSL_KEY_UPDATE_NOT_REQUESTED)
    SSL_do_handshake(tls.ssl)
    ERR_clear_error()


def follow_records(tls, data, length):
    n: uint32_t
    while length:
        if tls.body_left:
            n = min(tls.body_left, length)
            tls.body_left -= n
            data += n
            length -= n
            continue
        tls.header[tls.header_bytes] = cast(cython.uchar, data[0])
        tls.header_bytes += 1
        data += 1
        length -= 1
        if tls.header_bytes == 5:
            # RFC 8446 5.1: type, version, length.
            tls.header_bytes = 0
            tls.body_left = (cast(uint32_t, tls.header[3]) << 8) | tls.header[4]


def note_keylog(ssl, line):
    tls: cython.pointer(Tls) = cast(cython.pointer(Tls), SSL_get_app_data(ssl))
    if tls != NULL and tls.keys != NULL:
        ktls_keylog(tls.keys, line)


def note_message(written, version, content_type, data, length, ssl, arg):
    tls: cython.pointer(Tls) = cast(cython.pointer(Tls), arg)
    direction: cython.int = KTLS_SEND if written else KTLS_RECEIVE
    if tls == NULL or tls.keys == NULL or (written and tls.silent) or length == 0:
        return
    if content_type == SSL3_RT_HEADER:
        ktls_record(tls.keys, direction, cast(cython.int, cast(cython.p_uchar, data)[0]))
    elif content_type == SSL3_RT_HANDSHAKE:
        ktls_message(tls.keys, direction, cast(cython.p_uchar, data), length)


# ----------------------------------------------------------------------------------------------- OpenSSL's BIO


def bio_read(bio, data, length):
    tls: cython.pointer(Tls) = cast(cython.pointer(Tls), BIO_get_data(bio))
    BIO_clear_retry_flags(bio)
    if tls.left == 0:
        BIO_set_retry_read(bio)
        return -1
    n: uint32_t = min(tls.left, cast(uint32_t, length))
    memcpy(data, tls.at, n)
    if tls.keys != NULL:
        follow_records(tls, tls.at, n)
    tls.at += n
    tls.left -= n
    return cast(cython.int, n)


def bio_write(bio, data, length):
    tls: cython.pointer(Tls) = cast(cython.pointer(Tls), BIO_get_data(bio))
    BIO_clear_retry_flags(bio)
    left: uint32_t = cast(uint32_t, length)
    b: cython.pointer(Buffer)
    if tls.silent:
        # With this record's number the kernel has sent another one: nobody gets it. A reply to a KeyUpdate is sent by
        # offload_update() instead; an alert ends the connection as it is.
        if tls.keys != NULL and tls.keys.asked:
            return length
        tls.failed = True
        return -1
    room: uint32_t
    while left:
        b = tls.out.last
        if b != NULL:
            room = b.size - b.end
        if b == NULL or room == 0:
            # Ciphertext needs no head room: the whole buffer is payload, and 64 KiB of plaintext fits one.
            b = buffer_take(
                tls.context.buffers, GROUP_SMALL if left <= HEADROOM + SMALL_BYTES + TAILROOM else GROUP_LARGE
            )
            if b == NULL:
                b = buffer_take(tls.context.buffers, GROUP_SMALL)  # several do as well
            if b == NULL:
                tls.failed = True  # the bound of buffer_bytes is met, the reserve too
                tls.exhausted = True
                return -1
            b.start = 0
            b.end = 0
            queue_push(tls.out, b)
            continue
        room = min(room, left)
        memcpy(b.base + b.end, data, room)
        b.end += room
        tls.out.bytes += room
        data += room
        left -= room
    return length


def bio_ctrl(bio, command, number, pointer):
    return 1 if command == BIO_CTRL_FLUSH else 0

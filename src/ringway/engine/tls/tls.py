"""TLS as a codec: OpenSSL between two queues of buffers."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.native.openssl import (
    BIO,
    BIO_CTRL_FLUSH,
    BIO_METHOD,
    BIO_TYPE_SOURCE_SINK,
    SSL3_RT_ALERT,
    SSL3_RT_HANDSHAKE,
    SSL3_RT_HEADER,
    SSL_ERROR_WANT_READ,
    SSL_ERROR_ZERO_RETURN,
    SSL_KEY_UPDATE_NONE,
    SSL_KEY_UPDATE_NOT_REQUESTED,
    SSL_RECEIVED_SHUTDOWN,
    SSL_SENT_SHUTDOWN,
    TLS1_3_VERSION,
    X509_V_OK,
    BIO_clear_retry_flags,
    BIO_free,
    BIO_get_data,
    BIO_meth_new,
    BIO_meth_set_ctrl,
    BIO_meth_set_read,
    BIO_meth_set_write,
    BIO_new,
    BIO_set_data,
    BIO_set_init,
    BIO_set_retry_read,
    ERR_clear_error,
    ERR_peek_error,
    ERR_reason_error_string,
    SSL_CIPHER_get_name,
    SSL_do_handshake,
    SSL_free,
    SSL_get0_alpn_selected,
    SSL_get_app_data,
    SSL_get_client_random,
    SSL_get_current_cipher,
    SSL_get_error,
    SSL_get_key_update_type,
    SSL_get_server_random,
    SSL_get_verify_result,
    SSL_has_pending,
    SSL_key_update,
    SSL_new,
    SSL_pending,
    SSL_read,
    SSL_rstate_string,
    SSL_session_reused,
    SSL_set_accept_state,
    SSL_set_app_data,
    SSL_set_bio,
    SSL_set_connect_state,
    SSL_set_msg_callback_arg,
    SSL_set_session,
    SSL_set_shutdown,
    SSL_set_tlsext_host_name,
    SSL_shutdown,
    SSL_version,
    SSL_write,
    X509_verify_cert_error_string,
)
from cython.cimports.ringway.engine.tls.ktls import *
from cython.cimports.ringway.engine.tls.tls_context import *

# ---------------------------------------------------------------------------------------------------------- connections


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
    SSL_set_bio(tls.ssl, bio, bio)  # takes ownership of the one reference
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
            # Otherwise OpenSSL considers the connection broken, and does not resume its session.
            SSL_set_shutdown(tls.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        SSL_free(tls.ssl)
    tls_context_close(tls.context)
    free(tls)


def tls_feed(tls, data, length):
    tls.at = data
    tls.left = length


def tls_handshake(tls):
    if tls.left and not tls.begun:
        # RFC 8446 5.1: a record begins with its type, 20 to 24. An HTTP request begins with a method.
        tls.begun = True
        tls.plain = tls.context.client == NULL and octet_is(cast(cython.uchar, tls.at[0]), OCTET_TOKEN)
    if tls.plain:
        return TLS_FAILED
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
    # The BIO accepts everything, so the write is either complete or an error.
    if length and SSL_write(tls.ssl, data, cast(cython.int, length)) != cast(cython.int, length):
        note_failure(tls)
        return TLS_FAILED
    return 0


def tls_pending(tls):
    return SSL_pending(tls.ssl) > 0


def tls_at_rest(tls):
    # If only the header of a record has arrived, nothing is pending, but OpenSSL waits for the body ("B").
    return tls.left == 0 and not SSL_has_pending(tls.ssl) and SSL_rstate_string(tls.ssl)[1] != ord("B")


def tls_notify(tls):
    # RFC 8446 6.1: both sides send close_notify. After an error SSL_shutdown() must not be called.
    if tls.established and not tls.failed and not tls.silent:
        ERR_clear_error()
        SSL_shutdown(tls.ssl)
        ERR_clear_error()


def tls_version(tls):
    return 13 if SSL_version(tls.ssl) == TLS1_3_VERSION else 12


def tls_speaks_http2(tls):
    name: cython.p_const_uchar = NULL
    length: cython.uint = 0
    SSL_get0_alpn_selected(tls.ssl, address(name), address(length))
    return length == 2 and name[0] == b"h"


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


# ------------------------------------------------------------------------------------------------- for the kernel's TLS


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
    if tls == NULL or tls.keys == NULL or length == 0:
        return
    if written and tls.silent:
        if content_type == SSL3_RT_ALERT and length == 2:
            tls.alert_level = cast(cython.p_uchar, data)[0]
            tls.alert = cast(cython.p_uchar, data)[1]
    elif content_type == SSL3_RT_HEADER:
        ktls_record(tls.keys, direction, cast(cython.int, cast(cython.p_uchar, data)[0]))
    elif content_type == SSL3_RT_HANDSHAKE:
        ktls_message(tls.keys, direction, cast(cython.p_uchar, data), length)


# -------------------------------------------------------------------------------------------------------- OpenSSL's BIO


def new_method():
    method: cython.pointer(BIO_METHOD) = BIO_meth_new(BIO_TYPE_SOURCE_SINK, b"ringway")
    if method != NULL:
        BIO_meth_set_read(method, bio_read)
        BIO_meth_set_write(method, bio_write)
        BIO_meth_set_ctrl(method, bio_ctrl)
    return method


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
        # The kernel has already sent another record with this number, so this one must not be sent. Instead of a
        # KeyUpdate, offload_update() sends its own; instead of an alert, offload_check() or offload_final_alert().
        return length
    room: uint32_t
    while left:
        b = tls.out.last
        if b != NULL:
            room = b.size - b.end
        if b == NULL or room == 0:
            # Ciphertext needs no head room, so the whole buffer is payload. 64 KiB of plaintext fit in one buffer.
            b = buffer_take(
                tls.context.buffers, GROUP_SMALL if left <= HEADROOM + SMALL_BYTES + TAILROOM else GROUP_LARGE
            )
            if b == NULL:
                b = buffer_take(tls.context.buffers, GROUP_SMALL)  # then use several small ones
            if b == NULL:
                tls.failed = True  # the bound of buffer_bytes is reached, including the reserve
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

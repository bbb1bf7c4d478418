"""From OpenSSL to the kernel."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.buffers import Buffer, buffer_give, data_of, length_of, queue_pop
from cython.cimports.ringway.engine.counters import (
    COUNT_CLIENT_BYTES_OUT,
    COUNT_KTLS_ALERTS,
    COUNT_KTLS_FALLBACK_CIPHER,
    COUNT_KTLS_FALLBACK_SOCKET,
    COUNT_KTLS_HANDSHAKES,
    COUNT_KTLS_KEY_UPDATES,
    COUNT_KTLS_OTHERS,
    COUNT_KTLS_RECEIVE,
    COUNT_KTLS_REFUSED,
    COUNT_KTLS_SEND,
    GAUGE_TLS,
    count,
    gauge,
)
from cython.cimports.ringway.engine.ktls import (
    KTLS_INFO_BYTES_MAX,
    KTLS_NO_CIPHER,
    KTLS_RECEIVE,
    KTLS_SEND,
    ktls_info,
)
from cython.cimports.ringway.engine.native.ktls import (
    CMSG_DATA,
    CMSG_FIRSTHDR,
    CMSG_LEN,
    CMSG_SPACE,
    POLLOUT,
    SOL_TLS,
    TCP_ULP,
    TLS_GET_RECORD_TYPE,
    TLS_RX,
    TLS_SET_RECORD_TYPE,
    TLS_TX,
    cmsghdr,
    msghdr,
    poll,
    pollfd,
    recvmsg,
    sendmsg,
)
from cython.cimports.ringway.engine.native.linux import (
    EAGAIN,
    EBADMSG,
    ECONNRESET,
    EINTR,
    EINVAL,
    EMSGSIZE,
    EPROTO,
    IPPROTO_TCP,
    MSG_DONTWAIT,
    MSG_MORE,
    MSG_NOSIGNAL,
    SO_ERROR,
    SOL_SOCKET,
    errno,
    getsockopt,
    iovec,
    send,
    setsockopt,
    socklen_t,
)
from cython.cimports.ringway.engine.native.openssl import OPENSSL_cleanse
from cython.cimports.ringway.engine.records import EVENT_KEY_UPDATE, EVENT_KTLS_REFUSED
from cython.cimports.ringway.engine.state import RECEIVE_OFF
from cython.cimports.ringway.engine.tell import tell
from cython.cimports.ringway.engine.tls import (
    KtlsPolicy,
    tls_agreed,
    tls_between_records,
    tls_close,
    tls_owes_key_update,
)

# --------------------------------------------------------------------------------------------- changing hands


def offload_attach(w, s):
    if s.rules.tls.ktls.enabled:
        s.offload_attached = setsockopt(s.fd, IPPROTO_TCP, TCP_ULP, cast(cython.p_char, b"tls"), 3) == 0


def offload_begin(w, s):
    policy: cython.pointer(KtlsPolicy) = address(s.rules.tls.ktls)
    wanted: cython.int = OFFLOAD_BOTH if policy.receive else OFFLOAD_SEND
    can: cython.int = 0
    if not policy.enabled:
        return True
    tls_agreed(s.tls)
    version: cython.int = s.tls.keys.version - 12
    if s.tls.keys.cipher != KTLS_NO_CIPHER and s.offload_attached:
        if policy.usable[KTLS_SEND][version] >> s.tls.keys.cipher & 1:
            can |= OFFLOAD_SEND
        if policy.usable[KTLS_RECEIVE][version] >> s.tls.keys.cipher & 1:
            can |= OFFLOAD_RECEIVE
    s.offload_wanted = cast(cython.uchar, wanted & can)
    if s.offload_wanted == wanted:
        return True
    count(w.counters, COUNT_KTLS_FALLBACK_CIPHER if s.offload_attached else COUNT_KTLS_FALLBACK_SOCKET, 1)
    if not policy.required:
        return True
    count(w.counters, COUNT_KTLS_REFUSED, 1)
    tell(w, EVENT_KTLS_REFUSED, 0, s.tls_cipher, s.tls_cipher_length)
    return False


def offload_step(w, s):
    if s.offload_wanted & ~s.offload == 0 or s.closing:
        return
    if s.offload_wanted & ~s.offload & OFFLOAD_RECEIVE:
        take_receive(w, s)
    if offload_due(w, s):
        take_send(w, s)
    if s.offload == OFFLOAD_BOTH:
        tls_close(s.tls)
        s.tls = NULL
        gauge(w.counters, GAUGE_TLS, -1)


def offload_due(w, s):
    return (
        s.offload_wanted & ~s.offload & OFFLOAD_SEND != 0
        and s.tls_written >= s.rules.tls.ktls.after_bytes
        and not s.notified
        and s.send_error == 0
        and s.error == 0
    )


def take_receive(w, s):
    if s.receive != RECEIVE_OFF or s.cipher.first != NULL or s.eof or s.error or not tls_between_records(s.tls):
        return
    if give_keys(w, s, KTLS_RECEIVE) == 0:
        s.offload |= OFFLOAD_RECEIVE
        count(w.counters, COUNT_KTLS_RECEIVE, 1)


def take_send(w, s):
    if s.sending != NULL or not push_outbox(w, s):
        return
    if give_keys(w, s, KTLS_SEND) == 0:
        s.offload |= OFFLOAD_SEND
        s.tls.silent = True
        count(w.counters, COUNT_KTLS_SEND, 1)


def give_keys(w, s, direction):
    info: cython.uchar[KTLS_INFO_BYTES_MAX]
    size: cython.int = ktls_info(address(s.tls.keys), direction, info)
    result: cython.int = -1
    if size > 0:
        result = setsockopt(s.fd, SOL_TLS, TLS_TX if direction == KTLS_SEND else TLS_RX, info, size)
    OPENSSL_cleanse(info, KTLS_INFO_BYTES_MAX)
    if result < 0:
        # It worked when the supervisor tried it, so this connection is broken, or memory is short.
        s.offload_wanted &= ~(OFFLOAD_SEND if direction == KTLS_SEND else OFFLOAD_RECEIVE) & 0xFF
        count(w.counters, COUNT_KTLS_FALLBACK_SOCKET, 1)
        if s.rules.tls.ktls.required:
            count(w.counters, COUNT_KTLS_REFUSED, 1)
            tell(w, EVENT_KTLS_REFUSED, errno, s.tls_cipher, s.tls_cipher_length)
            s.error = ECONNRESET
    return result


def push_outbox(w, s):
    """What OpenSSL wrote goes into the socket now. False: it does not all fit; its completion comes round again."""
    b: cython.pointer(Buffer)
    sent: cython.longlong
    # A request that waits is answered at once: the kernel keeps the ticket back and sends both in one segment.
    flags: cython.int = MSG_DONTWAIT | MSG_NOSIGNAL | (MSG_MORE if s.inbox.first != NULL else 0)
    while s.outbox.first != NULL:
        b = s.outbox.first
        sent = send(s.fd, data_of(b), length_of(b), flags)
        if sent <= 0:
            return False
        count(w.counters, COUNT_CLIENT_BYTES_OUT, sent)
        b.start += cast(uint32_t, sent)
        s.outbox.bytes -= cast(uint64_t, sent)
        if b.start < b.end:
            return False
        buffer_give(address(w.buffers), queue_pop(address(s.outbox)))
    return True


# ------------------------------------------------------------------------------------- records that are no data


def offload_control(w, s):
    data: cython.uchar[CONTROL_BYTES_MAX]
    space: uint64_t[8]
    part: iovec
    message: msghdr
    control: cython.pointer(cmsghdr)
    kind: cython.int = RECORD_DATA
    memset(address(message), 0, sizeof(msghdr))
    part.iov_base = data
    part.iov_len = CONTROL_BYTES_MAX
    message.msg_iov = address(part)
    message.msg_iovlen = 1
    message.msg_control = space
    message.msg_controllen = sizeof(space)
    length: cython.Py_ssize_t = recvmsg(s.fd, address(message), MSG_DONTWAIT)
    if length < 0:
        if errno != EAGAIN and errno != EINTR:
            s.error = errno
        return
    control = CMSG_FIRSTHDR(address(message))
    if control != NULL and control.cmsg_level == SOL_TLS and control.cmsg_type == TLS_GET_RECORD_TYPE:
        kind = CMSG_DATA(control)[0]
    if kind == RECORD_ALERT and length >= 2:
        count(w.counters, COUNT_KTLS_ALERTS, 1)
        # RFC 8446 6: close_notify ends this direction; user_canceled announces one; all others are fatal there.
        # RFC 5246 7.2: warnings (level 1) are not.
        if data[1] == ALERT_CLOSE_NOTIFY:
            s.eof = True
        elif data[1] != ALERT_USER_CANCELED and (s.tls_version == 13 or data[0] != 1):
            s.error = ECONNRESET
    elif kind == RECORD_HANDSHAKE and length > 0:
        handshake_record(w, s, data, length)
    else:
        # RFC 8446 5: a record type that is not expected. A data record cannot have given EIO.
        count(w.counters, COUNT_KTLS_OTHERS, 1)
        s.error = EPROTO
        send_alert(s, 2, ALERT_UNEXPECTED_MESSAGE)


def handshake_record(w, s, data, length):
    count(w.counters, COUNT_KTLS_HANDSHAKES, 1)
    if s.tls_version == 12:
        # A ClientHello: RFC 5246 7.2.2, the client may go on without.
        send_alert(s, 1, ALERT_NO_RENEGOTIATION)
        return
    if data[0] == KEY_UPDATE and length == 5:
        keys_changed(w, s)
        return
    s.error = EPROTO
    send_alert(s, 2, ALERT_UNEXPECTED_MESSAGE)


def keys_changed(w, s):
    # RFC 8446 4.6.3. What follows is under new keys, or must be; a kernel takes others than its first since 6.14 only.
    count(w.counters, COUNT_KTLS_KEY_UPDATES, 1)
    tell(w, EVENT_KEY_UPDATE, 0, NULL, 0)
    s.error = EPROTO
    send_alert(s, 2, ALERT_INTERNAL_ERROR)


def offload_check(w, s):
    if s.offload & OFFLOAD_SEND and s.tls != NULL and s.error == 0 and tls_owes_key_update(s.tls):
        keys_changed(w, s)


def offload_broken(w, s, error):
    # The kernel has marked the socket with the error, and sends nothing more until it was asked for.
    marked: cython.int = 0
    size: socklen_t = sizeof(cython.int)
    getsockopt(s.fd, SOL_SOCKET, SO_ERROR, address(marked), address(size))
    if error == EBADMSG:
        send_alert(s, 2, ALERT_BAD_RECORD_MAC)
    elif error == EMSGSIZE:
        send_alert(s, 2, ALERT_RECORD_OVERFLOW)
    elif error == EINVAL:
        send_alert(s, 2, ALERT_UNEXPECTED_MESSAGE)


def offload_notify(w, s):
    # The kernel takes a record and may still hold it when the socket is full; a close would drop it. When the socket
    # can be written to again, a third of its buffer is free, and this record pushes that one out in front of it.
    asked: pollfd
    asked.fd = s.fd
    asked.events = POLLOUT
    asked.revents = 0
    if poll(address(asked), 1, 0) == 0:
        return False
    # RFC 8446 6.1: each side tells the other before it closes.
    return send_alert(s, 1, ALERT_CLOSE_NOTIFY) >= 0 or errno != EAGAIN


def send_alert(s, level, description):
    """0, or -1 with errno. Only the last thing that is said: a failure is nobody's concern but the peer's."""
    data: cython.uchar[2]
    space: uint64_t[8]
    part: iovec
    message: msghdr
    control: cython.pointer(cmsghdr)
    if s.offload & OFFLOAD_SEND == 0:
        return -1
    data[0] = cast(cython.uchar, level)
    data[1] = cast(cython.uchar, description)
    memset(address(message), 0, sizeof(msghdr))
    memset(space, 0, sizeof(space))
    part.iov_base = data
    part.iov_len = 2
    message.msg_iov = address(part)
    message.msg_iovlen = 1
    message.msg_control = space
    message.msg_controllen = CMSG_SPACE(1)
    control = CMSG_FIRSTHDR(address(message))
    control.cmsg_level = SOL_TLS
    control.cmsg_type = TLS_SET_RECORD_TYPE
    control.cmsg_len = CMSG_LEN(1)
    CMSG_DATA(control)[0] = RECORD_ALERT
    return -1 if sendmsg(s.fd, address(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 else 0

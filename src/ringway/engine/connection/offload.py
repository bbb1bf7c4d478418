"""Hand TLS over from OpenSSL to the kernel."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.tell import *
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
    SHUT_RDWR,
    SO_ERROR,
    SOL_SOCKET,
    errno,
    getsockopt,
    iovec,
    send,
    setsockopt,
    shutdown,
    socklen_t,
)
from cython.cimports.ringway.engine.native.openssl import OPENSSL_cleanse
from cython.cimports.ringway.engine.tls import *

# ---------------------------------------------------------------------------------------------------- handing over


def offload_attach(w, s):
    if s.rules.tls.ktls.enabled and setsockopt(s.fd, IPPROTO_TCP, TCP_ULP, cast(cython.p_char, b"tls"), 3) == 0:
        s.keys = cast(cython.pointer(KtlsKeys), calloc(1, sizeof(KtlsKeys)))
        s.tls.keys = s.keys


def offload_forget(s):
    if s.keys == NULL:
        return
    if s.tls != NULL:
        s.tls.keys = NULL
    OPENSSL_cleanse(s.keys, sizeof(KtlsKeys))
    free(s.keys)
    s.keys = NULL


def offload_begin(w, s):
    policy: cython.pointer(KtlsPolicy) = address(s.rules.tls.ktls)
    wanted: cython.int = OFFLOAD_BOTH if policy.receive else OFFLOAD_SEND
    can: cython.int = 0
    if not policy.enabled:
        return True
    if s.keys != NULL:
        tls_agreed(s.tls)
        if s.keys.cipher != KTLS_NO_CIPHER:
            if policy.usable[KTLS_SEND][s.keys.version - 12] >> s.keys.cipher & 1:
                can |= OFFLOAD_SEND
            if policy.usable[KTLS_RECEIVE][s.keys.version - 12] >> s.keys.cipher & 1:
                can |= OFFLOAD_RECEIVE
    s.offload_wanted = cast(cython.uchar, wanted & can)
    if s.offload_wanted == wanted:
        return True
    count(w.counters, COUNT_KTLS_FALLBACK_SOCKET if s.keys == NULL else COUNT_KTLS_FALLBACK_CIPHER, 1)
    if s.offload_wanted == 0:
        offload_forget(s)
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
        if s.tls_version == 12 or not s.rules.tls.ktls.rekeys:
            offload_forget(s)


def offload_due(w, s):
    return (
        s.offload_wanted & ~s.offload & OFFLOAD_SEND != 0
        and s.tls_written >= s.rules.tls.ktls.after_bytes
        and not s.notified
        and s.lane.send_error == 0
        and s.lane.error == 0
    )


def take_receive(w, s):
    if (
        s.receive != RECEIVE_OFF
        or s.cipher.first != NULL
        or s.lane.eof
        or s.lane.error
        or not tls_between_records(s.tls)
    ):
        return
    if give_keys(w, s, KTLS_RECEIVE) == 0:
        s.offload |= OFFLOAD_RECEIVE
        count(w.counters, COUNT_KTLS_RECEIVE, 1)


def take_send(w, s):
    if tls_owes_key_update(s.tls):
        tls_key_update(s.tls)
    if s.sending != NULL or not push_outbox(w, s):
        return
    if give_keys(w, s, KTLS_SEND) == 0:
        s.offload |= OFFLOAD_SEND
        s.tls.silent = True
        count(w.counters, COUNT_KTLS_SEND, 1)


def give_keys(w, s, direction):
    result: cython.int = set_keys(s, direction)
    if result < 0:
        # The supervisor's trial succeeded, so this connection is broken, or memory is short.
        s.offload_wanted &= ~(OFFLOAD_SEND if direction == KTLS_SEND else OFFLOAD_RECEIVE) & 0xFF
        count(w.counters, COUNT_KTLS_FALLBACK_SOCKET, 1)
        if s.rules.tls.ktls.required:
            count(w.counters, COUNT_KTLS_REFUSED, 1)
            tell(w, EVENT_KTLS_REFUSED, errno, s.tls_cipher, s.tls_cipher_length)
            s.lane.error = ECONNRESET
    return result


def set_keys(s, direction):
    """0, or -1 with errno: the kernel's, or EINVAL if there is no secret."""
    info: cython.uchar[KTLS_INFO_BYTES_MAX]
    size: cython.int = ktls_info(s.keys, direction, info)
    # The kernel refuses a struct of no bytes.
    result: cython.int = setsockopt(s.fd, SOL_TLS, TLS_TX if direction == KTLS_SEND else TLS_RX, info, max(size, 0))
    OPENSSL_cleanse(info, KTLS_INFO_BYTES_MAX)
    return result


def push_outbox(w, s):
    """Send everything that OpenSSL wrote. False: not all of it fits; try again when the rest of the outbox was sent."""
    b: cython.pointer(Buffer)
    sent: cython.longlong
    # If a request waits, its response follows at once: MSG_MORE puts ticket and response into one segment.
    flags: cython.int = MSG_DONTWAIT | MSG_NOSIGNAL | (MSG_MORE if s.lane.inbox.first != NULL else 0)
    while s.lane.outbox.first != NULL:
        b = s.lane.outbox.first
        sent = send(s.fd, data_of(b), length_of(b), flags)
        if sent <= 0:
            return False
        count(w.counters, COUNT_CLIENT_BYTES_OUT, sent)
        b.start += cast(uint32_t, sent)
        s.lane.outbox.bytes -= cast(uint64_t, sent)
        if b.start < b.end:
            return False
        buffer_give(address(w.buffers), queue_pop(address(s.lane.outbox)))
    return True


# ------------------------------------------------------------------------------------- records that are not data


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
            s.lane.error = errno
        return
    control = CMSG_FIRSTHDR(address(message))
    if control != NULL and control.cmsg_level == SOL_TLS and control.cmsg_type == TLS_GET_RECORD_TYPE:
        kind = CMSG_DATA(control)[0]
    if kind == RECORD_ALERT and length >= 2:
        count(w.counters, COUNT_KTLS_ALERTS, 1)
        # RFC 8446 6: close_notify ends this direction, user_canceled announces one, and all other alerts are fatal.
        # RFC 5246 7.2: with TLS 1.2, warnings (level 1) are not fatal.
        if data[1] == ALERT_CLOSE_NOTIFY:
            s.lane.eof = True
        elif data[1] != ALERT_USER_CANCELED and (s.tls_version == 13 or data[0] != ALERT_WARNING):
            s.lane.error = ECONNRESET
    elif kind == RECORD_HANDSHAKE and length > 0:
        handshake_record(w, s, data, length)
    else:
        # RFC 8446 5: an unexpected record type. A data record does not cause EIO.
        count(w.counters, COUNT_KTLS_OTHERS, 1)
        s.lane.error = EPROTO
        send_alert(w, s, ALERT_FATAL, ALERT_UNEXPECTED_MESSAGE)


def handshake_record(w, s, data, length):
    count(w.counters, COUNT_KTLS_HANDSHAKES, 1)
    if s.tls_version == 12:
        # RFC 5246 7.2.2: the client asks for a renegotiation, and may continue without one.
        send_alert(w, s, ALERT_WARNING, ALERT_NO_RENEGOTIATION)
        return
    if data[0] != KTLS_KEY_UPDATE or length != KTLS_KEY_UPDATE_BYTES:
        s.lane.error = EPROTO
        send_alert(w, s, ALERT_FATAL, ALERT_UNEXPECTED_MESSAGE)
    elif data[4] > 1:
        # RFC 8446 4.6.3: the only values are update_not_requested (0) and update_requested (1).
        s.lane.error = EPROTO
        send_alert(w, s, ALERT_FATAL, ALERT_ILLEGAL_PARAMETER)
    else:
        key_update(w, s, data)


def key_update(w, s, data):
    count(w.counters, COUNT_KTLS_KEY_UPDATES, 1)
    if not s.rules.tls.ktls.rekeys:
        keys_changed(w, s)
        return
    ktls_message(s.keys, KTLS_RECEIVE, data, KTLS_KEY_UPDATE_BYTES)
    if set_keys(s, KTLS_RECEIVE) < 0:
        keys_changed(w, s)
    elif s.offload & OFFLOAD_SEND:
        offload_update(w, s)
    elif s.keys.asked:
        tls_key_update(s.tls)


def keys_changed(w, s):
    # RFC 8446 4.6.3: the next records need new keys, and the kernel does not accept them.
    tell(w, EVENT_KEY_UPDATE, 0, NULL, 0)
    s.lane.error = EPROTO
    send_alert(w, s, ALERT_FATAL, ALERT_INTERNAL_ERROR)


def offload_check(w, s):
    if s.offload & OFFLOAD_SEND == 0 or s.tls == NULL or s.lane.error:
        return
    if s.tls.alert_level == ALERT_WARNING:
        s.tls.alert_level = 0
        send_alert(w, s, ALERT_WARNING, s.tls.alert)
    if not s.keys.asked:
        return
    if tls_owes_key_update(s.tls):
        count(w.counters, COUNT_KTLS_KEY_UPDATES, 1)
        tls_key_update(s.tls)
    if s.rules.tls.ktls.rekeys:
        offload_update(w, s)
    else:
        keys_changed(w, s)


def offload_update(w, s):
    data: cython.uchar[KTLS_KEY_UPDATE_BYTES]
    if s.keys == NULL or not s.keys.asked or s.offload & OFFLOAD_SEND == 0:
        return True
    if s.notified and not s.notify_due:
        return True  # nothing follows close_notify
    # RFC 8446 4.6.3: { HandshakeType key_update(24); uint24 length; KeyUpdateRequest update_not_requested(0) }.
    memset(data, 0, KTLS_KEY_UPDATE_BYTES)
    data[0] = KTLS_KEY_UPDATE
    data[3] = 1
    if send_record(s, RECORD_HANDSHAKE, data, KTLS_KEY_UPDATE_BYTES) < 0:
        # Another error than EAGAIN: sending the data will fail as well.
        return errno != EAGAIN
    ktls_message(s.keys, KTLS_SEND, data, KTLS_KEY_UPDATE_BYTES)
    if set_keys(s, KTLS_SEND) < 0:
        tell(w, EVENT_KEY_UPDATE, 0, NULL, 0)
        s.lane.error = EPROTO
        # RFC 8446 7.2: send nothing more with the old key.
        shutdown(s.fd, SHUT_RDWR)
    return True


def offload_broken(w, s, error):
    # The kernel keeps the error on the socket and sends nothing until SO_ERROR was read.
    marked: cython.int = 0
    size: socklen_t = sizeof(cython.int)
    getsockopt(s.fd, SOL_SOCKET, SO_ERROR, address(marked), address(size))
    if error == EBADMSG:
        send_alert(w, s, ALERT_FATAL, ALERT_BAD_RECORD_MAC)
    elif error == EMSGSIZE:
        send_alert(w, s, ALERT_FATAL, ALERT_RECORD_OVERFLOW)
    elif error == EINVAL:
        send_alert(w, s, ALERT_FATAL, ALERT_UNEXPECTED_MESSAGE)


def offload_notify(w, s):
    # If the socket is full, the kernel may hold back a record that it has accepted, and a close would drop it. When the
    # socket is writable again, a third of its buffer is free, and this record pushes the held one out first.
    asked: pollfd
    asked.fd = s.fd
    asked.events = POLLOUT
    asked.revents = 0
    if poll(address(asked), 1, 0) == 0:
        return False
    # RFC 8446 6.1: each side sends close_notify before it closes.
    return send_alert(w, s, ALERT_FATAL if s.final_alert else ALERT_WARNING, s.final_alert) >= 0 or errno != EAGAIN


def offload_final_alert(s):
    if s.tls.alert_level != ALERT_FATAL or (s.notified and not s.notify_due):
        return False
    s.final_alert = s.tls.alert
    s.notified = True
    s.notify_due = True
    return True


def send_alert(w, s, level, description):
    """0, or -1 with errno. The caller may ignore a failure: nothing is sent after the alert."""
    if s.offload == OFFLOAD_RECEIVE and s.offload_wanted & OFFLOAD_SEND and not s.notified and s.lane.send_error == 0:
        take_send(w, s)  # OpenSSL has no call that writes an alert, so the kernel sends from now on
    data: cython.uchar[2]
    data[0] = cast(cython.uchar, level)
    data[1] = cast(cython.uchar, description)
    return send_record(s, RECORD_ALERT, data, 2) if s.offload & OFFLOAD_SEND else -1


def send_record(s, kind, data, length):
    """Send a record of this type through kernel TLS. 0, or -1 with errno; EAGAIN: the kernel took nothing of it."""
    space: uint64_t[8]
    part: iovec
    message: msghdr
    control: cython.pointer(cmsghdr)
    memset(address(message), 0, sizeof(msghdr))
    memset(space, 0, sizeof(space))
    part.iov_base = cast(cython.p_void, data)
    part.iov_len = length
    message.msg_iov = address(part)
    message.msg_iovlen = 1
    message.msg_control = space
    message.msg_controllen = CMSG_SPACE(1)
    control = CMSG_FIRSTHDR(address(message))
    control.cmsg_level = SOL_TLS
    control.cmsg_type = TLS_SET_RECORD_TYPE
    control.cmsg_len = CMSG_LEN(1)
    CMSG_DATA(control)[0] = cast(cython.uchar, kind)
    return -1 if sendmsg(s.fd, address(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 else 0

"""Field lines, RFC 9112 5 and RFC 9110 5: one pass finds, checks and identifies them, in heads and in trailers."""

import cython
from cython import address, cast
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http.fields import *


def field_id(name, length):
    """By length, then first letter, then the whole name: for most names the first two decide."""
    if length < 2:
        return FIELD_OTHER
    elif length < 10:
        return short_field_id(name, length)
    elif cast(uint8_t, name[0]) | 0x20 == b"x":
        return x_field_id(name, length)
    return long_field_id(name, length) if length <= 20 else FIELD_OTHER


def short_field_id(name, length):
    c: uint8_t = cast(uint8_t, name[0]) | 0x20
    if length == 2:
        return FIELD_TE if same_name(name, b"te", 2) else FIELD_OTHER
    elif length == 4:
        if c == b"h":
            return FIELD_HOST if same_name(name, b"host", 4) else FIELD_OTHER
        return FIELD_DATE if same_name(name, b"date", 4) else FIELD_OTHER
    elif length == 5:
        if c == b"p":
            return FIELD_FORBIDDEN if same_name(name, b"proxy", 5) else FIELD_OTHER
        return FIELD_RANGE if same_name(name, b"range", 5) else FIELD_OTHER
    elif length == 6:
        if c == b"e":
            return FIELD_EXPECT if same_name(name, b"expect", 6) else FIELD_OTHER
        return FIELD_SERVER if same_name(name, b"server", 6) else FIELD_OTHER
    elif length == 7:
        if c == b"r":
            return FIELD_REFERER if same_name(name, b"referer", 7) else FIELD_OTHER
        elif c == b"u":
            return FIELD_UPGRADE if same_name(name, b"upgrade", 7) else FIELD_OTHER
        return FIELD_TRAILER if same_name(name, b"trailer", 7) else FIELD_OTHER
    elif length == 8:
        if c == b"x":
            return claimed(name, b"x-scheme", 8, FIELD_PROXY_SAYS)
        if same_name(name, b"if-match", 8):
            return FIELD_IF_MATCH
        return FIELD_IF_RANGE if same_name(name, b"if-range", 8) else FIELD_OTHER
    elif length == 9:
        if c == b"x":
            return claimed(name, b"x-real-ip", 9, FIELD_X_REAL_IP)
        return FIELD_FORWARDED if same_name(name, b"forwarded", 9) else FIELD_OTHER
    return FIELD_OTHER


def long_field_id(name, length):
    c: uint8_t = cast(uint8_t, name[0]) | 0x20
    if length == 10:
        if c == b"c":
            return FIELD_CONNECTION if same_name(name, b"connection", 10) else FIELD_OTHER
        elif c == b"u":
            return FIELD_USER_AGENT if same_name(name, b"user-agent", 10) else FIELD_OTHER
        return claimed(name, b"keep-alive", 10, FIELD_KEEP_ALIVE)
    elif length == 11:
        return claimed(name, b"client-cert", 11, FIELD_CLIENT_IDENTITY)
    elif length == 13:
        return FIELD_IF_NONE_MATCH if same_name(name, b"if-none-match", 13) else FIELD_OTHER
    elif length == 14:
        if c == b"h":
            return claimed(name, b"http2-settings", 14, FIELD_FORBIDDEN)
        return claimed(name, b"content-length", 14, FIELD_CONTENT_LENGTH)
    elif length == 15:
        return claimed(name, b"front-end-https", 15, FIELD_PROXY_SAYS)
    elif length == 16:
        return claimed(name, b"proxy-connection", 16, FIELD_PROXY_CONNECTION)
    elif length == 17:
        if c == b"c":
            return claimed(name, b"client-cert-chain", 17, FIELD_CLIENT_IDENTITY)
        elif c == b"t":
            return claimed(name, b"transfer-encoding", 17, FIELD_TRANSFER_ENCODING)
        return FIELD_IF_MODIFIED_SINCE if same_name(name, b"if-modified-since", 17) else FIELD_OTHER
    elif length == 18:
        return FIELD_PROXY_AUTHENTICATE if same_name(name, b"proxy-authenticate", 18) else FIELD_OTHER
    elif length == 19:
        return FIELD_IF_UNMODIFIED_SINCE if same_name(name, b"if-unmodified-since", 19) else FIELD_OTHER
    return FIELD_OTHER


def x_field_id(name, length):
    c: uint8_t = cast(uint8_t, name[2]) | 0x20
    if c == b"f":
        return x_forwarded_id(name, length) if length > 10 else FIELD_OTHER
    elif c == b"c":
        if length == 15:
            if cast(uint8_t, name[9]) | 0x20 == b"i":
                return claimed(name, b"x-client-issuer", 15, FIELD_CLIENT_IDENTITY)
            return claimed(name, b"x-client-serial", 15, FIELD_CLIENT_IDENTITY)
        elif length == 16:
            return claimed(name, b"x-client-subject", 16, FIELD_CLIENT_IDENTITY)
        elif length == 17:
            return claimed(name, b"x-client-verified", 17, FIELD_CLIENT_IDENTITY)
        elif length == 20:
            return claimed(name, b"x-client-fingerprint", 20, FIELD_CLIENT_IDENTITY)
    elif c == b"u" and length == 12:
        return claimed(name, b"x-url-scheme", 12, FIELD_PROXY_SAYS)
    elif c == b"r" and length == 13:
        return claimed(name, b"x-rewrite-url", 13, FIELD_PROXY_SAYS)
    elif c == b"o" and length == 14:
        return claimed(name, b"x-original-url", 14, FIELD_PROXY_SAYS)
    return FIELD_OTHER


def x_forwarded_id(name, length):
    """Only a proxy may set these names: applications trust X-Forwarded-User or -Client-Cert just as they trust -For."""
    id: cython.int = FIELD_OTHER
    i: uint32_t
    if length == 11:
        return claimed(name, b"x-forwarded", 11, FIELD_PROXY_SAYS)
    elif length == 15:
        id = claimed(name, b"x-forwarded-for", 15, FIELD_X_FORWARDED_FOR)
    elif length == 16:
        id = claimed(name, b"x-forwarded-host", 16, FIELD_X_FORWARDED_HOST)
        if id == FIELD_OTHER:
            id = claimed(name, b"x-forwarded-port", 16, FIELD_X_FORWARDED_PORT)
    elif length == 17:
        id = claimed(name, b"x-forwarded-proto", 17, FIELD_X_FORWARDED_PROTO)
    elif length == 18:
        id = claimed(name, b"x-forwarded-prefix", 18, FIELD_X_FORWARDED_PREFIX)
    if id != FIELD_OTHER:
        return id
    id = claimed(name, b"x-forwarded-", 12, FIELD_PROXY_SAYS)
    for i in range(12, length):
        if id == FIELD_PROXY_SAYS and name[i] == b"_":
            id = FIELD_DISGUISED
    return id


def is_token(text, length):
    return length > 0 and token_run(text, length) == length


def is_field_value(text, length):
    return value_run(text, length) == length


def list_next(value, length, at):
    begin: uint32_t = at[0]
    # RFC 9110 5.6.1.2: ignore empty elements
    while begin < length and (value[begin] == SP or value[begin] == HT or value[begin] == b","):
        begin += 1
    end: uint32_t = begin
    while end < length and value[end] != b",":
        end += 1
    while end > begin and (value[end - 1] == SP or value[end - 1] == HT):
        end -= 1
    at[0] = begin
    return end - begin


def list_has(value, length, lower_token, token_length):
    at: uint32_t = 0
    n: uint32_t
    while True:
        n = list_next(value, length, address(at))
        if n == 0:
            return 0
        if n == token_length and same_text(value + at, lower_token, n):
            return 1
        at += n


def list_index(value, length, text, text_length):
    at: uint32_t = 0
    n: uint32_t
    index: cython.int = 0
    while True:
        n = list_next(value, length, address(at))
        if n == 0:
            return -1
        if n == text_length and same_text(text, value + at, n):
            return index
        index += 1
        at += n


def option_bit(text, length):
    if length == 5:
        return CONNECTION_CLOSE if same_text(text, b"close", 5) else 0
    elif length == 7:
        return CONNECTION_UPGRADE if same_text(text, b"upgrade", 7) else 0
    elif length == 10:
        return CONNECTION_KEEP_ALIVE if same_text(text, b"keep-alive", 10) else 0
    return 0


def mark_named(head, fields, count, option, length):
    """Mark all fields that have the name of this option.

    A Connection field cannot remove Host, Content-Length and Transfer-Encoding: routing and framing already depend on
    them, and RFC 9110 7.6.1 forbids a sender to list a field that is meant for all recipients.
    """
    i: uint16_t
    k: uint32_t
    name: cython.p_const_char
    for i in range(count):
        if fields[i].name.length != length:
            continue
        if fields[i].id == FIELD_HOST or fields[i].id == FIELD_CONTENT_LENGTH:
            continue
        if fields[i].id == FIELD_TRANSFER_ENCODING:
            continue
        name = head + fields[i].name.at
        k = 0
        while k < length and lower(cast(uint8_t, name[k])) == lower(cast(uint8_t, option[k])):
            k += 1
        if k == length:
            fields[i].hop = 1


def connection_options(head, fields, count):
    found: cython.int = 0
    options: cython.int = 0
    i: uint16_t
    at: uint32_t
    n: uint32_t
    value: cython.p_const_char
    for i in range(count):
        if fields[i].id != FIELD_CONNECTION:
            continue
        value = head + fields[i].value.at
        at = 0
        while True:
            n = list_next(value, fields[i].value.length, address(at))
            if n == 0:
                break
            options += 1
            if options > CONNECTION_OPTIONS_MAX:
                return -BAD_FIELD
            found |= option_bit(value + at, n)
            mark_named(head, fields, count, value + at, n)
            at += n
    return found


def mark_hops(head, fields, count):
    connection_options(head, fields, count)


def content_length(value, length, out):
    total: uint64_t = 0
    i: uint32_t
    if length == 0 or length > LENGTH_DIGITS_MAX:
        return False
    for i in range(length):
        if not octet_is(value[i], OCTET_DIGIT):
            return False
        total = total * 10 + cast(uint8_t, value[i] - ord("0"))
    out[0] = total
    return True


def line_fault(head, at, otherwise):
    # RFC 9112 2.2: CR and LF only as a pair
    if head[at] == LF or (head[at] == CR and head[at + 1] != LF):
        return -BARE_CR_OR_LF
    return -otherwise


def field_line(head, at, length, field):
    """The CR LF at the end of head[0:length] stops all loops below, so they need not check `length`."""
    name_end: uint32_t = at + token_run(head + at, length - at)
    begin: uint32_t
    end: uint32_t
    line_end: uint32_t
    if head[name_end] != b":" or name_end == at:
        if name_end == at and (head[at] == SP or head[at] == HT):
            return -OBSOLETE_FOLD  # RFC 9112 5.2, and 2.2 for the first line
        return line_fault(head, name_end, BAD_FIELD)  # RFC 9112 5.1: also white space before the colon
    begin = name_end + 1
    while head[begin] == SP or head[begin] == HT:
        begin += 1
    line_end = begin + value_run(head + begin, length - begin)
    if head[line_end] != CR or head[line_end + 1] != LF:
        return line_fault(head, line_end, BAD_FIELD)  # RFC 9110 5.5
    end = line_end
    while end > begin and (head[end - 1] == SP or head[end - 1] == HT):
        end -= 1
    field.name.at = cast(uint16_t, at)
    field.name.length = cast(uint16_t, name_end - at)
    field.value.at = cast(uint16_t, begin)
    field.value.length = cast(uint16_t, end - begin)
    field.id = cast(uint8_t, field_id(head + at, name_end - at))
    field.hop = 0
    return line_end + 2


def parse_fields(head, at, length, fields, count):
    n: uint16_t = 0
    next: cython.int
    if length < at + 2 or head[length - 2] != CR or head[length - 1] != LF:
        return -BAD_FIELD
    while at + 2 < length:
        if n == FIELDS_MAX:
            # An empty line before the end makes the head malformed; it is not one field too many.
            return -TOO_MANY_FIELDS if head[at] != CR else line_fault(head, at, BAD_FIELD)
        next = field_line(head, at, length, address(fields[n]))
        if next < 0:
            return next
        at = next
        n += 1
    count[0] = n
    return 0 if at + 2 == length else -BAD_FIELD


def head_scan(data, start, length, seen):
    """Does not read the octets before `seen` again, except the last one: if it is a CR, an LF must follow."""
    at: uint32_t = seen
    if at > 0 and data[at - 1] == CR:
        at -= 1
    if at < start:
        at = start
    if at < length and data[at] == LF:
        return -BARE_CR_OR_LF
    at = skip_sound_lines(data, start, length, at)
    while True:
        at += value_run(data + at, length - at)
        if at >= length:
            return 0
        if data[at] == CR:
            if at + 1 == length:
                return 0
            if data[at + 1] != LF:
                return -BARE_CR_OR_LF
            if at > start and data[at - 1] == LF:
                return at + 2
            at += 2
        elif data[at] == LF:
            return -BARE_CR_OR_LF
        else:
            at += 1  # another control character: the parser rejects it, because it knows which line it is in


def skip_sound_lines(data, start, length, at):
    """Skip blocks of 16 octets without a bare CR, a bare LF or an empty line. No branch depends on where lines end."""
    crs: uint32_t
    lfs: uint32_t
    # Bits for CRs of line ends in the two octets before `at`: another line end two octets later is an empty line.
    before: uint32_t = 1 if at > start and data[at - 1] == LF else 0
    while at + 17 <= length:
        crs = octet_mask(data + at, CR)
        lfs = octet_mask(data + at + 1, LF)
        if crs != lfs or crs & (crs << 2 | before):
            break
        before = crs >> 14
        at += 16
    # The octet after a CR was checked, too.
    return at - 1 if at > start and data[at - 1] == CR else at


# For tests and tools.


def identify(name: bytes) -> int:
    return field_id(name, len(name))


def token(text: bytes) -> bool:
    return is_token(text, len(text))


def value(text: bytes) -> bool:
    return is_field_value(text, len(text))


def has(text: bytes, lower_token: bytes) -> bool:
    return list_has(text, len(text), lower_token, len(lower_token)) == 1


def octet_classes() -> bytes:
    return bytes([OCTETS[i] for i in range(256)])


def parse(head: bytes) -> tuple[str, list]:
    """Parse a field section with its empty line. Returns a reason's name ("none": valid), and (name, value, id, hop) of
    each field."""
    fields: Field[1000]
    count: uint16_t = 0
    data: cython.p_const_char = head
    result: cython.int = parse_fields(data, 0, len(head), fields, address(count))
    if result == 0:
        mark_hops(data, fields, count)
    found = [
        (
            head[f.name.at : f.name.at + f.name.length],
            head[f.value.at : f.value.at + f.value.length],
            f.id,
            bool(f.hop),
        )
        for f in fields[:count]
    ]
    return reason_name(-result).decode(), found

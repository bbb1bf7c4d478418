"""The parts of the key schedule of TLS 1.2 and 1.3 that the kernel needs."""

import cython
from cython import NULL, cast
from cython.cimports.libc.string import memcpy, memset, strlen, strncmp, strstr
from cython.cimports.ringway.engine.native.ktls import (
    TLS_1_2_VERSION,
    TLS_1_3_VERSION,
    TLS_CIPHER_AES_GCM_128,
    TLS_CIPHER_AES_GCM_256,
    TLS_CIPHER_CHACHA20_POLY1305,
)
from cython.cimports.ringway.engine.native.openssl import (
    EVP_MD,
    HMAC,
    SSL3_RT_CHANGE_CIPHER_SPEC,
    EVP_sha256,
    EVP_sha384,
    OPENSSL_cleanse,
)

# ------------------------------------------------------------------------------------------ input from OpenSSL


def ktls_keylog(k, line):
    secret: cython.p_const_char = strstr(line, b" ")
    if secret == NULL:
        return
    label: cython.int = cast(cython.int, secret - line)
    secret = strstr(secret + 1, b" ")
    if secret == NULL:
        return
    secret += 1
    if label == 13 and strncmp(line, b"CLIENT_RANDOM", 13) == 0:
        # TLS 1.2: one secret for both directions. Each direction counts its records from its ChangeCipherSpec.
        k.secret_length[KTLS_SEND] = cast(cython.uchar, unhex(secret, k.secret[KTLS_SEND], KTLS_SECRET_BYTES_MAX))
        k.secret_length[KTLS_RECEIVE] = k.secret_length[KTLS_SEND]
        memcpy(k.secret[KTLS_RECEIVE], k.secret[KTLS_SEND], KTLS_SECRET_BYTES_MAX)
    elif label == 23 and strncmp(line, b"SERVER_TRAFFIC_SECRET_0", 23) == 0:
        k.secret_length[KTLS_SEND] = cast(cython.uchar, unhex(secret, k.secret[KTLS_SEND], KTLS_SECRET_BYTES_MAX))
        k.sequence[KTLS_SEND] = 0
    elif label == 23 and strncmp(line, b"CLIENT_TRAFFIC_SECRET_0", 23) == 0:
        k.secret_length[KTLS_RECEIVE] = cast(cython.uchar, unhex(secret, k.secret[KTLS_RECEIVE], KTLS_SECRET_BYTES_MAX))
        k.sequence[KTLS_RECEIVE] = 0


def unhex(text, out, room):
    """Returns the number of bytes decoded; 0: not hexadecimal, or too long for `room`."""
    n: cython.int = 0
    high: cython.int
    low: cython.int
    while text[0] != 0 and text[0] != b"\n":
        high = digit_of(text[0])
        low = digit_of(text[1])
        if high < 0 or low < 0 or n == room:
            return 0
        out[n] = cast(cython.uchar, high * 16 + low)
        n += 1
        text += 2
    return n


def digit_of(c):
    if b"0" <= c <= b"9":
        return c - ord("0")
    if b"a" <= c <= b"f":
        return c - ord("a") + 10
    if b"A" <= c <= b"F":
        return c - ord("A") + 10
    return -1


def ktls_record(k, direction, content_type):
    # RFC 5246 7.1: records after a ChangeCipherSpec use the new keys. RFC 5246 6.1: their count starts at 0. TLS 1.3
    # sends one for old middleboxes, before its traffic keys; ktls_keylog() then starts the count again.
    if content_type == SSL3_RT_CHANGE_CIPHER_SPEC:
        k.sequence[direction] = 0
    else:
        k.sequence[direction] += 1


def ktls_message(k, direction, data, length):
    secret: cython.uchar[KTLS_SECRET_BYTES_MAX]
    size: cython.int = k.secret_length[direction]
    if k.version != 13 or length != KTLS_KEY_UPDATE_BYTES or data[0] != KTLS_KEY_UPDATE:
        return
    # RFC 8446 4.6.3: one response is enough for several requests.
    k.asked = direction == KTLS_RECEIVE and (k.asked or data[4] == 1)
    # RFC 8446 7.2. If this fails, the secret is missing from now on, and ktls_info() returns -1.
    if not expand_label(digest_of(k.cipher), k.secret[direction], size, b"traffic upd", secret, size):
        size = 0
    memcpy(k.secret[direction], secret, size)
    k.secret_length[direction] = cast(cython.uchar, size)
    k.sequence[direction] = 0
    OPENSSL_cleanse(secret, KTLS_SECRET_BYTES_MAX)


def ktls_cipher_of(name):
    if name == NULL:
        return KTLS_NO_CIPHER
    if strstr(name, b"AES128-GCM") != NULL or strstr(name, b"AES_128_GCM") != NULL:
        return KTLS_AES_128_GCM
    if strstr(name, b"AES256-GCM") != NULL or strstr(name, b"AES_256_GCM") != NULL:
        return KTLS_AES_256_GCM
    if strstr(name, b"CHACHA20") != NULL:
        return KTLS_CHACHA20_POLY1305
    return KTLS_NO_CIPHER


# -------------------------------------------------------------------------------------------- the key schedule


def digest_of(cipher):
    # The digest of all AEAD suites that the kernel supports, in both versions.
    return EVP_sha384() if cipher == KTLS_AES_256_GCM else EVP_sha256()


def key_bytes(cipher):
    return 16 if cipher == KTLS_AES_128_GCM else 32


def expand_label(md, secret, secret_length, label, out, length):
    # RFC 8446 7.1: struct { uint16 length; opaque label<7..255> = "tls13 " + label; opaque context<0..255> = "" },
    # and RFC 5869 2.3: the first block of the expansion is HMAC(secret, info | 0x01).
    info: cython.uchar[64]
    block: cython.uchar[64]
    n: cython.uint = 64
    size: cython.int = cast(cython.int, strlen(label))
    info[0] = 0
    info[1] = cast(cython.uchar, length)
    info[2] = cast(cython.uchar, 6 + size)
    memcpy(cast(cython.p_uchar, info) + 3, cast(cython.p_char, b"tls13 "), 6)
    memcpy(cast(cython.p_uchar, info) + 9, label, size)
    info[9 + size] = 0
    info[10 + size] = 1
    ok: cython.bint = HMAC(md, secret, secret_length, info, 11 + size, block, cython.address(n)) != NULL
    ok = ok and length <= cast(cython.int, n)
    if ok:
        memcpy(out, block, length)
    OPENSSL_cleanse(block, 64)
    return ok


def key_block(md, k, out, length):
    # RFC 5246 5: P_hash(secret, seed) = HMAC(secret, A(1) + seed) + ..., A(0) = seed, A(i) = HMAC(secret, A(i-1)).
    seed: cython.uchar[KTLS_SEED_BYTES]
    chained: cython.uchar[KTLS_CHAINED_BYTES]
    block: cython.uchar[64]
    n: cython.uint = 64
    size: cython.uint = KTLS_SEED_BYTES
    part: cython.int
    memcpy(seed, cast(cython.p_char, b"key expansion"), 13)
    memcpy(cast(cython.p_uchar, seed) + 13, k.server_random, KTLS_RANDOM_BYTES)
    memcpy(cast(cython.p_uchar, seed) + 13 + KTLS_RANDOM_BYTES, k.client_random, KTLS_RANDOM_BYTES)
    ok: cython.bint = (
        HMAC(md, k.secret[KTLS_SEND], k.secret_length[KTLS_SEND], seed, size, chained, cython.address(n)) != NULL
    )
    while ok and length > 0:
        memcpy(cast(cython.p_uchar, chained) + n, seed, size)
        ok = (
            HMAC(md, k.secret[KTLS_SEND], k.secret_length[KTLS_SEND], chained, n + size, block, cython.address(n))
            != NULL
        )
        part = min(length, cast(cython.int, n))
        memcpy(out, block, part)
        out += part
        length -= part
        memcpy(block, chained, n)
        ok = ok and (
            HMAC(md, k.secret[KTLS_SEND], k.secret_length[KTLS_SEND], block, n, chained, cython.address(n)) != NULL
        )
    OPENSSL_cleanse(block, 64)
    return ok


def traffic_keys(k, direction, key, iv):
    md: cython.pointer(cython.const[EVP_MD]) = digest_of(k.cipher)
    size: cython.int = key_bytes(k.cipher)
    iv_size: cython.int
    block: cython.uchar[KTLS_BLOCK_BYTES_MAX]
    at: cython.p_uchar = block
    ok: cython.bint
    if k.version == 13:
        return expand_label(md, k.secret[direction], k.secret_length[direction], b"key", key, size) and expand_label(
            md, k.secret[direction], k.secret_length[direction], b"iv", iv, 12
        )
    # RFC 5246 6.3: client's key, server's key, client's IV, server's IV. The implicit part of the IV: four bytes with
    # GCM (RFC 5288 3), all twelve with ChaCha20 (RFC 7905 2).
    iv_size = 12 if k.cipher == KTLS_CHACHA20_POLY1305 else 4
    ok = key_block(md, k, block, 2 * size + 2 * iv_size)
    memcpy(key, at + (size if direction == KTLS_SEND else 0), size)
    memcpy(iv, at + 2 * size + (iv_size if direction == KTLS_SEND else 0), iv_size)
    OPENSSL_cleanse(block, KTLS_BLOCK_BYTES_MAX)
    return ok


def ktls_info(k, direction, out):
    # include/uapi/linux/tls.h: { u16 version; u16 cipher_type; } then AES-GCM: iv[8], key[16 or 32], salt[4],
    # rec_seq[8]; ChaCha20-Poly1305: iv[12], key[32], rec_seq[8].
    key: cython.uchar[32]
    iv: cython.uchar[12]
    number: cython.uchar[8]
    size: cython.int = key_bytes(k.cipher)
    i: cython.int
    types: cython.ushort[3]
    head: cython.ushort[2]
    at: cython.p_uchar = out + 4
    if k.secret_length[direction] == 0 or k.cipher == KTLS_NO_CIPHER or (k.version != 12 and k.version != 13):
        return -1
    memset(iv, 0, 12)
    if not traffic_keys(k, direction, key, iv):
        return -1
    types[KTLS_AES_128_GCM] = TLS_CIPHER_AES_GCM_128
    types[KTLS_AES_256_GCM] = TLS_CIPHER_AES_GCM_256
    types[KTLS_CHACHA20_POLY1305] = TLS_CIPHER_CHACHA20_POLY1305
    head[0] = TLS_1_3_VERSION if k.version == 13 else TLS_1_2_VERSION
    head[1] = types[k.cipher]
    for i in range(8):
        number[i] = cast(cython.uchar, (k.sequence[direction] >> (56 - 8 * i)) & 0xFF)
    memcpy(out, head, 4)
    if k.cipher == KTLS_CHACHA20_POLY1305:
        memcpy(at, iv, 12)
        memcpy(at + 12, key, 32)
        at += 44
    else:
        # TLS 1.2: the explicit nonce of the next record. The kernel counts up from here. OpenSSL began at a random
        # 64-bit number, so the probability that a nonce repeats is less than records / 2^63.
        if k.version == 12:
            memcpy(at, number, 8)
        else:
            memcpy(at, cast(cython.p_uchar, iv) + 4, 8)
        memcpy(at + 8, key, size)
        memcpy(at + 8 + size, iv, 4)
        at += 12 + size
    memcpy(at, number, 8)
    OPENSSL_cleanse(key, 32)
    OPENSSL_cleanse(iv, 12)
    return cast(cython.int, at + 8 - out)


# ------------------------------------------------------------------------------------------------- from Python


def info_of(
    version: int,
    cipher: int,
    direction: int,
    lines: list,
    client_random: bytes,
    server_random: bytes,
    sequence: int,
    updates: int = 0,
) -> bytes:
    """For tests: the kernel's struct from lines of a key log, after this number of KeyUpdates. Raises ValueError if a
    secret is missing."""
    k: KtlsKeys
    out: cython.uchar[KTLS_INFO_BYTES_MAX]
    memset(cython.address(k), 0, cython.sizeof(KtlsKeys))
    for line in lines:
        text: bytes = line.encode()
        ktls_keylog(cython.address(k), text)
    k.version = version
    k.cipher = cipher
    for _ in range(updates):
        message: bytes = b"\x18\0\0\1\0"
        ktls_message(cython.address(k), direction, message, len(message))
    k.sequence[direction] = sequence
    memcpy(k.client_random, cast(cython.p_char, client_random), KTLS_RANDOM_BYTES)
    memcpy(k.server_random, cast(cython.p_char, server_random), KTLS_RANDOM_BYTES)
    n: cython.int = ktls_info(cython.address(k), direction, out)
    if n < 0:
        raise ValueError("the secret of this direction is not in the key log")
    found: cython.p_char = cast(cython.p_char, cython.address(out[0]))
    return found[:n]

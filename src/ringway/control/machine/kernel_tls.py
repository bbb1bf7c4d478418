"""Finds what kernel TLS supports: tries each direction, version and cipher once, on connected sockets.

The `tls` module of the kernel can be missing, not loaded, or older than a cipher. For each combination the kernel sends
and receives a record, so a combination counts as usable only if it has worked.
"""

import functools
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

from ringway.config.model import Tls
from ringway.errors import is_shortage

DIRECTIONS = ("send", "receive")
VERSIONS = (12, 13)
CIPHERS = ("AES128-GCM", "AES256-GCM", "CHACHA20-POLY1305")
"""In the order of `KtlsCipher` in engine/tls/ktls.pxd."""

_TCP_ULP, _SOL_TLS, _TLS_TX, _TLS_RX = 31, 282, 1, 2
_TLS_RECORD_TYPE, _HANDSHAKE = 1, 22
_KEY_UPDATE = bytes([24, 0, 0, 1, 0])
_NUMBERS = (51, 52, 54)
"""TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_256, TLS_CIPHER_CHACHA20_POLY1305 of include/uapi/linux/tls.h."""
_KEY_BYTES = (16, 32, 32)
_WITHIN = 5.0
"""Timeout of a record on the loopback, in seconds."""

Combination = tuple[str, int, str]


@dataclass(frozen=True)
class KernelTls:
    """`failures`: the combinations of direction, version and cipher that do not work, with the reason."""

    failures: dict[Combination, str]
    why: str
    """Why no combination works. "": some do."""
    rekeys: bool = False
    """Whether the kernel supports new keys after a KeyUpdate of TLS 1.3 (Linux 6.14 and later)."""

    def works(self, direction: str, version: int, cipher: str) -> bool:
        return not self.why and (direction, version, cipher) not in self.failures

    def usable(self, directions: str) -> bool:
        """Whether there is a version and cipher for which all `directions` ("both" or "send") work."""
        wanted = DIRECTIONS if directions == "both" else DIRECTIONS[:1]
        return any(all(self.works(way, v, c) for way in wanted) for v in VERSIONS for c in CIPHERS)

    def lines(self) -> list[str]:
        """Returns a description: a line for each version, or the reason why kernel TLS is not available."""
        if self.why:
            return [f"not found: {self.why}"]
        rows = []
        for version in VERSIONS:
            cells = []
            for cipher in CIPHERS:
                ways = [way for way in DIRECTIONS if self.works(way, version, cipher)]
                cells.append(f"{cipher} {'+'.join(ways) or 'not usable'}")
            rows.append(f"TLS 1.{version - 10}: {', '.join(cells)}")
        rows.append(
            f"KeyUpdate: {'supported' if self.rekeys else 'closes the connection, this kernel cannot change keys'}"
        )
        return rows

    def masks(self) -> list[list[int]]:
        """Returns masks by direction and version. Bit n is set if cipher n is usable."""
        return [
            [sum(1 << n for n, c in enumerate(CIPHERS) if self.works(way, version, c)) for version in VERSIONS]
            for way in DIRECTIONS
        ]


@functools.cache
def found() -> KernelTls:
    """Returns what kernel TLS supports. Tries it once in the life of the process."""
    try:
        with _Pair() as pair:
            pair.attach()
    except FileNotFoundError:
        return KernelTls({}, "the kernel's `tls` module is not loaded; modprobe tls")
    except OSError as error:
        if is_shortage(error):
            raise  # the next call tries again
        return KernelTls({}, os.strerror(error.errno or 0))
    failures = {}
    for version in VERSIONS:
        for number, cipher in enumerate(CIPHERS):
            for direction, reason in _try(version, number).items():
                failures[direction, version, cipher] = reason
    every = len(DIRECTIONS) * len(VERSIONS) * len(CIPHERS)
    return KernelTls(failures, next(iter(failures.values())) if len(failures) == every else "", _rekeys(failures))


def brief(tls: Tls) -> dict[str, Any] | None:
    """Returns this part of the brief, see docs/architecture.md. None: no kernel TLS."""
    if not tls.ktls_enabled:
        return None
    return {
        "usable": found().masks(),
        "receive": tls.ktls_directions == "both",
        "rekeys": found().rekeys,
        "required": not tls.ktls_fallback_enabled,
        "after": tls.ktls_after,
    }


class _Pair:
    """Two ends of a TCP connection on the loopback. Kernel TLS works only on TCP sockets."""

    def __enter__(self) -> "_Pair":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.one = socket.create_connection(listener.getsockname(), timeout=_WITHIN)
            self.other, _ = listener.accept()
        self.other.settimeout(_WITHIN)
        return self

    def __exit__(self, *error: object) -> None:
        self.one.close()
        self.other.close()

    def attach(self) -> None:
        for sock in (self.one, self.other):
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")


def crypto_info(version: int, cipher: int, key: bytes, iv: bytes, sequence: int) -> bytes:
    """Returns a struct tls12_crypto_info_* for TLS `version` (12 or 13). `iv` has 12 bytes; for GCM the first four are
    the salt."""
    number = sequence.to_bytes(8, "big")
    head = struct.pack("=HH", 0x0303 + version - 12, _NUMBERS[cipher])
    if CIPHERS[cipher] == "CHACHA20-POLY1305":
        return head + iv + key + number
    return head + iv[4:] + key + iv[:4] + number


def _try(version: int, cipher: int) -> dict[str, str]:
    """Returns the directions that do not work, with the reason."""
    failures = {}
    info = crypto_info(version, cipher, os.urandom(_KEY_BYTES[cipher]), os.urandom(12), 0)
    with _Pair() as pair:
        try:
            pair.attach()
            pair.one.setsockopt(_SOL_TLS, _TLS_TX, info)
        except OSError as error:
            failures["send"] = os.strerror(error.errno or 0)
        try:
            pair.other.setsockopt(_SOL_TLS, _TLS_RX, info)
        except OSError as error:
            failures["receive"] = os.strerror(error.errno or 0)
        if not failures and not _passes(pair):
            failures = dict.fromkeys(DIRECTIONS, "a record did not arrive as it was sent")
    return failures


def _passes(pair: _Pair) -> bool:
    text = b"ringway tries the kernel's TLS"
    try:
        pair.one.sendall(text)
        return pair.other.recv(len(text) + 1) == text
    except OSError:
        return False


def _rekeys(failures: dict[Combination, str]) -> bool:
    """Whether both directions accept a second key after a KeyUpdate, and a record passes with it."""
    for number, cipher in enumerate(CIPHERS):
        if any((direction, 13, cipher) in failures for direction in DIRECTIONS):
            continue
        first, second = (crypto_info(13, number, os.urandom(_KEY_BYTES[number]), os.urandom(12), 0) for _ in range(2))
        with _Pair() as pair:
            try:
                pair.attach()
                pair.one.setsockopt(_SOL_TLS, _TLS_TX, first)
                pair.other.setsockopt(_SOL_TLS, _TLS_RX, first)
                pair.one.sendmsg([_KEY_UPDATE], [(_SOL_TLS, _TLS_RECORD_TYPE, bytes([_HANDSHAKE]))])
                pair.one.setsockopt(_SOL_TLS, _TLS_TX, second)
                # The kernel returns the KeyUpdate as a message, and reads no further before it has the new key.
                if pair.other.recvmsg(64, socket.CMSG_SPACE(1))[0] != _KEY_UPDATE:
                    return False
                pair.other.setsockopt(_SOL_TLS, _TLS_RX, second)
            except OSError:
                return False
            return _passes(pair)
    return False

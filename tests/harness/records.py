"""A TLS client that gives tests control over its records: OpenSSL makes them, and the test decides how to send them.

with Peer(address, folder) as peer:
    finished = peer.handshake(hold=True)          # the last flight is not sent
    peer.raw(finished + peer.seal(b"GET ..."))    # with the request in one segment
    peer.raw(peer.craft(21, bytes([2, 40])))      # TLS 1.3: a record of any type, under the connection's own keys
"""

import contextlib
import hashlib
import hmac
import select
import socket
import ssl
import struct
import time
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from harness.raw import any_certificate
from harness.waiting import DEADLINE

HELLO = b"\x01\0\0\0"
"""An empty ClientHello, which asks for renegotiation in a TLS 1.2 connection."""


def expand_label(secret: bytes, label: str, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 7.1) with an empty context, for one block."""
    text = b"tls13 " + label.encode()
    info = struct.pack("!HB", length, len(text)) + text + b"\0"
    digest = hashlib.sha384 if len(secret) == 48 else hashlib.sha256
    return hmac.digest(secret, info + b"\1", digest)[:length]


def expand_12(master: bytes, seed: bytes, length: int, digest: str) -> bytes:
    """The PRF of TLS 1.2 (RFC 5246 5)."""
    found, last = b"", seed
    while len(found) < length:
        last = hmac.digest(master, last, digest)
        found += hmac.digest(master, last + seed, digest)
    return found[:length]


def data_records(came: bytes) -> list[int]:
    """Returns the lengths of the records with data. In TLS 1.3 an alert looks like data of 19 bytes, and is left
    out."""
    found = []
    while came:
        kind, _, length = struct.unpack("!BHH", came[:5])
        if kind == 23 and length > 19:
            found.append(length)
        came = came[5 + length :]
    return found


def record_kinds(came: bytes) -> list[int]:
    """Returns the types of these records, as they are on the wire."""
    found = []
    while came:
        found.append(came[0])
        came = came[5 + struct.unpack("!H", came[3:5])[0] :]
    return found


class Peer:
    """A connection. `folder`: for the key log. `ended`: how the peer ended it, set by `receive()`."""

    def __init__(
        self,
        address: tuple[str, int],
        folder: Path,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        ciphers: str | None = None,
        window: int | None = None,
    ) -> None:
        self.keylog = folder / f"keylog-{time.monotonic_ns()}"
        context = any_certificate()
        context.minimum_version = context.maximum_version = version
        if ciphers is not None:
            context.set_ciphers(ciphers)
        context.keylog_filename = str(self.keylog)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.sock = socket.socket()
        if window is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.first = b""
        """The first bytes that were received, which include the ServerHello."""
        self.records = 0
        """Number of records encrypted with the client's application keys so far."""
        self._secret = b""
        """The secret for the keys of crafted records. A KeyUpdate replaces it."""
        self.ended = ""

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    # Sending

    def raw(self, data: bytes, piece: int = 0) -> None:
        """Sends raw bytes. `piece`: how many at a time, each piece in its own segment as far as the kernel allows."""
        for at in range(0, len(data), piece or max(1, len(data))):
            self.sock.sendall(data[at : at + (piece or len(data))])

    def hello(self) -> bytes:
        """Returns the ClientHello."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def handshake(self, hold: bool = False) -> bytes:
        """Completes the handshake. `hold`: returns the last flight and does not send it (in TLS 1.3 that is one of the
        client)."""
        self.raw(self.hello())
        while True:
            self._take()
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.raw(self.outgoing.read())
                continue
            flight = self.outgoing.read()
            if not hold:
                self.raw(flight)
            return flight

    def seal(self, data: bytes) -> bytes:
        """Returns records with this data."""
        self.tls.write(data)
        self.records += -(-len(data) // 16384)
        return self.outgoing.read()

    def craft(self, kind: int, payload: bytes, broken: bool = False) -> bytes:
        """Returns a TLS 1.3 record of this content type. OpenSSL does not count it, so all later records must be
        crafted too. `broken`: one bit of it is wrong."""
        if not self._secret:
            lines = [line.split() for line in self.keylog.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC")]
            self._secret = bytes.fromhex(lines[-1][2])
        secret = self._secret
        name = (self.tls.cipher() or ("",))[0]
        key = expand_label(secret, "key", 16 if "128" in name else 32)
        iv = expand_label(secret, "iv", 12)
        nonce = bytes(a ^ b for a, b in zip(iv, self.records.to_bytes(12, "big"), strict=True))
        inner = payload + bytes([kind])
        head = struct.pack("!BHH", 23, 0x0303, len(inner) + 16)
        cipher = ChaCha20Poly1305(key) if "CHACHA" in name else AESGCM(key)
        sealed = bytearray(cipher.encrypt(nonce, inner, head))
        sealed[0] ^= 1 if broken else 0
        self.records += 1
        return head + bytes(sealed)

    def craft_12(self, kind: int, payload: bytes) -> bytes:
        """Does the same for TLS 1.2 with AES-GCM."""
        words = next(line.split() for line in self.keylog.read_text().splitlines() if line.startswith("CLIENT_RANDOM"))
        seed = b"key expansion" + self.first[11:43] + bytes.fromhex(words[1])
        name = (self.tls.cipher() or ("",))[0]
        size, digest = (16, "sha256") if "128" in name else (32, "sha384")
        block = expand_12(bytes.fromhex(words[2]), seed, 2 * size + 8, digest)
        self.records += 1
        number = self.records.to_bytes(8, "big")  # the Finished was number 0
        about = number + struct.pack("!BHH", kind, 0x0303, len(payload))
        sealed = AESGCM(block[:size]).encrypt(block[2 * size : 2 * size + 4] + number, payload, about)
        return struct.pack("!BHH", kind, 0x0303, 8 + len(sealed)) + number + sealed

    def update(self, asked: bool) -> bytes:
        """Returns a KeyUpdate (RFC 8446 4.6.3). Records that are crafted later use the next keys. `asked`: the peer
        must change its keys, too."""
        record = self.craft(22, bytes([24, 0, 0, 1, asked]))
        self.records = 0
        self._secret = expand_label(self._secret, "traffic upd", len(self._secret))
        return record

    def goodbye(self) -> bytes:
        """Returns close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
            self.tls.unwrap()
        return self.outgoing.read()

    def finish(self) -> None:
        """Sends FIN."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Closes the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # Receiving

    def _take(self) -> bool:
        """Passes more data from the socket to OpenSSL. False: the peer has ended the connection."""
        ready, _, _ = select.select([self.sock], [], [], DEADLINE)
        assert ready, f"received nothing within {DEADLINE:g} s"
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            self.ended = "reset"
            return False
        if data:
            self.first = self.first or data
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        return bool(data)

    def receive(self, wanted: int | None = None) -> bytes:
        """Returns `wanted` bytes of plaintext, or everything to the end. Then `ended` is "close_notify", "eof" (an end
        without close_notify), "reset", or the name of the received alert."""
        found = b""
        more = True
        while wanted is None or len(found) < wanted:
            try:
                data = self.tls.read(65536 if wanted is None else wanted - len(found))
                if not data:
                    self.ended = "close_notify"
                    return found
                found += data
            except ssl.SSLWantReadError:
                if not more:
                    return found
                more = self._take()
                if not more and self.ended:
                    return found
            except ssl.SSLZeroReturnError:
                self.ended = "close_notify"
                return found
            except ssl.SSLEOFError:
                self.ended = "eof"
                return found
            except ssl.SSLError as error:
                self.ended = (error.reason or str(error)).lower()
                return found
        return found

    def ticket(self) -> None:
        """Reads until there is a session ticket. In TLS 1.3 it follows the handshake and looks like data."""
        while self.tls.session is None or not self.tls.session.has_ticket:
            assert self._take(), "the connection ended before a ticket"
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.read(1)

    def rest(self) -> bytes:
        """Returns the raw bytes until the peer ends the connection with FIN or RST."""
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while data := self.sock.recv(65536):
                found += data
        return found

    def response(self) -> bytes:
        """Reads a response with Content-Length and returns its body."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            octet = self.receive(1)
            assert octet, f"the connection ended ({self.ended}) after {head!r}"
            head += octet
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return self.receive(length)

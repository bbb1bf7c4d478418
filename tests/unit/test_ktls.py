"""The key schedule and the numbers of records, against OpenSSL's own records: what is computed must open them."""

import contextlib
import socket
import ssl
import struct
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from harness.foreign import environment
from harness.waiting import DEADLINE

from ringway.control.machine import kernel_tls
from ringway.engine.tls import ktls

SEND, RECEIVE = 0, 1
COMBINATIONS = [
    (12, 0, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (12, 1, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (12, 2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (13, 1, "TLS_AES_256_GCM_SHA384"),
]


SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]


class Talk:
    """A client and a server of OpenSSL's in one process, and every record between them."""

    def __init__(self, certificate: dict[str, str], folder: Path, version: int, cipher: str) -> None:
        own, other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        own.load_cert_chain(certificate["cert_path"], certificate["key_path"])
        other.check_hostname = False
        other.verify_mode = ssl.CERT_NONE
        wanted = ssl.TLSVersion.TLSv1_2 if version == 12 else ssl.TLSVersion.TLSv1_3
        own.minimum_version = own.maximum_version = wanted
        if version == 12:
            own.set_ciphers(cipher)
        self.log = folder / "keylog"
        own.keylog_filename = str(self.log)
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self._in = [ssl.MemoryBIO(), ssl.MemoryBIO()]
        self._out = [ssl.MemoryBIO(), ssl.MemoryBIO()]
        self.server = own.wrap_bio(self._in[0], self._out[0], server_side=True)
        self.client = other.wrap_bio(self._in[1], self._out[1])
        for _ in range(4):
            for side in (self.client, self.server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                self.flow()
        assert self.server.cipher()[0] == cipher

    def flow(self) -> None:
        for source, target, seen in (
            (self._out[0], self._in[1], self.sent),
            (self._out[1], self._in[0], self.received),
        ):
            data = source.read()
            target.write(data)
            while data:
                size = 5 + struct.unpack("!H", data[3:5])[0]
                seen.append(data[:size])
                data = data[size:]

    @property
    def randoms(self) -> tuple[bytes, bytes]:
        """Of client and server: behind type, version, length of record and message (RFC 5246 7.4.1.2)."""
        return self.received[0][11:43], self.sent[0][11:43]


def opened(version: int, cipher: int, info: bytes, number: int, record: bytes) -> bytes:
    """The record under the key of the kernel's struct; raises InvalidTag if that is not its key."""
    head, body = record[:5], record[5:]
    if cipher == 2:
        iv, key = info[4:16], info[16:48]
    else:
        size = 16 if cipher == 0 else 32
        iv, key = info[12 + size : 16 + size] + info[4:12], info[12 : 12 + size]
    if version == 12 and cipher != 2:
        nonce, body = iv[:4] + body[:8], body[8:]  # RFC 5288 3: the explicit part travels
    else:
        nonce = bytes(a ^ b for a, b in zip(iv, number.to_bytes(12, "big"), strict=True))
    extra = head
    if version == 12:
        extra = number.to_bytes(8, "big") + head[:3] + struct.pack("!H", len(body) - 16)
    return (ChaCha20Poly1305(key) if cipher == 2 else AESGCM(key)).decrypt(nonce, body, extra)


@pytest.mark.parametrize(("version", "cipher", "name"), COMBINATIONS)
@pytest.mark.parametrize("direction", [SEND, RECEIVE], ids=["send", "receive"])
def test_opens_openssls_records(certificate, tmp_path, version, cipher, name, direction):
    talk = Talk(certificate, tmp_path, version, name)
    records = talk.sent if direction == SEND else talk.received
    before = len(records)
    sender = talk.server if direction == SEND else talk.client
    for text in (b"first", b"second"):
        sender.write(text)
        talk.flow()
    client_random, server_random = talk.randoms
    # TLS 1.2: Finished was number 0. TLS 1.3: the server's two tickets came first, from 0.
    first = 1 if version == 12 else 2 if direction == SEND else 0
    for number, record, text in zip((first, first + 1), records[before:], (b"first", b"second"), strict=True):
        info = ktls.info_of(
            version, cipher, direction, talk.log.read_text().splitlines(), client_random, server_random, number
        )
        assert opened(version, cipher, info, number, record).rstrip(b"\x17") == text
        assert info[-8:] == number.to_bytes(8, "big")
        other = ktls.info_of(
            version, cipher, 1 - direction, talk.log.read_text().splitlines(), client_random, server_random, number
        )
        with pytest.raises(InvalidTag):
            opened(version, cipher, other, number, record)


@pytest.mark.parametrize(("cipher", "suite"), list(enumerate(SUITES)))
def test_opens_records_behind_a_key_update(certificate, tmp_path, cipher, suite):
    """RFC 8446 7.2: `openssl s_client` changes its keys, Python's server answers with its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate["cert_path"], certificate["key_path"])
    context.keylog_filename = str(tmp_path / "keylog")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-ciphersuites", suite]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        ) as client:
            try:
                sock, _ = listener.accept()
                sock.settimeout(DEADLINE)
                with sock, Recorded(sock, context) as recorded:
                    for updates, (said, text) in enumerate([(b"", b"one\n"), (b"K\n", b"two\n"), (b"k\n", b"three\n")]):
                        assert client.stdin is not None
                        for line in filter(None, (said, text)):
                            client.stdin.write(line)
                            client.stdin.flush()
                            if line == said:
                                recorded.until_a_record()  # s_client takes what comes with the command for data
                        assert recorded.read() == text
                        recorded.tls.write(b"yes")
                        recorded.flow()
                        lines = Path(context.keylog_filename).read_text().splitlines()
                        sends = min(updates, 1)
                        for direction, count, record, plain in (
                            (RECEIVE, updates, recorded.received[-1], text),
                            (SEND, sends, recorded.sent[-1], b"yes"),
                        ):
                            # Two tickets went out first; behind an update the numbers begin anew.
                            number = (2 if updates == 0 else updates - 1) if direction == SEND else 0
                            info = ktls.info_of(13, cipher, direction, lines, b"", b"", number, count)
                            assert opened(13, cipher, info, number, record) == plain + b"\x17"
            finally:
                client.terminate()


class Recorded:
    """A server's end of a TLS connection, and every record of it."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.sent: list[bytes] = []
        self.received: list[bytes] = []

    def __enter__(self) -> "Recorded":
        while True:
            try:
                self.tls.do_handshake()
                self.flow()
                return self
            except ssl.SSLWantReadError:
                self.flow()
                self.until_a_record()

    def __exit__(self, *error: object) -> None:
        pass

    def flow(self) -> None:
        data = self.outgoing.read()
        self.sock.sendall(data)
        while data:
            size = 5 + struct.unpack("!H", data[3:5])[0]
            self.sent.append(data[:size])
            data = data[size:]

    def until_a_record(self) -> None:
        head = self.sock.recv(5, socket.MSG_WAITALL)
        assert len(head) == 5
        self.received.append(head + self.sock.recv(struct.unpack("!H", head[3:5])[0], socket.MSG_WAITALL))
        self.incoming.write(self.received[-1])

    def read(self) -> bytes:
        while True:
            try:
                return self.tls.read(100)
            except ssl.SSLWantReadError:
                self.until_a_record()


@pytest.mark.parametrize(("version", "cipher"), [(v, c) for v in (12, 13) for c in (0, 1, 2)])
def test_the_struct_has_the_kernels_form(version, cipher):
    """include/uapi/linux/tls.h; the same as the one that the supervisor tries the kernel with."""
    secret = bytes(range(48 if cipher == 1 or version == 12 else 32)).hex()
    lines = [f"SERVER_TRAFFIC_SECRET_0 00 {secret}"] if version == 13 else [f"CLIENT_RANDOM 00 {secret}"]
    info = ktls.info_of(version, cipher, SEND, lines, b"c" * 32, b"s" * 32, 7)
    assert len(info) == (40 if cipher == 0 else 56)
    key = info[16:48] if cipher == 2 else info[12 : 28 if cipher == 0 else 44]
    iv = info[4:16] if cipher == 2 else info[-12:-8] + info[4:12]
    assert info == kernel_tls.crypto_info(version, cipher, key, iv, 7)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "CLIENT_RANDOM",
        "CLIENT_RANDOM 00",
        "CLIENT_RANDOM 00 0",
        "CLIENT_RANDOM 00 zz",
        "CLIENT_RANDOM 00 " + 49 * "00",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET 00 0011",
    ],
)
def test_other_lines_of_a_key_log(line):
    with pytest.raises(ValueError, match="not in the key log"):
        ktls.info_of(12, 0, SEND, [line], b"c" * 32, b"s" * 32, 0)


def test_the_table_of_the_kernel():
    """Tried, not guessed; and what is not found is said with its reason."""
    found = kernel_tls.found()
    assert bool(found.why) != bool(found.masks()[0][0])
    some = kernel_tls.KernelTls({("receive", 13, "AES128-GCM"): "no", ("send", 12, "CHACHA20-POLY1305"): "no"}, "")
    assert some.masks() == [[3, 7], [7, 6]]
    assert some.usable("both")
    assert some.lines()[1] == ("TLS 1.3: AES128-GCM send, AES256-GCM send+receive, CHACHA20-POLY1305 send+receive")
    assert some.lines()[2] == "KeyUpdate: closes the connection, this kernel cannot change keys"
    assert kernel_tls.KernelTls({}, "", True).lines()[2] == "KeyUpdate: supported"
    nothing = kernel_tls.KernelTls({}, "the reason")
    assert nothing.masks() == [[0, 0], [0, 0]]
    assert nothing.lines() == ["not found: the reason"]
    assert not nothing.usable("send")

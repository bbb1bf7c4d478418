"""TLS with Python's ssl, with openssl, and with raw records."""

import os
import socket
import ssl
import subprocess
import time

import pytest
from harness import bulk
from harness.foreign import environment
from harness.memory import counters_of
from harness.raw import Client, any_certificate
from harness.server import Server
from harness.tls import VERSION
from harness.waiting import DEADLINE


@pytest.fixture(scope="module")
def running(tmp_path_factory, certificate, origin):
    folder = tmp_path_factory.mktemp("tls")
    (folder / "index.html").write_text("x")
    bulk.write_file(folder / "large", 3_000_000)
    config = {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0", "threads": 2},
        "tls": certificate,
        "limits": {"head_bytes": 60_000},
        "host_routes": {
            "*": {"type": "File", "path": folder},
            "proxied": {"type": "Proxy", "url": origin.url},
        },
    }
    with Server(config, tmp_path_factory.mktemp("ringway")) as server:
        yield server


@pytest.fixture
def server(running):
    yield running
    running.assert_sound()


def context(version=None, alpn=("http/1.1",)):
    made = any_certificate()
    if version is not None:
        made.minimum_version = made.maximum_version = version
    made.set_alpn_protocols(list(alpn))
    return made


def total(server, name):
    return sum(counters_of(pid)[name] for pid in server.workers.values())


# Versions, ciphers, ALPN


@VERSION
def test_versions(server, version):
    with server.connect(tls=True, context=context(version)) as client:
        assert client.sock.version() == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
        assert client.sock.selected_alpn_protocol() == "http/1.1"
        for number in range(3):
            assert client.get(f"/?{version.name}-{number}").body == b"x"
        name = client.sock.cipher()[0]
        cipher = (
            "AES128-GCM" if "128" in name else "AES256-GCM" if "256" in name and "AES" in name else "CHACHA20-POLY1305"
        )
    record = server.record(f"/?{version.name}-0")
    assert record["tls"] == {771: "1.2/", 772: "1.3/"}[version] + cipher


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_refused(server):
    old = context()
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"):
        server.connect(tls=True, context=old)


def test_no_weak_cipher(server):
    weak = context(ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("AES128-SHA:AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        server.connect(tls=True, context=weak)


def test_alpn_without_a_protocol_of_ours(server):
    """RFC 7301 3.2: a client that offers only h2 gets an alert."""
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        server.connect(tls=True, context=context(alpn=["h2"]))
    with server.connect(tls=True, context=context(alpn=["h2", "http/1.1"])) as client:
        assert client.sock.selected_alpn_protocol() == "http/1.1"
        assert client.get("/").body == b"x"


def test_without_alpn(server):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    with server.connect(tls=True, context=made) as client:
        assert client.sock.selected_alpn_protocol() is None
        assert client.get("/").body == b"x"


def test_the_certificate_is_right(server, certificate):
    made = ssl.create_default_context(cafile=certificate["cert_path"])
    for host in ("localhost", "127.0.0.1"):
        with server.connect(tls=True, context=made, host=host) as client:
            assert client.get("/").body == b"x"


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_openssl(server, option):
    port = server.listener(tls=True).port
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", option, "-alpn", "http/1.1", "-ign_eof"],
        input=b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=3 * DEADLINE,
        env=environment(),
        check=False,
    )
    text = done.stdout.decode("latin-1")
    assert "HTTP/1.1 200 OK" in text
    assert "ALPN protocol: http/1.1" in text
    # close_notify arrived: otherwise openssl prints "unexpected eof".
    assert b"eof" not in done.stderr.lower()


# Sessions


@VERSION
def test_a_session_is_resumed_by_another_worker(server, version):
    """Tickets are encrypted with keys that all workers share. RFC 5077, RFC 8446 4.6.1."""
    made = context(version)
    tickets_at = {}
    session = None
    address = server.listener(tls=True).address
    for _ in range(60):
        before = {number: counters_of(pid)["handshakes"] for number, pid in server.workers.items()}
        sock = made.wrap_socket(
            socket.create_connection(address, DEADLINE), server_hostname="localhost", session=session
        )
        with sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while sock.recv(4096):
                pass
            after = {number: counters_of(pid)["handshakes"] for number, pid in server.workers.items()}
            (worker,) = (number for number in after if after[number] != before[number])
            if session is not None:
                assert sock.session_reused
            tickets_at.setdefault(worker, 0)
            tickets_at[worker] += 1
            if session is None:
                session, first = sock.session, worker
        if worker != first:
            break
    assert len(tickets_at) == 2, "the kernel gave every connection to one worker"
    assert total(server, "resumed") > 0


@VERSION
def test_each_resumption_can_be_resumed_again(server, version):
    """RFC 8446 C.4: a TLS 1.3 ticket is used once, so a resumed connection gets the next one."""
    made = context(version)
    session = None
    for number in range(4):
        with made.wrap_socket(
            socket.create_connection(server.listener(tls=True).address, DEADLINE),
            server_hostname="localhost",
            session=session,
        ) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while sock.recv(4096):
                pass
            assert sock.session_reused == (number > 0)
            assert version == ssl.TLSVersion.TLSv1_2 or session is None or sock.session.id != session.id
            session = sock.session


def test_a_ticket_of_an_earlier_run_is_no_error(server, ringway, certificate, tmp_path):
    made = context(ssl.TLSVersion.TLSv1_3)
    with Client(server.listener(tls=True).address, tls=True, context=made) as client:
        assert client.get("/").body == b"x"
        session = client.sock.session
    other = ringway({"tls": certificate, "host_routes": {"*": {"type": "File", "path": tmp_path}}})
    sock = socket.create_connection(other.listener(tls=True).address, DEADLINE)
    with made.wrap_socket(sock, server_hostname="localhost", session=session) as wrapped:
        assert not wrapped.session_reused


# Ends


@VERSION
def test_close_notify_from_both_sides(server, version):
    with server.connect(tls=True, context=context(version)) as client:
        assert client.get("/", "Connection: close").body == b"x"
        assert client.to_end() == b""  # an end without close_notify would be an error
    with server.connect(tls=True, context=context(version)) as client:
        assert client.get("/").body == b"x"
        client.sock.settimeout(DEADLINE)
        plain = client.sock.unwrap()  # sends its own, waits for the peer's
        plain.settimeout(DEADLINE)
        assert plain.recv(100) == b""
        plain.close()


def test_a_client_that_ends_without_close_notify(server):
    """Nothing is lost between requests."""
    with server.connect(tls=True) as client:
        assert client.get("/").body == b"x"
        os.close(client.sock.detach())
    with server.connect(tls=True) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        os.close(client.sock.detach())


def test_the_end_of_a_body_by_close_notify_alone(server):
    """A client that only ends its side (RFC 8446 6.1) still gets its complete response."""
    with server.connect(tls=True) as client:
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        response = client.response()
        assert bulk.checksum_of([response.body]) == (3_000_000, bulk.checksum(3_000_000))
        assert client.to_end() == b""


# Bytes in every form


class ByHand:
    """TLS without a socket: the test transports the records."""

    def __init__(self, address, version=None):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context(version).wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.sock = socket.create_connection(address, DEADLINE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def do(self, act, piece=1):
        """Runs `act` until it has what it needs, and sends its output in pieces."""
        end = time.monotonic() + 3 * DEADLINE
        while True:
            assert time.monotonic() < end
            try:
                result = act()
            except ssl.SSLWantReadError:
                result = None
            self.flush(piece)
            if result is not None:
                return result
            data = self.sock.recv(65536)
            if not data:
                raise ssl.SSLEOFError("the connection ended")
            self.incoming.write(data)

    def flush(self, piece=1):
        data = self.outgoing.read()
        for at in range(0, len(data), piece):
            self.sock.sendall(data[at : at + piece])

    def handshake(self, piece=1):
        self.do(lambda: self.tls.do_handshake() or True, piece)


@VERSION
def test_byte_by_byte(server, version):
    with ByHand(server.listener(tls=True).address, version) as hand:
        hand.handshake()
        for target in ("/?by-hand", "/large"):
            hand.tls.write(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            hand.flush()
            got = b""
            want = 3_000_000 if target == "/large" else 1
            while len(got.partition(b"\r\n\r\n")[2]) < want:
                got += hand.do(lambda: hand.tls.read(1 << 20))
            assert got.startswith(b"HTTP/1.1 200 OK\r\n")
            assert len(got.partition(b"\r\n\r\n")[2]) == want


@VERSION
def test_many_records_in_one_segment(server, version):
    """One byte per record, a whole request in one send, and a second request after it."""
    with ByHand(server.listener(tls=True).address, version) as hand:
        hand.handshake(1 << 20)
        for _ in range(2):
            for octet in b"GET / HTTP/1.1\r\nHost: a\r\nX-Padding: " + b"x" * 2000 + b"\r\n\r\n":
                hand.tls.write(bytes([octet]))
        hand.flush(1 << 20)
        got = b""
        while got.count(b"\r\n\r\nx") < 2:
            got += hand.do(lambda: hand.tls.read(65536))


@VERSION
def test_a_head_as_large_as_many_records(server, version):
    with server.connect(tls=True, context=context(version)) as client:
        fields = [f"X-{number}: {'v' * 900}" for number in range(60)]
        response = client.get("/", *fields)
        assert (response.status, response.body) == (200, b"x")
        assert client.get("/length/100000", *fields, host="proxied").status == 200
        response = client.get("/", *fields, f"X-Last: {'v' * 10_000}")
        assert response.status == 431


@VERSION
def test_keep_alive_and_pipelining(server, version):
    with server.connect(tls=True, context=context(version)) as client:
        for _ in range(3):
            for _ in range(20):
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(20):
                assert client.response().body == b"x"
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 3 + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(3):
            assert bulk.checksum_of([client.response().body])[1] == bulk.checksum(3_000_000)
        assert client.response().body == b"x"


def test_a_request_in_the_flight_of_finished(server):
    """TLS 1.3: the request arrives in one segment with the end of the handshake."""
    with ByHand(server.listener(tls=True).address, ssl.TLSVersion.TLSv1_3) as hand:
        with pytest.raises(ssl.SSLWantReadError):
            hand.tls.do_handshake()
        hand.flush(1 << 20)
        while True:
            hand.incoming.write(hand.sock.recv(65536))
            try:
                hand.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        hand.tls.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        hand.flush(1 << 20)
        assert hand.do(lambda: hand.tls.read(65536)).startswith(b"HTTP/1.1 200 OK\r\n")


# Not TLS


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\0" * 100,
        b"\xff" * 20_000,
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\xff\xff" + b"a" * 70_000,
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x10" + b"a" * 16,
        os.urandom(300),
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["http", "zeros", "ones", "no hello", "too long", "alert", "data first", "random", "ssh"],
)
def test_garbage_on_the_tls_port(server, garbage):
    """The connection ends soon, with FIN or RST, and no other client notices."""
    address = server.listener(tls=True).address
    with socket.create_connection(address, DEADLINE) as sock:
        try:
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
        except OSError as error:
            assert not isinstance(error, TimeoutError), "it was left open"  # noqa: PT017
    with server.connect(tls=True) as client:
        assert client.get("/").body == b"x"


def test_plain_http_on_the_tls_port_is_answered_and_closed_at_once(server):
    before = total(server, "handshake_errors")
    with socket.create_connection(server.listener(tls=True).address, DEADLINE) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        began = time.monotonic()
        got = b""
        try:
            while data := sock.recv(4096):
                got += data
        except ConnectionError:
            pass
        assert time.monotonic() - began < DEADLINE / 2
    assert total(server, "handshake_errors") > before
    assert got.startswith(b"HTTP/1.1 400 ")
    assert b"plain_http" in got


def test_half_a_handshake_and_then_nothing(ringway, certificate, tmp_path):
    """A byte now and then does not keep the connection beyond the deadline."""
    server = ringway(
        {
            "tls": certificate,
            "timeouts": {"handshake": 0.5},
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    for said in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
        began = time.monotonic()
        with socket.create_connection(server.listener(tls=True).address, DEADLINE) as sock:
            sock.sendall(said)
            try:
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
        assert 0.3 < time.monotonic() - began < DEADLINE / 2


def test_tls_on_the_plain_port(server):
    """A client that uses TLS on the plain port gets 400, with a sentence about the likely reason."""
    hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(*hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with server.connect(tls=False) as client:
        client.send(hello[1].read())
        response = client.response()
        assert (response.status, response.reason) == (400, "bad_method")
        assert b"perhaps the client speaks TLS to a plain port" in response.body
        client.finish()
        client.assert_ended()


def test_broken_ciphertext_ends_the_connection(server):
    """A record that fails its check ends this connection, and no other one."""
    with ByHand(server.listener(tls=True).address) as hand:
        hand.handshake(1 << 20)
        hand.tls.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        record = bytearray(hand.outgoing.read())
        record[-1] ^= 1
        hand.sock.sendall(record)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            hand.do(lambda: hand.tls.read(100) or None)
    with server.connect(tls=True) as client:
        assert client.get("/").body == b"x"


def test_renegotiation_is_refused(server):
    port = server.listener(tls=True).port
    with subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
    ) as process:
        # Its input stays open, so it ends because of the alert.
        process.stdin.write(b"R\n")
        process.stdin.flush()
        text = b"".join(process.stdout)
        assert process.wait(DEADLINE) != 0
    assert b"RENEGOTIATING" in text
    assert b"no renegotiation" in text.lower().replace(b"_", b" ")


@VERSION
def test_100_connections_handshake_at_once(server, version):
    made = context(version)
    clients = []
    try:
        for _ in range(100):
            clients.append(server.connect(tls=True, context=made))
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients:
            assert client.response().body == b"x"
    finally:
        for client in clients:
            client.close()

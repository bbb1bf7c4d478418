"""TLS that fails or is missing: fatal alerts reach the client, and plain HTTP gets a response."""

import contextlib
import os
import select
import ssl
import subprocess
import threading
import time

import pytest
from harness.raw import any_certificate, message
from harness.records import HELLO, Peer
from harness.server import Server
from harness.tls import VERSION, Half, of_version
from harness.upstream import Upstream
from harness.waiting import DEADLINE

GET = message("GET /a.txt HTTP/1.1", "Host: files")


@pytest.fixture(scope="module")
def secure(tmp_path_factory, certificate):
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.txt").write_text("a file\n")
    with Upstream() as upstream:
        config = {
            "tls": certificate,
            "timeouts": {"head": 3600},  # a 408 would bring the ticket that a test waits for
            "host_routes": {
                "proxied": {"type": "Proxy", "url": upstream.url},
                "files": {"type": "File", "path": folder},
            },
        }
        with Server(config, tmp_path_factory.mktemp("ringway")) as server:
            yield server, upstream


@pytest.fixture
def shake(secure):
    """Connects clients and completes the handshake."""
    with contextlib.ExitStack() as clients:

        def begin(version):
            client = clients.enter_context(secure[0].connect_raw(tls=True))
            return Half(client.sock, of_version(any_certificate(), version), "localhost")

        yield begin


def sealed(half, data):
    """Returns a record with this data, not sent yet."""
    half.tls.write(data)
    return bytearray(half.outgoing.read())


def broken(half, data=GET):
    record = sealed(half, data)
    record[-1] ^= 1
    return record


def alert(half):
    """Returns the name of the received fatal alert. "": an end without one."""
    while True:
        try:
            if half.tls.read(65536) == b"":
                return ""
        except ssl.SSLWantReadError:
            data = half.sock.recv(65536)
            if not data:
                return ""
            half.incoming.write(data)
        except ssl.SSLError as error:
            assert half.sock.recv(65536) == b""  # with FIN: no reset
            return error.reason.partition("ALERT_")[2]


@VERSION
@pytest.mark.parametrize("before", [b"", GET[:10], GET, GET * 2 + GET[:10]], ids=["nothing", "half", "a", "two"])
def test_a_broken_record(shake, version, before):
    """RFC 8446 5.2, RFC 5246 7.2.2: bad_record_mac."""
    half = shake(version)
    if before:
        half.sendall(before)
    half.sock.sendall(broken(half))
    assert alert(half) == "BAD_RECORD_MAC"


@VERSION
def test_what_follows_a_broken_record_does_not_reset_the_alert(shake, version):
    half = shake(version)
    half.sock.sendall(broken(half) + b"x" * 300_000)
    assert alert(half) == "BAD_RECORD_MAC"
    for _ in range(3):  # a closed socket answers the first one with a reset, and then no alert can be sent
        half.sock.sendall(b"x")


@VERSION
@pytest.mark.parametrize("more", [0, 300_000], ids=["alone", "with more behind it"])
def test_a_broken_record_in_a_tunnel(secure, shake, version, more):
    """The tunnel ends at once on both sides, also if bytes that nobody can decrypt follow the record."""
    server, upstream = secure

    def serve(link, request):
        link.send(message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket"))
        link.or_ended(link.to_end)

    target = upstream.on(serve)
    half = shake(version)
    half.sendall(message(f"GET {target} HTTP/1.1", "Host: proxied", "Connection: upgrade", "Upgrade: websocket"))
    assert half.recv(65536).startswith(b"HTTP/1.1 101 ")
    with contextlib.suppress(ConnectionError):
        half.sock.sendall(broken(half) + b"x" * more)
    assert server.record(target)["reason"] == "client_closed"
    link = upstream.request(target).link
    upstream.journal.until(lambda: link.closed, "end at the upstream")


@VERSION
@pytest.mark.parametrize("first", [b"", b"abc"], ids=["head", "body"])
def test_a_broken_record_while_a_request_is_served(secure, shake, version, first):
    """The upstream sees the end of the request, and the client gets the alert."""
    server, upstream = secure

    def serve(link, request):
        half.sock.sendall(broken(half))
        link.or_ended(link.to_end)

    target = upstream.on(serve)
    half = shake(version)
    half.sendall(message(f"POST {target} HTTP/1.1", "Host: proxied", "Content-Length: 9") + first)
    assert alert(half) == "BAD_RECORD_MAC"
    assert server.record(target)["reason"] == "client_closed"


@VERSION
@pytest.mark.parametrize(
    ("record", "names"),
    [
        (b"\x17\x03\x03\x00\x00", {"BAD_RECORD_MAC", "DECODE_ERROR", "UNEXPECTED_MESSAGE"}),
        (b"\x16\x03\x03\x00\x01x", {"BAD_RECORD_MAC", "UNEXPECTED_MESSAGE"}),
        (b"\x63\x03\x03\x00\x01x", {"BAD_RECORD_MAC", "UNEXPECTED_MESSAGE"}),
        (b"\x17\x03\x03\xff\xff" + b"x" * 0xFFFF, {"RECORD_OVERFLOW"}),
    ],
    ids=["empty", "handshake", "unknown", "too long"],
)
def test_records_that_are_not_expected(shake, version, record, names):
    """RFC 8446 5, 5.1, 5.2."""
    half = shake(version)
    half.sock.sendall(record)
    # INTERNAL_ERROR: from OpenSSL 3.0, for records that are too short for TLS 1.2.
    assert alert(half) in names | {"INTERNAL_ERROR"}


def test_no_renegotiation_is_told_at_once(secure):
    """RFC 5746 4.5: the client may wait for the alert, even if Ringway has half a head."""
    server, _ = secure
    port = server.listener(tls=True).port
    command = [
        "stdbuf",
        "-o0",
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        "-tls1_2",
        "-msg",
        "-crlf",
        "-legacy_renegotiation",
    ]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""

    def until(text):
        nonlocal said
        end = time.monotonic() + DEADLINE
        while text not in said:
            assert select.select([client.stdout], [], [], max(end - time.monotonic(), 0))[0], said[-500:]
            data = os.read(client.stdout.fileno(), 65536)
            assert data, said[-500:]
            said += data
        said = said.partition(text)[2]

    try:
        until(b"Verify return code")
        os.write(client.stdin.fileno(), b"GET / HTTP/1.1\n")
        until(b">>> ")
        os.write(client.stdin.fileno(), b"R\n")
        until(b"no_renegotiation")
    finally:
        client.kill()
        client.communicate()


@pytest.mark.parametrize("before", [b"", GET[:10], GET, GET * 2 + GET[:10]], ids=["nothing", "half", "a", "two"])
def test_no_renegotiation_is_told_while_a_request_is_served(secure, tmp_path, before):
    """More data of the client waits, with or without a complete request. The alert does not wait for it."""
    server, upstream = secure
    asked = threading.Event()

    def serve(link, request):
        assert asked.wait(DEADLINE)
        link.send(message("HTTP/1.1 200 OK", "Content-Length: 0"))

    target = upstream.on(serve)
    with Peer(server.listener(tls=True).address, tmp_path, ssl.TLSVersion.TLSv1_2) as peer:
        peer.handshake()
        try:
            peer.raw(peer.craft_12(23, message(f"GET {target} HTTP/1.1", "Host: proxied") + before))
            upstream.request(target)
            peer.raw(peer.craft_12(22, HELLO))
            assert peer.receive() == b""
            assert peer.ended == "no_renegotiation"
        finally:
            asked.set()


def test_a_ticket_comes_while_half_a_head_waits(secure, tmp_path):
    """RFC 8446 4.6.1: a ticket follows the handshake, and otherwise the first response."""
    server, _ = secure
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        peer.raw(peer.handshake(hold=True) + peer.seal(GET[:10]))
        peer.ticket()


# --------------------------------------------------------------------------------------------- plain HTTP on TLS ports


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "x-own"])
@pytest.mark.parametrize("size", [0, 1], ids=["at once", "an octet at a time"])
def test_plain_http_to_a_tls_port(secure, method, size):
    """400 with a reason, also in the access log, and no request is forwarded."""
    server, upstream = secure
    target = upstream.on(b"HTTP/1.1 200 OK\r\n\r\n")
    data = message(f"{method} {target} HTTP/1.1", "Host: proxied", "Content-Length: 3", body=b"abc")
    with server.connect_raw(tls=True) as client:
        client.send_pieces(data, size or len(data))
        response = client.response()
        assert (response.status, response.reason) == (400, "plain_http")
        assert b"https://" in response.body
        assert not response.keeps
        assert client.to_end() == b""
    record = server.record(target)
    assert (record["status"], record["reason"]) == (400, "plain_http")
    assert target.encode() not in upstream.received


def test_plain_http_about_the_whole_server(secure):
    server, _ = secure
    with server.connect_raw(tls=True) as client:
        client.send(message("OPTIONS * HTTP/1.1", "Host: files"))
        assert client.response().reason == "plain_http"


@pytest.mark.parametrize("data", [b"GET", b"\r\n", b"\x16", b"\x80\x2e\x01"])
def test_half_of_something_on_a_tls_port(secure, data):
    """The client is gone."""
    server, _ = secure
    with server.connect_raw(tls=True) as client:
        client.send(data)
        client.finish()
        assert client.to_end() == b""


def test_what_is_too_large_in_plain(secure):
    server, _ = secure
    with server.connect_raw(tls=True) as client:
        client.send(b"GET /" + b"x" * 300_000)
        assert client.response().status == 414

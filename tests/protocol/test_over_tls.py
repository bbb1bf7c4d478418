"""The same rules over TLS: records and requests do not end together, and close_notify is an end."""

import select
import threading

import pytest
from harness.raw import Reader, any_certificate, chunked, message
from harness.records import Peer
from harness.server import Server
from harness.tls import Half
from harness.upstream import Upstream
from harness.waiting import DEADLINE

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture(scope="module")
def secure(tmp_path_factory, certificate):
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.txt").write_text("a file\n")
    (folder / "large").write_bytes(bytes(range(251)) * 10_000)
    to_folder = {"type": "File", "path": folder}
    with Upstream() as upstream:
        config = {
            "tls": certificate,
            "host_routes": {
                "proxied": {"type": "Proxy", "url": upstream.url},
                "half-closing": {"type": "Proxy", "url": upstream.url, "half_close": True},
                "files": to_folder,
                "memory": {**to_folder, "mode": "memory"},
            },
        }
        with Server(config, tmp_path_factory.mktemp("ringway")) as server:
            yield server, upstream


@pytest.mark.parametrize("size", [0, 1, 100], ids=["one record", "a byte a record", "hundreds"])
@pytest.mark.parametrize("host", ["proxied", "files", "memory"])
def test_pipelined(secure, host, size):
    """9112-9.3.2"""
    server, upstream = secure
    target = upstream.on(HI) if host == "proxied" else "/a.txt"
    data = message(f"GET {target} HTTP/1.1", f"Host: {host}") * 10
    with server.connect(tls=True) as client:
        client.send_pieces(data, size or len(data))
        for _ in range(10):
            assert client.response().body == (b"hi" if host == "proxied" else b"a file\n")


@pytest.mark.parametrize("host", ["files", "memory"])
def test_large_file(secure, host):
    server, _ = secure
    with server.connect(tls=True) as client:
        for _ in range(2):
            assert client.get("/large", host=host).body == bytes(range(251)) * 10_000


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_bodies_both_ways(secure, coding):
    """9112-6: an echo of more than all buffers can hold."""
    server, upstream = secure
    size = 3_000_000
    body = bytes(i * 7 % 251 for i in range(size))

    def serve(link, request):
        link.body(request, 30)
        if coding == "length":
            link.send(message("HTTP/1.1 200 OK", f"Content-Length: {size}", body=request.body))
        else:
            link.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunked(request.body)))

    target = upstream.on(serve)
    with server.connect(tls=True) as client:
        got = []
        reader = threading.Thread(target=lambda: got.append(client.response(seconds=30)))
        field = f"Content-Length: {size}" if coding == "length" else "Transfer-Encoding: chunked"
        client.send(message(f"POST {target} HTTP/1.1", "Host: proxied", field))
        client.send(body if coding == "length" else chunked(*[body[at : at + 50_000] for at in range(0, size, 50_000)]))
        reader.start()
        reader.join(30)
        assert got[0].body == body
        assert client.get("/a.txt", host="files").body == b"a file\n"


@pytest.mark.parametrize("host", ["half-closing", "files"])
@pytest.mark.parametrize("answered", [False, True], ids=["at once", "once answered"])
def test_half_close(secure, host, answered):
    """9112-9.6, 9.8: close_notify ends the client's side. The response still arrives, and then Ringway's
    close_notify."""
    server, upstream = secure
    target = upstream.on(HI) if host == "half-closing" else "/a.txt"
    with server.connect_raw(tls=True) as client:
        client.sock = Half(client.sock, any_certificate(), "localhost")
        client.reader = Reader(client.sock)
        client.send(message(f"GET {target} HTTP/1.1", f"Host: {host}") * 2)
        if answered:
            assert select.select([client.sock], [], [], DEADLINE)[0]
        client.sock.end()
        assert [client.response().status for _ in range(2)] == [200, 200]
        assert client.to_end() == b""


@pytest.mark.parametrize(
    "request_head",
    [
        message("GET /a.txt HTTP/1.1", "Host: files", "Connection: close"),
        message("GET /a.txt HTTP/1.0", "Host: files"),
        message("GET /a.txt HTTP/1.1", "Host : files"),
        message("POST /a.txt HTTP/1.1", "Host: files", "Content-Length: 9"),
    ],
    ids=["close", "1.0", "refused", "not read"],
)
def test_end_in_order(secure, request_head):
    """9112-9.8: with close_notify, so that an attacker cannot have caused the end."""
    server, _ = secure
    with server.connect(tls=True) as client:
        client.send(request_head)
        assert client.response().one("connection") == "close"
        assert client.to_end() == b""


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("coding", [["Content-Length: 10"], ["Transfer-Encoding: chunked"]])
def test_cut_body_is_not_ended_in_order(secure, coding, version):
    """9112-8, 9.8: an incomplete response ends without close_notify."""
    server, upstream = secure

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", *coding, body=b"5\r\nab"))
        link.close()

    target = upstream.on(serve)
    with server.connect(tls=True) as client:
        client.send(message(f"GET {target} {version}", "Host: proxied"))
        client.assert_broken()
    assert server.record(target)["reason"] == "upstream_cut"


def test_until_close(secure):
    """9112-6.3 rule 8, for a 1.0 client: the end is a normal end there."""
    server, upstream = secure

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", body=b"x" * 200_000))
        link.close()

    target = upstream.on(serve)
    with server.connect(tls=True) as client:
        client.send(message(f"GET {target} HTTP/1.0", "Host: proxied"))
        assert client.response().body == b"x" * 200_000


def test_client_that_leaves_with_the_last_octet(secure, tmp_path):
    """The end of the body and close_notify come together: Ringway does not wait for a response."""
    server, upstream = secure

    def serve(link, request):
        link.body(request)
        link.to_end(3600)
        link.close()

    target = upstream.on(serve)
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        peer.handshake()
        peer.raw(peer.seal(message(f"PUT {target} HTTP/1.1", "Host: proxied", "Content-Length: 4", body=b"hi")))
        upstream.request(target)
        peer.raw(peer.seal(b"ho") + peer.goodbye())
        assert server.record(target)["reason"] == "client_closed"

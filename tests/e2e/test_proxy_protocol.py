"""The PROXY protocol from trusted proxies and to upstreams, with curl, nginx and exact bytes."""

import contextlib
import ipaddress
import socket
import ssl
import struct

import pytest
from harness.authority import Authority
from harness.curl import curl
from harness.nginx import Nginx
from harness.raw import any_certificate, message
from harness.upstream import HELLO
from harness.waiting import PATIENCE

GET = message("GET /a.txt HTTP/1.1", "Host: x")
V1 = b"PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def packed(source: str, sport: int, destination: str, dport: int) -> bytes:
    ips = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return ips + struct.pack("!HH", sport, dport)


V2 = v2(0x21, 0x11, packed("203.0.113.9", 56324, "198.51.100.1", 443) + b"\x04\x00\x05noise")
V2_IPV6 = v2(0x21, 0x21, packed("2001:db9::9", 1, "2001:db9::1", 2))
NAMED = [
    (V1, "203.0.113.9"),
    (b"PROXY TCP6 2001:db9::9 2001:db9::1 1 2\r\n", "2001:db9::9"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (V2, "203.0.113.9"),
    (V2_IPV6, "2001:db9::9"),
    (v2(0x20, 0, b""), "127.0.0.1"),
    (v2(0x21, 0x31, b"\0" * 216), "127.0.0.1"),
]


@pytest.fixture
def server(ringway, certificate, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    return ringway(
        {
            "server": {
                "listen": "127.0.0.1:0",
                "plain_listen": "127.0.0.1:0",
                "trusted_proxies": ["127.0.0.1", "10.0.0.0/8"],
                "proxy_protocol": "127.0.0.1:0",
            },
            "tls": certificate,
            "timeouts": {"head": 0.5 * PATIENCE, "handshake": 0.5 * PATIENCE},
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )


# --- from proxies


@pytest.mark.parametrize("tls", [False, True])
def test_curl(server, tls):
    port = server.listener(tls).port
    got = curl(f"{'https' if tls else 'http'}://127.0.0.1:{port}/a.txt", "--haproxy-protocol")
    assert (got.status, got.body) == (200, b"a")
    assert server.record("/a.txt")["client"] == "127.0.0.1"


@pytest.mark.parametrize(("header", "client"), NAMED)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_plain(server, header, client, size):
    with server.connect_raw() as link:
        link.send_pieces(header + GET + GET, size)
        assert [link.response().body for _ in range(2)] == [b"a", b"a"]
        assert link.get("/b").status == 404
    assert server.record("/a.txt")["client"] == client
    assert server.record("/b")["client"] == client


@pytest.mark.parametrize(("header", "client"), NAMED)
@pytest.mark.parametrize("size", [1, 23, 10000])
def test_before_tls(server, header, client, size):
    """The header and the ClientHello in one segment, and split anywhere in either of them."""
    with server.connect_raw(tls=True) as link:
        come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = any_certificate().wrap_bio(come, go, server_hostname="localhost")
        front = header
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            link.send_pieces(front + go.read(), size)
            front = b""
            come.write(link.sock.recv(65536))
        tls.write(GET)
        link.send(go.read())
        answer = b""
        while not answer.endswith(b"\r\n\r\na"):
            come.write(link.sock.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                while True:
                    answer += tls.read()
    record = server.record("/a.txt")
    assert record["client"] == client
    assert record["tls"].startswith("1.3/")


@pytest.mark.parametrize("tls", [False, True])
def test_only_from_trusted_proxies(server, tls):
    # The reset can arrive before connect() has returned.
    with contextlib.suppress(ConnectionResetError), server.connect_raw(tls=tls, source="127.0.0.2") as link:
        link.try_send(V1 + GET)
        link.assert_ended()
    server.wait_line(r"that must begin with the PROXY protocol, from 127\.0\.0\.2 \(it is not in trusted_proxies\)")
    assert not server.records


@pytest.mark.parametrize(
    "start",
    [
        GET,
        b"\x16\x03\x01\x00\x05hello",
        V1.replace(b"TCP4", b"TCP9"),
        V2[:12] + b"\x31" + V2[13:],
        b"PROXY " + b"x" * 101,
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_without_the_header(server, tls, start):
    with server.connect_raw(tls=tls) as link:
        link.try_send(start)
        link.assert_ended()
    server.wait_line(r"PROXY protocol, from 127\.0\.0\.1 \(the header is missing or malformed\)")


@pytest.mark.parametrize("start", [b"", V1[:20], V2[:20]])
@pytest.mark.parametrize("tls", [False, True])
def test_the_header_has_a_deadline(server, tls, start):
    with server.connect_raw(tls=tls) as link:
        link.send(start)
        link.assert_ended()
    server.wait_line(r"PROXY protocol, from 127\.0\.0\.1 \(the header did not arrive in time\)")


@pytest.mark.parametrize("start", [b"", V1[:20], V1])
@pytest.mark.parametrize("tls", [False, True])
def test_an_end_before_or_after_the_header(server, tls, start):
    """Load balancers probe ports in this way. Ringway does not log it."""
    with server.connect_raw(tls=tls) as link:
        link.send(start)
        link.finish()
        link.assert_ended()
    assert not [line for line in server.lines if "PROXY protocol" in line]


def test_who_the_header_names_is_trusted_or_not(ringway, upstream):
    """A proxy at the connection level forwards what clients send: X-Forwarded-For counts only if the address in the
    header is trusted."""
    origin = upstream()
    server = ringway(
        {
            "server": {"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"], "proxy_protocol": "127.0.0.1:0"},
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }
    )
    for named, told, client in (
        ("203.0.113.9", "203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "1.1.1.1, 10.1.1.1", "1.1.1.1"),
    ):
        target = origin.on(HELLO)
        with server.connect_raw() as link:
            link.send(f"PROXY TCP4 {named} 198.51.100.1 1 2\r\n".encode())
            assert link.get(target, "X-Forwarded-For: 1.1.1.1").body == b"hello"
        assert origin.request(target).one("x-forwarded-for") == told
        assert server.record(target)["client"] == client


def test_only_on_the_listeners_that_are_named(ringway, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = ringway(
        {
            "server": {
                "listen": ["127.0.0.1:0", f"127.0.0.1:{port}"],
                "trusted_proxies": "127.0.0.1",
                "proxy_protocol": f"127.0.0.1:{port}",
            },
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    with server.connect() as link:
        assert link.get("/a.txt").body == b"a"
        link.send(V1 + GET)
        assert link.response().status == 400
    with socket.create_connection(server.listeners[1].address) as sock:
        sock.sendall(V1 + GET)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")


# --- to upstreams


def proxied(url, **route):
    return {"host_routes": {"*": {"type": "Proxy", "url": url, **route}}}


def header_of(link) -> bytes:
    """Reads byte by byte, so that what follows stays in the socket."""
    header = b""
    while not header.endswith(b"\n") or header == SIGNATURE[: len(header)]:
        header += link.sock.recv(1)
        if header.startswith(SIGNATURE):
            header += link.sock.recv(4, socket.MSG_WAITALL)
            return header + link.sock.recv(struct.unpack("!H", header[-2:])[0], socket.MSG_WAITALL)
    return header


def test_a_connection_for_each_request(ringway, upstream):
    """The connection names one client, so it is not kept."""
    headers = []

    def serve(link):
        headers.append(header_of(link))
        assert link.request().target == "/"
        link.send(HELLO)
        assert link.to_end() == b""

    server = ringway(proxied(upstream(serve).url, proxy_protocol="v1"))
    own = []
    for _ in range(2):
        with server.connect() as link:
            own += [link.own_address] * 2
            assert [link.get().body for _ in range(2)] == [b"hello", b"hello"]
    port = server.address[1]
    assert headers == [f"PROXY TCP4 127.0.0.1 127.0.0.1 {mine} {port}\r\n".encode() for _, mine in own]


def test_version_2(ringway, upstream):
    def serve(link):
        link.header = header_of(link)
        link.request()
        link.send(HELLO)

    origin = upstream(serve)
    server = ringway(proxied(origin.url, proxy_protocol="v2"))
    with server.connect() as link:
        assert link.get("/", "Content-Length: 100000", method="POST", body=b"x" * 100000).body == b"hello"
        mine = link.own_address[1]
    assert origin.link(0).header == v2(0x21, 0x11, packed("127.0.0.1", mine, "127.0.0.1", server.address[1]))
    assert origin.requests[0].body == b"x" * 100000


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_whom_trusted_proxies_name(ringway, upstream, version):
    headers = []

    def serve(link):
        headers.append(header_of(link))
        link.request()
        link.send(HELLO)

    server = ringway(
        {
            "server": {"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"], "proxy_protocol": "127.0.0.1:0"},
            **proxied(upstream(serve).url, proxy_protocol=version),
        }
    )
    for header in (V1, V2_IPV6, b"PROXY TCP4 10.0.0.1 198.51.100.1 1 443\r\n"):
        with server.connect_raw() as link:
            link.send(header)
            assert link.get("/", "X-Forwarded-For: 203.0.113.77").body == b"hello"
    if version == "v1":
        # Of the last proxy the port is known, but not that of the client.
        wanted = [V1, b"PROXY TCP6 2001:db9::9 2001:db9::1 1 2\r\n", b"PROXY TCP4 203.0.113.77 198.51.100.1 0 443\r\n"]
    else:
        last = packed("203.0.113.77", 0, "198.51.100.1", 443)
        wanted = [v2(0x21, 0x11, packed("203.0.113.9", 56324, "198.51.100.1", 443)), V2_IPV6, v2(0x21, 0x11, last)]
    assert headers == wanted


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_in_front_of_tls(ringway, upstream, tmp_path, version):
    authority = Authority(tmp_path)
    context = authority.serves("localhost")

    def serve(link):
        link.header = header_of(link)
        link.secure(context)
        link.request()
        link.send(HELLO)

    origin = upstream(serve)
    url = f"https://localhost:{origin.port}"
    server = ringway(proxied(url, proxy_protocol=version, ca_path=str(authority.path)))
    for number in range(2):
        with server.connect() as link:
            assert link.get().body == b"hello"
        assert origin.link(number).header[:6] in (b"PROXY ", SIGNATURE[:6])


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("tls", [False, True])
def test_nginx(ringway, tmp_path, certificate, version, tls):
    pair = (certificate["cert_path"], certificate["key_path"]) if tls else None
    (tmp_path / "nginx").mkdir()
    with Nginx(tmp_path / "nginx", pair, proxied=True) as nginx:
        (nginx.files / "a").write_bytes(b"a" * 300000)
        verify = {"verify": False} if tls else {}
        server = ringway({**proxied(nginx.url, proxy_protocol=version, **verify)})
        with server.connect() as link:
            for _ in range(3):
                response = link.get("/length/a")
                assert response.body == b"a" * 300000
                assert response.one("x-ends") == f"127.0.0.1 {link.own_address[1]} 127.0.0.1 {server.address[1]}"
            assert link.get("/up/b", "Content-Length: 100000", method="PUT", body=b"b" * 100000).status == 201
        assert (nginx.uploads / "b").read_bytes() == b"b" * 100000
        server.stop()

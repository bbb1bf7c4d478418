"""TLS to upstreams after the handshake: sessions, connections, proper and improper ends, bodies, tunnels.

The upstreams are Python's ssl, nginx and openssl.
"""

import functools
import itertools
import json
import os
import re
import select
import signal
import ssl
import subprocess
import threading

import pytest
from harness import bulk
from harness.curl import curl
from harness.foreign import environment
from harness.memory import total
from harness.nginx import Nginx
from harness.raw import Reader, message
from harness.server import Server
from harness.tls import VERSION, Half, of_version
from harness.upstream import HELLO, Upstream, answers
from harness.upstream_tls import config, refused, to
from harness.waiting import DEADLINE

# Sessions and connections


@VERSION
def test_sessions_are_resumed(ringway, upstream, authority, version):
    origin = upstream(context=of_version(authority.serves("127.0.0.1"), version))
    server = ringway({"limits": {"upstream_idle": 0}, **config(origin.url, authority)})
    with server.connect() as client:
        for _ in range(5):
            assert client.get().body == b"hello"
    assert [link.resumed for link in origin.links] == [False, True, True, True, True]
    assert total(server, "upstream_handshakes") == 5
    assert total(server, "upstream_resumed") == 4


@VERSION
def test_a_session_that_the_upstream_forgot(ringway, authority, version):
    """Another process at the same address: there is a full handshake, and the request succeeds."""
    with Upstream(context=of_version(authority.serves("127.0.0.1"), version)) as one:
        server = ringway({"limits": {"upstream_idle": 0}, **config(one.url, authority)})
        with server.connect() as client:
            assert client.get().body == b"hello"
    with Upstream(context=of_version(authority.serves("127.0.0.1"), version), port=one.port) as two:
        with server.connect() as client:
            assert client.get().body == b"hello"
            assert client.get().body == b"hello"
        assert [link.resumed for link in two.links] == [False, True]


def test_a_connection_that_is_broken_off_leaves_its_session(ringway, upstream, authority):
    origin = upstream(context=authority.serves("127.0.0.1"))

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", "Content-Length: 10", body=b"half"))
        link.to_end()

    target = origin.on(serve)
    server = ringway({"limits": {"upstream_idle": 0}, **config(origin.url, authority)})
    with server.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: a"))
        assert client.response_head().status == 200
        client.reset()
    assert server.record(target)["reason"] == "client_closed"
    with server.connect() as client:
        assert client.get().body == b"hello"
    assert [link.resumed for link in origin.links] == [False, True]


def test_an_idle_connection_is_ended_in_order(ringway, upstream, authority):
    """RFC 8446 6.1: with close_notify."""
    ends = []

    def serve(link):
        link.request()
        link.send(HELLO)
        link.sock.settimeout(DEADLINE)
        ends.append(link.sock.recv(1))  # an end without close_notify raises

    origin = upstream(serve, context=authority.serves("127.0.0.1"))
    server = ringway({"timeouts": {"upstream_idle": 0.1}, **config(origin.url, authority)})
    with server.connect() as client:
        assert client.get().body == b"hello"
        origin.journal.until(lambda: ends, "end of the idle connection")
    assert ends == [b""]


@pytest.mark.parametrize("end", ["close", "cut", "reset"])
def test_a_kept_connection_that_has_died_is_replaced(ringway, upstream, authority, end):
    def serve(link):
        link.request(seconds=3600)
        link.send(HELLO)
        link.request(seconds=3600)
        if link.number == 0:
            getattr(link, end)()
            return
        link.send(HELLO)
        link.to_end()

    origin = upstream(serve, context=authority.serves("127.0.0.1"))
    server = ringway(config(origin.url, authority))
    with server.connect() as client:
        assert client.get("/1").body == b"hello"
        assert client.get("/2").body == b"hello"
        assert client.get("/3").body == b"hello"
    assert [request.target for request in origin.requests] == ["/1", "/2", "/2", "/3"]
    assert total(server, "retries") == 1


def test_a_fresh_connection_is_not_replaced(ringway, upstream, authority):
    origin = upstream(answers(None), context=authority.serves("127.0.0.1"))
    server = ringway(config(origin.url, authority))
    refused(server, "upstream_closed")
    assert len(origin.links) == 1


class Openssl:
    """`openssl s_server`, which sends what the test writes to its stdin."""

    def __init__(self, pair, *options):
        command = [
            "stdbuf",
            "-oL",
            "openssl",
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-cert",
            pair[0],
            "-key",
            pair[1],
            *options,
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()
        )
        self.said = b""

    def __enter__(self):
        self.port = int(self.until(rb"ACCEPT 127\.0\.0\.1:(\d+)")[1])
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def until(self, pattern):
        """Everything up to that point is used."""
        while not (found := re.search(pattern, self.said)):
            assert select.select([self.process.stdout], [], [], DEADLINE)[0], self.said
            data = self.process.stdout.read1(65536)
            assert data, self.said
            self.said += data
        self.said = self.said[found.end() :]
        return found

    def tell(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()


def test_a_change_of_keys_while_idle_is_no_end(ringway, authority):
    """RFC 8446 4.6.3: the upstream also requests new keys of Ringway. The message contains no data."""
    with Openssl(authority.issue(["127.0.0.1"]), "-tls1_3") as origin:
        server = ringway(config(f"https://127.0.0.1:{origin.port}", authority))
        with server.connect() as client:
            for number in range(3):
                client.send(message(f"GET /{number} HTTP/1.1", "Host: a"))
                origin.until(rb"GET /%d HTTP/1.1\r\n(.+\r\n)+\r\n" % number)
                origin.tell(HELLO)
                assert client.response().body == b"hello"
                origin.tell(b"K\n")
                origin.until(rb"SSL_do_handshake -> 1")
        assert total(server, "connects") == 1
        assert total(server, "idle_dropped") == 0


def test_an_answer_to_nothing_is_not_used(ringway, upstream, authority):
    """RFC 9112 9.2: data before the request. In TLS 1.2 the upstream sends the last flight of the handshake."""
    context = of_version(authority.serves("127.0.0.1"), ssl.TLSVersion.TLSv1_2)

    def serve(link):
        Half(link.sock, context, early=HELLO)
        link.to_end()

    origin = upstream(serve)
    server = ringway(config(f"https://127.0.0.1:{origin.port}", authority))
    refused(server, "upstream_bad_head")


# Ends


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_a_body_that_ends_with_the_connection(ringway, upstream, authority, size, version):
    """RFC 9112 9.8: complete with close_notify, aborted without."""
    body = b"x" * size
    origin = upstream(context=authority.serves("127.0.0.1"))
    server = ringway(config(origin.url, authority))

    def serve(link, request, end):
        link.send(message("HTTP/1.1 200 OK", "Connection: close", body=body))
        getattr(link, end)()

    whole = origin.on(functools.partial(serve, end="close"))
    with server.connect() as client:
        client.send(message(f"GET {whole} {version}", "Host: a"))
        assert client.response().body == body
    for end in ("cut", "finish"):
        broken = origin.on(functools.partial(serve, end=end))
        with server.connect() as client:
            client.send(message(f"GET {broken} {version}", "Host: a"))
            client.assert_broken()
        assert server.record(broken)["reason"] == "upstream_cut"


def test_a_body_that_is_whole_needs_no_end(ringway, upstream, authority):
    """The length determines the end, so an end without close_notify loses nothing."""
    origin = upstream(context=authority.serves("127.0.0.1"))

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", "Content-Length: 100000", body=b"x" * 100_000))
        link.cut()

    target = origin.on(serve)
    server = ringway(config(origin.url, authority))
    with server.connect() as client:
        for _ in range(3):
            assert client.get(target).body == b"x" * 100_000


@pytest.mark.parametrize("size", [400_000, 700_000, 4_000_000])
@pytest.mark.parametrize("end", ["close", "cut"])
def test_the_end_waits_for_a_slow_client(ringway, upstream, authority, end, size):
    """Everything before the end is delivered, even if it is not yet decrypted when the end arrives."""
    origin = upstream(context=authority.serves("127.0.0.1"))

    def serve(link, request):
        # The worker finds as much as the kernel can hold, and the end, at the same time.
        (worker,) = server.worker_pids
        os.kill(worker, signal.SIGSTOP)
        link.send(message("HTTP/1.1 200 OK", f"Content-Length: {size}"))
        sending = threading.Thread(target=bulk.send_body, args=(link.sock, size, False))
        sending.start()
        sending.join(0.2)
        if sending.is_alive():  # the kernel's buffer is full
            os.kill(worker, signal.SIGCONT)
            sending.join()
        getattr(link, end)()
        os.kill(worker, signal.SIGCONT)

    target = origin.on(serve)
    server = ringway(config(origin.url, authority))
    with server.connect(window=4096) as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: a"))
        assert client.response_head().status == 200
        got = bulk.checksum_of([client.exactly(size, 60)])
    assert got == (size, bulk.checksum(size))
    assert server.record(target)["reason"] is None


# Bodies


@pytest.fixture(scope="module")
def bodies(tmp_path_factory, authority, certificate):
    """Ringway before nginx and a Python server, with TLS everywhere."""
    folder = tmp_path_factory.mktemp("nginx-tls")
    with (
        Nginx(folder, authority.issue(["localhost"])) as nginx,
        Upstream(bulk.serve, context=authority.serves("localhost")) as origin,
    ):
        for size in bulk.SIZES.values():
            bulk.write_file(nginx.files / str(size), size)
        settings = {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0", "threads": 1},
            "tls": certificate,
            "limits": {"request_body_bytes": 0},
            "host_routes": {
                "nginx": to(nginx.url, authority, server_name="localhost"),
                "python": to(origin.url, authority, server_name="localhost"),
            },
        }
        with Server(settings, tmp_path_factory.mktemp("ringway")) as server:
            yield server, nginx


def fetch(server, host, path, tls, *options, **more):
    port = server.listener(tls).port
    resolve = ["--resolve", f"{host}:{port}:127.0.0.1"]
    return curl(f"{'https' if tls else 'http'}://{host}:{port}{path}", *resolve, *options, **more)


TLS = pytest.mark.parametrize("tls", [False, True], ids=["from plain", "from tls"])
HOST = pytest.mark.parametrize("host", ["nginx", "python"])
SIZE = pytest.mark.parametrize("size", bulk.SIZES.values(), ids=bulk.SIZES.keys())


@TLS
@pytest.mark.parametrize(
    ("host", "framing"), [*itertools.product(["nginx", "python"], ["length", "chunked"]), ("python", "close")]
)
@SIZE
def test_download(bodies, tls, host, framing, size):
    server, _ = bodies
    got = fetch(server, host, f"/{framing}/{size}", tls, keep=False)
    assert (got.code, got.status, got.size, got.sha256) == (0, 200, size, bulk.checksum(size)), got


@TLS
@HOST
@pytest.mark.parametrize("framing", ["length", "chunked"])
@SIZE
def test_upload(bodies, tls, host, framing, size, tmp_path):
    server, nginx = bodies
    name = f"{framing}-{size}-{tls}"
    path = f"/up/{name}" if host == "nginx" else "/up"
    if framing == "length":
        file = bulk.write_file(tmp_path / "body", size)
        got = fetch(server, host, path, tls, "--upload-file", str(file))
    else:

        def write(stream):
            for piece in bulk.pieces(size):
                stream.write(piece)

        got = fetch(server, host, path, tls, upload=write)
    if host == "nginx":
        assert (got.code, got.status) == (0, 201), got
        assert bulk.checksum_of([(nginx.uploads / name).read_bytes()]) == (size, bulk.checksum(size))
    else:
        assert (got.code, got.status) == (0, 200), got
        assert json.loads(got.body) == {"size": size, "sha256": bulk.checksum(size), "framing": framing}


def test_nginx_keeps_and_resumes(ringway, tmp_path, authority):
    with Nginx(tmp_path, authority.issue(["localhost"])) as nginx:
        bulk.write_file(nginx.files / "1", 1)
        route = config(f"https://localhost:{nginx.port}", authority)
        server = ringway(route)
        with server.connect() as client:
            for _ in range(5):
                assert client.get("/length/1").status == 200
        assert total(server, "connects") == 1
        server = ringway({"limits": {"upstream_idle": 0}, **route})
        with server.connect() as client:
            for _ in range(5):
                assert client.get("/length/1").status == 200
        assert total(server, "upstream_resumed") == 4


# Tunnels

SWITCH = message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket")
ASK = ["Host: a", "Connection: Upgrade", "Upgrade: websocket"]


def tunnel(ringway, upstream, authority, talk):
    """A client that is connected to `talk` through a tunnel."""
    context = authority.serves("127.0.0.1")

    def serve(link):
        link.sock = Half(link.sock, context)
        link.reader = Reader(link.sock)
        link.request()
        link.send(SWITCH)
        talk(link)

    origin = upstream(serve)
    server = ringway(config(f"https://127.0.0.1:{origin.port}", authority))
    client = server.connect()
    client.send(message("GET /tunnel HTTP/1.1", *ASK))
    assert client.response_head().status == 101
    return server, client


def test_tunnel(ringway, upstream, authority):
    """In both directions, many and large messages. The client ends first, and the upstream sends the last message."""
    size = 1_000_000

    def talk(link):
        for _ in range(3):
            link.send(b"ping")
            assert link.exactly(4) == b"pong"
        assert bulk.checksum_of([link.exactly(size)]) == (size, bulk.checksum(size))
        bulk.send_body(link.sock, size, False)
        assert link.to_end() == b""
        link.send(b"the last word")
        link.sock.end()

    server, client = tunnel(ringway, upstream, authority, talk)
    with client:
        for _ in range(3):
            assert client.exactly(4) == b"ping"
            client.send(b"pong")
        bulk.send_body(client.sock, size, False)
        assert bulk.checksum_of([client.exactly(size)]) == (size, bulk.checksum(size))
        client.finish()
        assert client.to_end() == b"the last word"
    assert server.record("/tunnel")["reason"] is None


def test_tunnel_that_the_upstream_ends_first(ringway, upstream, authority):
    heard = []

    def talk(link):
        link.sock.end()
        heard.append(link.to_end())

    server, client = tunnel(ringway, upstream, authority, talk)
    with client:
        assert client.to_end() == b""
        client.send(b"still here")
        client.finish()
        server.record("/tunnel", reason=None)
    assert heard == [b"still here"]


def test_tunnel_that_is_cut(ringway, upstream, authority):
    """Earlier data still arrives. Then the tunnel is aborted, without a proper end."""

    def talk(link):
        link.send(b"x" * 100_000)
        link.finish()
        link.to_end()

    server, client = tunnel(ringway, upstream, authority, talk)
    with client:
        assert client.assert_broken() == b"x" * 100_000
    assert server.record("/tunnel")["reason"] == "upstream_cut"

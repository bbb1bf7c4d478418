"""Every wait has a deadline. The tests check how it ends and which reason is logged, not how long it took. Each tested
deadline is a fraction of a second, and all others are much longer than a test."""

import contextlib
import socket

import pytest
from harness.raw import message
from harness.upstream import answers
from harness.waiting import DEADLINE

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SHORT = 0.3
LARGE = 40_000_000
"""More than the kernel accepts from a sender whose receiver has stopped."""


@pytest.fixture
def patient(ringway, upstream, tmp_path):
    """Starts Ringway with these timeouts. Host `files` is a folder, all others go to the upstream. Returns both."""

    def start(serve=None, limits=(), tls=None, **timeouts):
        up = upstream(serve)
        config = {
            "limits": {"request_body_bytes": 0, **dict(limits)},
            "timeouts": timeouts,
            "host_routes": {
                "*": {"type": "Proxy", "url": up.url},
                "files": {"type": "File", "path": tmp_path},
                "memory": {"type": "File", "path": tmp_path, "mode": "memory"},
            },
        }
        return ringway({**config, "tls": tls} if tls else config), up

    return start


def hold(link):
    """Reads everything, sends nothing."""
    link.to_end(3600)


# --- the client's side


@pytest.mark.parametrize("host", ["x", "files"])
def test_head_at_a_byte_a_time(patient, host):
    """9110-15.5.9: the deadline of the whole head starts at its first byte, however steadily the head arrives."""
    server, up = patient(head=SHORT)
    with server.connect() as client:
        client.drip(message("GET /mark HTTP/1.1", f"Host: {host}", "X: " + "y" * 8000), DEADLINE)
        response = client.response()
        assert (response.status, response.reason) == (408, "client_head_timeout")
        assert response.one("connection") == "close"
        client.assert_ended()
    assert server.record(reason="client_head_timeout")["status"] == 408
    assert not up.links


@pytest.mark.parametrize("part", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r", b"\r\n"])
def test_head_that_stops(patient, part):
    server, _ = patient(head=SHORT)
    with server.connect() as client:
        client.send(part)
        response = client.response()
        assert (response.status, response.reason) == (408, "client_head_timeout")
        client.assert_ended()


def test_nothing_at_all(patient):
    """A client that sends nothing gets no response."""
    server, _ = patient(head=SHORT)
    with server.connect() as client:
        client.assert_ended()


def test_second_head_at_a_byte_a_time(patient):
    """The same on a persistent connection."""
    server, _ = patient(answers(HI), head=SHORT)
    with server.connect() as client:
        assert client.get().body == b"hi"
        client.drip(message("GET /mark HTTP/1.1", "Host: x", "X: " + "y" * 8000), DEADLINE)
        assert client.response().status == 408
        client.assert_ended()


@pytest.mark.parametrize("host", ["x", "files"])
def test_idle_between_requests(patient, host, tmp_path):
    """9112-9.3: closed without a response."""
    (tmp_path / "index.html").write_text("hi")
    server, _ = patient(answers(HI), keepalive=SHORT)
    with server.connect() as client:
        assert client.get(host=host).body == b"hi"
        client.assert_ended()


@pytest.mark.parametrize("coding", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("begun", [b"", b"3e8\r\n" + b"x" * 500], ids=["nothing", "some"])
def test_body_that_stops(patient, coding, begun):
    """9110-15.5.9; the upstream does not see a normal end."""
    server, up = patient(hold, body=SHORT)
    with server.connect() as client:
        client.send(message("POST /x HTTP/1.1", "Host: x", coding) + begun)
        response = client.response()
        assert (response.status, response.reason) == (408, "client_body_timeout")
        assert response.one("connection") == "close"
        client.assert_ended()
    up.journal.until(lambda: up.links[0].closed, "end of the connection to the upstream")
    assert server.record("/x")["reason"] == "client_body_timeout"


def test_body_at_a_byte_a_time(patient):
    """Fewer than `progress_bytes` in the whole time do not count as progress."""
    server, _ = patient(hold, body=SHORT)
    with server.connect() as client:
        client.send(message("POST /x HTTP/1.1", "Host: x", "Content-Length: 100000"))
        client.drip(b"x" * 100_000, DEADLINE)
        assert client.response().reason == "client_body_timeout"
        client.assert_ended()


def test_body_that_goes_on_is_borne_with(patient):
    """Progress extends the deadline, so a body can take longer than it in total."""

    def serve(link):
        link.request(60)
        link.send(HI)

    server, _ = patient(serve, body=1)
    with server.connect() as client:
        client.send(message("POST /x HTTP/1.1", "Host: x", "Content-Length: 30000"))
        client.sock.settimeout(0.15)
        for _ in range(10):
            client.sock.sendall(b"x" * 3000)
            with contextlib.suppress(TimeoutError):
                assert client.sock.recv(1, socket.MSG_PEEK) == b"H"
            client.sock.settimeout(0.15)
        assert client.response().body == b"hi"


@pytest.mark.parametrize("coding", ["length", "chunked", "until close"])
def test_reader_that_stops(patient, coding):
    """A client that stops reading is disconnected, and so is its upstream."""

    def serve(link):
        link.head()
        field = {"length": [f"Content-Length: {LARGE}"], "chunked": ["Transfer-Encoding: chunked"], "until close": []}
        link.send(message("HTTP/1.1 200 OK", *field[coding]) + (b"%x\r\n" % LARGE if coding == "chunked" else b""))
        for _ in range(LARGE // 100_000):
            link.send(b"x" * 100_000)

    server, up = patient(serve, write=SHORT)
    with server.connect(window=4096) as client:
        client.send(message("GET /x HTTP/1.1", "Host: x"))
        assert client.response_head().status == 200
        assert server.record("/x")["reason"] == "client_write_timeout"
        client.assert_broken()
    up.journal.until(lambda: up.links[0].closed, "end of the connection to the upstream")


@pytest.mark.parametrize("host", ["files", "memory"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_reader_of_a_file_that_stops(patient, certificate, tmp_path, host, tls):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LARGE)
    limits = {"memory_file_bytes": LARGE, "memory_bytes": 2 * LARGE}
    server, _ = patient(write=SHORT, limits=limits, tls=certificate if tls else None)
    with server.connect(window=4096, tls=tls) as client:
        client.send(message("GET /large HTTP/1.1", f"Host: {host}"))
        assert client.response_head().status == 200
        assert server.record("/large")["reason"] == "client_write_timeout"


def test_handshake_that_never_begins(patient, certificate):
    server, _ = patient(tls=certificate, handshake=SHORT)
    with server.connect_raw(tls=True) as client:
        client.assert_ended()


def test_handshake_at_a_byte_a_time(patient, certificate):
    server, _ = patient(tls=certificate, handshake=SHORT)
    with server.connect_raw(tls=True) as client:
        client.drip(b"\x16\x03\x01\x10\x00\x01\x00\x0f\xfc\x03\x03" + b"x" * 4000, DEADLINE)
        client.assert_ended()


def test_head_after_the_handshake(patient, certificate):
    """The handshake's deadline ends with the handshake. The head has its own."""
    server, _ = patient(tls=certificate, head=SHORT)
    with server.connect(tls=True) as client:
        client.send(b"GET / HTTP/1.1\r\n")
        response = client.response()
        assert (response.status, response.reason) == (408, "client_head_timeout")
        client.assert_ended()


# --- the upstream's side


@pytest.fixture
def deaf():
    """A port that neither accepts nor refuses connections: its backlog is full."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = opened.enter_context(socket.socket())
            filler.settimeout(0.2)
            try:
                filler.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            raise AssertionError("the backlog does not fill")
        yield listener.getsockname()[1]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_connect(ringway, deaf, method):
    server = ringway(
        {
            "timeouts": {"connect": SHORT},
            "host_routes": {"*": {"type": "Proxy", "url": f"http://127.0.0.1:{deaf}"}},
        }
    )
    with server.connect() as client:
        for _ in range(2):
            response = client.get("/x", "Content-Length: 3", method=method, body=b"abc")
            assert (response.status, response.reason) == (504, "upstream_connect_timeout")
            assert response.keeps
    assert server.record("/x")["reason"] == "upstream_connect_timeout"


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX: y\r\n", b"HTTP/1.1 103 x\r\n\r\n"])
def test_first_byte(patient, begun):
    """From the end of the request to a final head."""

    def serve(link):
        link.request()
        if begun:
            link.send(begun)
        link.to_end(3600)

    server, up = patient(serve, first_byte=SHORT)
    with server.connect() as client:
        response = client.get("/x", "Content-Length: 3", method="POST", body=b"abc")
        if response.status == 103:
            response = client.response()
        assert (response.status, response.reason) == (504, "upstream_first_byte_timeout")
        assert response.keeps
    up.journal.until(lambda: up.links[0].closed, "end of the connection to the upstream")
    assert server.record("/x")["reason"] == "upstream_first_byte_timeout"


def test_first_byte_counts_from_the_end_of_the_request(patient):
    """A request body that takes longer than `first_byte` is not the upstream's fault."""

    def serve(link):
        link.request(60)
        link.send(HI)

    server, _ = patient(serve, first_byte=SHORT)
    with server.connect() as client:
        client.send(message("POST /x HTTP/1.1", "Host: x", "Content-Length: 2000") + b"x" * 1000)
        client.sock.settimeout(2 * SHORT)
        with contextlib.suppress(TimeoutError):
            assert client.sock.recv(1, socket.MSG_PEEK) == b"nothing yet"
        client.send(b"x" * 1000)
        assert client.response().body == b"hi"


def test_first_byte_while_the_client_waits_for_100(patient):
    """RFC 9110 10.1.1: a client that waits for 100 is not late; the upstream is."""
    server, _ = patient(lambda link: link.to_end(3600), first_byte=SHORT, body=60)
    with server.connect() as client:
        client.send(message("POST /x HTTP/1.1", "Host: x", "Expect: 100-continue", "Content-Length: 3"))
        response = client.response()
        assert (response.status, response.reason) == (504, "upstream_first_byte_timeout")
    assert server.record("/x")["reason"] == "upstream_first_byte_timeout"


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("coding", [["Content-Length: 10"], ["Transfer-Encoding: chunked"], []])
def test_response_that_stops(patient, coding, version):
    """9112-8: aborted, and not complete in any framing."""

    def serve(link):
        link.request()
        link.send(message("HTTP/1.1 200 OK", *coding, body=b"5\r\nab" if "chunked" in str(coding) else b"ab"))
        link.to_end(3600)

    server, up = patient(serve, upstream=SHORT)
    with server.connect() as client:
        client.send(message(f"GET /x {version}", "Host: x"))
        assert client.response_head().status == 200
        client.assert_broken()
    up.journal.until(lambda: up.links[0].closed, "end of the connection to the upstream")
    assert server.record("/x")["reason"] == "upstream_progress_timeout"


def test_response_that_trickles_is_borne_with(patient):
    """Bytes of the upstream are progress, as with slow server-sent events."""

    def serve(link):
        link.request()
        link.send(message("HTTP/1.1 200 OK", "Content-Length: 8"))
        for _ in range(8):
            link.sock.settimeout(0.15)
            with contextlib.suppress(TimeoutError):
                link.sock.recv(1, socket.MSG_PEEK)
            link.send(b"x")

    server, _ = patient(serve, upstream=0.8)
    with server.connect() as client:
        assert client.get().body == b"x" * 8


def test_upstream_that_takes_nothing(patient):
    """It accepts, and never reads the body."""
    stop = []

    def serve(link):
        link.upstream.journal.until(lambda: stop, "end of the test", 60)

    server, up = patient(serve, upstream=SHORT)
    with server.connect() as client:
        client.send(message("POST /x HTTP/1.1", "Host: x", f"Content-Length: {LARGE}"))
        client.pour(b"x" * LARGE)
        response = client.response()
        assert (response.status, response.reason) == (504, "upstream_progress_timeout")
        client.try_send(b"x" * 100_000)
        client.assert_ended()
    with up.journal:
        stop.append(True)
        up.journal.notify_all()


def test_idle_connection_to_an_upstream(patient):
    server, up = patient(answers(HI, HI), upstream_idle=SHORT)
    with server.connect() as client:
        assert client.get().body == b"hi"
        up.journal.until(lambda: up.links[0].closed, "end of the idle connection")
        assert client.get(method="POST").body == b"hi"
    assert len(up.links) == 2


def test_idle_tunnel(patient):
    def serve(link):
        link.request()
        link.send(message("HTTP/1.1 101 x", "Connection: upgrade", "Upgrade: websocket"))
        link.to_end(3600)

    server, up = patient(serve, tunnel=SHORT)
    with server.connect() as client:
        client.send(message("GET /x HTTP/1.1", "Host: x", "Connection: upgrade", "Upgrade: websocket"))
        assert client.response_head().status == 101
        assert server.record("/x")["reason"] == "tunnel_idle"
        client.assert_broken()
    up.journal.until(lambda: up.links[0].closed, "end of the tunnel at the upstream")


# --- the end of the server


def test_drain_finishes_what_runs(patient):
    """SIGTERM: no new connections, idle ones are closed, and running requests finish with a last response."""
    journal = []

    def serve(link):
        link.request()
        link.upstream.journal.until(lambda: journal, "drain to have begun")
        link.send(HI)
        link.to_end(3600)

    server, up = patient(serve, drain=20)
    with server.connect() as busy, server.connect() as idle:
        busy.send(message("GET /x HTTP/1.1", "Host: x"))
        up.link(0)
        assert idle.get("/missing", host="files").status == 404
        server.tell_to_end()
        idle.assert_ended()
        with up.journal:
            journal.append("drained")
            up.journal.notify_all()
        response = busy.response()
        assert (response.body, response.one("connection")) == (b"hi", "close")
        busy.assert_ended()
        server.stop()


def test_drain_has_a_deadline(patient):
    server, up = patient(hold, drain=SHORT)
    with server.connect() as client:
        client.send(message("GET /x HTTP/1.1", "Host: x"))
        up.link(0)
        server.stop()

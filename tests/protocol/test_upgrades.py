"""Upgrade (WebSocket): a tunnel after the upstream's 101, and not before. RFC 9110 7.8"""

import threading

import pytest
from harness.memory import total, wait_for_total
from harness.raw import chunked, message
from harness.standing import arrived
from harness.waiting import DEADLINE

ASK = ["Host: proxied", "Connection: Upgrade, x-one", "Upgrade: websocket", "Sec-WebSocket-Key: abc", "X-One: 1"]
SWITCH = message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket", "Sec-X: y")


def tunnel(site, client, talk, switch=SWITCH, early=b""):
    """Requests a tunnel in which the upstream behaves like this. Returns its target after 101."""

    def serve(link, request):
        link.send(switch)
        talk(link, request)
        link.close()

    target = site.upstream.on(serve)
    client.send(message(f"GET {target} HTTP/1.1", *ASK) + early)
    response = client.response_head()
    assert response.status == 101
    return target, response


def test_what_is_asked_and_answered(site):
    with site.connect() as client:
        target, response = tunnel(site, client, lambda link, request: None)
        client.assert_ended()
    request = site.upstream.request(target)
    assert request.one("connection").lower() == "upgrade"
    assert request.one("upgrade") == "websocket"
    assert request.one("sec-websocket-key") == "abc"
    assert "x-one" not in request
    assert response.one("connection").lower() == "upgrade"
    assert response.one("upgrade") == "websocket"
    assert response.one("sec-x") == "y"
    assert "content-length" not in response
    assert "transfer-encoding" not in response
    assert site.server.record(target)["status"] == 101


def test_both_ways(site):
    """Bytes that look like HTTP are only bytes."""

    def talk(link, request):
        for _ in range(3):
            link.send(b"HTTP/1.1 200 OK\r\n\r\n")
            assert link.exactly(18) == b"GET / HTTP/9.9\r\n\r\n"
        assert link.to_end() == b""

    with site.connect() as client:
        tunnel(site, client, talk)
        for _ in range(3):
            assert client.exactly(19) == b"HTTP/1.1 200 OK\r\n\r\n"
            client.send_pieces(b"GET / HTTP/9.9\r\n\r\n", 5)
        client.finish()
        client.assert_ended()


def test_early_data_of_both(site):
    """Data right after the head, or after 101, belongs to the tunnel. The client's data waits for 101."""
    before = []

    def serve(link, request):
        before.append(link.reader.rest)
        link.send(SWITCH + b"early too")
        assert link.exactly(5) == b"early"
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", *ASK) + b"early")
        site.upstream.request(target)
        assert client.response_head().status == 101
        assert client.exactly(9) == b"early too"
        client.assert_ended()
    assert before == [b""]


@pytest.mark.parametrize("first", ["client", "upstream"])
def test_half_close(site, first):
    """The end of one direction is forwarded, and the other direction continues."""

    def talk(link, request):
        if first == "client":
            assert link.to_end() == b"last words"
            for _ in range(3):
                link.send(b"still here")
        else:
            link.send(b"last words")
            link.finish()
            assert link.to_end() == b"still here" * 3

    with site.connect() as client:
        tunnel(site, client, talk)
        if first == "client":
            client.send(b"last words")
            client.finish()
            assert client.to_end() == b"still here" * 3
        else:
            assert client.to_end() == b"last words"
            for _ in range(3):
                client.send(b"still here")
            client.finish()


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_reset(site, who):
    """If one side aborts, the tunnel is aborted on both sides."""

    def talk(link, request):
        assert link.exactly(2) == b"hi"
        if who == "upstream":
            link.reset()
        else:
            link.send(b"hi")
            link.to_end()

    with site.connect() as client:
        target, _ = tunnel(site, client, talk)
        client.send(b"hi")
        if who == "upstream":
            client.assert_broken()
        else:
            assert client.exactly(2) == b"hi"
            client.reset()
    link = site.upstream.request(target).link
    site.upstream.journal.until(lambda: link.closed, "end at the upstream")
    assert site.server.record(target)["reason"] == ("upstream_cut" if who == "upstream" else "client_closed")


def test_what_was_said_before_a_reset(site):
    """A client that reads slowly gets all of it, and then the reset."""
    size = 100_000
    broken = threading.Event()

    def talk(link, request):
        link.send(b"x" * size)
        arrived(link.sock)
        link.reset()
        broken.set()

    timeouts = total(site.server, "timeouts")
    with site.server.connect(window=4096) as client:
        target, _ = tunnel(site, client, talk)
        assert broken.wait(DEADLINE)
        client.send(b"what nobody reads any more")
        assert client.assert_broken() == b"x" * size
    assert site.server.record(target)["reason"] == "upstream_cut"
    assert total(site.server, "timeouts") == timeouts


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("says", [b"", b"x" * 50_000], ids=["silent upstream", "upstream that says something"])
def test_what_a_client_said_before_its_reset(ringway, upstream, certificate, tmp_path, tls, says):
    """All of it reaches an upstream that reads late, and then the reset."""
    size = 100_000
    go = threading.Event()
    got = []

    def serve(link):
        link.request()
        link.send(SWITCH + says)
        assert go.wait(DEADLINE)
        try:
            while True:
                got.append(link.sock.recv(4096))
                if not got[-1]:
                    break
        except ConnectionResetError:
            got.append(None)
        link.close()

    up = upstream(serve)
    (tmp_path / "file").write_text("a file")
    routes = {"*": {"type": "Proxy", "url": up.url}, "files": {"type": "File", "path": tmp_path}}
    server = ringway({"host_routes": routes, **({"tls": certificate} if tls else {})})
    timeouts = total(server, "timeouts")
    with server.connect(tls=tls) as client:
        client.send(message("GET / HTTP/1.1", *ASK))
        assert client.response_head().status == 101
        client.send(b"y" * size)
        arrived(client.sock)
        client.reset()
    # Whoever is answered now is answered by a worker that has seen the reset.
    with server.connect(tls=tls) as other:
        assert other.get("/file", host="files").status == 200
    go.set()
    assert server.record("/")["reason"] == "client_closed"
    assert got[-1] is None
    assert b"".join(got[:-1]) == b"y" * size
    assert total(server, "timeouts") == timeouts


def test_what_a_client_said_before_its_reset_and_nobody_has_decrypted(ringway, upstream, certificate, tmp_path):
    """The client sends much before the 101, and the upstream, on a Unix socket with little room, reads late."""
    size = 800_000
    switch, read = threading.Event(), threading.Event()
    got = []

    def serve(link):
        link.request()
        assert switch.wait(DEADLINE)
        link.send(SWITCH)
        assert read.wait(2 * DEADLINE)
        got.append(link.to_end(2 * DEADLINE))
        link.close()

    up = upstream(serve, path=str(tmp_path / "u.sock"))
    (tmp_path / "file").write_text("a file")
    routes = {"*": {"type": "Proxy", "url": up.url}, "files": {"type": "File", "path": tmp_path}}
    server = ringway({"host_routes": routes, "tls": certificate, "limits": {"pipeline_bytes": 1 << 20}})
    with server.connect(tls=True) as client:
        client.send(message("GET / HTTP/1.1", *ASK) + b"y" * size)
        wait_for_total(server, "client_bytes_in", lambda count: count > size)
        switch.set()
        assert client.response_head().status == 101
        client.reset()
    # Whoever is answered now is answered by a worker that has seen the reset.
    with server.connect(tls=True) as other:
        assert other.get("/file", host="files").status == 200
    read.set()
    assert server.record("/")["reason"] == "client_closed"
    assert (len(got[0]), set(got[0])) == (size, set(b"y"))


def test_a_client_that_does_not_read_what_was_said_before_a_reset(ringway, upstream):
    """`[timeouts] write` ends the wait for it, not the much longer `tunnel`."""
    broken = threading.Event()

    def serve(link):
        link.request()
        link.send(SWITCH + b"x" * 100_000)
        arrived(link.sock)
        link.reset()
        broken.set()

    up = upstream(serve)
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": up.url}}, "timeouts": {"write": 0.5}})
    with server.connect(window=4096) as client:
        client.send(message("GET / HTTP/1.1", *ASK))
        assert client.response_head().status == 101
        assert broken.wait(DEADLINE)
        assert server.record("/")["reason"] == "upstream_cut"


def test_much_both_ways(site):
    """More than all buffers can hold, in both directions at once: nothing is lost or mixed."""
    size = 3_000_000
    pattern = bytes(range(251)) * (size // 251 + 1)

    def talk(link, request):
        def write():
            link.send(pattern[:size])
            link.finish()

        writer = threading.Thread(target=write)
        writer.start()
        assert link.to_end(30) == pattern[1 : size + 1]
        writer.join(30)

    with site.connect() as client:
        tunnel(site, client, talk)
        got = []
        reader = threading.Thread(target=lambda: got.append(client.to_end(30)))
        reader.start()
        client.sock.sendall(pattern[1 : size + 1])
        client.finish()
        reader.join(30)
    assert got == [pattern[:size]]


def test_over_tls(ringway, upstream, certificate):
    """close_notify is the end of one direction there."""

    def serve(link):
        link.request()
        link.send(SWITCH + b"a")
        assert link.exactly(1000) == b"b" * 1000
        link.send(b"c" * 100_000)

    up = upstream(serve)
    server = ringway({"tls": certificate, "host_routes": {"*": {"type": "Proxy", "url": up.url}}})
    with server.connect(tls=True) as client:
        client.send(message("GET / HTTP/1.1", *ASK) + b"b" * 500)
        assert client.response_head().status == 101
        assert client.exactly(1) == b"a"
        client.send(b"b" * 500)
        assert client.exactly(100_000) == b"c" * 100_000
        assert client.to_end() == b""


@pytest.mark.parametrize("status", [200, 400, 426])
def test_refused_by_the_upstream(site, status):
    """Any other status is a normal response. The connection persists, and data after the request is the next
    request."""
    target = site.upstream.on(message(f"HTTP/1.1 {status} x", "Content-Length: 2", body=b"no"))
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", *ASK) + message("GET /a.txt HTTP/1.1", "Host: files"))
        response = client.response()
        assert (response.status, response.body) == (status, b"no")
        assert "upgrade" not in response
        assert client.response().body == b"a file\n"


def test_rfc9110_15_5_22_a_426_says_to_what(site):
    fields = ["Upgrade: foo/2", "Connection: upgrade", "Upgrade: bar", "Content-Length: 2"]
    target = site.upstream.on(message("HTTP/1.1 426 x", *fields, body=b"no"))
    with site.connect() as client:
        response = client.get(target, host="proxied")
        assert (response.status, response.body) == (426, b"no")
        assert response.one("upgrade") == "foo/2, bar"
        assert response.one("connection").lower() == "upgrade"
        assert client.get("/a.txt", host="files").status == 200


H2C = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]


@pytest.mark.parametrize(
    "fields",
    [
        H2C,
        ["Connection: Upgrade", "Upgrade: H2C", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"],
        ["Connection: upgrade, keep-alive", "Upgrade: HTTP/2.0, h2c", "HTTP2_Settings: AAMAAABkAAQCAAAAAAIAAAAA"],
        ["Connection: upgrade", "Upgrade: TLS/1.2"],
        ["Connection: upgrade", "Upgrade: websocketx", "Upgrade: xwebsocket, web socket, websocket/13"],
        ["Connection: upgrade", "Upgrade: ,"],
    ],
)
def test_what_is_not_allowed_is_not_asked_for(site, fields):
    """A tunnel of HTTP/2 would bypass routes, client certificates and identity fields. Ringway treats such a request
    like any other, and a 101 in response is an error."""
    for answer, status in ((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200), (SWITCH, 502)):
        target = site.upstream.on(answer)
        with site.connect() as client:
            client.send(message(f"GET {target} HTTP/1.1", "Host: proxied", *fields))
            assert client.response().status == status
            assert client.get("/a.txt", host="files").status == 200
        request = site.upstream.request(target)
        for name in ("connection", "upgrade", "http2-settings", "http2_settings"):
            assert name not in request


def test_of_several_the_allowed_one_is_asked_for(site):
    target = site.upstream.on(lambda link, request: (link.send(SWITCH), link.close()))
    with site.connect() as client:
        settings = "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"
        fields = ["Connection: Upgrade", "Upgrade: h2c, WebSocket", "Upgrade: x", settings]
        client.send(message(f"GET {target} HTTP/1.1", "Host: proxied", *fields))
        assert client.response_head().status == 101
        client.assert_ended()
    request = site.upstream.request(target)
    assert request.one("upgrade") == "WebSocket"
    assert request.one("connection") == "Upgrade"
    assert "http2-settings" not in request


@pytest.mark.parametrize("upgrade", ["h2c", "websocket, h2c", "foo", ""])
def test_a_101_only_for_what_was_asked(ringway, upstream, upgrade):
    """RFC 9110 7.8: `foo` is allowed as well, but this request did not request it."""
    up = upstream()
    switch = message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", f"Upgrade: {upgrade}")
    target = up.on(switch + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    route = {"type": "Proxy", "url": up.url, "upgrade": ["websocket", "Foo"]}
    with ringway({"host_routes": {"*": route}}).connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", *ASK))
        response = client.response()
        assert (response.status, response.reason) == (502, "upstream_bad_head")


@pytest.mark.parametrize(("allowed", "status"), [(["foo", "Bar/2"], 101), ("bar/2", 101), ([], 502), ("bar", 502)])
def test_a_route_says_what_may_be_upgraded_to(ringway, upstream, allowed, status):
    up = upstream()
    switch = message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: bar/2")
    target = up.on(lambda link, request: (link.send(switch), link.close()))
    with ringway({"host_routes": {"*": {"type": "Proxy", "url": up.url, "upgrade": allowed}}}).connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: x", "Connection: upgrade", "Upgrade: BAR/2"))
        assert client.response_head().status == status


def test_interim_before_101(site):
    """15.2: other interim responses can come first."""
    with site.connect() as client:

        def serve(link, request):
            link.send(message("HTTP/1.1 103 x") + SWITCH + b"in")
            link.close()

        target = site.upstream.on(serve)
        client.send(message(f"GET {target} HTTP/1.1", *ASK))
        assert client.response().status == 103
        assert client.response_head().status == 101
        assert client.to_end() == b"in"


@pytest.mark.parametrize(
    "fields",
    [["Host: proxied"], ["Host: proxied", "Upgrade: websocket"], ["Host: proxied", "Connection: upgrade"]],
    ids=["nothing", "without Connection", "without Upgrade"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_101_that_was_not_asked_for(site, fields, method):
    """15.2.2: never forwarded, and nothing after it is trusted."""
    target = site.upstream.on(SWITCH + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    with site.connect() as client:
        client.send(message(f"{method} {target} HTTP/1.1", *fields))
        response = client.response()
        assert (response.status, response.reason) == (502, "upstream_bad_head")
        assert client.get("/a.txt", host="files").status == 200
    assert "upgrade" not in site.upstream.request(target)


def test_101_without_upgrade(site):
    """7.8: 101 must name the protocol."""
    target = site.upstream.on(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", *ASK))
        assert client.response().status == 502


def test_http_1_0_cannot_ask(site):
    """7.8: ignored in 1.0."""
    target = site.upstream.on(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.0", *ASK))
        assert client.response().status == 200
    assert "upgrade" not in site.upstream.request(target)
    assert "connection" not in site.upstream.request(target)


def test_of_files(site):
    """7.8: a server may ignore it."""
    with site.connect() as client:
        assert client.get("/a.txt", "Connection: upgrade", "Upgrade: h2c", host="files").status == 200
        assert client.get("/a.txt", host="files").status == 200


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_an_upgrade_with_a_body_is_ignored(site, coding):
    """7.8: clients that offer h2c with every request get a response in HTTP/1.1."""
    target = site.upstream.on(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    fields, body = (["Content-Length: 2"], b"ab")
    if coding == "chunked":
        fields, body = ["Transfer-Encoding: chunked"], chunked(b"ab")
    with site.connect() as client:
        client.send(message(f"POST {target} HTTP/1.1", *ASK, *fields, body=body))
        assert client.response().body == b"hi"
        assert client.get(target, host="proxied").body == b"hi"
    request = site.upstream.request(target)
    assert request.body == b"ab"
    assert "upgrade" not in request
    assert "connection" not in request or "upgrade" not in request.one("connection").lower()

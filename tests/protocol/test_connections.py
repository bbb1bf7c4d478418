"""Connections of clients: persistent, closed, pipelined, half-closed; HEAD."""

import contextlib
import threading

import pytest
from harness.memory import Rest
from harness.raw import chunked, message
from harness.upstream import Ended
from harness.waiting import DEADLINE

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
ROUTES = ["proxied", "files", "memory"]


def target_for(site, host: str, answer: bytes = HI) -> tuple[str, bytes]:
    """A target on this host, and the body of its response."""
    if host in ("proxied", "half-closing"):
        return site.upstream.on(answer), b"hi"
    return "/a.txt", b"a file\n"


@pytest.mark.parametrize("host", ROUTES)
def test_kept_by_default(site, host):
    """9112-9.3"""
    target, body = target_for(site, host)
    with site.connect() as client:
        for _ in range(5):
            response = client.get(target, host=host)
            assert (response.status, response.body) == (200, body)
            assert "connection" not in response


@pytest.mark.parametrize("host", ROUTES)
@pytest.mark.parametrize("option", ["close", "Close", "x, close", "keep-alive, close"])
def test_close_asked_for(site, host, option):
    """9112-9.6: the response has close, and requests after it are not served."""
    target, body = target_for(site, host)
    with site.connect() as client:
        request = message(f"GET {target} HTTP/1.1", f"Host: {host}", f"Connection: {option}")
        client.send(request + message(f"GET {target}?behind HTTP/1.1", f"Host: {host}"))
        response = client.response()
        assert response.body == body
        assert response.one("connection") == "close"
        client.assert_ended()
    site.assert_not_forwarded("?behind")


@pytest.mark.parametrize("host", ROUTES)
def test_http_1_0_closes(site, host):
    """9112-9.3: 1.0 without keep-alive."""
    target, body = target_for(site, host)
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.0", f"Host: {host}"))
        response = client.response()
        assert response.body == body
        assert response.one("connection") == "close"
        client.assert_ended()


@pytest.mark.parametrize("host", ROUTES)
def test_http_1_0_keep_alive(site, host):
    """9112-9.3: a 1.0 client with keep-alive gets keep-alive."""
    target, body = target_for(site, host)
    with site.connect() as client:
        for _ in range(3):
            client.send(message(f"GET {target} HTTP/1.0", f"Host: {host}", "Connection: Keep-Alive"))
            response = client.response()
            assert response.body == body
            assert response.one("connection") == "keep-alive"
        client.send(message(f"GET {target} HTTP/1.0", f"Host: {host}"))
        assert client.response().one("connection") == "close"
        client.assert_ended()


@pytest.mark.parametrize("minor", [1, 9])
def test_later_minor_versions(site, minor):
    """9110-2.5: a higher minor version is served as 1.1."""
    with site.connect() as client:
        client.send(message(f"GET /a.txt HTTP/1.{minor}", "Host: files"))
        response = client.response()
        assert (response.version, response.status) == ("HTTP/1.1", 200)
        assert response.keeps


@pytest.mark.parametrize("host", ROUTES)
@pytest.mark.parametrize("size", [0, 1, 7, 100], ids=["whole", "byte by byte", "sevens", "hundreds"])
def test_pipelined(site, host, size):
    """9112-9.3.2: responses are in the order of the requests."""
    target, body = target_for(site, host)
    count = 20
    data = b"".join(message(f"GET {target}?{i} HTTP/1.1", f"Host: {host}") for i in range(count))
    with site.connect() as client:
        client.send_pieces(data, size or len(data))
        for _ in range(count):
            assert client.response().body == body
        assert client.get(target, host=host).body == body
    if host == "proxied":
        asked = [request.target for request in site.upstream.requests_for(target)]
        assert asked[:-1] == [f"{target}?{i}" for i in range(count)]


@pytest.mark.parametrize("size", [0, 1, 50], ids=["whole", "byte by byte", "fifties"])
def test_pipelined_with_bodies(site, size):
    """9112-9.3.2, 6: only the framing determines the end of a body, and empty lines after it are ignored."""
    target = site.upstream.on(HI)
    bodies = [b"", b"x", b"GET /smuggled HTTP/1.1\r\nHost: proxied\r\n\r\n", b"0\r\n\r\n", b"y" * 300]
    data = b""
    for body in bodies:
        data += message(f"POST {target} HTTP/1.1", "Host: proxied", f"Content-Length: {len(body)}", body=body)
        data += message(
            f"PUT {target} HTTP/1.1",
            "Host: proxied",
            "Transfer-Encoding: chunked",
            body=chunked(body) if body else chunked(),
        )
        data += message(f"GET {target} HTTP/1.1", "Host: proxied") + b"\r\n"
    with site.connect() as client:
        client.send_pieces(data, size or len(data))
        for _ in range(3 * len(bodies)):
            assert client.response().body == b"hi"
    seen = site.upstream.requests_for(target)
    assert [request.method for request in seen] == ["POST", "PUT", "GET"] * len(bodies)
    assert [request.body for request in seen] == [part for body in bodies for part in (body, body, b"")]
    assert not site.upstream.requests_for("/smuggled")


def test_many_pipelined(site):
    """More than all buffers can hold: the requests wait in the kernel, and all get a response."""
    count = 3000
    one = message("GET /t HTTP/1.1", "Host: files", "X: " + "y" * 40)
    with site.connect() as client:
        sent = 0
        for at in range(0, count, 500):
            client.send(one * 500)
            sent += 500
            for _ in range(500 if at else 250):
                assert client.response().body == b"t\n"
        for _ in range(250):
            assert client.response().body == b"t\n"
        assert sent == count


def test_pipelined_behind_an_answer_of_our_own(site):
    """Responses of all kinds keep their order."""
    target = site.upstream.on(HI)
    data = message("GET / HTTP/1.1", "Host: nobody")
    data += message(f"GET {target} HTTP/1.1", "Host: proxied")
    data += message("GET /x?y HTTP/1.1", "Host: moved")
    data += message("GET /a.txt HTTP/1.1", "Host: files")
    data += message("POST /a.txt HTTP/1.1", "Host: files", "Content-Length: 3", body=b"abc")
    data += message("GET /a.txt HTTP/1.1", "Host: memory")
    data += message("GET / HTTP/1.1", "Host: refused")
    data += message(f"GET {target} HTTP/1.1", "Host: proxied")
    with site.connect() as client:
        client.send(data)
        assert [client.response().status for _ in range(8)] == [404, 200, 301, 200, 405, 200, 502, 200]


@pytest.mark.parametrize("host", ["half-closing", "files", "memory"])
@pytest.mark.parametrize("count", [1, 3])
def test_half_close(site, host, count):
    """9112-9.6: a client that ends its side gets its responses, then the end. From an upstream this needs
    `half_close`."""
    target, body = target_for(site, host)
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", f"Host: {host}") * count)
        client.finish()
        for _ in range(count):
            assert client.response().body == body
        client.assert_ended()


@pytest.mark.parametrize("where", ["before the head", "within the body", "after an interim response"])
@pytest.mark.parametrize("request_body", [b"", b"hi"])
def test_client_that_leaves(site, where, request_body):
    """FIN while Ringway waits for a response or forwards it: Ringway closes the connection to the upstream at once."""
    said = {
        "before the head": b"",
        "within the body": message("HTTP/1.1 200 OK", "Content-Length: 10", body=b"hello"),
        "after an interim response": message("HTTP/1.1 103 Early Hints", "Link: <a>"),
    }[where]
    left = threading.Event()

    def serve(link, request):
        link.body(request)
        link.send(said)
        link.to_end()
        left.set()
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        length = f"Content-Length: {len(request_body)}"
        client.send(message(f"PUT {target} HTTP/1.1", "Host: proxied", length, body=request_body))
        site.upstream.request(target)
        if said:
            client.response_head()
        client.finish()
        assert left.wait(DEADLINE)
    assert site.server.record(target)["reason"] == "client_closed"


def test_client_that_leaves_with_the_last_octet(site):
    """Body and connection of the client end together: Ringway does not wait for a response."""

    def serve(link, request):
        with contextlib.suppress(Ended):
            link.body(request)
        link.to_end()
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"PUT {target} HTTP/1.1", "Host: proxied", "Content-Length: 4", body=b"hi"))
        site.upstream.request(target)
        client.send(b"ho")
        client.finish()
        assert site.server.record(target)["reason"] == "client_closed"
        client.assert_broken()


def test_clients_that_left_use_up_no_connections(ringway, upstream):
    """Five such clients, with a limit of five connections to the upstream."""
    up = upstream(lambda link: (link.head(3600), link.to_end(3600)))
    server = ringway(
        {
            "limits": {"upstream_connections": 5, "upstream_idle": 5},
            "host_routes": {"*": {"type": "Proxy", "url": up.url}},
        }
    )
    for number in range(7):
        with server.connect() as client:
            client.send(message(f"GET /{number} HTTP/1.1", "Host: a"))
            up.request(f"/{number}")
        server.record(f"/{number}", reason="client_closed")


def test_half_close_while_the_upstream_thinks(site):
    """The client ends its side before any response."""
    ended = site.upstream.journal.__class__()
    go = []

    def serve(link, request):
        ended.until(lambda: go, "end of the client's side")
        link.send(HI)

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: half-closing"))
        site.upstream.request(target)
        client.finish()
        # A round trip of another client: by now the worker has seen the end.
        site.settle()
        with ended:
            go.append(True)
            ended.notify_all()
        assert client.response().body == b"hi"
        client.assert_ended()


def test_end_within_a_head(site):
    """9112-8: an incomplete request gets no response, and nothing of it is forwarded."""
    with site.connect() as client:
        client.send(b"GET /mark-incomplete HTTP/1.1\r\nHost: proxied\r\n")
        client.finish()
        client.assert_ended()
    site.assert_not_forwarded("mark-incomplete")


def test_end_within_a_body(site):
    """9112-8: the upstream must not take an incomplete request as complete."""
    seen = []

    def serve(link, request):
        seen.append(link.to_end())
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"POST {target} HTTP/1.1", "Host: proxied", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        link = site.upstream.request(target).link
        client.finish()
        client.assert_ended()
    site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
    assert b"0\r\n\r\n" not in seen[0]
    assert site.server.record(target)["reason"] == "client_closed"


@pytest.mark.parametrize("host", ROUTES)
@pytest.mark.parametrize("minor", [0, 1])
def test_head(site, host, minor):
    """9110-9.3.2: the fields of GET, no body, and the connection persists."""
    target, body = target_for(site, host)
    with site.connect() as client:
        keep = "Connection: keep-alive"
        client.send(message(f"GET {target} HTTP/1.{minor}", f"Host: {host}", keep))
        whole = client.response()
        client.send(message(f"HEAD {target} HTTP/1.{minor}", f"Host: {host}", keep))
        response = client.response("HEAD")
        assert response.status == 200
        assert response.one("content-length") == str(len(body))
        same = [field for field in whole.fields if field[0] != "date"]
        assert [field for field in response.fields if field[0] != "date"] == same
        # There is no byte of a body before the next response.
        client.send(message(f"GET {target} HTTP/1.{minor}", f"Host: {host}", keep))
        assert client.response().body == body


@pytest.mark.parametrize("host", ["files", "nobody", "refused", "moved"])
def test_head_of_answers_of_our_own(site, host):
    """9110-9.3.2"""
    with site.connect() as client:
        response = client.get("/missing", method="HEAD", host=host)
        assert response.status in (404, 502, 301)
        assert "content-length" in response
        assert client.get("/a.txt", host="files").status == 200


@pytest.mark.parametrize(
    "fields",
    [["Content-Length: 1000"], ["Transfer-Encoding: chunked"], [], ["Content-Length: 0"]],
    ids=["length", "chunked", "until close", "empty"],
)
def test_head_proxied_framing(site, fields):
    """9112-6.3: the response to HEAD has no body, whatever the upstream's fields say."""

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", *fields, "X-Mark: y"))

    target = site.upstream.on(serve)
    with site.connect() as client:
        for _ in range(2):
            response = client.get(target, method="HEAD", host="proxied")
            assert response.one("x-mark") == "y"
            assert response.keeps
    assert {request.method for request in site.upstream.requests_for(target)} == {"HEAD"}


def test_requests_per_connection(ringway, tmp_path):
    """The response to the last allowed request says so."""
    (tmp_path / "t").write_text("t")
    server = ringway(
        {
            "limits": {"requests_per_connection": 3},
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    with server.connect() as client:
        client.send(message("GET /t HTTP/1.1", "Host: x") * 5)
        assert [client.response().keeps for _ in range(3)] == [True, True, False]
        client.assert_ended()


def test_reset_by_the_client_is_noticed(site):
    """When a client is gone, its exchange ends, and the upstream's connection is closed."""
    seen = []

    def serve(link, request):
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        seen.append(link.to_end())
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: proxied"))
        client.response_head()
        client.reset()
    link = site.upstream.request(target).link
    site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
    assert site.server.record(target)["reason"] == "client_closed"


# --- the last response


@pytest.mark.parametrize(
    "more", [b"\r\n", b"GET /a.txt HTTP/1.1\r\nHost: files\r\n\r\n"], ids=["empty line", "request"]
)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_what_comes_behind_the_last_request_does_not_cost_its_answer(ringway, certificate, tmp_path, more, tls):
    """9112-9.6: a close would now reset the connection, and the client would lose unread data."""
    size = 3_000_000
    (tmp_path / "large").write_bytes(bytes(range(250)) * (size // 250))
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    with server.connect(tls=tls, window=4096) as client:
        client.send(message("GET /large HTTP/1.1", "Host: a", "Connection: close"))
        assert client.response_head().status == 200
        got = b""
        while len(got) < size:
            got += client.exactly(min(50_000, size - len(got)))
            client.try_send(more)  # also if the kernel has accepted all of it long before the client reads it
        assert got == bytes(range(250)) * (size // 250)


def test_pipelined_beyond_the_bound_of_a_connection(ringway, tmp_path):
    """`requests_per_connection`: the responses up to it arrive complete, whatever else was sent."""
    (tmp_path / "file").write_bytes(b"x" * 1_000_000)
    server = ringway(
        {
            "limits": {"requests_per_connection": 3},
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    with server.connect(window=4096) as client:
        client.send(message("GET /file HTTP/1.1", "Host: a") * 400)
        for number in range(3):
            response = client.response(seconds=30)
            assert (response.status, len(response.body)) == (200, 1_000_000)
            assert response.keeps == (number < 2)
        client.assert_ended(30)


def test_what_a_test_leaves_open_is_found(site):
    """Tests the harness: at the end of each test it checks what the worker still holds."""
    rest = Rest(site.server)
    target = site.upstream.on(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with site.connect() as client:
        assert client.get(target, host="proxied").status == 200
        with pytest.raises(AssertionError, match="not released: 1 clients of worker 0"):
            rest.assert_back(seconds=0)
    rest = Rest(site.server)
    rest.assert_back()  # an idle connection to the upstream can stay

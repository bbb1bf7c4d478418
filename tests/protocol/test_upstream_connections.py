"""Connections to upstreams: which are reused, what is retried on another one."""

import pytest
from harness.raw import chunked, message
from harness.upstream import answers

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture
def before(ringway, upstream):
    """Starts Ringway before an upstream that serves each connection like this. Returns both."""

    def start(serve, **config):
        up = upstream(serve)
        return ringway({"host_routes": {"*": {"type": "Proxy", "url": up.url}}, **config}), up

    return start


def in_turn(*serves):
    """The n-th of these serves the n-th connection."""
    return lambda link: serves[link.number](link)


@pytest.mark.parametrize("extra", [b"x", HI], ids=["a byte", "a response"])
@pytest.mark.parametrize("framing", ["length", "chunked", "none", "head"])
def test_extra_bytes_behind_a_response(before, framing, extra):
    """9112-9.2: unrequested data is never a response, and the connection is not reused."""
    answer = {
        "length": HI,
        "chunked": message("HTTP/1.1 200 OK", CHUNKED, body=chunked(b"hi")),
        "none": b"HTTP/1.1 204 No Content\r\n\r\n",
        "head": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    }[framing]
    method = "HEAD" if framing == "head" else "GET"
    evil = extra.replace(b"hi", b"ev")
    server, up = before(in_turn(answers(answer + evil, HI), answers(HI)))
    with server.connect() as client:
        client.send(message(f"{method} / HTTP/1.1", "Host: x"))
        assert client.response(method).status in (200, 204)
        assert client.get(method="POST").body == b"hi"
    assert len(up.links) == 2


# --- ends before a response


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_closes_on_a_fresh_connection(before, how, method):
    """Not retried, because the upstream would do the same again."""

    def serve(link):
        link.request()
        if how == "reset":
            link.reset()

    server, up = before(serve)
    with server.connect() as client:
        response = client.get(method=method)
        assert (response.status, response.reason) == (502, "upstream_closed")
        assert response.keeps
        assert client.get(method=method).status == 502
    assert len(up.links) == 2
    assert server.record("/")["reason"] == "upstream_closed"


def test_closes_within_the_head(before):
    """9112-8"""
    server, up = before(answers(b"HTTP/1.1 200 OK\r\nContent-Le", None))
    up_answers = []
    up._serve = lambda link: (link.request(), link.send(b"HTTP/1.1 200 OK\r\nContent-Le"), up_answers.append(1))
    with server.connect() as client:
        response = client.get()
        assert (response.status, response.reason) == (502, "upstream_closed")
    assert up_answers == [1]


def close_on_second(how):
    def serve(link):
        link.request()
        link.send(HI)
        link.request()
        if how == "reset":
            link.reset()
        elif how == "begun":
            link.send(b"HTTP/1.1 2")

    return serve


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_tried_again_once(before, how, method):
    """9110-9.2.2: idempotent, on a reused connection: retried once, on a new one."""
    server, up = before(in_turn(close_on_second(how), answers(HI)))
    fields, body = (["Content-Length: 3"], b"abc") if method == "PUT" else ([], b"")
    with server.connect() as client:
        assert client.get("/1").body == b"hi"
        response = client.get("/2", *fields, method=method, body=body)
        assert response.status == 200
        assert response.keeps
    first, second = up.requests_for("/2")
    assert (first.link.number, second.link.number) == (0, 1)
    assert (first.head, first.body) == (second.head, second.body) == (second.head, body)


def test_tried_again_with_chunks(before):
    """The whole request is in one buffer, so it can be retried although it is chunked."""
    server, up = before(in_turn(close_on_second("end"), answers(HI)))
    with server.connect() as client:
        assert client.get("/1").body == b"hi"
        assert client.get("/2", CHUNKED, method="PUT", body=chunked(b"abc", trailers="X-Y: z\r\n")).body == b"hi"
    assert [request.body for request in up.requests_for("/2")] == [b"abc", b"abc"]
    assert [request.trailers for request in up.requests_for("/2")] == [[("x-y", "z")]] * 2


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "BREW"])
def test_not_tried_again(before, how, method):
    """9110-9.2.2: not idempotent, and partly sent: the upstream may have processed it."""
    server, up = before(in_turn(close_on_second(how), answers(HI)))
    with server.connect() as client:
        assert client.get("/1").body == b"hi"
        response = client.get("/2", "Content-Length: 3", method=method, body=b"abc")
        assert (response.status, response.reason) == (502, "upstream_closed")
        assert client.get("/3").body == b"hi"
    assert len(up.requests_for("/2")) == 1


def test_not_tried_again_once_a_response_began(before):
    """Any byte of it counts as a response."""
    server, up = before(in_turn(close_on_second("begun"), answers(HI)))
    with server.connect() as client:
        assert client.get("/1").body == b"hi"
        response = client.get("/2")
        assert (response.status, response.reason) == (502, "upstream_closed")
    assert len(up.requests_for("/2")) == 1


def test_not_tried_a_third_time(before):
    server, up = before(in_turn(close_on_second("end"), answers(None), answers(HI)))
    with server.connect() as client:
        assert client.get("/1").body == b"hi"
        response = client.get("/2")
        assert (response.status, response.reason) == (502, "upstream_closed")
        assert client.get("/3").body == b"hi"
    assert len(up.requests_for("/2")) == 2


def test_not_tried_again_without_its_body(before):
    """Ringway does not keep a streamed body, so it cannot send it again."""
    journal = []

    def first(link):
        link.request()
        link.send(HI)
        request = link.head()
        link.exactly(100_000)
        journal.append(request)

    server, up = before(in_turn(first, answers(HI)))
    with server.connect() as client:
        assert client.get("/1").body == b"hi"
        client.send(message("PUT /2 HTTP/1.1", "Host: x", "Content-Length: 200000"))
        client.try_send(b"x" * 100_000)
        response = client.response()
        assert (response.status, response.reason) == (502, "upstream_closed")
        client.try_send(b"x" * 100_000)
        client.assert_ended()
    assert len(journal) == len(up.requests_for("/2")) == 1


# --- the pool


def test_newest_first(before):
    """Idle connections are reused, the most recently used one first."""
    server, up = before(answers(*[HI] * 50))
    clients = [server.connect() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(message(f"GET /{number} HTTP/1.1", "Host: x"))
    for client in clients:
        assert client.response().body == b"hi"
    count = len(up.links)
    for _ in range(10):
        assert clients[0].get("/again").body == b"hi"
    for client in clients:
        client.close()
    assert len(up.links) == count
    assert len({request.link.number for request in up.requests_for("/again")}) == 1


@pytest.mark.parametrize("how", ["end", "reset", "speaks", "whole response"])
def test_idle_connection_that_is_not_idle(before, how):
    """9112-9.2, 9.3: idle connections that are closed or have data are dropped, and their data is never a response."""
    journal = []

    def first(link):
        link.request()
        link.send(HI)
        link.upstream.journal.until(lambda: journal, "client that has its answer")
        if how == "reset":
            link.reset()
        elif how == "speaks":
            link.send(b"x")
            journal.append(link.to_end())
        elif how == "whole response":
            link.send(HI.replace(b"hi", b"ev"))
            journal.append(link.to_end())

    server, up = before(in_turn(first, answers(HI, HI)))
    with server.connect() as client:
        assert client.get("/1").body == b"hi"
        with up.journal:
            journal.append("answered")
            up.journal.notify_all()
        up.journal.until(lambda: up.links[0].closed, "end of the first connection")
        # POST is not retried, so the test would fail if it was sent on the dead connection.
        assert client.get("/2", method="POST").body == b"hi"
        assert client.get("/3", method="POST").body == b"hi"
    assert len(up.links) == 2
    assert not up.links[0].reader.rest


def test_idle_limit(before):
    """The pool keeps at most `upstream_idle`."""
    journal = []

    def serve(link):
        while True:
            request = link.request(3600)
            if request.target == "/wait":
                link.upstream.journal.until(lambda: len(journal) == 1, "all three requests")
            link.send(HI)

    server, up = before(serve, limits={"upstream_idle": 1})
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.send(message("GET /wait HTTP/1.1", "Host: x"))
    up.link(2)
    with up.journal:
        journal.append("go")
        up.journal.notify_all()
    for client in clients:
        assert client.response().body == b"hi"
    up.journal.until(lambda: sum(link.closed for link in up.links) == 2, "end of all but one connection")
    for client in clients:
        assert client.get("/again").body == b"hi"
        client.close()
    assert len(up.links) == 3


def test_connection_limit(before):
    """503 with its reason, beyond `upstream_connections`."""
    journal = []

    def serve(link):
        link.request()
        link.upstream.journal.until(lambda: journal, "second request's answer")
        link.send(HI)

    server, up = before(serve, limits={"upstream_connections": 1})
    with server.connect() as first, server.connect() as second:
        first.send(message("GET /1 HTTP/1.1", "Host: x"))
        up.link(0)
        response = second.get("/2")
        assert (response.status, response.reason) == (503, "upstream_limit")
        with up.journal:
            journal.append("go")
            up.journal.notify_all()
        assert first.response().body == b"hi"
    assert server.record("/2")["reason"] == "upstream_limit"

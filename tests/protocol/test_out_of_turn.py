"""Upstreams that send out of turn: data in an idle connection never becomes the response to a request."""

import os
import queue
import socket
import threading

import pytest
from harness.authority import Authority
from harness.raw import message
from harness.server import SITE_DRIVERS
from harness.standing import arrived, standing
from harness.upstream_tls import to
from harness.waiting import DEADLINE

FORGED = message("HTTP/1.1 200 OK", "Content-Length: 6", body=b"forged")
# The first request, its response, and what the upstream sends after that.
SPOKEN = {
    "body of an answer to HEAD": ("HEAD", message("HTTP/1.1 200 OK", f"Content-Length: {len(FORGED)}"), FORGED),
    "body of a 204": ("GET", message("HTTP/1.1 204 No Content"), FORGED),
    "body of a 304": ("GET", message("HTTP/1.1 304 Not Modified", f"Content-Length: {len(FORGED)}"), FORGED),
    "second answer": ("GET", message("HTTP/1.1 200 OK", "Content-Length: 1", body=b"a"), FORGED),
    "early 408": (
        "GET",
        message("HTTP/1.1 200 OK", "Content-Length: 0"),
        message("HTTP/1.1 408 x", "Connection: close"),
    ),
    "the end": ("GET", message("HTTP/1.1 200 OK", "Content-Length: 0"), None),
}
MINE = message("HTTP/1.1 200 OK", "Content-Length: 4", body=b"mine")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def config(route, driver, **more):
    return {"host_routes": {"*": route}, "performance": {"io_driver": driver}, **more}


@pytest.mark.parametrize("driver", SITE_DRIVERS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_unread_when_the_next_request_comes(ringway, upstream, authority, driver, tls):
    """Whichever event the worker sees first. The request (a POST, which is not retried) is sent once."""
    answers = {f"/first/{kind}": answer for kind, (_, answer, _) in enumerate(SPOKEN.values())}

    told: queue.Queue[bytes | None] = queue.Queue()
    spoken: queue.Queue[bool] = queue.Queue()

    def serve(link):
        # One thread for a TLS connection, because OpenSSL does not allow two.
        while True:
            request = link.request(seconds=3600)
            link.send(answers.get(request.target, MINE))
            if request.target in answers:
                data = told.get(timeout=DEADLINE)
                if data is None:
                    link.sock.shutdown(socket.SHUT_WR)
                else:
                    link.send(data)
                arrived(link.sock)
                spoken.put(True)

    up = upstream(serve, context=authority.serves("127.0.0.1") if tls else None)
    server = ringway(config(to(up.url, authority if tls else None), driver))

    def speak(data):
        told.put(data)
        spoken.get(timeout=DEADLINE)

    def ask(client, target):
        client.send(message(f"POST {target} HTTP/1.1", "Host: a", "Content-Length: 2", body=b"hi"))
        arrived(client.sock)

    for kind, (method, _, out_of_turn) in enumerate(SPOKEN.values()):
        for request_first in (True, False):
            target = f"/second/{kind}/{request_first}"
            with server.connect() as before, server.connect() as client:
                before.get(f"/first/{kind}", method=method)
                link = up.requests[-1].link
                with standing(server):
                    if request_first:
                        ask(client, target)
                    speak(out_of_turn)
                    if not request_first:
                        ask(client, target)
                response = client.response()
                assert (response.status, response.body) == (200, b"mine"), (kind, request_first)
            (request,) = up.requests_for(target)
            assert request.link is not link
            up.journal.until(lambda link=link: link.closed, "end of the connection that spoke out of turn")


@pytest.mark.parametrize("driver", SITE_DRIVERS)
def test_while_a_turn_is_under_way(ringway, upstream, driver):
    """The worker is stopped right after the event of the request, so it has no event for data that arrives now."""
    up = upstream(lambda link: [link.send(MINE) for _ in iter(lambda: link.request(seconds=3600), None)])
    server = ringway(config(to(up.url), driver))
    for number in range(10):
        with server.connect() as before, server.connect() as client:
            assert before.get("/first").body == b"mine"
            link = up.requests[-1].link
            with standing(server, lambda number=number: client.send(message(f"GET /{number} HTTP/1.1", "Host: a"))):
                arrived(client.sock)
                if not up.requests_for(f"/{number}"):
                    link.send(FORGED)
                    arrived(link.sock)
            assert client.response().body == b"mine"


@pytest.mark.parametrize("driver", SITE_DRIVERS)
def test_behind_an_answer_that_fills_a_buffer(ringway, upstream, driver):
    """The data arrives in two pieces. The second one arrives when a pipelined request already needs the connection."""
    size = 16384
    first = message("HTTP/1.1 200 OK", f"Content-Length: {size - 100}", "X: ")
    first = first[:-4] + b"y" * (100 - len(first)) + b"\r\n\r\n" + b"a" * (size - 100)
    assert len(first) == size

    def serve(link):
        link.request(seconds=3600)
        if link.number == 0:
            with standing(server):
                link.send(first + FORGED)
                arrived(link.sock)
            link.to_end()
        else:
            link.send(MINE)

    up = upstream(serve)
    server = ringway(config(to(up.url), driver, limits={"body_buffer_bytes": size}))
    with server.connect() as client:
        client.send(message("GET /first HTTP/1.1", "Host: a") + message("GET /second HTTP/1.1", "Host: a"))
        assert client.response().body == b"a" * (size - 100)
        assert client.response().body == b"mine"
    assert [request.link.number for request in up.requests_for("/second")] == [1]


@pytest.mark.parametrize("driver", SITE_DRIVERS)
def test_in_the_turn_of_another_request(ringway, upstream, driver):
    """A request and, behind it, bytes on the idle connection arrive while the worker stands still."""
    idle = []

    def serve(link):
        link.request()
        if link.number == 0:
            idle.append(link)
        link.send(MINE)
        if link.number == 0:
            link.to_end(seconds=3600)

    up = upstream(serve)
    server = ringway(config(to(up.url), driver))
    with server.connect() as first, server.connect() as second:
        assert first.get("/first", host="a").body == b"mine"
        with standing(server):
            second.send(message("GET /second HTTP/1.1", "Host: a"))
            arrived(second.sock)
            idle[0].send(FORGED)
            arrived(idle[0].sock)
        assert second.response().body == b"mine"
    assert [request.link.number for request in up.requests_for("/second")] == [1]


@pytest.mark.parametrize("part", [b"\x17", b"\x17\x03\x03\x00\x40", b"\x17\x03\x03\x00\x40aaaa"])
def test_part_of_a_record(ringway, upstream, authority, part):
    """Over TLS the unread data could be anything, so such a connection is not reused. (RFC 8446 5.1)"""

    def serve(link):
        while True:
            link.request(seconds=3600)
            link.send(MINE)

    up = upstream(serve, context=authority.serves("127.0.0.1"))
    server = ringway(config(to(up.url, authority), "auto"))
    with server.connect() as client:
        assert client.get("/first").body == b"mine"
        with socket.socket(fileno=os.dup(up.links[0].sock.fileno())) as bare:
            bare.send(part)
            arrived(bare)
        assert client.get("/second").body == b"mine"
        # By now it was read, and no client may see it.
        assert client.get("/third").body == b"mine"
    assert up.requests_for("/second")[0].link.number == 1
    assert up.requests_for("/third")[0].link.number == 1


def test_more_than_announced_behind_a_long_body(ringway, upstream):
    """Data after the last byte of a streamed body is dropped, and its connection is closed."""
    size = 200_000
    go = threading.Event()

    def serve(link):
        link.request(seconds=3600)
        if link.number == 0:
            link.send(message("HTTP/1.1 200 OK", f"Content-Length: {size}") + b"a" * (size - 10))
            assert go.wait(30)
            link.send(b"a" * 10 + b"more than announced")
            link.to_end()
        else:
            link.send(MINE)

    up = upstream(serve)
    server = ringway(config(to(up.url), "auto"))
    with server.connect() as client:
        client.send(message("GET /first HTTP/1.1", "Host: a"))
        assert client.response_head().status == 200
        client.exactly(size - 10)
        go.set()
        assert client.exactly(10) == b"a" * 10
        up.journal.until(lambda: up.links[0].closed, "end of the connection that said too much")
        assert client.get("/second").body == b"mine"
    assert len(up.links) == 2


def test_request_sent_in_part_is_not_sent_again(ringway):
    """RFC 9110 9.2.2: if a POST was aborted halfway, it may have been processed."""
    with socket.socket() as listener:
        # Small segments and a small window: the buffers of the connection hold only a part of the request.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = ringway(config(to(url), "auto", limits={"head_bytes": 65535}))
        with server.connect() as client:
            client.send(message("GET /first HTTP/1.1", "Host: a"))
            link, _ = listener.accept()
            with link:
                while b"\r\n\r\n" not in link.recv(65536, socket.MSG_PEEK):
                    pass
                link.recv(65536)
                link.sendall(MINE)
                assert client.response().body == b"mine"
                value = "X: " + "y" * 7000
                client.send(message("POST /second HTTP/1.1", "Host: a", "Content-Length: 2", *[value] * 8, body=b"hi"))
                link.recv(1)  # the request has begun to arrive
            # Closed with unread bytes: a reset.
            response = client.response()
            assert (response.status, response.reason) == (502, "upstream_closed")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_pool_of_old_rules_is_not_used(ringway, upstream):
    """A request that finishes under old rules after a reload leaves no idle connection. The new rules have their
    own."""
    go = threading.Event()

    def serve(link):
        while True:
            request = link.request(seconds=3600)
            if request.target == "/slow":
                assert go.wait(30)
            link.send(MINE)

    up = upstream(serve)
    server = ringway(config(to(up.url), "auto"))
    with server.connect() as client:
        client.send(message("GET /slow HTTP/1.1", "Host: a"))
        up.request("/slow")
        server.reload(config({**to(up.url), "strip_prefix": False}, "auto"))
        go.set()
        assert client.response().body == b"mine"
        up.journal.until(lambda: up.links[0].closed, "end of the connection of the old rules")
        assert client.get("/second").body == b"mine"
        assert client.get("/third").body == b"mine"
    assert [len(link.requests) for link in up.links] == [1, 2]

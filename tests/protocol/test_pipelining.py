"""Many pipelined requests: served one after the other, with a stack that does not grow."""

import resource
import threading

import pytest
from harness.memory import total, wait_for_total
from harness.raw import message
from harness.waiting import DEADLINE

MANY = 8000
KINDS = ["file", "memory", "folder", "redirect", "missing", "refused", "proxied", "head"]


@pytest.fixture
def small_stack():
    """A stack of 1 MiB for the workers. If it grew with each request, the worker would crash."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def hold(link):
    """Sends the first response when the test says so, and all others at once."""
    while True:
        request = link.request(3600)
        if request.target == "/hold":
            link.upstream.go.wait(10 * DEADLINE)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny")


def hold_one(link):
    while link.request(3600).target != "/hold":
        link.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    link.to_end(3600)


@pytest.mark.parametrize("kind", KINDS)
def test_many_at_once(ringway, upstream, tmp_path, unused_port, small_stack, kind):
    """All requests are there when the first gets its response."""
    up = upstream(hold)
    up.go = threading.Event()
    (tmp_path / "f").mkdir()
    (tmp_path / "f/a").write_bytes(b"x" * (6000 if kind == "file" else 1))  # more than a buffer: by sendfile, at once
    to_folder = {"type": "File", "path": tmp_path / "f"}
    paths = {
        "/hold/": {"type": "Proxy", "url": up.url, "strip_prefix": False},
        "/memory/": {**to_folder, "mode": "memory"},
        "/moved/": {"type": "Redirect", "to": "/new{path}"},
        "/nobody/": {"type": "Proxy", "url": f"http://127.0.0.1:{unused_port}"},
    }
    server = ringway(
        {
            "limits": {"pipeline_bytes": 1048576, "requests_per_connection": 1000000},
            "timeouts": {"file_valid": 3600},
            "host_routes": {"*": to_folder},
            "path_routes": {"*": paths},
        }
    )
    target = {"file": "/a", "memory": "/memory/a", "folder": "/", "redirect": "/moved/", "missing": "/m", "head": "/a"}
    target |= {"refused": "/nobody/", "proxied": "/hold/x"}
    count = {"proxied": 500, "refused": 500, "file": 3000}.get(kind, MANY)
    status = {"redirect": b"308", "missing": b"404", "folder": b"404", "refused": b"502"}.get(kind, b"200")
    one = f"{'HEAD' if kind == 'head' else 'GET'} {target[kind]} HTTP/1.1\r\nHost:a\r\n\r\n".encode()
    with server.connect() as client:
        client.send(one)
        assert client.response("HEAD" if kind == "head" else "GET").status == int(status)
        client.send(b"GET /hold HTTP/1.1\r\nHost:a\r\n\r\n")
        up.request("/hold")
        client.send(one * count)
        up.go.set()
        assert client.response().body == b"y"
        for _ in range(count):
            assert client.response("HEAD" if kind == "head" else "GET").status == int(status)
    assert len(server.worker_pids) == 1


def test_what_waits_has_a_bound(ringway, upstream):
    """A client that pipelines while it waits for a response is bounded by `pipeline_bytes`."""
    up = upstream(hold_one)
    server = ringway({"limits": {"pipeline_bytes": 4096}, "host_routes": {"*": {"type": "Proxy", "url": up.url}}})
    more = message("GET / HTTP/1.1", "Host: x", "X: " + "y" * 900) * 2000
    first = server.connect()
    first.send(message("GET / HTTP/1.1", "Host: x"))
    assert first.response().status == 204
    before = total(server, "buffers")
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        client.send(message("GET / HTTP/1.1", "Host: x"))
        assert client.response().status == 204
        client.send(message("GET /hold HTTP/1.1", "Host: x"))
    wait_for_total(server, "exchanges", lambda count: count == 5)
    for client in clients:
        client.sock.setblocking(False)
        client.sock.send(more)
    wait_for_total(server, "client_bytes_in", lambda count: count > 5 * 4096)
    for _ in range(20):  # turns of the loop, in which more would come
        first.send(message("GET / HTTP/1.1", "Host: x"))
        assert first.response().status == 204
    # A running request, the 64 buffers of the ring, which one receive can fill once in the life of a connection (32 at
    # a time, but sometimes twice in a turn), and two beyond the bound. Without it there are about 400 for each client.
    assert total(server, "buffers") - before < 5 * 68
    for client in clients:
        client.reset()
    first.close()


def test_the_bound_is_exceeded_once_at_most(ringway, upstream):
    """Whoever has pipelined once keeps to `pipeline_bytes` exactly from then on, with either driver."""
    go = threading.Event()

    def serve(link):
        while True:
            target = link.request(3600).target
            if target == "/hold":
                go.wait(10 * DEADLINE)
            elif target == "/end":
                link.to_end(3600)
                return
            link.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    up = upstream(serve)
    server = ringway({"limits": {"pipeline_bytes": 4096}, "host_routes": {"*": {"type": "Proxy", "url": up.url}}})
    more = message("GET / HTTP/1.1", "Host: x", "X: " + "y" * 900)
    with server.connect() as client:
        client.send(message("GET / HTTP/1.1", "Host: x"))
        assert client.response().status == 204
        client.send(message("GET /hold HTTP/1.1", "Host: x"))
        up.request("/hold")
        client.send(more * 100)
        go.set()
        for _ in range(101):
            assert client.response().status == 204
        client.send(message("GET /end HTTP/1.1", "Host: x"))
        up.request("/end")
        before = {name: total(server, name) for name in ("buffers", "client_bytes_in")}
        client.sock.setblocking(False)
        sent = client.sock.send(more * 2000)
        wait_for_total(server, "client_bytes_in", lambda count: count - before["client_bytes_in"] >= 4096)
        assert sent > 65536
        # One receive below the bound may take a buffer beyond it.
        assert total(server, "client_bytes_in") - before["client_bytes_in"] < 3 * 4096
        assert total(server, "buffers") - before["buffers"] <= 3
        client.reset()


def test_what_is_served_meanwhile_raises_no_bound(ringway, upstream):
    """Each request that is served makes room for its own bytes, not for a buffer."""
    served = threading.Event()

    def serve(link):
        for number in range(200):
            link.request(3600)
            if number < 199:
                link.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        served.set()
        link.to_end(3600)

    up = upstream(serve)
    server = ringway({"limits": {"pipeline_bytes": 4096}, "host_routes": {"*": {"type": "Proxy", "url": up.url}}})
    with server.connect() as client:
        client.send(message("GET / HTTP/1.1", "Host: x") * 100_000)
        assert served.wait(DEADLINE)
        # At once, maybe, what io_uring brings beyond the bound.
        assert total(server, "buffers") < 80
        client.reset()


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("served", [0, 2])
def test_a_client_that_leaves_while_nothing_is_received(ringway, upstream, served, how):
    """At `pipeline_bytes` its end is seen although what it sent before is not."""
    left = threading.Event()

    def serve(link):
        while link.request(3600).target != "/hold":
            link.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        link.to_end(3600)
        left.set()

    up = upstream(serve)
    server = ringway({"limits": {"pipeline_bytes": 4096}, "host_routes": {"*": {"type": "Proxy", "url": up.url}}})
    with server.connect() as client:
        for _ in range(served):
            client.send(message("GET / HTTP/1.1", "Host: x"))
            assert client.response().status == 204
        client.send(message("GET /hold HTTP/1.1", "Host: x"))
        up.request("/hold")
        client.send(message("GET / HTTP/1.1", "Host: x", "X: " + "y" * 900) * 25)
        wait_for_total(server, "client_bytes_in", lambda count: count > 4096)
        if how == "end":
            client.finish()
        else:
            client.reset()
        assert left.wait(DEADLINE)
        server.record("/hold", reason="client_closed")


def test_a_reset_behind_much_that_is_not_decrypted(ringway, upstream, certificate):
    """Nobody waits for the response any more, so the request ends at once and not after what was sent before."""
    left = threading.Event()

    def serve(link):
        link.request()
        link.to_end(3600)
        left.set()

    up = upstream(serve)
    limits = {"pipeline_bytes": 1 << 20}
    server = ringway({"limits": limits, "tls": certificate, "host_routes": {"*": {"type": "Proxy", "url": up.url}}})
    with server.connect(tls=True) as client:
        client.send(message("GET /hold HTTP/1.1", "Host: x"))
        up.request("/hold")
        client.send(b"x" * 500_000)
        wait_for_total(server, "client_bytes_in", lambda count: count > 500_000)
        client.reset()
        assert left.wait(DEADLINE)
        assert server.record("/hold")["reason"] == "client_closed"


def test_a_client_that_is_watched_and_stays(ringway, upstream):
    """What it had sent beyond the bound, here within a head, is received when its turn comes, and so is its end."""
    go = threading.Event()

    def serve(link):
        while True:
            if link.request(3600).target == "/hold":
                go.wait(10 * DEADLINE)
            link.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    up = upstream(serve)
    route = {"type": "Proxy", "url": up.url}
    server = ringway(
        {"limits": {"pipeline_bytes": 4096}, "host_routes": {"*": route, "half": {**route, "half_close": True}}}
    )
    for host, ends_before in (("x", False), ("half", True)):
        go.clear()
        with server.connect() as client:
            client.send(message("GET /hold HTTP/1.1", f"Host: {host}"))
            before = total(server, "client_bytes_in")
            client.send(message("GET / HTTP/1.1", f"Host: {host}", "X: " + "y" * 6000) * 4)
            wait_for_total(server, "client_bytes_in", lambda count, before=before: count - before >= 4096)
            if ends_before:
                client.finish()
            go.set()
            for _ in range(5):
                assert client.response().status == 204
            if not ends_before:
                client.finish()
            client.assert_ended()


def test_small_pieces_share_a_buffer(ringway, upstream):
    """A client that sends byte by byte does not hold a buffer for each byte."""
    up = upstream(lambda link: [link.request(3600), link.to_end(3600)])
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": up.url}}})
    with server.connect() as client:
        client.send(message("GET /first HTTP/1.1", "Host: x"))
        up.request("/first")
        for _ in range(200):
            before = total(server, "client_bytes_in")
            client.send(b"G")
            wait_for_total(server, "client_bytes_in", lambda count, before=before: count > before)
        assert total(server, "buffers") < 10
        client.reset()

"""Names of upstreams: unresolved, with several addresses, changing. And requests as a Python server and nginx see
them."""

import contextlib
import select
import socket
import threading

import pytest
from harness.authority import Authority
from harness.server import SITE_DRIVERS
from harness.upstream import Upstream
from harness.waiting import DEADLINE, PATIENCE, wait

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def config(port, **more):
    return {
        "server": {"dns_refresh": 1},
        "host_routes": {"*": {"type": "Proxy", "url": f"http://app:{port}"}},
        **more,
    }


def until(server, client, line, target="/"):
    server.wait_line(line)
    return client.get(target)


def test_a_name_that_does_not_resolve_is_503_until_it_does(ringway, upstream, names):
    origin = upstream()
    server = ringway(config(origin.port), env=names.env)
    server.wait_line(f" warning upstream app:{origin.port} does not resolve")
    with server.connect() as client:
        response = client.get("/first")
        assert (response.status, response.reason) == (503, "upstream_unresolved")
        assert response.keeps
        record = server.record("/first")
        assert (record["status"], record["reason"]) == (503, "upstream_unresolved")
        assert record["upstream"] == f"http://app:{origin.port}"
        names.set(app="127.0.0.1")
        response = until(server, client, f" info upstream app:{origin.port} is now at 127.0.0.1")
        assert (response.status, response.body) == (200, b"hello")
        # A name that stops resolving keeps its last addresses.
        names.set()
        response = until(server, client, "does not resolve .*, Ringway keeps its last addresses")
        assert response.status == 200


def test_of_two_addresses_one_refuses(ringway, upstream, names):
    """The other address serves every request."""
    origin = upstream()
    names.set(app="127.0.0.2 127.0.0.1")
    server = ringway(config(origin.port, limits={"upstream_idle": 0}), env=names.env)
    with server.connect() as client:
        for number in range(10):
            assert client.get(f"/{number}").body == b"hello"
        body = b"x" * 100_000
        target = origin.on(HELLO)
        response = client.get(target, f"Content-Length: {len(body)}", method="POST", body=body)
        assert response.status == 200
    assert origin.request(target).body == body
    server.wait_line(
        r" warning worker 0: cannot connect to one address, Ringway uses the others for 10 s: "
        rf"http://app:{origin.port} at 127.0.0.2 \(Connection refused\)"
    )


def test_of_two_addresses_one_is_not_trusted(ringway, names, tmp_path):
    """The other address serves every request, and the bad one gets no byte of it."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    with (
        Upstream(context=authority.serves("app")) as one,
        Upstream(context=stranger.serves("app"), host="127.0.0.2", port=one.port) as two,
    ):
        names.set(app="127.0.0.2 127.0.0.1")
        route = {"type": "Proxy", "url": f"https://app:{one.port}", "ca_path": authority.path}
        server = ringway({"limits": {"upstream_idle": 0}, "host_routes": {"*": route}}, env=names.env)
        with server.connect() as client:
            for number in range(6):
                assert client.get(f"/{number}").body == b"hello"
        # After that it is tried last, for ten seconds.
        assert len(two.failures) == 1
        assert not two.requests


@contextlib.contextmanager
def silent(host, port):
    """An address that does not answer: its backlog is full, so the kernel drops connection requests."""
    with contextlib.ExitStack() as open_ones:
        listener = open_ones.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(3):
            one = open_ones.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((host, port))
        yield


@pytest.mark.parametrize("driver", SITE_DRIVERS)
def test_of_two_addresses_one_does_not_answer(ringway, upstream, names, driver):
    """RFC 8305: the other address is tried long before the connect timeout, and tried first for a while. Ringway logs
    it."""
    origin = upstream()
    names.set(app="127.0.0.2 127.0.0.1")
    more = {
        "performance": {"io_driver": driver},
        "limits": {"upstream_idle": 0},
        "timeouts": {"connect": 20 * PATIENCE},
    }
    server = ringway(config(origin.port, **more), env=names.env)
    with silent("127.0.0.2", origin.port), server.connect() as client:
        for number in range(6):
            assert client.get(f"/{number}").body == b"hello"
        server.wait_line(
            rf"cannot connect to one address.*: http://app:{origin.port} at 127.0.0.2 \(Connection timed out\)"
        )


def test_no_address_answers(ringway, names, unused_port):
    names.set(app="127.0.0.2 127.0.0.3")
    with socket.socket() as free:
        free.bind(("127.0.0.4", 0))
        port = free.getsockname()[1]
    server = ringway(config(port, timeouts={"connect": 1}), env=names.env)
    with silent("127.0.0.2", port), silent("127.0.0.3", port):
        with server.connect() as client:
            response = client.get("/")
            assert (response.status, response.reason) == (504, "upstream_connect_timeout")
        server.wait_line(rf"cannot connect to http://app:{port}")
        # The client is gone, so both attempts are aborted.
        with server.connect() as client:
            client.send(b"GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
        assert server.record("/left")["reason"] == "client_closed"


def test_both_addresses_refuse(ringway, unused_port, names):
    names.set(app="127.0.0.2 127.0.0.1")
    server = ringway(config(unused_port), env=names.env)
    with server.connect() as client:
        response = client.get("/")
        assert (response.status, response.reason) == (502, "upstream_refused")


def test_two_addresses_share_the_connections(ringway, names):
    with Upstream() as one, Upstream(host="127.0.0.2", port=one.port) as two:
        names.set(app="127.0.0.1 127.0.0.2")
        server = ringway(config(one.port, limits={"upstream_idle": 0}), env=names.env)
        with server.connect() as client:
            for _ in range(10):
                assert client.get("/").status == 200
        assert (len(one.requests), len(two.requests)) == (5, 5)


def test_another_address_is_used_from_then_on(ringway, upstream, names):
    """Idle connections to the old address are not reused."""
    origin = upstream()
    names.set(app="127.0.0.1")
    server = ringway(config(origin.port), env=names.env)
    with server.connect() as client:
        assert client.get("/").status == 200
        names.set(app="127.0.0.3")
        response = until(server, client, "is now at 127.0.0.3")
        # Nothing listens there.
        assert (response.status, response.reason) == (502, "upstream_refused")
        names.set(app="127.0.0.1")
        response = until(server, client, "is now at 127.0.0.1")
        assert response.status == 200
    assert len(origin.links) == 2


def test_localhost_by_the_systems_own_lookup(ringway, upstream):
    """As in the seed. If localhost is ::1 first, its refusal is ignored."""
    origin = upstream()
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": f"http://localhost:{origin.port}"}}})
    with server.connect() as client:
        for _ in range(4):
            assert client.get("/").status == 200


def test_an_upstream_that_comes_back(ringway, certificate):
    """The upstream goes away and comes back on the same port: 502 in between. Pooled connections do not matter."""
    with Upstream() as first:
        port = first.port
        server = ringway(
            {
                "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
                "tls": certificate,
                "host_routes": {"*": {"type": "Proxy", "url": first.url}},
            }
        )
        with server.connect() as client:
            assert client.get("/").status == 200
    with server.connect() as client:
        response = client.get("/")
        assert (response.status, response.reason) == (502, "upstream_refused")
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            listener.settimeout(DEADLINE)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            link, _ = listener.accept()
            with link:
                link.settimeout(DEADLINE)
                assert link.recv(65536).startswith(b"GET / HTTP/1.1\r\n")
                link.sendall(HELLO)
                assert client.response().body == b"hello"


def test_100_requests_at_once(ringway, upstream, certificate):
    """Ringway opens as many connections to the upstream as it needs, keeps them, and reuses them."""
    origin = upstream()
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }
    )
    clients = [server.connect(tls=number % 2 == 0) for number in range(100)]
    try:
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send(f"POST /{turn}/{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n".encode())
            for client in clients:
                client.send(b"x" * 1000)
            for client in clients:
                assert client.response().body == b"hello"
    finally:
        for client in clients:
            client.close()
    assert len(origin.requests) == 300
    assert all(request.body == b"x" * 1000 for request in origin.requests)
    assert len(origin.links) <= 101


def test_more_at_once_than_upstream_connections(ringway, upstream):
    """Beyond the limit: 503 at once, and no client waits forever. The requests inside are answered."""
    go_on = threading.Event()
    origin = upstream()

    def slow(link, request):
        assert go_on.wait(DEADLINE)
        link.send(HELLO)

    target = origin.on(slow)
    server = ringway(
        {
            "limits": {"upstream_connections": 5},
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }
    )
    clients = [server.connect() for _ in range(8)]
    try:
        for client in clients:
            client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        # Their order is unknown, so find those that are answered.
        links = {client.sock: client for client in clients}
        answered = wait(lambda: (found := select.select(links, [], [], 0)[0])[2:] and found, "three answers")
        refused = [links.pop(link) for link in answered]
        answers = [client.response() for client in refused]
        assert [(r.status, r.reason) for r in answers] == [(503, "upstream_limit")] * 3
        go_on.set()
        assert [client.response().status for client in links.values()] == [200] * 5
        assert refused[0].get(target).status == 200
    finally:
        go_on.set()
        for client in clients:
            client.close()

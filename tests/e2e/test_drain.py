"""Draining: what happens to connections of clients when Ringway ends. test_control.py tests the processes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import bulk
from harness.raw import message
from harness.waiting import DEADLINE

SIZE = 30_000_000
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    (root / "index.html").write_text("x")
    bulk.write_file(root / "large", SIZE)
    return root


def config(folder, drain, certificate=None):
    return {
        "server": {"threads": 2},
        "timeouts": {"drain": drain},
        "host_routes": {"*": {"type": "File", "path": folder}},
        **({"tls": certificate} if certificate else {}),
    }


def drain(server):
    server.tell_to_end()
    server.wait_line(" info SIGTERM: draining")


@TLS
def test_who_asks_again_and_again_loses_no_request(ringway, folder, certificate, tls):
    """Each connection ends after a response that says so, and never right before a request in flight."""
    server = ringway(config(folder, 20, certificate if tls else None))
    clients = [server.connect(tls=tls) for _ in range(16)]
    begun = threading.Barrier(len(clients) + 1)

    def ask(client):
        """Returns the number of responses up to the one with `Connection: close`."""
        with client:
            assert client.get("/").keeps
            begun.wait(DEADLINE)
            count = 1
            while client.get("/").keeps:
                count += 1
            client.assert_ended()
            return count

    with ThreadPoolExecutor(len(clients)) as pool:
        asking = [pool.submit(ask, client) for client in clients]
        begun.wait(DEADLINE)
        drain(server)
        assert all(each.result(4 * DEADLINE) for each in asking)
    server.stop()


@TLS
def test_a_connection_whose_answer_had_begun_is_kept_for_one_more_request(ringway, folder, certificate, tls):
    """That response did not have `Connection: close`, so a client can send one more request."""
    server = ringway(config(folder, 20, certificate if tls else None))
    with server.connect(tls=tls, window=4096) as client:
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response_head().keeps
        drain(server)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        assert len(client.exactly(SIZE, 4 * DEADLINE)) == SIZE
        response = client.response()
        assert (response.status, response.body, response.keeps) == (200, b"x", False)
        client.assert_ended()  # the second of them gets no response, as announced
    server.stop()


@TLS
def test_idle_connections_end_while_others_go_on(ringway, folder, certificate, tls):
    server = ringway(config(folder, 60, certificate if tls else None))
    with (
        server.connect(tls=tls, window=4096) as busy,
        server.connect(tls=tls) as idle,
        server.connect(tls=tls) as silent,
    ):
        busy.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert busy.response_head().status == 200
        assert idle.get("/").keeps
        drain(server)
        idle.assert_ended()
        silent.assert_ended()
        assert len(busy.exactly(SIZE, 4 * DEADLINE)) == SIZE
        busy.assert_ended()
    server.stop()


def open_tunnel(client, origin):
    """A tunnel to an upstream that echoes."""

    def serve(link, request):
        link.send(message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket"))
        while True:
            link.send(link.exactly(4))

    target = origin.on(serve)
    client.send(message(f"GET {target} HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket"))
    assert client.response_head().status == 101
    return target


@TLS
def test_a_tunnel_goes_on_until_the_deadline(ringway, upstream, certificate, tls):
    origin = upstream()
    server = ringway(
        {
            "timeouts": {"drain": 2},
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
            **({"tls": certificate} if tls else {}),
        }
    )
    with server.connect(tls=tls) as client:
        target = open_tunnel(client, origin)
        drain(server)
        for _ in range(20):
            client.send(b"ping")
            assert client.exactly(4) == b"ping"
        client.assert_ended()
    assert server.record(target)["reason"] == "stopped"
    server.stop()
    assert not any("killed" in line for line in server.lines)


def test_a_second_signal_ends_a_tunnel_at_once(ringway, upstream):
    origin = upstream()
    server = ringway({"timeouts": {"drain": 3600}, "host_routes": {"*": {"type": "Proxy", "url": origin.url}}})
    with server.connect() as client:
        target = open_tunnel(client, origin)
        drain(server)
        client.send(b"ping")
        assert client.exactly(4) == b"ping"
        server.process.terminate()
        client.assert_ended()
    assert server.record(target)["reason"] == "stopped"
    server.stop()

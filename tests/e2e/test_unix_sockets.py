"""Unix sockets as listeners that all workers share, and as upstreams."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from harness import bulk
from harness.curl import curl
from harness.raw import Client, message
from harness.server import SITE_DRIVERS
from harness.upstream import HELLO, answers
from harness.waiting import DEADLINE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "r.sock")


def files(tmp_path, listen, **server):
    (tmp_path / "a.txt").write_text("a")
    return {"server": {"listen": listen, **server}, "host_routes": {"*": {"type": "File", "path": tmp_path}}}


# --- listeners


def test_beside_an_address(ringway, tmp_path, path):
    server = ringway(files(tmp_path, ["127.0.0.1:0", f"unix:{path}"]))
    server.wait_line(f" listening on http://unix:{path}$")
    got = curl("http://localhost/a.txt", "--unix-socket", path)
    assert (got.status, got.body) == (200, b"a")
    assert server.record("/a.txt")["client"] == "unix:"
    with server.connect() as link:
        assert link.get("/a.txt?").body == b"a"
    assert server.record("/a.txt?")["client"] == "127.0.0.1"
    server.stop()
    assert not os.path.lexists(path)


@pytest.mark.parametrize("plain", [False, True])
def test_tls_and_plain(ringway, certificate, tmp_path, path, plain):
    where = {"listen": "127.0.0.1:0", "plain_listen": f"unix:{path}"} if plain else {"listen": f"unix:{path}"}
    server = ringway({**files(tmp_path, **where), "tls": certificate})
    got = curl(f"{'http' if plain else 'https'}://localhost/a.txt", "--unix-socket", path)
    assert (got.status, got.body) == (200, b"a")
    assert (server.record("/a.txt")["tls"] is None) == plain


def test_many_requests_large_bodies_and_ends(ringway, upstream, path, tmp_path):
    size = 10 << 20
    bulk.write_file(tmp_path / "big", size)
    origin = upstream()
    config = files(tmp_path, f"unix:{path}")
    config["host_routes"]["app"] = {"type": "Proxy", "url": origin.url}
    ringway(config)
    assert curl("http://localhost/big", "--unix-socket", path, keep=False).sha256 == bulk.checksum(size)
    with Client(path) as link:
        link.send(message("GET /a.txt HTTP/1.1", "Host: x") * 50)
        assert [link.response().body for _ in range(50)] == [b"a"] * 50
        assert link.get("/a.txt", "Connection: close").body == b"a"
        link.assert_ended()
    with Client(path) as link:
        link.send(b"GET")
        link.finish()
        link.assert_ended()
    with Client(path) as link:
        link.send(b"nonsense\r\n\r\n" + b"x" * 100000)
        assert link.response().status == 400


def test_all_workers_share_it(ringway, tmp_path, path):
    """A killed worker loses only its own connections."""
    server = ringway(files(tmp_path, f"unix:{path}", threads=3))
    server.expected.append(r"worker \d \(pid \d+\) died")
    with Client(path) as held:
        assert held.get("/a.txt").body == b"a"
        pids = dict(server.workers)
        inode = os.readlink(f"/proc/{pids[0]}/fd/{shared_descriptor(pids[0], path)}")
        for pid in pids.values():
            assert os.readlink(f"/proc/{pid}/fd/{shared_descriptor(pid, path)}") == inode
        os.kill(pids[1], signal.SIGKILL)
        server.wait_for(lambda: server.workers.get(1) not in (pids[1], None), "another worker 1")
        for _ in range(20):
            with Client(path) as link:
                assert link.get("/a.txt").body == b"a"


def shared_descriptor(pid: int, path: str) -> str:
    lines = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()]
    wanted = {f"socket:[{line[6]}]" for line in lines if line[-1] == path and line[3] == "00010000"}
    (found,) = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}") in wanted]
    return found


def test_the_mode_is_that_of_the_umask(ringway, tmp_path, path):
    ringway(files(tmp_path, f"unix:{path}"), through=("sh", "-c", 'umask 007; exec "$@"', "sh"))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o770


def test_a_stale_one_is_replaced(ringway, tmp_path, path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    assert os.path.exists(path)
    ringway(files(tmp_path, f"unix:{path}"))
    with Client(path) as link:
        assert link.get("/a.txt").body == b"a"


def test_one_in_use_is_not(ringway, tmp_path, path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(AssertionError, match=f"cannot listen on unix:{path}: another process listens there"):
            ringway(files(tmp_path, f"unix:{path}"))
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(path)


def test_what_has_taken_its_place_stays(ringway, tmp_path, path):
    server = ringway(files(tmp_path, ["127.0.0.1:0", f"unix:{path}"]))
    os.rename(path, f"{path}.old")
    (tmp_path / "r.sock").write_text("another's")
    server.stop()
    assert (tmp_path / "r.sock").read_text() == "another's"


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ("unix:relative.sock", "is not the absolute path of a Unix socket; begin it with a slash"),
        ("unix:/missing-folder/r.sock", 'the folder "/missing-folder" does not exist'),
        ("unix:/etc/passwd", '"/etc/passwd" exists and is not a socket'),
        (f"unix:/{'x' * 120}", "is longer than 107 bytes"),
    ],
)
def test_errors_of_the_configuration(tmp_path, listen, told):
    file = tmp_path / "c.toml"
    file.write_text(f'[server]\nlisten = "{listen}"\n')
    done = subprocess.run([sys.executable, "-m", "ringway", "check", "--config", file], capture_output=True, text=True)
    assert done.returncode == 1
    assert told in done.stdout + done.stderr


def test_cbpf_is_for_the_others(ringway, tmp_path, path):
    config = files(tmp_path, ["127.0.0.1:0", f"unix:{path}"], threads=2)
    server = ringway({**config, "performance": {"reuseport_balancing": "cbpf"}})
    for where in (path, server.address):
        with Client(where) as link:
            assert link.get("/a.txt").body == b"a"


def test_draining_refuses_and_finishes(ringway, upstream, path):
    def serve(link):
        link.request()
        link.upstream.go.wait()
        link.send(HELLO)

    origin = upstream(serve)
    origin.go = threading.Event()
    server = ringway({"server": {"listen": f"unix:{path}"}, "host_routes": {"*": {"type": "Proxy", "url": origin.url}}})
    with Client(path) as busy:
        busy.send(message("GET / HTTP/1.1", "Host: x"))
        origin.link(0)
        server.tell_to_end()
        server.wait_line(": draining, ")
        with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
            while True:  # a connection that still gets in is ended
                with Client(path) as late:
                    late.assert_ended()
        assert not os.path.lexists(path)
        origin.go.set()
        response = busy.response()
        assert (response.body, response.one("connection")) == (b"hello", "close")
    server.stop()


# --- clients


def test_clients_without_an_address(ringway, upstream, path):
    """Ringway sends no X-Forwarded-For, because there is no address. The other fields are as usual."""
    origin = upstream()
    server = ringway({"server": {"listen": f"unix:{path}"}, "host_routes": {"*": {"type": "Proxy", "url": origin.url}}})
    target = origin.on(OK)
    with Client(path) as link:
        link.get(target, "X-Forwarded-For: 1.1.1.1", host="app")
    request = origin.request(target)
    assert "x-forwarded-for" not in request
    assert (request.one("host"), request.one("x-forwarded-host"), request.one("x-forwarded-proto")) == (
        "app",
        "app",
        "http",
    )
    assert server.record(target)["client"] == "unix:"


def test_trusted_clients(ringway, upstream, path):
    origin = upstream()
    server = ringway(
        {
            "server": {"listen": f"unix:{path}", "trusted_proxies": ["unix", "10.0.0.0/8"]},
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }
    )
    target = origin.on(OK)
    with Client(path) as link:
        link.get(target, "X-Forwarded-For: 203.0.113.9, 10.0.0.1", "X-Forwarded-Proto: https")
    request = origin.request(target)
    assert request.one("x-forwarded-for") == "203.0.113.9, 10.0.0.1"
    assert request.one("x-forwarded-proto") == "https"
    assert server.record(target)["client"] == "203.0.113.9"


def test_the_proxy_protocol_both_ways(ringway, upstream, path):
    lines = []

    def serve(link):
        lines.append(link.line())
        link.request()
        link.send(OK)

    origin = upstream(serve)
    ringway(
        {
            "server": {"listen": f"unix:{path}", "trusted_proxies": "unix", "proxy_protocol": f"unix:{path}"},
            "host_routes": {"*": {"type": "Proxy", "url": origin.url, "proxy_protocol": "v1"}},
        }
    )
    for header in (b"PROXY TCP4 203.0.113.9 198.51.100.1 1 2\r\n", b"PROXY UNKNOWN\r\n"):
        with Client(path) as link:
            link.send(header)
            assert link.get("/").status == 200
            assert link.get("/", "X-Forwarded-For: 203.0.113.7").status == 200
    first = b"PROXY TCP4 203.0.113.9 198.51.100.1 1 2"
    assert lines == [first, first, b"PROXY UNKNOWN", b"PROXY TCP4 203.0.113.7 0.0.0.0 0 0"]


# --- upstreams


def test_an_upstream(ringway, upstream, tmp_path):
    origin = upstream(path=str(tmp_path / "app.sock"))
    server = ringway(
        {
            "host_routes": {"app": {"type": "Proxy", "url": origin.url}},
            "path_routes": {"app": {"/api/": {"type": "Proxy", "url": f"{origin.url}:/v2"}}},
        }
    )
    with server.connect() as link:
        assert link.get("/x?y", host="app").body == b"hello"
        assert link.get("/api/z", host="app").body == b"hello"
    assert [(r.target, r.one("host"), r.one("x-forwarded-for")) for r in origin.requests] == [
        ("/x?y", "app", "127.0.0.1"),
        ("/v2/z", "app", "127.0.0.1"),
    ]
    assert len(origin.links) == 1  # kept and reused
    assert server.record("/x?y")["upstream"] == origin.url


def test_a_request_without_host(ringway, upstream, tmp_path):
    origin = upstream(path=str(tmp_path / "app.sock"))
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": origin.url}}})
    with server.connect() as link:
        link.send(b"GET / HTTP/1.0\r\n\r\n")
        assert link.response().status == 200
    assert origin.requests[0].one("host") == "localhost"


def test_an_upstream_that_comes_and_goes(ringway, upstream, tmp_path):
    path = str(tmp_path / "app.sock")
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": f"http://unix:{path}"}}})
    with server.connect() as link:
        missing = link.get("/")
        assert missing.status == 502
        assert b"upstream_refused" in missing.body
        server.wait_line(rf"cannot connect to http://unix:{path} \(No such file or directory\)")
        origin = upstream(path=path)
        assert link.get("/").body == b"hello"
        origin.close()
        assert link.get("/").status == 502
        os.unlink(path)
        again = upstream(path=path)
        assert link.get("/").body == b"hello"
        assert len(again.requests) == 1


def test_an_upstream_whose_backlog_is_full(ringway, tmp_path):
    """Connecting waits for room until the deadline, and leaves nothing open."""
    path = str(tmp_path / "app.sock")
    server = ringway(
        {
            "timeouts": {"connect": 0.5, "drain": 5},
            "host_routes": {"*": {"type": "Proxy", "url": f"http://unix:{path}"}},
        }
    )
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:  # until the backlog is full
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(path)
        with server.connect() as link:
            response = link.get("/")
        assert (response.status, response.reason) in ((504, "upstream_connect_timeout"), (502, "upstream_refused"))


def test_a_kept_connection_that_closes_is_replaced(ringway, upstream, tmp_path):
    origin = upstream(answers(HELLO, None), path=str(tmp_path / "app.sock"))
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": origin.url}}})
    with server.connect() as link:
        assert [link.get("/").body for _ in range(4)] == [b"hello"] * 4
    assert len(origin.links) >= 3


def test_large_bodies_both_ways(ringway, upstream, tmp_path, path):
    """From one Unix socket to another."""
    origin = upstream(bulk.serve, path=str(tmp_path / "app.sock"))
    config = {"type": "Proxy", "url": origin.url}
    ringway({"server": {"listen": f"unix:{path}"}, "limits": {"request_body_bytes": 0}, "host_routes": {"*": config}})
    size = 10 << 20
    got = curl(f"http://localhost/length/{size}", "--unix-socket", path, keep=False)
    assert (got.status, got.size, got.sha256) == (200, size, bulk.checksum(size))


@pytest.mark.parametrize("driver", SITE_DRIVERS)
def test_a_full_backlog_is_waited_for(ringway, tmp_path, driver):
    """Connecting waits as long as the deadline allows: a busy application is not an absent one."""
    path = str(tmp_path / "busy.sock")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as waiting:
        listener.bind(path)
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                one = waiting.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect(path)
        server = ringway(
            {
                "performance": {"io_driver": driver},
                "host_routes": {
                    "*": {"type": "Proxy", "url": f"http://unix:{path}"},
                    "moved": {"type": "Redirect", "to": "https://a{path}"},
                },
            }
        )
        with server.connect() as client, server.connect() as other:
            client.send(message("GET / HTTP/1.1", "Host: a"))
            for _ in range(3):  # by now the worker has hit the full backlog
                assert other.get("/", host="moved").status == 308
            waiting.close()
            listener.settimeout(DEADLINE)
            while True:
                link, _ = listener.accept()
                with link:
                    link.settimeout(DEADLINE)
                    if link.recv(65536):
                        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere")
                        break
            assert client.response().body == b"here"

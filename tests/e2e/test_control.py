"""The control plane of the real process: workers that die, signals, draining, readiness, limits of descriptors."""

import os
import re
import resource
import signal
import socket
import threading
import time

import pytest
from harness import bulk
from harness.memory import children_of, counters_of, runs, sockets_of
from harness.raw import Client, Ended
from harness.waiting import DEADLINE, PATIENCE, wait

SIZE = 30_000_000
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    (root / "index.html").write_text("x")
    bulk.write_file(root / "large", SIZE)
    return root


def config(folder, workers=1, drain=5.0, **more):
    return {
        "server": {"listen": "127.0.0.1:0", "threads": workers},
        "timeouts": {"drain": drain},
        "host_routes": {"*": {"type": "File", "path": folder}},
        **more,
    }


def begin_download(server, tls=False):
    """A download of which the client has read almost nothing."""
    client = server.connect(tls=tls, window=4096)
    client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.response_head().status == 200
    return client


# Workers that die


def kill_worker(server, pid):
    server.expected.append(rf"worker \d+ \(pid {pid}\) died: signal SIGKILL")
    os.kill(pid, signal.SIGKILL)


def test_a_killed_worker_is_back_within_a_second_and_says_why(ringway, folder):
    server = ringway(config(folder, workers=2))
    first, second = server.workers[0], server.workers[1]
    with server.connect() as client:
        assert client.get("/").status == 200
        began = time.monotonic()
        kill_worker(server, first)
        line = server.wait_line(rf"error worker 0 \(pid {first}\) died: ")
        assert line.endswith("died: signal SIGKILL; restarting now")
        server.wait_for(lambda: len(server.worker_pids) == 3, "new worker")
        assert time.monotonic() - began < 1.0 * PATIENCE
    assert runs(second)
    for _ in range(20):
        with server.connect() as client:
            assert client.get("/").status == 200


def test_every_worker_killed_at_once(ringway, folder):
    """New connections wait in the sockets, which the supervisor keeps open."""
    server = ringway(config(folder, workers=3))
    for pid in server.worker_pids:
        kill_worker(server, pid)
    server.wait_for(lambda: sum("died" in line for line in server.lines) == 3, "three deaths")
    clients = [server.connect() for _ in range(12)]
    for client in clients:
        with client:
            assert client.get("/").status == 200
    server.wait_for(lambda: len(server.worker_pids) == 6, "all new workers")


def test_a_reader_of_stderr_that_stands_still_holds_up_no_restart(ringway, folder):
    """When the reader of stderr continues, it gets all lines, in order."""
    server = ringway(config(folder))
    (pid,) = server.worker_pids
    with server.full_stderr():
        for _ in range(2):
            (pid,) = children_of(server.process.pid)
            kill_worker(server, pid)
            wait(lambda pid=pid: not runs(pid), "death")
            with server.connect() as client:
                assert client.get("/").status == 200
        assert len(server.worker_pids) == 1
    server.wait_for(lambda: len(server.worker_pids) == 3, "all that was said meanwhile")
    said = [line for line in server.lines if " worker 0 " in line]
    assert [re.search(r"ready|died", line)[0] for line in said] == ["ready", "died", "ready", "died", "ready"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_reader_of_stderr_that_stands_still_holds_up_no_end(ringway, folder, number):
    """Running requests finish, then Ringway ends, although it could not write all lines."""
    server = ringway(config(folder))
    with begin_download(server) as client, server.full_stderr():
        server.tell_to_end(number)
        assert len(client.exactly(SIZE)) == SIZE
        assert server.process.wait(DEADLINE) == 0
        assert not any(runs(pid) for pid in server.worker_pids)
    server.kill()


def test_what_it_had_served_is_still_logged(ringway, folder):
    server = ringway(config(folder))
    with server.connect() as client:
        for number in range(20):
            assert client.get(f"/?{number}").status == 200
        kill_worker(server, server.worker_pids[0])
    # The record of the last response may have been lost with the worker: it is written after the response is sent.
    for number in range(19):
        assert server.record(f"/?{number}")["status"] == 200
    server.wait_for(lambda: len(server.worker_pids) == 2, "new worker")
    with server.connect() as client:
        assert client.get("/?again").status == 200
    assert server.record("/?again")["status"] == 200


def test_back_off_when_it_dies_again_and_again(ringway, folder):
    server = ringway(config(folder))
    for count in (2, 3):
        kill_worker(server, server.worker_pids[-1])
        server.wait_for(lambda count=count: len(server.worker_pids) == count, "new worker")
    lines = [line for line in server.lines if "died" in line]
    assert [line.rpartition("; ")[2] for line in lines] == ["restarting now", "restarting in 1 s"]
    with server.connect() as client:
        assert client.get("/").status == 200
    kill_worker(server, server.worker_pids[-1])
    server.wait_line("restarting in 2 s")
    # The end does not wait for the pause.
    began = time.monotonic()
    server.process.terminate()
    assert server.process.wait(DEADLINE) == 0
    assert time.monotonic() - began < 1.5 * PATIENCE
    server.kill()


def test_nobody_waits_for_a_worker_that_is_away(ringway, folder):
    """While the supervisor backs off, another worker accepts from the sockets of the dead one, and later gives them
    back."""
    server = ringway(config(folder, workers=2, server={"listen": ["127.0.0.1:0"] * 2, "threads": 2}))
    other = server.workers[1]
    server.wait_for(lambda: len(server.listeners) == 2, "listeners")
    before = sockets_of(other)
    for pause in ("now", "in 1 s", "in 2 s"):
        kill_worker(server, server.workers[0])
        server.wait_line(f"worker 0 .* died: .*; restarting {pause}")
        if pause != "in 2 s":
            count = len(server.worker_pids)
            server.wait_for(lambda count=count: len(server.worker_pids) > count, "new worker")
    server.wait_line("restarting in 2 s, worker 1 accepts for it meanwhile")
    clients = [Client(listener.address) for listener in server.listeners for _ in range(20)]
    for client in clients:
        with client:
            assert client.get("/").status == 200
    assert len(server.worker_pids) == 4, "they have waited"
    assert counters_of(other)["requests"] >= 40
    server.wait_for(lambda: len(server.worker_pids) == 5, "new worker")
    wait(lambda: sockets_of(other) == before, "return of the sockets")
    clients = [server.connect() for _ in range(40)]
    for client in clients:
        with client:
            assert client.get("/").status == 200
    assert 0 < counters_of(server.workers[0])["requests"] < 40


def test_workers_end_when_the_supervisor_is_killed(ringway, folder):
    """When the control socket of the workers closes, they drain by themselves."""
    server = ringway(config(folder, workers=2))
    pids = server.worker_pids
    with begin_download(server) as client:
        server.process.kill()
        server.process.wait(DEADLINE)
        found = bulk.checksum_of([client.exactly(SIZE, 4 * DEADLINE)])
        assert found == (SIZE, bulk.checksum(SIZE))
    wait(lambda: not any(map(runs, pids)), "end of the workers")
    server.kill()


# Draining


def assert_refuses(address):
    wait(lambda: not connects(address), "refusal")


def connects(address):
    with socket.socket() as sock:
        sock.settimeout(DEADLINE)
        return sock.connect_ex(address) == 0


@TLS
def test_sigterm_drains(ringway, folder, certificate, tls):
    server = ringway(config(folder, workers=2, drain=20, **({"tls": certificate} if tls else {})))
    address = server.listeners[0].address
    with (
        begin_download(server, tls) as download,
        server.connect(tls=tls) as idle,
        server.connect(tls=tls) as half,
        server.connect(tls=tls),
    ):
        assert idle.get("/").keeps
        half.send(b"GET / HTTP/1.1\r\nHo")
        wait(lambda: sum(counters_of(pid)["clients"] for pid in server.worker_pids) == 4, "acceptance of all")
        server.process.send_signal(signal.SIGTERM)
        server.wait_line(" info SIGTERM: draining, running requests have 20 s")
        idle.assert_ended()
        assert_refuses(address)
        half.send(b"st: a\r\n\r\n")
        response = half.response()
        assert (response.status, response.keeps) == (200, False)
        half.assert_ended()
        assert server.process.poll() is None
        found = bulk.checksum_of([download.exactly(SIZE, 4 * DEADLINE)])
        assert found == (SIZE, bulk.checksum(SIZE))
        download.assert_ended()
        began = time.monotonic()
        assert server.process.wait(DEADLINE) == 0
        assert time.monotonic() - began < 3 * PATIENCE
    server.stop()


def test_a_proxied_request_finishes_while_draining(ringway, upstream):
    go_on = threading.Event()
    origin = upstream()

    def slow(link, request):
        link.body(request)
        assert go_on.wait(DEADLINE)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    target = origin.on(slow)
    server = ringway({"timeouts": {"drain": 10}, "host_routes": {"*": {"type": "Proxy", "url": origin.url}}})
    with server.connect() as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        origin.request(target)
        server.process.terminate()
        server.wait_line(" info SIGTERM: ")
        assert_refuses(server.address)
        go_on.set()
        response = client.response()
        assert (response.status, response.body, response.keeps) == (200, b"hi", False)
        client.assert_ended()
        assert server.process.wait(DEADLINE) == 0
    server.stop()


@TLS
def test_a_second_signal_ends_at_once(ringway, folder, certificate, tls):
    server = ringway(config(folder, workers=2, drain=60, **({"tls": certificate} if tls else {})))
    with begin_download(server, tls):
        server.process.send_signal(signal.SIGTERM)
        server.wait_line(" info SIGTERM: draining")
        assert_refuses(server.listeners[0].address)
        assert server.process.poll() is None
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE) == 0
        assert time.monotonic() - began < 2 * PATIENCE
    server.wait_line(" info SIGTERM again: ending at once")
    server.stop()


@pytest.mark.parametrize("host", ["files", "proxied"])
def test_the_drain_deadline_ends_what_does_not(ringway, folder, origin, host):
    server = ringway(
        {
            "server": {"threads": 2},
            "timeouts": {"drain": 0.5},
            "host_routes": {"files": {"type": "File", "path": folder}, "proxied": {"type": "Proxy", "url": origin.url}},
        }
    )
    target = {"files": "/large", "proxied": f"/length/{SIZE}"}[host]
    with server.connect(window=4096) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert client.response_head().status == 200
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE) == 0
        assert 0.4 < time.monotonic() - began < 1.4 * PATIENCE
        # Aborted: otherwise a response that ends with the connection would look complete.
        with pytest.raises(ConnectionResetError):
            client.exactly(SIZE)
    assert server.record(target)["reason"] == "stopped"
    server.stop()


def test_ctrl_c(ringway, folder):
    """The terminal sends SIGINT to the whole group. The workers ignore it, and the supervisor drains them."""
    server = ringway(config(folder, workers=2, drain=20), through=["setsid"])
    assert os.getpgid(server.process.pid) == server.process.pid
    with begin_download(server) as download:
        os.killpg(server.process.pid, signal.SIGINT)
        server.wait_line(" info SIGINT: draining")
        found = bulk.checksum_of([download.exactly(SIZE, 4 * DEADLINE)])
        assert found == (SIZE, bulk.checksum(SIZE))
        assert server.process.wait(DEADLINE) == 0
    server.stop()


def test_signals_to_a_worker_are_not_for_it(ringway, folder):
    server = ringway(config(folder))
    (pid,) = server.worker_pids
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        os.kill(pid, number)
    with server.connect() as client:
        assert client.get("/").status == 200
    assert server.worker_pids == [pid]


# systemd


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_readiness_is_told_when_asked_for(ringway, folder, tmp_path, abstract):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"@ringway-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
        sock.bind(name.replace("@", "\0", 1) if abstract else name)
        sock.settimeout(DEADLINE)
        server = ringway(config(folder, workers=2), env={"NOTIFY_SOCKET": name})
        told = sock.recv(4096).decode().splitlines()
        assert "READY=1" in told
        with server.connect() as client:
            assert client.get("/").status == 200
        server.process.terminate()
        told = sock.recv(4096).decode().splitlines()
        assert "STOPPING=1" in told
        assert "EXTEND_TIMEOUT_USEC=7000000" in told  # the drain timeout of five seconds, and some more
        server.process.wait(DEADLINE)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(4096)
    server.stop()


# Descriptors


def test_out_of_descriptors(ringway, folder, upstream):
    """Ringway pauses accepting and does not burn the CPU. Nothing breaks, and all waiting clients are served
    afterwards."""
    origin = upstream()
    server = ringway(
        {
            "host_routes": {"files": {"type": "File", "path": folder}, "proxied": {"type": "Proxy", "url": origin.url}},
        },
        through=["prlimit", "--nofile=64:64"],
    )
    (pid,) = server.worker_pids
    # Fewer than at the start (test_small_machines.py), as if the whole machine had run out.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (44, 44))
    clients: list[Client] = []
    try:
        for _ in range(45):
            clients.append(server.connect())
        server.wait_line(r" warning worker 0: .*[Tt]oo many open files")
        assert 1 <= counters_of(pid)["accept_errors"] <= 20
        accepted = counters_of(pid)["clients"]
        assert 15 < accepted < 44
        # Accepted connections get an answer, although Ringway can open neither a file nor an upstream.
        for host in ("files", "proxied"):
            response = clients[0].get("/", host=host)
            assert (response.status, response.reason) == (503, "too_many_open_files")
        for client in clients[:accepted]:
            client.close()
        # The others have waited.
        for client in clients[accepted:]:
            assert client.get("/", host="files").body == b"x"
        assert clients[-1].get("/", host="proxied").body == b"hello"
    finally:
        for client in clients:
            client.close()
    with server.connect() as client:
        assert client.get("/", host="files").status == 200


def test_more_clients_than_client_connections(ringway, folder):
    """At the limit, further clients wait or are rejected. The clients inside are served, and then others."""
    server = ringway(config(folder, limits={"client_connections": 10}))
    clients: list[Client] = []
    try:
        for _ in range(10):
            clients.append(server.connect())
            assert clients[-1].get("/").status == 200
        further = server.connect()
        clients.append(further)
        further.try_send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients[:10]:
            assert client.get("/").status == 200
        clients[0].close()

        def served():
            with server.connect() as client:
                try:
                    return client.get("/").status == 200
                except (ConnectionError, Ended):
                    return False

        wait(served, "place for another client")
    finally:
        for client in clients:
            client.close()

"""Sockets from a service manager (sd_listen_fds(3)), passed by a short launcher and by systemd's own."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys

import pytest
from harness.foreign import SANITIZED
from harness.memory import counters_of, left_with
from harness.raw import Client
from harness.server import toml
from harness.waiting import DEADLINE

# Executes Ringway, as a service manager does after the fork. These descriptors become 3 and following.
LAUNCHER = """
import fcntl, os, sys
numbers = [int(text) for text in sys.argv[1].split(",")]
high = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in numbers]
for place, number in enumerate(high, 3):
    os.dup2(number, place)
os.environ.update(LISTEN_PID=sys.argv[2] if sys.argv[2] else str(os.getpid()), LISTEN_FDS=str(len(numbers)))
os.environ.update(LISTEN_FDNAMES=":".join(f"web{place}.socket" for place in range(len(numbers))))
os.execvp(sys.argv[3], sys.argv[3:])
"""


@contextlib.contextmanager
def bound(count=1, family=socket.AF_INET, kind=socket.SOCK_STREAM, v6only=True, blocking=True):
    """Listening sockets of one address, for a process that is started with `pass_fds`."""
    host, port = "::1" if family == socket.AF_INET6 else "127.0.0.1", 0
    if not v6only:
        host = "::"
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket(family, kind))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(count > 1))
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
            sock.bind((host, port))
            port = sock.getsockname()[1]
            if kind == socket.SOCK_STREAM:
                sock.listen()
            os.set_inheritable(sock.fileno(), True)
            os.set_blocking(sock.fileno(), blocking)
            found.append(sock)
        yield found


def launched(sockets, pid=""):
    return [sys.executable, "-c", LAUNCHER, ",".join(str(sock.fileno()) for sock in sockets), pid]


def config(folder, *ports, workers=1, **more):
    (folder / "index.html").write_text("x")
    return {
        "server": {"listen": [f"127.0.0.1:{port}" for port in ports], "threads": workers},
        "host_routes": {"*": {"type": "File", "path": folder}},
        **more,
    }


def serves(address):
    with Client(address) as client:
        return client.get("/").body == b"x"


@pytest.mark.parametrize("blocking", [True, False])
def test_it_is_used_instead_of_a_new_one(ringway, tmp_path, blocking):
    """Earlier connections wait in the socket, and it stays open when Ringway has ended. It can be blocking or not."""
    with bound(blocking=blocking) as (sock,):
        address = sock.getsockname()
        with Client(address) as early:
            early.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            server = ringway(config(tmp_path, address[1], workers=3), through=launched([sock]), close_fds=False)
            assert early.response().body == b"x"
        assert [listener.address for listener in server.listeners] == [address]
        for _ in range(20):
            assert serves(address)
        assert [counters_of(pid)["accept_errors"] for pid in server.worker_pids] == [0] * 3
        server.stop()
        with Client(address) as late:
            late.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            ringway(config(tmp_path, address[1]), through=launched([sock]), close_fds=False)
            assert late.response().body == b"x"


def test_workers_that_share_one_go_on_when_one_of_them_dies(ringway, tmp_path):
    with bound() as (sock,):
        server = ringway(config(tmp_path, sock.getsockname()[1], workers=2), through=launched([sock]), close_fds=False)
        first = server.workers[0]
        server.expected.append(rf"pid {first}\) died")
        os.kill(first, 9)
        server.wait_for(lambda: len(server.worker_pids) == 3, "new worker")
        for _ in range(10):
            assert serves(sock.getsockname())


def test_one_for_each_worker_can_be_steered(ringway, tmp_path):
    with bound(count=3) as sockets:
        port = sockets[0].getsockname()[1]
        server = ringway(
            config(tmp_path, port, workers=3, performance={"reuseport_balancing": "cbpf"}),
            through=launched(sockets),
            close_fds=False,
        )
        assert server.warnings == []
        for _ in range(30):
            assert serves(sockets[0].getsockname())
        assert sorted(counters_of(pid)["requests"] for pid in server.worker_pids) == [0, 0, 30]


def test_a_reload_shares_it_among_more_workers_and_gives_none_up(ringway, tmp_path):
    with bound() as (sock,):
        port = sock.getsockname()[1]
        server = ringway(config(tmp_path, port), through=launched([sock]), close_fds=False)
        assert_kept_by_reloads(server, tmp_path, port)


def test_nobody_sets_its_flags_while_workers_use_it(ringway, tmp_path):
    """Workers with epoll need O_NONBLOCK: without it they block in accept4(2), and their clients wait."""
    with bound(blocking=False) as (sock,):
        port = sock.getsockname()[1]
        server = ringway(config(tmp_path, port), through=launched([sock]), close_fds=False)
        assert not os.get_blocking(sock.fileno())
        server.reload(config(tmp_path, port, workers=3))
        assert not os.get_blocking(sock.fileno())


def test_a_successor_knows_it_too(upgraded, tmp_path):
    with bound() as (sock,):
        port = sock.getsockname()[1]
        server = upgraded(config(tmp_path, port), through=launched([sock]), close_fds=False)
        server.rewrite(config(tmp_path, 0))
        server.expected.append(f"not upgraded|error: .* 127.0.0.1:{port} ")
        assert server.command("upgrade").returncode == 1
        server.wait_line(f"a socket for 127.0.0.1:{port} .web0.socket., but no key names this address")
        server.rewrite(config(tmp_path, port))
        assert server.command("upgrade").returncode == 0, server.text
        assert server.process.wait(3 * DEADLINE) == 0
        assert_kept_by_reloads(server, tmp_path, port)


def assert_kept_by_reloads(server, folder, port):
    for workers in (3, 2):
        server.reload(config(folder, port, 0, workers=workers))
        for _ in range(10):
            assert serves(("127.0.0.1", port))
    server.expected.append("not reloaded")
    server.rewrite(config(folder, 0))
    done = server.command("reload")
    assert done.returncode == 1
    assert f"a socket for 127.0.0.1:{port} (web0.socket), but no key names this address" in done.stderr
    assert serves(("127.0.0.1", port))


def test_another_address_is_opened_as_usual(ringway, tmp_path):
    with bound() as (sock,):
        server = ringway(config(tmp_path, sock.getsockname()[1], 0), through=launched([sock]), close_fds=False)
        assert len(server.listeners) == 2
        assert all(serves(listener.address) for listener in server.listeners)


def test_variables_for_another_process_are_nothing_to_us(ringway, tmp_path):
    with bound() as (sock,):
        server = ringway(config(tmp_path, 0), through=launched([sock], pid="1"), close_fds=False)
        assert serves(server.address)
        assert server.address != sock.getsockname()


def test_workers_do_not_see_the_variables(ringway, tmp_path):
    with bound() as (sock,):
        server = ringway(config(tmp_path, sock.getsockname()[1]), through=launched([sock]), close_fds=False)
        (pid,) = server.worker_pids
        with open(f"/proc/{pid}/environ", "rb") as stream:
            assert b"LISTEN_" not in stream.read()


def refusal(folder, sections, sockets):
    """Returns the error that Ringway prints."""
    file = folder / "config.toml"
    file.write_text(toml(sections), encoding="utf-8")
    mark = f"{folder.name}-{os.getpid()}"
    done = subprocess.run(
        [*launched(sockets), sys.executable, "-P", "-W", "error", "-m", "ringway", "run", "--config", str(file)],
        env={**os.environ, "RINGWAY_TEST_MARK": mark},
        close_fds=False,
        capture_output=True,
        text=True,
        timeout=4 * DEADLINE,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert left_with(mark) == []
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_one_that_no_key_names(tmp_path):
    with bound() as (sock,):
        line = refusal(tmp_path, config(tmp_path, 0), [sock])
        assert f"a socket for 127.0.0.1:{sock.getsockname()[1]} (web0.socket), but no key names this address" in line


def test_more_than_workers(tmp_path):
    with bound(count=2) as sockets:
        line = refusal(tmp_path, config(tmp_path, sockets[0].getsockname()[1]), sockets)
        assert "2 times, more often than there are workers (1); set [server] threads = 2" in line


def test_one_of_another_kind(tmp_path):
    with bound(kind=socket.SOCK_DGRAM) as (sock,):
        line = refusal(tmp_path, config(tmp_path, sock.getsockname()[1]), [sock])
        assert "passes web0.socket, which is not a listening TCP socket" in line


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="no IPv6 here")
def test_one_for_ipv6_that_takes_ipv4_too(tmp_path):
    with bound(family=socket.AF_INET6, v6only=False) as (sock,):
        port = sock.getsockname()[1]
        sections = config(tmp_path)
        sections["server"]["listen"] = [f"[::]:{port}", f"0.0.0.0:{port}"]
        line = refusal(tmp_path, sections, [sock])
        assert f"cannot listen on 0.0.0.0:{port}: the service manager passes a socket for [::]:{port}" in line
        assert "BindIPv6Only=ipv6-only" in line


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="no systemd-socket-activate here")
@pytest.mark.skipif(SANITIZED, reason="the launcher does not hand on what a sanitizer needs")
def test_the_launcher_of_systemd(tmp_path):
    """systemd starts Ringway at the first connection, which waits in the socket until then."""
    with bound() as (sock,):
        port = sock.getsockname()[1]  # free again soon: the launcher opens this port itself
    file = tmp_path / "config.toml"
    file.write_text(toml(config(tmp_path, port)), encoding="utf-8")
    launch = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}"]
    launch.append(f"--setenv=PYTHONPATH={os.environ.get('PYTHONPATH', '')}")  # the debug build is there
    run = [sys.executable, "-P", "-m", "ringway", "run", "--config", str(file)]
    with subprocess.Popen([*launch, *run], stderr=subprocess.PIPE, text=True) as launcher:
        try:
            assert "Listening on" in launcher.stderr.readline()
            assert serves(("127.0.0.1", port))
        finally:
            launcher.terminate()
            said = launcher.stderr.read()
    assert f"listening on http://127.0.0.1:{port}" in said
    assert "worker 0 stopped, nothing left open" in said

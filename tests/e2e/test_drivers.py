"""The choice of the I/O driver, what Ringway logs about it, and cases that only edge-triggered epoll has."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from harness import bulk
from harness.server import toml
from harness.waiting import DEADLINE

from ringway.control.machine import io_driver

HARNESS = Path(__file__).parent.parent / "harness"
HAS_IO_URING = pytest.mark.skipif(bool(io_driver.io_uring().why), reason="there is no io_uring here")
DRIVERS = pytest.mark.parametrize("driver", [pytest.param("io_uring", marks=HAS_IO_URING), "epoll"])


def refusing(*calls):
    return [sys.executable, "-P", str(HARNESS / "refuse_io_uring.py"), ",".join(calls)]


def config(folder, driver, **sections):
    (folder / "www").mkdir(exist_ok=True)
    (folder / "www" / "index.html").write_text("here")
    return {
        "performance": {"io_driver": driver},
        "host_routes": {"files": {"type": "File", "path": str(folder / "www")}},
        **sections,
    }


def said(server):
    (line,) = (line for line in server.lines if "I/O driver: " in line)
    return line.partition("I/O driver: ")[2]


def kinds_of(pid):
    """Returns what a worker waits with: `io_uring`, `eventpoll`."""
    links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd") if entry.is_symlink()]
    return {match[1] for link in links if (match := re.fullmatch(r"anon_inode:\[(io_uring|eventpoll)\]", link))}


# The choice


@HAS_IO_URING
def test_auto_takes_io_uring_where_it_works(ringway, tmp_path):
    server = ringway(config(tmp_path, "auto"))
    assert said(server).startswith("io_uring, tested: multishot accept, ")
    assert kinds_of(server.worker_pids[0]) == {"io_uring"}


@pytest.mark.parametrize(
    ("calls", "step"),
    [
        (["io_uring_setup"], "setting it up"),
        # A sandbox that allows creating the ring but not using it.
        (["io_uring_enter"], "setting it up"),
        (["io_uring_register"], "setting it up"),
    ],
)
def test_auto_takes_epoll_where_io_uring_is_refused(ringway, upstream, tmp_path, calls, step):
    sections = config(tmp_path, "auto")
    sections["host_routes"]["proxied"] = {"type": "Proxy", "url": upstream().url}
    server = ringway(sections, through=refusing(*calls))
    why = f"({step}: Operation not permitted, a seccomp filter blocks it"
    assert said(server).startswith(f"epoll, because io_uring cannot be used here {why}")
    assert kinds_of(server.worker_pids[0]) == {"eventpoll"}
    with server.connect() as client:
        for _ in range(3):
            assert client.get("/", host="files").body == b"here"
            assert client.get("/", host="proxied").body == b"hello"


def test_epoll_is_taken_when_it_is_asked_for(ringway, tmp_path):
    server = ringway(config(tmp_path, "epoll"))
    assert said(server) == "epoll, set by io_driver"
    assert kinds_of(server.worker_pids[0]) == {"eventpoll"}
    with server.connect() as client:
        assert client.get("/", host="files").body == b"here"


@pytest.mark.parametrize("command", ["run", "check"])
def test_io_uring_where_it_is_refused_is_an_error(tmp_path, command):
    file = tmp_path / "config.toml"
    file.write_text(toml({"server": {"listen": "127.0.0.1:0"}, **config(tmp_path, "io_uring")}), encoding="utf-8")
    program = [sys.executable, "-P", "-m", "ringway", command, "--config", str(file)]
    done = subprocess.run(
        [*refusing("io_uring_setup"), *program], capture_output=True, text=True, timeout=2 * DEADLINE, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {file}:4: performance.io_driver: io_uring cannot be used here (setting it up: Operation not "
        "permitted, a seccomp filter blocks it, as in many containers); allow io_uring_setup, "
        'io_uring_enter and io_uring_register in the seccomp profile, or set io_driver = "auto" or "epoll"\n'
    )


def test_check_tells_which_it_would_be(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(toml({"server": {"listen": "127.0.0.1:0"}, **config(tmp_path, "auto")}), encoding="utf-8")
    program = [sys.executable, "-P", "-m", "ringway", "check", "--config", str(file)]
    done = subprocess.run(
        [*refusing("io_uring_setup"), *program], capture_output=True, text=True, timeout=2 * DEADLINE, check=True
    )
    assert re.search(r"^  I/O driver +epoll, because io_uring cannot be used here \(setting it up: ", done.stdout, re.M)


# Edges


@DRIVERS
def test_more_connections_than_are_accepted_in_a_turn(ringway, tmp_path, driver):
    """Several events happen while the worker is stopped, so that one edge reports all of them."""
    server = ringway(config(tmp_path, driver))
    (pid,) = server.worker_pids
    os.kill(pid, signal.SIGSTOP)
    try:
        clients = [server.connect() for _ in range(300)]
    finally:
        os.kill(pid, signal.SIGCONT)
    for client in clients:
        assert client.get("/", host="files").body == b"here"
    for client in clients:
        client.close()


@DRIVERS
def test_an_urgent_byte_hides_nothing(ringway, tmp_path, driver):
    """A receive stops before urgent data, and there is more after it."""
    server = ringway(config(tmp_path, driver))
    (pid,) = server.worker_pids
    with server.connect() as client:
        for _ in range(50):
            assert client.get("/", host="files").status == 200
            # io_uring is not stopped here: with SIGCONT pending, tcp_recvmsg() returns EAGAIN before that byte.
            if driver == "epoll":
                os.kill(pid, signal.SIGSTOP)
            try:
                client.send(b"GET / HTTP/1.1\r\nHo")
                client.sock.send(b"!", socket.MSG_OOB)
                client.send(b"st: files\r\n\r\n")
            finally:
                if driver == "epoll":
                    os.kill(pid, signal.SIGCONT)
            assert client.response().body == b"here"


@DRIVERS
def test_a_request_and_the_end_in_one_segment(ringway, tmp_path, driver):
    """One edge reports the last bytes and the end. There is no further event."""
    server = ringway(config(tmp_path, driver))
    (pid,) = server.worker_pids
    with server.connect() as client:
        assert client.get("/", host="files").status == 200
        os.kill(pid, signal.SIGSTOP)
        try:
            client.send(b"GET / HTTP/1.1\r\nHost: files\r\n\r\n")
            client.finish()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert client.response().body == b"here"
        client.assert_ended()


@DRIVERS
@pytest.mark.parametrize("mode", ["sendfile", "memory"])
def test_a_stream_that_never_blocks_lets_others_in(ringway, tmp_path, driver, mode):
    """A client repeatedly reads a large file as fast as possible, while another client is served."""
    size = 64 << 20
    folder = tmp_path / "large"
    folder.mkdir()
    bulk.write_file(folder / "file", size)
    sections = config(tmp_path, driver)
    sections["host_routes"]["large"] = {"type": "File", "path": str(folder), "mode": mode}
    sections["limits"] = {"memory_bytes": 2 * size, "memory_file_bytes": size}
    server = ringway(sections)
    enough = threading.Event()
    read = []

    def reader():
        with server.connect() as client:
            while not enough.is_set():
                client.send(b"GET /file HTTP/1.1\r\nHost: large\r\n\r\n")
                assert client.response_head().status == 200
                left = size
                while left:
                    left -= len(client.reader.some(min(left, 1 << 20), time.monotonic() + DEADLINE))
                read.append(size)

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        with server.connect() as client:
            for _ in range(200):
                assert client.get("/", host="files").body == b"here"
    finally:
        enough.set()
        thread.join(4 * DEADLINE)
    assert read


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_connection_is_registered_once(ringway, upstream, tmp_path):
    """strace shows that requests on kept connections arm nothing."""
    origin = upstream()
    sections = config(tmp_path, "epoll")
    sections["host_routes"]["proxied"] = {"type": "Proxy", "url": origin.url}
    server = ringway(sections)
    out = tmp_path / "calls"
    command = ["strace", "-o", str(out), "-p", str(server.worker_pids[0]), "-e", "trace=epoll_ctl,recvfrom,sendto"]
    with server.connect() as client, subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert "attached" in strace.stderr.readline()
        for _ in range(50):
            assert client.get("/", host="proxied").body == b"hello"
        strace.send_signal(signal.SIGINT)
        strace.wait(DEADLINE)
    calls = re.findall(r"^(\w+)\(", out.read_text(), re.M)
    assert calls.count("sendto") == 100
    assert calls.count("epoll_ctl") <= 2

"""`ringway upgrade` and SIGUSR2: a new process takes over the sockets, and the old one drains and ends."""

import os
import re
import signal
import threading

from harness.memory import runs
from harness.raw import Client, message
from harness.successors import end, successors
from harness.waiting import DEADLINE, wait


def site(to="/one", **more):
    return {"host_routes": {"*": {"type": "Redirect", "to": to, "status": 302}}, **more}


def test_the_new_process_serves_and_the_old_one_ends(upgraded):
    server = upgraded(site("/one"))
    old = server.process.pid
    server.rewrite(site("/two"))
    done = server.command("upgrade")
    assert done.returncode == 0, done.stderr + server.text
    assert re.search(rf"process \d+ serves, process {old} drains", done.stdout)
    (new,) = successors(server)
    assert server.process.wait(3 * DEADLINE) == 0
    assert runs(new)
    assert len(server.control_sockets) == 1
    with server.connect() as client:
        assert client.get("/").one("location") == "/two"
    # The control socket was handed over, too: the same command reaches the new process and upgrades it.
    server.rewrite(site("/three"))
    assert server.command("reload").returncode == 0
    with server.connect() as client:
        assert client.get("/").one("location") == "/three"
    assert server.command("upgrade").returncode == 0
    wait(lambda: not runs(new), "end of the second process", 3 * DEADLINE)
    with server.connect() as client:
        assert client.get("/").one("location") == "/three"


def test_sigusr2(upgraded):
    server = upgraded(site("/one"))
    server.process.send_signal(signal.SIGUSR2)
    server.wait_line("is ready and takes over")
    assert server.process.wait(3 * DEADLINE) == 0
    with server.connect() as client:
        assert client.get("/").one("location") == "/one"


def test_what_runs_is_finished_by_the_old_process(upgraded, upstream):
    asked, go_on = threading.Event(), threading.Event()

    def serve(link):
        link.head()
        asked.set()
        assert go_on.wait(4 * DEADLINE)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server = upgraded({"host_routes": {"*": {"type": "Proxy", "url": upstream(serve).url}}, "timeouts": {"drain": 60}})
    with server.connect() as client:
        client.send(message("GET / HTTP/1.1", "Host: a"))
        assert asked.wait(4 * DEADLINE)
        server.process.send_signal(signal.SIGUSR2)
        server.wait_line("upgrade: draining")
        assert server.process.poll() is None
        go_on.set()
        response = client.response()
        assert response.body == b"ok"
        assert response.one("connection") == "close"
    assert server.process.wait(3 * DEADLINE) == 0


def test_a_new_process_that_cannot_start_changes_nothing(ringway):
    server = ringway(site("/one"))
    server.expected.append("not upgraded|error: ")
    pids = server.worker_pids
    server.file.write_text("[server]\nlisten = 1234\nthreds = 1\n[timeouts]\nwrte = 1\n")
    done = server.command("upgrade")
    assert done.returncode == 1
    first, *errors = done.stderr.splitlines()
    assert first == "error: the new process ended with exit code 1 before it was ready"
    assert [error.partition("; ")[0] for error in errors] == [
        f"{server.file}:3: server.threds: there is no such key",
        f"{server.file}:5: timeouts.wrte: there is no such key",
    ]
    server.wait_line("not upgraded, this process keeps serving")
    with server.connect() as client:
        assert client.get("/").one("location") == "/one"
    assert server.worker_pids == pids


def test_a_new_process_that_takes_its_time_to_end(ringway, tmp_path):
    """The log says how the new process ended."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, time\nif 'RINGWAY_TAKE_OVER' in os.environ:\n    atexit.register(time.sleep, 1)\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    server = ringway(site("/one"), env={"PYTHONPATH": path})
    server.expected.append("not upgraded|error: ")
    server.file.write_text("this is no TOML")
    done = server.command("upgrade")
    assert (done.returncode, "exit code 1" in done.stderr) == (1, True), done.stderr


def test_tickets_of_before_open_afterwards(upgraded, certificate):
    """TLS 1.2: the new process resumes a session of the old one."""
    import ssl

    server = upgraded(site("/one", tls=certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    import socket

    def connect(session=None):
        raw = socket.create_connection(server.listener(tls=True).address, DEADLINE)
        return context.wrap_socket(raw, session=session)

    with connect() as first:
        session = first.session
    assert server.command("upgrade").returncode == 0
    assert server.process.wait(3 * DEADLINE) == 0
    with connect(session) as second:
        assert second.session_reused


def test_unix_sockets_go_over(upgraded, tmp_path):
    """The file stays, also if a new process cannot start. The last process removes it."""
    path, other = tmp_path / "r.sock", tmp_path / "other.sock"
    listen = ["127.0.0.1:0", f"unix:{path}"]
    server = upgraded(site("/one", server={"listen": [*listen, f"unix:{other}"], "threads": 2}))
    server.expected.append("not upgraded|error: ")
    inode = path.stat().st_ino
    server.file.write_text("this is no TOML")
    assert server.command("upgrade").returncode == 1
    with Client(str(path)) as client:
        assert client.get("/").one("location") == "/one"
    server.rewrite(site("/two", server={"listen": listen, "threads": 3}))
    assert server.command("upgrade").returncode == 0
    assert server.process.wait(3 * DEADLINE) == 0
    assert path.stat().st_ino == inode
    assert not other.exists()
    for _ in range(6):
        with Client(str(path)) as client:
            assert client.get("/").one("location") == "/two"
    (new,) = successors(server)
    end(new)
    assert not path.exists()

"""`ringway reload` and SIGHUP: every part of the configuration can change at run time, and no connection is closed."""

import contextlib
import os
import queue
import re
import resource
import signal
import threading
import time
from pathlib import Path

import pytest
from harness import bulk
from harness.foreign import SANITIZED
from harness.memory import children_of, counters_of, descriptors_of, sockets_of
from harness.raw import Client, message
from harness.waiting import DEADLINE, wait

MIB = 1 << 20
GIB = 1 << 30
ADDRESSES = pytest.mark.skipif(SANITIZED, reason="the address sanitizer needs more address space than there is")


def redirect(to):
    return {"type": "Redirect", "to": to, "status": 302}


def site(to="/one", **more):
    return {"host_routes": {"*": redirect(to)}, **more}


def goes_to(client, target="/", host="localhost"):
    response = client.get(target, host=host)
    return response.one("location") if response.status == 302 else response.status


def test_routes_change_within_a_connection(ringway):
    server = ringway(site("/one"))
    pids = server.worker_pids
    with server.connect() as client:
        assert goes_to(client) == "/one"
        done = server.reload(site("/two"))
        assert f"worker 0 (pid {pids[0]}): new configuration" in done.stdout
        assert goes_to(client) == "/two"
        server.reload({"host_routes": {"a": redirect("/three")}})
        assert goes_to(client) == 404
        assert goes_to(client, host="a") == "/three"
    assert server.worker_pids == pids


def test_all_who_ask_at_once_are_answered(ringway):
    """One reload runs, and the other requests wait for the next one, also if that needs new workers."""
    server = ringway(site("/one"))
    server.rewrite(site("/two", server={"listen": "127.0.0.1:0", "threads": 2}))
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(server.command("reload").returncode)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * DEADLINE)
    assert answers == [0] * 5
    with server.connect() as client:
        assert goes_to(client) == "/two"


def test_sighup_reloads(ringway):
    server = ringway(site("/one"))
    server.rewrite(site("/two"))
    server.process.send_signal(signal.SIGHUP)
    server.wait_line(" info reloaded, 1 worker$")
    with server.connect() as client:
        assert goes_to(client) == "/two"


def test_each_reload_tells_the_warnings_once(ringway):
    server = ringway(site("/one"))
    done = server.reload(site("/two"))
    assert re.search(r'^warning: .*\.to: redirects to itself: "/two" matches', done.stdout, re.MULTILINE)
    server.wait_line(" info reloaded, 1 worker$")
    told = [line for line in server.lines if " warning " in line and "redirects" in line]
    expected = [rf'\.toml:\d+: host_routes\."\*"\.to: redirects to itself: "{to}" matches' for to in ("/one", "/two")]
    assert len(told) == 2
    assert all(re.search(pattern, line) for pattern, line in zip(expected, told, strict=True)), told


@pytest.mark.slow  # all of this happens within the five seconds that Ringway waits for names
def test_names_that_take_their_time_hold_up_nothing_else(ringway, upstream, names):
    """While a lookup hangs, a worker that dies is restarted, and requests are answered in order."""
    origin = upstream()
    server = ringway(site("/one"), env=names.env)
    names.hang()
    server.rewrite({"host_routes": {"*": {"type": "Proxy", "url": f"http://app:{origin.port}"}}})
    answers = []
    asked = [threading.Thread(target=lambda: answers.append(server.command("reload"))) for _ in range(2)]
    asked[0].start()
    server.wait_line(" info ringway reload: reading ")
    (pid,) = server.worker_pids
    server.expected.append(rf"pid {pid}\) died")
    os.kill(pid, signal.SIGKILL)
    server.wait_for(lambda: len(server.worker_pids) == 2, "new worker")
    asked[1].start()
    done = server.command("upgrade")
    assert done.returncode == 1
    assert "starting, ending, reloading or upgrading" in done.stderr
    with server.connect() as client:
        assert goes_to(client) == "/one"
        assert " info reloaded" not in server.text
        with open(names.file, "w", encoding="ascii") as answer:  # every lookup has opened it
            names.set(app="127.0.0.1")
            answer.write("app 127.0.0.1\n")
        for thread in asked:
            thread.join(4 * DEADLINE)
        assert [done.returncode for done in answers] == [0, 0]
        assert client.get("/").body == b"hello"
    assert not any("is not resolved yet" in line for line in server.lines)


def test_the_end_does_not_wait_for_names(ringway, names):
    server = ringway(site("/one"), env=names.env)
    server.expected.append("not reloaded")
    names.hang()
    server.rewrite({"host_routes": {"*": {"type": "Proxy", "url": "http://app"}}})
    server.process.send_signal(signal.SIGHUP)
    server.wait_line(" info SIGHUP: reading ")
    server.tell_to_end()
    server.wait_line("not reloaded, the old configuration stays in use: Ringway ends")
    assert server.process.wait(DEADLINE) == 0
    assert not any("is not resolved yet" in line for line in server.lines)


def test_a_change_of_the_file_reloads_where_that_is_wanted(ringway):
    server = ringway(site("/one", server={"reload_on_change": True}))
    server.rewrite(site("/two", server={"reload_on_change": True}))
    server.wait_line(" info reloaded, 1 worker$")
    with server.connect() as client:
        assert goes_to(client) == "/two"


def test_included_files_are_followed_too(ringway, tmp_path):
    """`reload_on_change` watches the files of `include`, including new ones."""
    included = tmp_path / "sites" / "a.toml"
    included.parent.mkdir()
    config = {"include": f"{included.parent}/*.toml", **site("/one", server={"reload_on_change": True})}
    server = ringway(config)
    with server.connect() as client:
        assert goes_to(client, host="a") == "/one"
        written = tmp_path / "written.toml"
        written.write_text('[host_routes]\n"a" = { type = "Redirect", to = "/two", status = 302 }\n')
        written.rename(included)
        server.wait_line(" info reloaded, 1 worker$")
        assert goes_to(client, host="a") == "/two"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host_routes": {"*": {"type": "File", "path": "/nonexistent/folder"}}}, "/nonexistent/folder"),
        ({"host_routes": {"*": redirect("/")}, "limits": {"head_byte": 1}}, "did you mean"),
        ({"host_routes": {"*": redirect("/")}, "server": {"listen": "192.0.2.1:80"}}, "has no address 192.0.2.1"),
        ({"host_routes": {"*": redirect("/")}, "access_log": {"path": "/nonexistent/log"}}, "access_log.path"),
    ],
    ids=["folder", "unknown key", "address", "log"],
)
def test_what_is_wrong_changes_nothing(ringway, wrong, said):
    server = ringway(site("/one"))
    server.expected.append("not reloaded")
    server.rewrite(wrong)
    done = server.command("reload")
    assert done.returncode == 1
    assert said in done.stderr
    with server.connect() as client:
        assert goes_to(client) == "/one"
    server.reload(site("/two"))
    with server.connect() as client:
        assert goes_to(client) == "/two"


def test_nobody_to_ask(tmp_path):
    import subprocess
    import sys

    file = tmp_path / "config.toml"
    file.write_text("")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ringway", "reload", "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 1
    assert "no running Ringway uses" in done.stderr


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_download_ends_under_its_old_rules(ringway, upstream, certificate, tmp_path, tls):
    """Its file, its upstream and its route are removed from the configuration."""
    size = 8 * MIB
    go_on = threading.Event()

    def serve(link):
        link.head()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for index, piece in enumerate(bulk.pieces(size)):
            if index == 1:
                assert go_on.wait(4 * DEADLINE)
            link.or_ended(lambda piece=piece: link.sock.sendall(piece))

    bulk.write_file(tmp_path / "file", size)
    origin = upstream(serve)
    common = {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
        "tls": certificate,
        "limits": {"request_body_bytes": 0},
    }
    server = ringway(
        {
            **common,
            "host_routes": {
                "file": {"type": "File", "path": tmp_path},
                "proxy": {"type": "Proxy", "url": origin.url},
            },
        }
    )
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect(tls=tls, window=65536)) for _ in range(2)]
        for client, host in zip(clients, ("file", "proxy"), strict=True):
            client.send(message("GET /file HTTP/1.1", f"Host: {host}"))
            assert client.response_head().status == 200
        for number in range(3):
            server.reload({**common, **site(f"/{number}")})
        go_on.set()
        for client in clients:
            assert bulk.checksum_of([client.exactly(size, 4 * DEADLINE)]) == (size, bulk.checksum(size))
            assert goes_to(client) == "/2"


def test_a_tunnel_goes_on(ringway, upstream):
    def talk(link):
        link.head()
        link.send(message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket"))
        while word := link.exactly(4):
            if word == b"end.":
                return
            link.send(word.upper())

    origin = upstream(talk)
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": origin.url}}})
    with server.connect() as client:
        client.send(message("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket"))
        assert client.response_head().status == 101
        for _ in range(3):
            server.reload(site("/elsewhere"))
            client.send(b"word")
            assert client.exactly(4) == b"WORD"
        client.send(b"end.")


def test_limits_and_timeouts(ringway, upstream):
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": upstream().url}}})
    with server.connect() as client:
        assert client.get("/", "Content-Length: 1000", method="POST", body=b"x" * 1000).status == 200
        server.reload(
            {
                "host_routes": {"*": {"type": "Proxy", "url": upstream().url}},
                "limits": {"request_body_bytes": 999},
                "timeouts": {"keepalive": 1},
            }
        )
        assert client.get("/", "Content-Length: 1000", method="POST", body=b"x" * 1000).status == 413
    with server.connect() as client:
        assert client.get("/").status == 200
        client.assert_ended(4 * DEADLINE)


def test_upstreams_change(ringway, upstream):
    one, two = upstream(), upstream()
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": one.url}}})
    with server.connect() as client:
        assert client.get("/").status == 200
        server.reload({"host_routes": {"*": {"type": "Proxy", "url": two.url}, "b": {"type": "Proxy", "url": one.url}}})
        seen = len(one.requests), len(two.requests)
        assert client.get("/").status == 200
        assert client.get("/", host="b").status == 200
        assert (len(one.requests), len(two.requests)) == (seen[0] + 1, seen[1] + 1)


def at(*hosts):
    """Returns listeners at these addresses of the loopback, each at a free port."""
    return {"listen": [f"{host}:0" for host in hosts]}


def place(server, host, times=1):
    """Returns the addresses of the last listeners."""
    server.wait_for(lambda: sum(listener.host == host for listener in server.listeners) >= times, f"listener at {host}")
    return next(listener.address for listener in reversed(server.listeners) if listener.host == host)


def test_listeners_come_and_go(ringway):
    server = ringway(site(server=at("127.0.0.2")))
    first = place(server, "127.0.0.2")
    with server.connect_to(first) as client:
        assert goes_to(client) == "/one"
        server.reload(site(server=at("127.0.0.2", "127.0.0.3")))
        with server.connect_to(place(server, "127.0.0.3")) as other:
            assert goes_to(other) == "/one"
            server.reload(site("/two", server=at("127.0.0.3")))
            # Idle connections to a removed address are closed, and it accepts no connection any more.
            client.assert_ended()
            assert goes_to(other) == "/two"
        wait(lambda: not server.listens_at(first), "refusal")
        server.reload(site("/three", server=at("127.0.0.2")))
        with server.connect_to(place(server, "127.0.0.2", times=2)) as client:
            assert goes_to(client) == "/three"


def test_as_many_listeners_as_a_worker_has_places_for(ringway):
    """More descriptors than one message can have."""
    hosts = [f"127.0.1.{number}" for number in range(1, 254)] + ["127.0.2.1", "127.0.2.2"]
    server = ringway(site(server=at("127.0.0.2")))
    server.reload(site("/two", server=at("127.0.0.2", *hosts)))
    for host in ("127.0.0.2", "127.0.1.1", "127.0.2.2"):
        with server.connect_to(place(server, host)) as client:
            assert goes_to(client) == "/two"


def test_a_busy_connection_of_a_listener_that_goes(ringway, upstream):
    """The response says that it is the last one."""
    asked, go_on = threading.Event(), threading.Event()

    def serve(link):
        link.head()
        asked.set()
        assert go_on.wait(4 * DEADLINE)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    origin = upstream(serve)
    route = {"host_routes": {"*": {"type": "Proxy", "url": origin.url}}}
    server = ringway({**route, "server": at("127.0.0.2")})
    with server.connect_to(place(server, "127.0.0.2")) as client:
        client.send(message("GET / HTTP/1.1", "Host: a"))
        assert asked.wait(4 * DEADLINE)
        server.reload({**route, "server": at("127.0.0.3")})
        go_on.set()
        response = client.response()
        assert response.body == b"ok"
        assert response.one("connection") == "close"


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_another_number_of_workers(ringway, before, after):
    server = ringway(site(server={"listen": "127.0.0.1:0", "threads": before}))
    pids = server.worker_pids
    assert len(pids) == before
    client = server.connect()
    assert goes_to(client) == "/one"
    server.reload(site("/two", server={"listen": "127.0.0.1:0", "threads": after}))
    client.assert_ended()  # it was idle in a draining worker
    client.close()
    server.wait_line(" info worker 0 stopped, nothing left open")
    for _ in range(20):
        with server.connect() as client:
            assert goes_to(client) == "/two"
    assert len(server.worker_pids) == before + after
    assert set(pids) < set(server.worker_pids)


@ADDRESSES
def test_new_workers_that_cannot_start_change_nothing(ringway):
    """The new workers get too little address space. The old ones continue."""
    server = ringway(site("/one"), through=("env",))  # a fork would have the address space of the tests
    server.expected.append("not reloaded|could not start")
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (GIB, GIB))
    server.rewrite(site("/two", server={"threads": 2, "listen": "127.0.0.1:0"}, limits={"buffer_bytes": 4 * GIB}))
    done = server.command("reload")
    assert done.returncode == 1
    assert "could not start" in done.stderr
    with server.connect() as client:
        assert goes_to(client) == "/one"


def test_too_few_descriptors_change_nothing(ringway):
    """A reload with more workers runs out of descriptors at any point. The old worker continues, and everything that
    was opened or started for the reload is gone."""
    server = ringway(site("/one"))
    server.expected.append("not reloaded|could not start")
    pid = server.process.pid
    (worker,) = server.worker_pids
    most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    before = descriptors_of(pid)
    server.rewrite(site("/two", server={"threads": 3, "listen": ["127.0.0.1:0", "127.0.0.1:0"]}))

    def outcomes():
        return [line for line in server.lines if re.search(r"info reloaded|error not reloaded", line)]

    for room in range(2, 60):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (before + room, most[1]))
        count = len(outcomes())
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda count=count: len(outcomes()) > count, "result of the reload")
        if "info reloaded" in outcomes()[-1]:
            break
        wait(lambda: children_of(pid) == [worker] and descriptors_of(pid) == before, "all of it is gone")
        with server.connect() as client:
            assert goes_to(client) == "/one"
    assert "info reloaded" in outcomes()[-1]
    assert any("cannot be started" in line for line in outcomes())
    refused = [line for line in outcomes() if "not reloaded" in line]
    assert [line for line in refused if not re.search(r"not enough file descriptors, RLIMIT_NOFILE is \d+", line)] == []
    wait(lambda: len(children_of(pid)) == 3 and worker not in children_of(pid), "three new workers alone")
    with server.connect() as client:
        assert goes_to(client) == "/two"
    # Killed workers, some of which may have been ready, left something open.
    server.tell_to_end()
    assert server.process.wait(3 * DEADLINE) == 0
    server.kill()


def test_who_asks_waits_for_a_descriptor(ringway):
    """Meanwhile the supervisor sleeps and does not poll the kernel."""
    server = ringway(site("/one"))
    pid = server.process.pid

    def slept():
        return int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])

    def used():
        """Returns the elapsed time and the supervisor's CPU time, in seconds."""
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return time.monotonic(), sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(1000)) - taken), before[1]))
    answers = queue.SimpleQueue()
    asker = threading.Thread(target=lambda: answers.put(server.command("reload")), daemon=True)
    asker.start()
    count = slept()
    wait(lambda: slept() > count + 2, "the first try")
    count, (began, cpu) = slept(), used()
    wait(lambda: slept() > count + 10, "more tries")
    now, cpu_now = used()
    assert cpu_now - cpu < (now - began) / 3
    assert answers.empty()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert answers.get(timeout=3 * DEADLINE).returncode == 0


def test_tls_comes_and_goes(ringway, certificate):
    server = ringway(site("/one"))
    with server.connect() as client:
        assert goes_to(client) == "/one"
        server.reload(site("/two", tls=certificate))
        # A connection that began without TLS continues. New ones must use TLS.
        assert goes_to(client) == "/two"
        with server.connect_to(server.address, tls=True) as other:
            assert goes_to(other) == "/two"
            server.reload(site("/three"))
            assert goes_to(other) == "/three"
        with server.connect() as other:
            assert goes_to(other) == "/three"


def test_the_access_log_goes_elsewhere(ringway, tmp_path):
    server = ringway(site("/one", access_log={"path": str(tmp_path / "one"), "format": "json"}))
    with server.connect() as client:
        assert goes_to(client, "/first") == "/one"
        server.reload(site("/two", access_log={"path": str(tmp_path / "two"), "format": "combined"}))
        assert goes_to(client, "/second") == "/two"
    wait(lambda: "GET /second" in (tmp_path / "two").read_text(), "the second line")
    assert '"/first"' in (tmp_path / "one").read_text()
    assert "/second" not in (tmp_path / "one").read_text()


def test_many_reloads_leave_nothing(ringway, upstream, certificate, tmp_path):
    """Descriptors and memory of worker and supervisor are the same as before, and so are those of the old rules."""
    (tmp_path / "index.html").write_text("here")

    def config(number):
        return {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "host_routes": {
                "*": {"type": "File", "path": tmp_path, "mode": "memory" if number % 2 else "sendfile"},
                f"host{number}": {"type": "Proxy", "url": origin.url},
            },
        }

    origin = upstream()
    server = ringway(config(0))
    pid = server.worker_pids[0]

    def round(number):
        server.reload(config(number))
        for tls in (False, True):
            with server.connect(tls=tls) as client:
                assert client.get("/").body == b"here"
                assert client.get("/", host=f"host{number}").status == 200

    for number in range(1, 4):
        round(number)
    server.reload(config(0))
    wait(lambda: counters_of(pid)["clients"] == 0, "no clients")
    both = pid, server.process.pid
    before = [descriptors_of(one) for one in both]
    for number in range(4, 16):
        round(number)
    server.reload(config(0))
    wait(lambda: counters_of(pid)["clients"] == 0, "no clients")
    wait(
        lambda: all(descriptors_of(one) <= then for one, then in zip(both, before, strict=True)),
        f"{before} descriptors",
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_a_unix_socket_comes_and_goes(ringway, tmp_path, threads):
    path = tmp_path / "r.sock"
    with_it = {"threads": threads, "listen": ["127.0.0.1:0", f"unix:{path}"]}
    server = ringway(site("/one", server={"threads": threads}))
    server.reload(site("/two", server=with_it))
    with Client(str(path)) as client:
        assert goes_to(client) == "/two"
        server.reload(site("/three", server=with_it))
        assert goes_to(client) == "/three"
        server.reload(site("/four", server={**with_it, "threads": 3 - threads}))
        with Client(str(path)) as other:
            assert goes_to(other) == "/four"
        server.reload(site("/five", server={"threads": 3 - threads}))
        assert not path.exists()
    server.wait_line(f"no longer listening on http://unix:{path}")
    with pytest.raises(FileNotFoundError):
        Client(str(path))
    server.reload(site("/six", server={**with_it, "threads": 3 - threads}))
    with Client(str(path)) as client:
        assert goes_to(client) == "/six"


def test_one_worker_that_refuses_goes_on_where_the_others_do_not(ringway, tmp_path):
    """One of two Ringways that share a Unix socket gives it up. The other one accepts there until the next reload, and
    then applies its change, too."""
    path = tmp_path / "r.sock"
    server = ringway(site("/one", server={"threads": 2, "listen": ["127.0.0.1:0", f"unix:{path}"]}))
    server.expected.append("worker 1 cannot use the new configuration")
    pid = server.workers[1]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}
    one_more = next(number for number in range(1000) if number not in taken) + 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (one_more, before[1]))
    new = {"threads": 2, "listen": ["127.0.0.1:0", "127.0.0.2:0"]}
    server.rewrite(site("/two", server=new))
    done = server.command("reload")
    assert done.returncode == 1
    assert "worker 1 cannot use the new configuration and keeps the old one: not enough file descriptors" in done.stderr
    assert not path.exists()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert listens_at(pid, path)
    with server.connect() as client:
        assert goes_to(client) in ("/one", "/two")
    server.reload(site("/three", server=new))
    for address in [server.address, place(server, "127.0.0.2")] * 10:
        with server.connect_to(address) as client:
            assert goes_to(client) == "/three"
    for pid in server.worker_pids:
        assert counters_of(pid)["accept_errors"] == 0
        wait(lambda pid=pid: not listens_at(pid, path), "end of the Unix socket")
    assert len(server.worker_pids) == 2


def listens_at(pid, path):
    """Whether this process still has a Unix socket with this path."""
    with open("/proc/net/unix", encoding="ascii", errors="replace") as stream:
        return any(line.split()[6] in sockets_of(pid) for line in stream if line.rstrip().endswith(str(path)))


def test_a_listener_begins_to_take_the_proxy_protocol(ringway, tmp_path):
    path = str(tmp_path / "r.sock")
    listen = {"listen": ["127.0.0.1:0", f"unix:{path}"]}
    server = ringway(site("/one", server=listen))
    with Client(path) as before:
        assert goes_to(before) == "/one"
        server.reload(site("/two", server={**listen, "trusted_proxies": "unix", "proxy_protocol": f"unix:{path}"}))
        assert goes_to(before) == "/two"
    with Client(path) as client:
        client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n")
        assert goes_to(client, "/by-proxy") == "/two"
    assert server.record("/by-proxy")["client"] == "192.0.2.1"

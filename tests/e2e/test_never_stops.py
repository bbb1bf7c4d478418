"""Reloads, upgrades and killed workers under load: only connections of a killed worker notice.

The load is wrk, plain and over TLS, and clients that check every byte of every response. `RINGWAY_TEST_ROUNDS` is the
number of reloads (100 take a minute more). There is an upgrade for every twenty reloads, and a kill for every five.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest
from harness import bulk
from harness.memory import counters_of, descriptors_of, resident, runs
from harness.raw import Ended, message
from harness.waiting import DEADLINE, wait

ROUNDS = int(os.environ.get("RINGWAY_TEST_ROUNDS", "30"))
SIZE = 100_000
TUNNELS = 50

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt install wrk"),
]


class Checkers:
    """Clients that repeatedly send requests on kept connections and check every response."""

    def __init__(self, server, hosts):
        self._server = server
        self._hosts = hosts
        self._end = threading.Event()
        self.failures = []
        self.answers = 0
        self._wanted = (SIZE, bulk.checksum(SIZE))
        self._threads = [
            threading.Thread(target=self._run, args=(tls, host), daemon=True)
            for tls in (False, True)
            for host in hosts
            for _ in range(2)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        for thread in self._threads:
            thread.join(3 * DEADLINE)

    def _run(self, tls, host):
        while not self._end.is_set():
            try:
                with self._server.connect(tls=tls) as client:
                    self._ask(client, host)
            except (AssertionError, OSError, Ended) as error:
                self.failures.append(f"{host}, {'TLS' if tls else 'plain'}: {error!r}")

    def _ask(self, client, host):
        for _ in range(50):
            response = client.get("/file", host=host)
            assert response.status == 200, response.status
            assert bulk.checksum_of([response.body]) == self._wanted
            self.answers += 1
            if not response.keeps or self._end.is_set():
                return


class Wrk:
    """Runs load until it is stopped. `errors` has its complaints."""

    def __init__(self, url):
        self._process = subprocess.Popen(
            ["wrk", "-t1", "-c8", "-d600", "-H", "Host: file", url],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.send_signal(signal.SIGINT)
        self.text = self._process.communicate(timeout=3 * DEADLINE)[0]

    @property
    def errors(self):
        found = re.findall(r"Socket errors: .*|Non-2xx.*", self.text)
        assert re.search(r"[1-9]\d* requests in", self.text), self.text
        return found


def talk(link):
    link.head()
    link.send(message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket"))
    while word := link.exactly(4, 600):
        if word == b"end.":
            return
        link.send(word.upper())


def serve(link):
    while True:
        link.head(600)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + b"".join(bulk.pieces(SIZE)))


def age(pid):
    """Returns the age of this process in seconds."""
    with open(f"/proc/{pid}/stat") as stream:
        ticks = int(stream.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def scene(ringway, upstream, certificate, authority, tmp_path):
    """A server and its configurations."""
    bulk.write_file(tmp_path / "file", SIZE)
    pair = authority.issue(["file", "localhost"])
    other = {"cert_path": str(pair[0]), "key_path": str(pair[1])}
    origin, sockets = upstream(serve), upstream(talk)

    def config(number):
        routes = {
            "file": {"type": "File", "path": tmp_path, "mode": ("sendfile", "memory")[number % 2]},
            "proxy": {"type": "Proxy", "url": origin.url},
            f"once{number}": {"type": "Redirect", "to": f"/{number}"},
        }
        if number % 2 == 0:
            routes["sockets"] = {"type": "Proxy", "url": sockets.url}
        return {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0", "threads": 2},
            "tls": other if number % 3 == 2 else certificate,
            "timeouts": {"drain": 20, "tunnel": 600},
            "limits": {"requests_per_connection": 1_000_000},
            "host_routes": routes,
        }

    return ringway(config(0)), config


def urls(server):
    plain, tls = server.listener().address, server.listener(tls=True).address
    return f"http://{plain[0]}:{plain[1]}/file", f"https://{tls[0]}:{tls[1]}/file"


def test_reloads(scene):
    """Reloads add, change and remove routes and replace certificates; 50 WebSockets continue."""
    server, config = scene
    tunnels = []
    for _ in range(TUNNELS):
        client = server.connect()
        client.send(message("GET / HTTP/1.1", "Host: sockets", "Connection: Upgrade", "Upgrade: websocket"))
        assert client.response_head().status == 101
        tunnels.append(client)
    pids = server.worker_pids
    with Checkers(server, ["file", "proxy"]) as checkers:
        wait(lambda: checkers.answers > 100, "answers")
    server.reload(config(2))
    wait(lambda: sum(counters_of(pid)["clients"] for pid in pids) == TUNNELS, "the end of the first clients")
    before = [descriptors_of(pid) for pid in [*pids, server.process.pid]]
    memory = [resident(pid) for pid in pids]
    plain, tls = urls(server)
    with Wrk(plain) as one, Wrk(tls) as two, Checkers(server, ["file", "proxy"]) as checkers:
        for number in range(ROUNDS):
            server.reload(config(number + 3))
            client = tunnels[number % TUNNELS]
            client.send(b"word")
            assert client.exactly(4) == b"WORD"
        assert checkers.answers > ROUNDS
    assert checkers.failures == []
    assert (one.errors, two.errors) == ([], [])
    for client in tunnels:
        client.send(b"last")
        assert client.exactly(4) == b"LAST"
    server.reload(config(2))
    assert server.worker_pids == pids
    wait(lambda: sum(counters_of(pid)["clients"] for pid in pids) == TUNNELS, "the end of the clients")
    wait(
        lambda: all(
            now <= then + 2
            for now, then in zip([descriptors_of(pid) for pid in [*pids, server.process.pid]], before, strict=True)
        ),
        f"descriptors as before: {before}",
    )
    # Buffers that were used stay allocated. The memory of a hundred rules does not.
    for pid, then in zip(pids, memory, strict=True):
        assert resident(pid) < then + (24 << 20)
    for client in tunnels:
        client.close()


def test_upgrades(scene):
    server, _ = scene
    plain, tls = urls(server)
    current = server.process.pid
    try:
        with Wrk(plain) as one, Wrk(tls) as two, Checkers(server, ["file", "proxy"]) as checkers:
            for _ in range(max(1, ROUNDS // 20)):
                seen = checkers.answers
                done = server.command("upgrade", 6 * DEADLINE)
                assert done.returncode == 0, done.stderr + server.text
                old, current = current, int(re.search(r"process (\d+) serves", done.stdout)[1])
                wait(lambda old=old: not runs(old) or server.process.poll() is not None, f"end of {old}", 6 * DEADLINE)
                wait(lambda seen=seen: checkers.answers > seen + 20, "answers of the new process")
        assert checkers.failures == []
        assert (one.errors, two.errors) == ([], [])
    finally:
        if current != server.process.pid and runs(current):
            os.kill(current, signal.SIGTERM)
            wait(lambda: not runs(current), f"end of {current}", 6 * DEADLINE)


def test_killed_workers(scene):
    """Only connections of the killed worker break. No client is rejected."""
    server, _ = scene
    server.expected.append("signal SIGKILL")
    at_risk = 0
    with Checkers(server, ["file", "proxy"]) as checkers:
        for number in range(max(2, ROUNDS // 5)):
            wait(lambda: len(server.workers) == 2, "both workers")
            seen = checkers.answers
            pid = server.workers[number % 2]
            # For workers that keep dying within a second, the supervisor backs off longer each time.
            wait(lambda pid=pid: age(pid) > 1.2, "a worker that has lived")
            at_risk += counters_of(pid)["clients"]
            os.kill(pid, signal.SIGKILL)
            index = number % 2
            wait(lambda pid=pid, index=index: server.workers.get(index) != pid, "another worker")
            wait(lambda seen=seen: checkers.answers > seen + 20, "answers afterwards")
    assert not [failure for failure in checkers.failures if "refused" in failure]
    # A client can connect between the check and the kill.
    assert len(checkers.failures) <= at_risk + max(2, ROUNDS // 5)

"""A reload with other sizes: tables and buffers change in place, during a stopped download and a tunnel."""

import contextlib
import os
import resource
import threading

import pytest
from harness import bulk
from harness.foreign import SANITIZED
from harness.memory import counters_of, descriptors_of, resident
from harness.raw import Ended, message
from harness.waiting import DEADLINE, wait

MIB = 1 << 20
GIB = 1 << 30
ADDRESSES = pytest.mark.skipif(SANITIZED, reason="the address sanitizer needs more address space than there is")


class Meanwhile:
    """A stopped download and a tunnel, which continue whatever the configuration becomes."""

    SIZE = 8 * MIB

    def __init__(self, stack, ringway, upstream, certificate, folder, **limits):
        bulk.write_file(folder / "large", self.SIZE)
        self._proxied = upstream(bulk.serve).url
        self._talking = upstream(self._talk).url
        self._certificate = certificate
        self._folder = folder
        self.server = ringway(self.config(**limits))
        (self.pid,) = self.server.worker_pids
        self._stack = stack
        self._clients = [self._stack.enter_context(self.server.connect(tls=tls, window=65536)) for tls in (False, True)]
        for client, target, host in zip(
            self._clients, (f"/length/{self.SIZE}", "/large"), ("proxied", "a"), strict=True
        ):
            client.send(message(f"GET {target} HTTP/1.1", f"Host: {host}"))
            assert client.response_head().status == 200
        self._tunnel = self._stack.enter_context(self.server.connect())
        self._tunnel.send(message("GET / HTTP/1.1", "Host: talking", "Connection: Upgrade", "Upgrade: websocket"))
        assert self._tunnel.response_head().status == 101
        self.say()

    OPEN = 3
    """The number of its connections."""

    @staticmethod
    def _talk(link):
        link.head()
        link.send(message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket"))
        while word := link.exactly(4, seconds=3600):
            if word == b"end.":
                return
            link.send(word.upper())

    def config(self, **limits):
        return {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": self._certificate,
            "limits": {"request_body_bytes": 0, **limits},
            "timeouts": {"write": 600, "upstream": 600},  # readers wait until the test lets them continue
            "host_routes": {
                "*": {"type": "File", "path": self._folder},
                "proxied": {"type": "Proxy", "url": self._proxied},
                "talking": {"type": "Proxy", "url": self._talking},
            },
        }

    def reload(self, **limits):
        self.server.reload(self.config(**limits))
        self.say()

    def say(self):
        self._tunnel.send(b"word")
        assert self._tunnel.exactly(4) == b"WORD"

    def end(self):
        """Asserts that both completed, in the same worker."""
        self.say()
        self._tunnel.send(b"end.")
        for client in self._clients:
            found = bulk.checksum_of([client.exactly(self.SIZE, 4 * DEADLINE)])
            assert found == (self.SIZE, bulk.checksum(self.SIZE))
        self._stack.close()
        assert self.server.worker_pids == [self.pid]
        wait(lambda: counters_of(self.pid)["clients"] == 0, "no clients")


@pytest.fixture
def meanwhile(ringway, upstream, certificate, tmp_path):
    with contextlib.ExitStack() as stack:
        yield lambda **limits: Meanwhile(stack, ringway, upstream, certificate, tmp_path, **limits)


def transfers(server, size=3 * MIB + 7):
    """Transfers bodies from a file, from an upstream and to it, over both listeners, and checks them."""
    body = b"".join(bulk.pieces(size))
    for tls in (False, True):
        with server.connect(tls=tls) as client:
            found = bulk.checksum_of([client.get("/large", f"Range: bytes=0-{size - 1}").body])
            assert found == (size, bulk.checksum(size))
            for framing in ("length", "chunked"):
                found = bulk.checksum_of([client.get(f"/{framing}/{size}", host="proxied").body])
                assert found == (size, bulk.checksum(size))
            answer = client.get("/", f"Content-Length: {size}", host="proxied", method="PUT", body=body)
            assert bulk.checksum(size).encode() in answer.body


def address_space(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
        return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def let_in(server):
    """Returns a connection that was served. None: Ringway closed it at once."""
    client = server.connect()
    try:
        assert client.get("/missing").status == 404
        return client
    except (ConnectionError, Ended):
        client.close()
        return None


def test_client_connections(meanwhile):
    going = meanwhile(client_connections=Meanwhile.OPEN)
    server = going.server
    assert let_in(server) is None
    going.reload(client_connections=Meanwhile.OPEN + 2)
    more = [let_in(server), let_in(server)]
    assert let_in(server) is None
    # Fewer than there are now. They continue, each with further requests.
    going.reload(client_connections=1)
    for client in more:
        assert client.get("/missing").status == 404
    more.pop().close()
    wait(lambda: counters_of(going.pid)["clients"] == Meanwhile.OPEN + 1, "one less")
    assert let_in(server) is None
    more.pop().close()
    going.end()
    with let_in(server):
        assert let_in(server) is None
    assert counters_of(going.pid)["refused"] == 4
    # More than the table ever had.
    going.server.reload(going.config(client_connections=300))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(let_in(server)) for _ in range(300)]
        assert let_in(server) is None
        for client in clients:
            client.send(message("GET /large HTTP/1.1", "Host: a", "Range: bytes=-6"))
        for client in clients:
            assert client.response().status == 206


def test_open_files(meanwhile, tmp_path):
    for number in range(300):
        (tmp_path / str(number)).write_bytes(b"%d" % number)

    def kept(pid):
        found = 0
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found += os.readlink(f"/proc/{pid}/fd/{name}").startswith(f"{tmp_path}/")
        return found

    # With few clients, the table has no places in addition to those of files.
    going = meanwhile(open_files=16, client_connections=16)
    for most in (16, 1000, 20, 300, 16):
        going.reload(open_files=most, client_connections=16)
        with going.server.connect() as client:
            for number in range(300):
                assert client.get(f"/{number}").body == b"%d" % number
            # The one that is being sent was opened before.
            wait(lambda most=most: min(most, 300) <= kept(going.pid) + 1 <= most + 2, f"{most} files")
    going.end()


def test_body_buffer_bytes(meanwhile):
    going = meanwhile(body_buffer_bytes=65536)
    for size in (1048576, 16384, 65536, 20000):
        going.reload(body_buffer_bytes=size)
        transfers(going.server)
    going.end()


def test_a_head_that_only_the_new_buffers_can_hold(ringway, upstream):
    """Also for a head that began in a buffer of the old size and does not fit into it."""
    long = "x" * 50_000
    first = 7000  # more than a small buffer, less than the old bound of a head
    go_on = threading.Event()

    def serve(link):
        assert link.head().one("long") == long
        head = message("HTTP/1.1 200 OK", f"Long: {long}", "Content-Length: 2", body=b"ok")
        link.send(head[:first])
        assert go_on.wait(4 * DEADLINE)
        link.send(head[first:])

    def config(head, buffer):
        return {
            "limits": {"head_bytes": head, "body_buffer_bytes": buffer},
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }

    origin = upstream(serve)
    server = ringway(config(8192, 16384))
    (pid,) = server.worker_pids
    request = message("GET / HTTP/1.1", "Host: a", f"Long: {long}")
    with server.connect() as client, server.connect() as other:
        for one in (client, other):
            one.send(request[:first])
        wait(lambda: counters_of(pid)["client_bytes_in"] == 2 * first, "the beginnings of two heads")
        server.reload(config(60000, 65536))
        client.send(request[first:])
        wait(lambda: counters_of(pid)["upstream_bytes_in"] == first, "the beginning of a response")
        server.reload(config(60000, 131072))
        go_on.set()
        other.send(request[first:])
        for one in (client, other):
            response = one.response()
            assert (response.status, response.one("long")) == (200, long)
    assert server.worker_pids == [pid]


@pytest.mark.slow  # hundreds of megabytes over TLS, with deadlines
def test_buffer_bytes(meanwhile):
    """Stopped readers hold as many buffers as there are, and more after a reload with more. After a reload with fewer
    nothing breaks, and new readers wait until these have continued."""
    size = 8 * MIB  # more than the kernel buffers for a connection
    few = (
        2 * MIB
    )  # with less, the readers of `meanwhile`, which stay stopped, could have the whole share of the address
    going = meanwhile(buffer_bytes=few)
    server = going.server
    most = 2 * (64 + 16)  # buffers per MiB, small and large

    def held():
        return counters_of(going.pid)["buffers"]

    def standstill():
        """Waits until nothing has been sent for a while. What is held then is held until a reader continues."""
        sent = -1
        while sent != (sent := counters_of(going.pid)["client_bytes_out"]):
            threading.Event().wait(0.5)

    def connect(count):
        return [stack.enter_context(server.connect(tls=True, window=4096)) for _ in range(count)]

    def ask(clients):
        for client in clients:
            client.send(message(f"GET /length/{size} HTTP/1.1", "Host: proxied", "Connection: close"))

    def read(client, found):
        status = client.response_head(6 * DEADLINE).status
        found.append((status, bulk.checksum_of([client.exactly(size, 6 * DEADLINE)])))

    def read_all(clients):
        found: list[tuple[int, tuple[int, str]]] = []
        threads = [threading.Thread(target=read, args=(client, found), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(6 * DEADLINE)
        assert found == [(200, (size, bulk.checksum(size)))] * len(clients)

    with contextlib.ExitStack() as stack:
        clients = connect(85)
        ask(clients[:80])
        server.wait_line("all buffers are in use")
        standstill()
        assert held() <= most
        going.reload(buffer_bytes=256 * MIB)
        standstill()
        assert held() > most
        server.reload(going.config(buffer_bytes=few))  # the tunnel waits, too
        ask(clients[80:])
        standstill()
        assert held() > most
        read_all(clients)
    with contextlib.ExitStack() as stack:
        ask(connect(80))
        standstill()
        assert held() <= most
    going.end()


def test_what_the_kernel_holds_ready_is_called_back(ringway, certificate, tmp_path):
    """Buffers that were ready for receiving in the kernel exceed the new maximum. A file must not wait for buffers."""
    size = 3 * MIB
    bulk.write_file(tmp_path / "large", size)

    def config(**limits):
        return {"tls": certificate, "limits": limits, "host_routes": {"*": {"type": "File", "path": tmp_path}}}

    server = ringway(config())
    (pid,) = server.worker_pids
    server.reload(config(buffer_bytes=4 * MIB))
    with server.connect(tls=True) as client:
        assert bulk.checksum_of([client.get("/large").body]) == (size, bulk.checksum(size))
    assert counters_of(pid)["no_buffers"] == 0


@pytest.mark.skipif(SANITIZED, reason="the address sanitizer keeps what was freed")
def test_a_slow_reader_holds_its_own_buffers_alone(ringway, upstream, certificate):
    """A pool with buffers of the old size releases their memory, although some of them are still in use."""
    size = 4 * MIB
    origin = upstream(bulk.serve)

    def config(size):
        return {
            "tls": certificate,
            "limits": {"body_buffer_bytes": size},
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }

    server = ringway(config(1048576))
    (pid,) = server.worker_pids
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect(tls=True, window=4096)) for _ in range(20)]
        for client in clients:
            client.send(message(f"GET /length/{size} HTTP/1.1", "Host: a"))
        wait(lambda: counters_of(pid)["buffers"] >= 20, "buffers that are held")
        for client in clients:
            assert client.response_head().status == 200
        server.reload(config(16384))
        before = resident(pid)
        for client in clients[1:]:
            assert bulk.checksum_of([client.exactly(size, 4 * DEADLINE)]) == (size, bulk.checksum(size))
        assert before - resident(pid) > 8 * MIB
        found = bulk.checksum_of([clients[0].exactly(size, 4 * DEADLINE)])
        assert found == (size, bulk.checksum(size))


def test_upstream_connections(ringway, upstream):
    """More than the table had places for at first."""
    asked = threading.Semaphore(0)
    go_on = threading.Event()

    def serve(link):
        link.head()
        asked.release()
        assert go_on.wait(4 * DEADLINE)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    route = {"host_routes": {"*": {"type": "Proxy", "url": upstream(serve).url}}}
    server = ringway({**route, "limits": {"upstream_connections": 1, "upstream_idle": 0}})
    server.reload({**route, "limits": {"upstream_connections": 100, "upstream_idle": 0}})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(101)]
        for client in clients[:100]:
            client.send(message("GET / HTTP/1.1", "Host: a"))
        for _ in range(100):
            assert asked.acquire(timeout=4 * DEADLINE)
        refused = clients[100].get("/")
        assert (refused.status, refused.reason) == (503, "upstream_limit")
        go_on.set()
        for client in clients[:100]:
            assert client.response().status == 200


@ADDRESSES
def test_no_memory_for_what_a_reload_allows(meanwhile):
    """The worker reports the error, and continues as before."""
    going = meanwhile(buffer_bytes=16 * MIB)
    going.server.expected.append("cannot use the new configuration")
    most = address_space(going.pid) + GIB
    resource.prlimit(going.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    going.server.rewrite(going.config(buffer_bytes=64 * GIB, client_connections=1))
    done = going.server.command("reload")
    assert done.returncode == 1
    assert (
        "worker 0 cannot use the new configuration and keeps the old one: not enough memory for [limits]" in done.stderr
    )
    resource.prlimit(going.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    transfers(going.server)  # with more than one connection
    going.reload(buffer_bytes=64 * GIB)
    transfers(going.server)
    going.end()


def test_many_changes_of_sizes_leave_nothing(meanwhile):
    """The memory of old buffers and tables is released, also while a request is still running."""
    going = meanwhile()
    changes = [
        {"buffer_bytes": 512 * MIB, "open_files": 2000},
        {"body_buffer_bytes": 1048576, "client_connections": 30000},
        {"buffer_bytes": 4 * MIB, "body_buffer_bytes": 16384, "client_connections": 100, "open_files": 16},
        {"buffer_bytes": 64 * MIB, "body_buffer_bytes": 131072},
        {},
    ]

    def round():
        for limits in changes:
            going.reload(**limits)
            transfers(going.server, 300_000)

    round()
    before = resident(going.pid), address_space(going.pid)
    open_before = descriptors_of(going.pid)
    for _ in range(9):
        round()
    assert resident(going.pid) < before[0] + 4 * MIB
    assert address_space(going.pid) < before[1] + 64 * MIB
    wait(lambda: descriptors_of(going.pid) <= open_before, f"{open_before} descriptors")
    going.end()


def test_pipelined_requests_under_smaller_buffers(ringway, upstream):
    """Data in larger buffers than the new ones is moved into as many buffers as it needs."""
    go = threading.Event()

    def serve(link):
        while True:
            request = link.request(3600)
            if request.method == "POST":
                go.wait(10 * DEADLINE)
            link.send(message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok"))

    up = upstream(serve)

    def config(size):
        return {
            "limits": {"body_buffer_bytes": size, "buffer_bytes": MIB, "pipeline_bytes": MIB},
            "host_routes": {"*": {"type": "Proxy", "url": up.url}},
        }

    server = ringway(config(65536))
    one = message(
        "GET /" + "x" * 5000 + " HTTP/1.1", "Host: a"
    )  # longer than a small buffer: what follows it is copied
    many = 65000 // len(one)
    with server.connect() as client:
        client.send(message("POST /held HTTP/1.1", "Host: a", "Content-Length: 10"))
        up.link(0)
        # The body, and what follows it, is received into a large buffer.
        client.send(b"0123456789" + one * many)
        wait(lambda: counters_of(server.worker_pids[0])["client_bytes_in"] > many * len(one), "all is there")
        server.reload(config(16384))
        go.set()
        for _ in range(many + 1):
            assert client.response().body == b"ok"

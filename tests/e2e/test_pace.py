"""Slow readers and slow writers: Ringway applies back-pressure, and its memory does not grow."""

import threading
import time

import pytest
from harness import bulk
from harness.memory import resident, wait_for_total
from harness.waiting import DEADLINE

MIB = 1 << 20
LARGE = 256 * MIB
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


class Watch:
    """Counts the bytes that an upstream has sent or received so far."""

    def __init__(self):
        self.bytes = 0
        self.changed = time.monotonic()

    def add(self, count):
        self.bytes += count
        self.changed = time.monotonic()

    def wait_standstill(self, least):
        """Waits until at least this many bytes have passed, and then none for half a second: back-pressure has set
        in."""
        end = time.monotonic() + DEADLINE
        waiting = threading.Event()
        while self.bytes < least or time.monotonic() - self.changed < 0.5:
            assert time.monotonic() < end, f"{self.bytes} bytes passed, and it does not stand still"
            waiting.wait(0.05)


def sender(watch, size):
    """Sends a body of this size, and counts what the kernel accepts."""

    def serve(link):
        link.head()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        link.sock.settimeout(6 * DEADLINE)
        for piece in bulk.pieces(size):
            link.or_ended(lambda piece=piece: link.sock.sendall(piece))
            watch.add(len(piece))

    return serve


def config(url, certificate, **more):
    return {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
        "tls": certificate,
        "limits": {"request_body_bytes": 0},
        "host_routes": {"*": {"type": "Proxy", "url": url}},
        **more,
    }


@pytest.mark.slow
@TLS
def test_a_reader_that_stops_holds_the_upstream_back(ringway, upstream, certificate, tls):
    watch = Watch()
    origin = upstream(sender(watch, LARGE))
    server = ringway(config(origin.url, certificate))
    pid = server.worker_pids[0]
    before = resident(pid)
    with server.connect(tls=tls, window=65536) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response_head().status == 200
        watch.wait_standstill(MIB // 2)
        # The amount that the kernel and Ringway can buffer is far less than the whole body.
        assert watch.bytes < 32 * MIB
        assert resident(pid) - before < 8 * MIB
        assert bulk.checksum_of(read_slowly(client, LARGE, pid, before)) == (LARGE, bulk.checksum(LARGE))


def read_slowly(client, size, pid, before):
    """Sends small pieces of different sizes, and checks Ringway's memory now and then."""
    end = time.monotonic() + 6 * DEADLINE
    left = size
    number = 0
    while left:
        data = client.reader.some(min(left, (100, 5000, 30_000, 65_536)[number % 4]), end)
        number += 1
        left -= len(data)
        if number % 500 == 0:
            assert resident(pid) - before < 16 * MIB
        yield data


@TLS
def test_a_slow_reader_of_a_file(ringway, certificate, tmp_path, tls):
    size = 64 * MIB
    bulk.write_file(tmp_path / "large", size)
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    pid = server.worker_pids[0]
    before = resident(pid)
    with server.connect(tls=tls, window=65536) as client:
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response_head().status == 200
        assert bulk.checksum_of(read_slowly(client, size, pid, before)) == (size, bulk.checksum(size))
    assert server.record("/large")["bytes"] == size


@pytest.mark.slow
@TLS
def test_an_upstream_that_does_not_read_holds_the_client_back(ringway, upstream, certificate, tls):
    go_on = threading.Event()
    found = []

    def serve(link):
        request = link.head()
        assert go_on.wait(3 * DEADLINE)
        left = int(request.one("content-length"))

        def pieces():
            nonlocal left
            while left:
                data = link.some(min(left, bulk.PIECE))
                left -= len(data)
                yield data

        found.append(bulk.checksum_of(pieces()))
        link.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    watch = Watch()
    origin = upstream(serve)
    server = ringway(config(origin.url, certificate))
    pid = server.worker_pids[0]
    before = resident(pid)
    with server.connect(tls=tls) as client:
        client.send(f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n".encode())

        def write():
            client.sock.settimeout(6 * DEADLINE)
            for piece in bulk.pieces(LARGE):
                client.sock.sendall(piece)
                watch.add(len(piece))

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        watch.wait_standstill(MIB // 2)
        assert watch.bytes < 32 * MIB
        assert resident(pid) - before < 8 * MIB
        go_on.set()
        thread.join(6 * DEADLINE)
        assert client.response("PUT").status == 204
        assert resident(pid) - before < 16 * MIB
    assert found == [(LARGE, bulk.checksum(LARGE))]


@TLS
def test_a_body_in_drops(ringway, upstream, certificate, tls):
    """A client writes a few bytes at a time, and Ringway forwards them as they arrive."""
    seen = threading.Semaphore(0)

    def serve(link):
        link.head()
        for _ in range(200):
            link.exactly(3)
            seen.release()
        link.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    origin = upstream(serve)
    server = ringway(config(origin.url, certificate))
    with server.connect(tls=tls) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 600\r\n\r\n")
        for _ in range(200):
            client.send(b"abc")
            assert seen.acquire(timeout=DEADLINE)
        assert client.response("PUT").status == 204


@TLS
def test_a_response_in_drops(ringway, upstream, certificate, tls):
    """Server-sent events: Ringway forwards each one as it arrives."""
    wanted = threading.Semaphore(0)

    def serve(link):
        link.head()
        link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            assert wanted.acquire(timeout=DEADLINE)
            link.send(b"3\r\nabc\r\n")
        link.send(b"0\r\n\r\n")

    origin = upstream(serve)
    server = ringway(config(origin.url, certificate))
    with server.connect(tls=tls) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response_head().status == 200
        end = time.monotonic() + DEADLINE
        for _ in range(200):
            wanted.release()
            assert client.reader.line(end) == b"3"
            assert client.reader.line(end) == b"abc"
        assert client.reader.lines(end) == [b"0"]


@pytest.mark.slow
def test_many_readers_that_stop_share_a_bounded_memory(ringway, upstream, certificate):
    """40 downloads that are not read: Ringway holds 40 times a few buffers. How much memory the process touched before
    they stood still depends on the machine, so the test counts the buffers in use."""
    watch = Watch()
    size = 32 * MIB
    origin = upstream(sender(watch, size))
    server = ringway(config(origin.url, certificate))
    clients = [server.connect(tls=number % 2 == 1, window=65536) for number in range(40)]
    try:
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients:
            assert client.response_head(2 * DEADLINE).status == 200
        watch.wait_standstill(MIB)
        # The kernel may return a buffer later than the last byte moved.
        wait_for_total(server, "buffers", lambda count: count < 40 * 8)
    finally:
        for client in clients:
            client.close()


@TLS
def test_no_buffers_left_means_waiting_not_failing(ringway, upstream, certificate, tls):
    """`buffer_bytes` is far less than 40 stopped readers need. Some wait, and all get their body."""
    watch = Watch()
    size = 2 * MIB
    origin = upstream(sender(watch, size))
    limits = {"request_body_bytes": 0, "buffer_bytes": 2 * MIB}
    server = ringway(config(origin.url, certificate, limits=limits))
    clients = [server.connect(window=65536, tls=tls) for _ in range(40)]
    try:
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        watch.wait_standstill(MIB)
        results = []

        def read(client):
            head = client.response_head(4 * DEADLINE)
            body = client.exactly(size, 4 * DEADLINE) if head.status == 200 else b""
            results.append((head.status, bulk.checksum_of([body])))

        threads = [threading.Thread(target=read, args=(client,), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5 * DEADLINE)
        assert results == [(200, (size, bulk.checksum(size)))] * len(clients)
    finally:
        for client in clients:
            client.close()


@TLS
@pytest.mark.parametrize("mode", ["sendfile", "memory"])
def test_files_with_few_buffers(ringway, certificate, tmp_path, mode, tls):
    """A small `buffer_bytes`, and 40 slow readers: handshakes and files are complete."""
    size = 500_000
    bulk.write_file(tmp_path / "file", size)
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "limits": {"buffer_bytes": 2 * MIB},
            "host_routes": {"*": {"type": "File", "path": tmp_path, "mode": mode}},
        }
    )
    found = []

    def read(number):
        with server.connect(window=4096, tls=tls) as client:
            body = client.get(f"/file?{number}").body
            found.append(bulk.checksum_of([body]))

    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5 * DEADLINE)
    assert found == [(size, bulk.checksum(size))] * 40
    assert server.record("/file?7")["reason"] is None


@TLS
def test_uploads_with_few_buffers(ringway, upstream, certificate, tls):
    """The other direction: 16 bodies at once with the minimum of buffers."""
    size = MIB
    origin = upstream(bulk.serve)
    limits = {"request_body_bytes": 0, "buffer_bytes": MIB}
    server = ringway(config(origin.url, certificate, limits=limits))
    body = b"".join(bulk.pieces(size))
    found = []

    def send(number):
        with server.connect(tls=tls) as client:
            client.send(f"PUT /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
            client.send(body)
            found.append(client.response(seconds=4 * DEADLINE).body)

    threads = [threading.Thread(target=send, args=(number,), daemon=True) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5 * DEADLINE)
    assert [bulk.checksum(size).encode() in each for each in found] == [True] * 16


@pytest.mark.parametrize("kind", ["proxy", "sendfile", "memory"])
def test_stopped_readers_hold_others_back_only_for_a_while(ringway, upstream, certificate, tmp_path, kind):
    """Clients that do not read hold all buffers. Others wait, and get their files when those clients time out.

    Files need buffers for the records of TLS, unless the kernel makes the records.
    """
    size = 4 * MIB
    bulk.write_file(tmp_path / "file", size)
    origin = upstream(sender(Watch(), size))
    server = ringway(
        config(
            origin.url,
            {**certificate, "ktls_enabled": False},
            limits={"buffer_bytes": MIB},
            timeouts={"write": 1},
            host_routes={
                "*": {"type": "File", "path": tmp_path, "mode": "memory" if kind == "memory" else "sendfile"},
                "proxy": {"type": "Proxy", "url": origin.url},
            },
        )
    )
    host = "proxy" if kind == "proxy" else "file"
    stopped = [server.connect(window=4096, tls=True) for _ in range(14)]
    try:
        for client in stopped:
            client.send(f"GET /file HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        server.wait_line("all buffers are in use")

        with server.connect(tls=True) as client:
            client.send(f"GET /file?reader HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert client.response_head(4 * DEADLINE).status == 200
            assert bulk.checksum_of([client.exactly(size, 4 * DEADLINE)]) == (size, bulk.checksum(size))
        assert server.record("/file?reader")["reason"] is None
        reasons = {record["reason"] for record in server.records if record["target"] == "/file"}
        assert reasons == {"client_write_timeout"}
    finally:
        for client in stopped:
            client.close()


def test_records_of_one_byte_share_buffers(ringway, upstream, certificate):
    """The memory for received data depends on its bytes, not on the number of records."""
    size = 60_000
    read = threading.Event()

    def serve(link):
        link.head()
        assert read.wait(4 * DEADLINE)
        link.exactly(size)
        link.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    origin = upstream(serve)
    server = ringway(config(origin.url, certificate, limits={"buffer_bytes": MIB}))
    with server.connect(tls=True) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size):
            client.send(b"x")
        # More than all buffers, if each record used one. Another client is served meanwhile.
        with server.connect(tls=True) as other:
            other.send(b"GET / HTTP/9.9\r\n\r\n")
            assert other.response().status == 505
        read.set()
        assert client.response("PUT", seconds=4 * DEADLINE).status == 204
    assert not server.text.count("all buffers are in use")

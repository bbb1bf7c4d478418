"""Files that change, that are truncated while they are sent, or that are more than can stay open."""

import contextlib
import os
import ssl
import time

import pytest
from harness import bulk
from harness.raw import Client

TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


# Changes


def until(act, holds, seconds=5.0):
    """Each try has its own connection, because a connection allows only a limited number of requests."""
    end = time.monotonic() + seconds
    while not holds(found := act()):
        assert time.monotonic() < end, f"still {found}"
    return found


def alone(server, target, **how):
    with server.connect(**how) as client:
        return client.get(target)


@pytest.mark.parametrize("mode", ["sendfile", "memory"])
@TLS
def test_follows_changes(ringway, certificate, tmp_path, mode, tls):
    root = tmp_path / "root"
    root.mkdir()
    file = root / "file.txt"
    file.write_text("one")
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "timeouts": {"file_valid": 0.2},
            "host_routes": {"*": {"type": "File", "path": root, "mode": mode}, "one": {"type": "File", "path": file}},
        }
    )
    cut = 0

    def get(target="/file.txt", host="localhost"):
        nonlocal cut
        with server.connect(tls=tls) as client:
            try:
                return client.get(target, host=host)
            except (ConnectionResetError, ssl.SSLEOFError):
                cut += 1
                return None

    first = get()
    assert first.body == b"one"
    assert get("/", host="one").body == b"one"
    file.write_text("two")  # the same length, written in place
    until(get, lambda got: got.body == b"two" and got.one("etag") != first.one("etag"))
    with file.open("a") as stream:
        stream.write(" and more")
    until(get, lambda got: got.body == b"two and more")
    (tmp_path / "new").write_text("three")
    os.replace(tmp_path / "new", file)
    until(get, lambda got: got.body == b"three")
    until(lambda: get("/", host="one"), lambda got: got.body == b"three")
    file.write_text("")
    # Truncating a file in place can abort a request that relied on its length.
    until(get, lambda got: got is not None and (got.status, got.body) == (200, b""))
    assert cut <= 1
    file.unlink()
    until(get, lambda got: got.status == 404)
    file.mkdir()
    until(get, lambda got: got.status == 301)
    file.rmdir()
    file.write_text("back")
    until(get, lambda got: got.body == b"back")


def test_what_is_believed_and_for_how_long(ringway, tmp_path):
    """`file_valid`: Ringway does not look at the file again within this time. With 0 it looks for each request."""
    (tmp_path / "a").write_text("one")
    server = ringway(
        {
            "timeouts": {"file_valid": 0},
            "host_routes": {
                "a": {"type": "File", "path": tmp_path},
                "b": {"type": "File", "path": tmp_path, "mode": "memory"},
            },
        }
    )
    with server.connect() as client:
        for number in range(50):
            (tmp_path / "a").write_text(f"number {number}")
            assert client.get("/a", host="a").body == f"number {number}".encode()
            assert client.get("/a", host="b").body == f"number {number}".encode()


def test_new_content_with_the_old_time(ringway, tmp_path):
    """A file that is written in place, with its old size and time, is not served from the copy of the old content."""
    file = tmp_path / "a"
    file.write_text("one")
    server = ringway(
        {"timeouts": {"file_valid": 0}, "host_routes": {"*": {"type": "File", "path": tmp_path, "mode": "memory"}}}
    )
    with server.connect() as client:
        first = client.get("/a")
        assert first.body == b"one"
        before = file.stat()
        file.write_text("two")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        second = client.get("/a")
        assert second.body == b"two"
        assert second.one("etag") == first.one("etag")


@TLS
def test_memory_larger_than_its_bounds(ringway, certificate, tmp_path, tls):
    """A file that does not fit into memory is served from disk. A file that fits evicts others."""
    for number in range(20):
        (tmp_path / str(number)).write_bytes(bytes([65 + number]) * 30_000)
    (tmp_path / "large").write_bytes(b"".join(bulk.pieces(200_000)))
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "limits": {"memory_file_bytes": 40_000, "memory_bytes": 100_000},
            "host_routes": {"*": {"type": "File", "path": tmp_path, "mode": "memory"}},
        }
    )
    with server.connect(tls=tls) as client:
        for _ in range(2):
            for number in range(20):
                assert client.get(f"/{number}").body == bytes([65 + number]) * 30_000
            assert bulk.checksum_of([client.get("/large").body]) == (200_000, bulk.checksum(200_000))


def test_an_unreadable_file_is_forbidden(ringway, tmp_path):
    (tmp_path / "private").write_text("x")
    (tmp_path / "private").chmod(0)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed/index.html").write_text("x")
    (tmp_path / "closed").chmod(0)
    # root can read every file, unless it gave up that capability
    taken = "-dac_override,-dac_read_search"
    through = ["setpriv", f"--bounding-set={taken}", f"--inh-caps={taken}"] if os.geteuid() == 0 else []
    server = ringway({"host_routes": {"*": {"type": "File", "path": tmp_path}}}, through=through)
    with server.connect() as client:
        for target in ("/private", "/closed/", "/closed/index.html"):
            got = client.get(target)
            assert (got.status, got.reason) == (403, "file_forbidden")
        (tmp_path / "private").chmod(0o600)
        (tmp_path / "closed").chmod(0o700)
    assert until(lambda: alone(server, "/private"), lambda got: got.status == 200).body == b"x"


# During sending


@pytest.mark.parametrize("mode", ["sendfile", "memory"])
@TLS
def test_a_file_that_is_cut_while_it_is_sent(ringway, certificate, tmp_path, mode, tls):
    """Ringway aborts the connection, so that the response does not look complete, and sends no padding."""
    size = 20_000_000
    bulk.write_file(tmp_path / "file", size)
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "host_routes": {"*": {"type": "File", "path": tmp_path, "mode": mode}},
        }
    )
    with server.connect(tls=tls, window=4096) as client:
        client.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response_head().one("content-length") == str(size)
        client.exactly(100_000)
        os.truncate(tmp_path / "file", 50_000)
        got = 100_000
        data = b"x"
        error = None
        while data and error is None:
            try:
                data = client.sock.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError) as found:
                error = found
            got += len(data)
    assert error is not None, "an end in order"
    assert got < size
    record = server.record("/file")
    assert (record["reason"], record["client"], bool(record["tls"])) == ("file_cut", "127.0.0.1", tls)
    # Ringway no longer trusts what it knows about the file.
    with server.connect(tls=tls) as client:
        assert len(client.get("/file").body) == 50_000


@TLS
def test_a_copy_in_memory_is_sent_whole_whatever_happens_to_its_file(ringway, certificate, tmp_path, tls):
    size = 8_000_000
    bulk.write_file(tmp_path / "file", size)
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "limits": {"memory_file_bytes": size},
            "timeouts": {"file_valid": 0.1},
            "host_routes": {"*": {"type": "File", "path": tmp_path, "mode": "memory"}},
        }
    )
    with server.connect(tls=tls, window=4096) as slow:
        slow.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
        assert slow.response_head().status == 200
        slow.exactly(10_000)
        os.truncate(tmp_path / "file", 5)
        until(lambda: alone(server, "/file", tls=tls), lambda got: len(got.body) == 5)
        rest = slow.exactly(size - 10_000, 60)
        whole = b"".join(bulk.pieces(size))
        assert rest == whole[10_000:]


@pytest.mark.parametrize("mode", ["sendfile", "memory"])
def test_a_client_that_leaves_in_the_middle(ringway, tmp_path, mode):
    bulk.write_file(tmp_path / "file", 20_000_000)
    server = ringway({"host_routes": {"*": {"type": "File", "path": tmp_path, "mode": mode}}})
    for _ in range(10):
        with server.connect(window=4096) as client:
            client.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
            client.response_head()
            client.exactly(1000)
            client.reset()
    assert server.record("/file")["reason"] == "client_closed"


# Many files


@pytest.mark.parametrize("mode", ["sendfile", "memory"])
def test_many_files_and_few_that_may_be_open(ringway, tmp_path, mode):
    for number in range(300):
        (tmp_path / f"{number}.txt").write_bytes(b"%d " % number * 50)
    server = ringway(
        {"limits": {"open_files": 16}, "host_routes": {"*": {"type": "File", "path": tmp_path, "mode": mode}}}
    )
    pid = server.worker_pids[0]
    with server.connect() as client:
        before = open_files(pid, tmp_path)
        assert before == 1  # the folder
        for _ in range(2):
            for number in range(300):
                assert client.get(f"/{number}.txt").body == b"%d " % number * 50
            assert client.get("/missing").status == 404
        assert open_files(pid, tmp_path) <= 17


def open_files(pid, folder):
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += os.readlink(f"/proc/{pid}/fd/{name}").startswith(str(folder))
    return count


@pytest.mark.parametrize("mode", ["sendfile", "memory"])
@TLS
def test_200_connections_at_once(ringway, certificate, tmp_path, mode, tls):
    """Each client requests another file, and together they are more than can stay open."""
    for number in range(200):
        (tmp_path / str(number)).write_bytes(b"%06d" % number * 20_000)
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "limits": {"open_files": 50},
            # Before the first request: the first client waits until all have completed their handshakes.
            "timeouts": {"head": 600},
            "host_routes": {"*": {"type": "File", "path": tmp_path, "mode": mode}},
        }
    )
    address = server.listener(tls).address
    clients: list[Client] = []
    try:
        for _ in range(200):
            clients.append(Client(address, tls=tls))
        for number, client in enumerate(clients):
            client.send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        for number, client in enumerate(clients):
            assert client.response().body == b"%06d" % number * 20_000
        for number, client in enumerate(clients):
            client.send(f"GET /{(number + 1) % 200} HTTP/1.1\r\nHost: a\r\nRange: bytes=-6\r\n\r\n".encode())
        for number, client in enumerate(clients):
            assert client.response().body == b"%06d" % ((number + 1) % 200)
    finally:
        for client in clients:
            client.close()

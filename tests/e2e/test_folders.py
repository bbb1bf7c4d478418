"""Folders that are replaced, symbolic links, names that begin with a dot, and how files are sent."""

import os
import shutil
import socket
import ssl
import threading
import time
from email.utils import formatdate, parsedate_to_datetime

import pytest
from harness import bulk

FOR_LONG = {"file_valid": 3600}


def until(act, holds, seconds=20.0):
    end = time.monotonic() + seconds
    while not holds(found := act()):
        assert time.monotonic() < end, f"still {found}"
    return found


def alone(server, target, *fields, **how):
    with server.connect() as client:
        return client.get(target, *fields, **how)


def release(folder, number):
    """Each has a file that the others do not have."""
    folder.mkdir(parents=True)
    (folder / "file.txt").write_text(f"release {number}")
    (folder / f"only-{number}.txt").write_text(f"only {number}")
    return folder


# Replaced folders


def turn_link(base, number):
    """As deployment tools do: rename a new link over the old one, and remove the old release at once."""
    old = os.path.realpath(base / "current")
    release(base / f"releases/{number}/public", number)
    (base / "next").symlink_to(f"releases/{number}")
    os.replace(base / "next", base / "current")
    shutil.rmtree(old)


def move(base, number):
    release(base / "next/public", number)
    os.rename(base / "current", base / "old")
    os.rename(base / "next", base / "current")
    shutil.rmtree(base / "old")


def make_anew(base, number):
    shutil.rmtree(base / "current")
    release(base / "current/public", number)


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("replace", [turn_link, move, make_anew])
def test_a_folder_is_followed(ringway, tmp_path, replace, user):
    """Workers follow a folder themselves. The supervisor does it where the user of the workers cannot enter."""
    if os.geteuid() != 0:
        user = None
    elif user == "nobody":
        tmp_path.chmod(0o700)
    if replace is turn_link:
        release(tmp_path / "releases/0/public", 0)
        (tmp_path / "current").symlink_to("releases/0")
    else:
        release(tmp_path / "current/public", 0)
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", **({"user": user} if user else {})},
            "timeouts": {"file_valid": 0.2},
            "host_routes": {"*": {"type": "File", "path": tmp_path / "current/public"}},
        }
    )
    for number in range(1, 4):
        assert alone(server, "/file.txt").status == 200
        replace(tmp_path, number)
        until(lambda: alone(server, "/file.txt").body, lambda body, number=number: body == b"release %d" % number)
        assert alone(server, f"/only-{number}.txt").status == 200
    shutil.rmtree(tmp_path / "current/public")
    until(lambda: alone(server, "/file.txt").status, lambda status: status == 404)
    release(tmp_path / "current/public", 9)
    until(lambda: alone(server, "/file.txt").body, lambda body: body == b"release 9")


@pytest.mark.parametrize("replace", [turn_link, move, make_anew])
def test_nothing_is_missing_that_is_there(ringway, tmp_path, replace):
    """Files of the new folder are found at once, however long `file_valid` is."""
    if replace is turn_link:
        release(tmp_path / "releases/0/public", 0)
        (tmp_path / "current").symlink_to("releases/0")
    else:
        release(tmp_path / "current/public", 0)
    server = ringway(
        {"timeouts": FOR_LONG, "host_routes": {"*": {"type": "File", "path": tmp_path / "current/public"}}}
    )
    assert alone(server, "/only-0.txt").status == 200
    for number in range(1, 4):
        replace(tmp_path, number)
        assert alone(server, f"/only-{number}.txt").body == b"only %d" % number


def test_a_folder_that_was_moved_away_is_gone(ringway, tmp_path):
    """The old folder still exists, but at another path."""
    release(tmp_path / "site", 0)
    server = ringway(
        {"timeouts": {"file_valid": 0.2}, "host_routes": {"*": {"type": "File", "path": tmp_path / "site"}}}
    )
    assert alone(server, "/file.txt").status == 200
    os.rename(tmp_path / "site", tmp_path / "disabled")
    until(lambda: alone(server, "/file.txt").status, lambda status: status == 404)
    os.rename(tmp_path / "disabled", tmp_path / "site")
    until(lambda: alone(server, "/file.txt").status, lambda status: status == 200)


def test_requests_while_links_are_turned(ringway, tmp_path):
    release(tmp_path / "releases/0/public", 0)
    (tmp_path / "current").symlink_to("releases/0")
    server = ringway(
        {
            "timeouts": {"file_valid": 0},
            "host_routes": {"*": {"type": "File", "path": tmp_path / "current/public"}},
        }
    )
    ended = threading.Event()
    seen: list[int] = []

    def ask():
        while not ended.is_set():
            seen.append(alone(server, "/file.txt").status)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 30):
            turn_link(tmp_path, number)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert set(seen) == {200}


# Links


@pytest.fixture
def linked(tmp_path):
    root = tmp_path / "root"
    (root / "v2").mkdir(parents=True)
    (root / "v2/a.txt").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/b.txt").write_text("outside")
    (tmp_path / "rooted").mkdir()  # a path with the same beginning as the root's
    (tmp_path / "rooted/c.txt").write_text("beside")
    (root / "file.txt").symlink_to(root / "v2/a.txt")
    (root / "latest").symlink_to(root / "v2")
    (root / "twice").symlink_to(root / "latest/a.txt")
    (root / "out").symlink_to(tmp_path / "outside/b.txt")
    (root / "out-folder").symlink_to("../outside")
    (root / "beside").symlink_to(tmp_path / "rooted/c.txt")
    (root / "gone").symlink_to(root / "not-there")
    (root / "itself").symlink_to(root)
    return root


@pytest.mark.parametrize("mode", ["sendfile", "memory"])
def test_links(ringway, linked, mode):
    server = ringway(
        {
            "host_routes": {
                "*": {"type": "File", "path": linked, "mode": mode},
                "follow": {"type": "File", "path": linked, "mode": mode, "follow_links": True},
                "single": {"type": "File", "path": linked / "out", "mode": mode},
            }
        }
    )
    for _ in range(2):
        for host in ("localhost", "follow"):
            for target in ("/file.txt", "/latest/a.txt", "/twice", "/itself/v2/a.txt"):
                assert (target, alone(server, target, host=host).body) == (target, b"inside")
            assert alone(server, "/gone", host=host).status == 404
            assert alone(server, "/itself", host=host).one("location") == "/itself/"
            assert alone(server, "/latest", host=host).one("location") == "/latest/"
        for target in ("/out", "/out-folder/b.txt", "/beside"):
            got = alone(server, target)
            assert (target, got.status, got.reason) == (target, 403, "file_forbidden")
        assert alone(server, "/out", host="follow").body == b"outside"
        assert alone(server, "/out-folder/b.txt", host="follow").body == b"outside"
        # An operator can name any single file, even a link that leads outside.
        assert alone(server, "/", host="single").body == b"outside"


# Dot files


def test_dot_files(ringway, tmp_path):
    for name in (
        ".env",
        ".git/config",
        "a/.htpasswd",
        ".well-known/security.txt",
        ".well-known/.env",
        "a/.well-known/x",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("dot")
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data/key").write_text("mounted")
    (tmp_path / "key").symlink_to("..data/key")
    (tmp_path / "a.b").write_text("no dot file")
    server = ringway(
        {
            "host_routes": {
                "*": {"type": "File", "path": tmp_path},
                "dots": {"type": "File", "path": tmp_path, "dot_files": True},
                "single": {"type": "File", "path": tmp_path / ".env"},
            }
        }
    )
    denied = (
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git",
        "/a/.htpasswd",
        "/.well-known/.env",
        "/a/.well-known/x",
        "/.no",
    )
    for target in denied:
        got = alone(server, target)
        assert (target, got.status, got.reason) == (target, 404, "file_not_found")
    assert alone(server, "/.well-known/security.txt").body == b"dot"
    assert alone(server, "/key").body == b"mounted"
    assert alone(server, "/a.b").body == b"no dot file"
    for target in ("/.env", "/.git/config", "/a/.htpasswd", "/.well-known/.env"):
        assert alone(server, target, host="dots").body == b"dot"
    assert alone(server, "/", host="single").body == b"dot"


# How files are sent


def tls_records(sock, tls, incoming, outgoing, request, length):
    """Returns the lengths of the data records of a response whose body has `length` bytes."""
    tls.write(request)
    sock.sendall(outgoing.read())
    raw = plain = b""
    while len(plain.partition(b"\r\n\r\n")[2]) < length:
        data = sock.recv(65536)
        assert data, "the connection ended"
        raw += data
        incoming.write(data)
        while True:
            try:
                plain += tls.read(65536)
            except ssl.SSLWantReadError:
                break
    sizes = []
    while raw:
        size = int.from_bytes(raw[3:5], "big")
        sizes.append(size)
        raw = raw[5 + size :]
    return plain, sizes


@pytest.mark.parametrize("mode", ["sendfile", "memory"])
@pytest.mark.parametrize("size", [1, 1000, 3500, 5000, 15_000])
def test_head_and_body_are_one_record(ringway, certificate, tmp_path, mode, size):
    body = b"".join(bulk.pieces(size))
    (tmp_path / "file").write_bytes(body)
    server = ringway({"tls": certificate, "host_routes": {"*": {"type": "File", "path": tmp_path, "mode": mode}}})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    with socket.create_connection(server.listener(tls=True).address, timeout=20) as sock:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        sock.sendall(outgoing.read())
        request = b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n"
        tls_records(sock, tls, incoming, outgoing, request, size)  # tickets arrive with it
        for _ in range(2):
            plain, sizes = tls_records(sock, tls, incoming, outgoing, request, size)
            assert plain.partition(b"\r\n\r\n")[2] == body
            assert len(sizes) == 1
        ranged = b"GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n"
        plain, sizes = tls_records(sock, tls, incoming, outgoing, ranged, 1)
        assert plain.startswith(b"HTTP/1.1 206 ")
        assert len(sizes) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("mode", ["sendfile", "memory"])
@pytest.mark.parametrize("size", [3000, 3900, 5000, 16_384, 65_536, 200_000])
def test_bodies_behind_heads(ringway, certificate, tmp_path, mode, tls, size):
    """Whole files, ranges, and two at once, with sizes near those of buffers and records."""
    body = b"".join(bulk.pieces(size))
    (tmp_path / "file").write_bytes(body)
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "host_routes": {"*": {"type": "File", "path": tmp_path, "mode": mode}},
        }
    )
    with server.connect(tls=tls) as client:
        request = b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n"
        client.send(request * 3)
        for _ in range(3):
            assert client.response().body == body
        for first, last in ((0, 0), (1, size - 1), (size // 2, size - 2)):
            assert client.get("/file", f"Range: bytes={first}-{last}").body == body[first : last + 1]
        parts = client.get("/file", "Range: bytes=0-9,20-29")
        assert body[:10] in parts.body
        assert body[20:30] in parts.body
        assert client.get("/file", "Connection: close").body == body
        client.assert_ended()


def test_validators(ringway, tmp_path):
    """RFC 9110 8.8.2.1, 15.4.5; two copies of a file have the same ETag."""
    (tmp_path / "a.txt").write_text("x")
    os.utime(tmp_path / "a.txt", (1_700_000_000, 1_700_000_000))
    shutil.copy2(tmp_path / "a.txt", tmp_path / "b.txt")
    (tmp_path / "future").write_text("x")
    later = time.time() + 100_000
    os.utime(tmp_path / "future", (later, later))
    server = ringway({"host_routes": {"*": {"type": "File", "path": tmp_path}}})
    a, b = (alone(server, target) for target in ("/a.txt", "/b.txt"))
    assert a.one("etag") == b.one("etag")
    assert a.one("last-modified") == formatdate(1_700_000_000, usegmt=True)
    got = alone(server, "/a.txt", f"If-None-Match: {a.one('etag')}")
    assert got.status == 304
    assert got.one("etag") == a.one("etag")
    assert {name for name, _ in got.fields} <= {"date", "etag", "server", "connection"}
    got = alone(server, "/future")
    assert parsedate_to_datetime(got.one("last-modified")) <= parsedate_to_datetime(got.one("date"))


def test_the_redirect_to_a_folder_has_the_normal_path(ringway, tmp_path):
    (tmp_path / "docs").mkdir()
    server = ringway({"host_routes": {"*": {"type": "File", "path": tmp_path}}})
    for target in ("/docs", "/./docs", "/x/../docs", "/%64ocs"):
        assert alone(server, target).one("location") == "/docs/"
    assert alone(server, "/x/../docs?a=/../b").one("location") == "/docs/?a=/../b"

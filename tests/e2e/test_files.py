"""Files: what is found, what is rejected, and the fields of the response. Numbers refer to RFC 9110."""

import email
import email.policy
import os
import socket
import stat
from email.utils import formatdate

import pytest
from harness import bulk
from harness.server import Server

TEXT = b"".join(b"line %d of a file\n" % number for number in range(1000))
LONG_AGO = 1_600_000_000
DATE = formatdate(LONG_AGO, usegmt=True)
EARLIER = formatdate(LONG_AGO - 1, usegmt=True)
LATER = formatdate(LONG_AGO + 1, usegmt=True)
MODE = pytest.mark.parametrize("host", ["sendfile", "memory"])
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("files")
    (base / "outside").mkdir()
    (base / "outside/secret").write_text("secret")
    (base / "secret").write_text("secret")
    root = base / "root"
    for name in ("docs", "empty", "evil", "dir.txt", "a b", "index/index.html"):
        (root / name).mkdir(parents=True)
    (root / "text.txt").write_bytes(TEXT)
    os.utime(root / "text.txt", (LONG_AGO, LONG_AGO))
    (root / "large.bin").write_bytes(b"".join(bulk.pieces(500_000)))
    (root / "nothing").write_bytes(b"")
    (root / "index.html").write_text("<p>start")
    (root / "docs/index.html").write_text("<p>docs")
    (root / "evil/index.html").write_text("<p>evil")
    (root / "a b/c+d.html").write_text("<p>a b")
    (root / "späße.html").write_text("<p>utf-8")
    (root / "..hidden").write_text("two dots")
    (root / "inside").symlink_to("text.txt")
    (root / "inside-folder").symlink_to("docs")
    (root / "up-and-back").symlink_to("docs/../text.txt")
    (root / "outside").symlink_to("../outside")
    (root / "outside-file").symlink_to("../secret")
    (root / "absolute").symlink_to(base / "secret")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("not-there")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.getcwd()
        os.chdir(root)  # the path of a Unix socket must be short
        try:
            sock.bind("socket")
        finally:
            os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(root / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    return root


@pytest.fixture(scope="module")
def running(folder, tmp_path_factory, certificate):
    config = {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
        "tls": certificate,
        "host_routes": {
            "sendfile": {"type": "File", "path": folder},
            "memory": {"type": "File", "path": folder, "mode": "memory"},
            "single": {"type": "File", "path": folder / "text.txt"},
            "single-memory": {"type": "File", "path": folder / "text.txt", "mode": "memory"},
        },
        "path_routes": {
            "paths": {
                "/pub/": {"type": "File", "path": folder},
                "/docs/": {"type": "File", "path": folder, "strip_prefix": False},
                "/one": {"type": "File", "path": folder / "index.html"},
            }
        },
    }
    with Server(config, tmp_path_factory.mktemp("ringway")) as server:
        yield server


@pytest.fixture
def get(running):
    def get(target, *fields, host="sendfile", method="GET", tls=False):
        with running.connect(tls=tls) as client:
            return client.get(target, *fields, host=host, method=method)

    yield get
    running.assert_sound()


# Responses


@MODE
@TLS
def test_get_and_head(get, host, tls):
    got = get("/text.txt", host=host, tls=tls)
    assert (got.status, got.body) == (200, TEXT)
    assert got.one("content-length") == str(len(TEXT))
    assert got.one("last-modified") == DATE
    assert got.one("accept-ranges") == "bytes"
    assert got.one("etag").startswith('"')
    assert "date" in got
    head = get("/text.txt", host=host, tls=tls, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert [field for field in head.fields if field[0] != "date"] == [
        field for field in got.fields if field[0] != "date"
    ]


@MODE
@TLS
def test_after_head_the_connection_goes_on(running, host, tls):
    """9.3.2: HEAD has no body, and the next response follows at once."""
    with running.connect(tls=tls) as client:
        for _ in range(3):
            assert client.get("/large.bin", method="HEAD", host=host).status == 200
            assert client.get("/text.txt", host=host).body == TEXT
            assert client.get("/nothing", host=host).body == b""
            assert client.get("/missing", host=host, method="HEAD").status == 404


@MODE
@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/", b"<p>start"),
        ("/docs/", b"<p>docs"),
        ("/docs/index.html", b"<p>docs"),
        ("/docs/?a=b/c", b"<p>docs"),
        ("//docs//", b"<p>docs"),
        ("/docs/../", b"<p>start"),
        ("/./docs/./", b"<p>docs"),
        ("/%64ocs/", b"<p>docs"),
        ("/a%20b/c+d.html", b"<p>a b"),
        ("/a%20b/c%2Bd.html", b"<p>a b"),
        ("/sp%C3%A4%C3%9Fe.html", b"<p>utf-8"),
        ("/inside", TEXT),
        ("/inside-folder/", b"<p>docs"),
        ("/up-and-back", TEXT),
        ("/nothing", b""),
    ],
)
def test_found(get, host, target, body):
    got = get(target, host=host)
    assert (got.status, got.body) == (200, body)


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/text.txt", "text/plain; charset=utf-8"),
        ("/large.bin", "application/octet-stream"),
        ("/nothing", "application/octet-stream"),
    ],
)
def test_media_types(get, name, media):
    assert get(name).one("content-type") == media


MEDIA = {
    "a.css": "text/css; charset=utf-8",
    "a.js": "text/javascript; charset=utf-8",
    "a.json": "application/json",
    "a.svg": "image/svg+xml",
    "a.png": "image/png",
    "a.JPG": "image/jpeg",
    "a.woff2": "font/woff2",
    "a.wasm": "application/wasm",
    "a.min.css": "text/css; charset=utf-8",
    "a.unheard-of": "application/octet-stream",
    "css": "application/octet-stream",
}


@pytest.mark.parametrize("name", MEDIA)
def test_more_media_types(get, folder, name):
    (folder / name).write_text("x")
    assert get(f"/{name}").one("content-type") == MEDIA[name]


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/docs", "/docs/"),
        ("/docs?a=b&c", "/docs/?a=b&c"),
        ("/a%20b", "/a%20b/"),
        ("/inside-folder", "/inside-folder/"),
        # "//evil/" would be another site (RFC 3986 4.2).
        ("//evil", "/evil/"),
        ("///evil", "/evil/"),
        ("////evil?//x", "/evil/?//x"),
        ("/./evil", "/evil/"),
        ("/dir.txt", "/dir.txt/"),
    ],
)
def test_redirect_to_the_slash(get, target, location):
    got = get(target)
    assert (got.status, got.one("location")) == (301, location)


@pytest.mark.parametrize("target", ["/%2fevil", "/\\evil", "/%5cevil", "//evil%2f.."])
def test_no_redirect_to_another_site(get, target):
    got = get(target)
    for location in got.all("location"):
        assert not location.replace("\\", "/").startswith("//"), got
    assert got.status in (301, 400, 404)


@MODE
@pytest.mark.parametrize(
    "target", ["/missing", "/docs/missing", "/text.txt/", "/text.txt/x", "/empty/", "/index/", "/..hidden"]
)
def test_not_found(get, host, target):
    got = get(target, host=host)
    assert (got.status, got.reason) == (404, "file_not_found")


def test_names_too_long_are_not_found(get):
    assert get("/" + "x" * 256).status == 404
    assert get("/" + "x/" * 1500).status == 404
    assert get("/" + "x" * 5000).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods(get, method):
    """15.5.6: 405 lists the allowed methods."""
    got = get("/text.txt", "Content-Length: 0", method=method)
    assert (got.status, got.reason) == (405, "method_not_allowed")
    assert got.one("allow").replace(" ", "").split(",") == ["GET", "HEAD"]


def test_a_body_with_post_is_not_taken_for_a_request(running):
    body = b"GET /text.txt HTTP/1.1\r\nHost: sendfile\r\n\r\n"
    for together in (True, False):
        with running.connect() as client:
            fields = [f"Content-Length: {len(body)}"]
            got = client.get("/docs/", *fields, method="POST", body=body if together else b"", host="sendfile")
            assert got.status == 405
            if together and got.keeps:
                assert client.get("/docs/", host="sendfile").body == b"<p>docs"
            else:
                assert not got.keeps
                client.try_send(body)
                client.finish()
                client.assert_ended()
    running.assert_sound()


# Rejected requests


@MODE
@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/docs/../../secret",
        "/%2e%2e/secret",
        "/%2E./secret",
        "/docs/%2e%2e/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/docs%2f..%2f..%2fsecret",
        "/..%5csecret",
        "/..\\secret",
        "/....//secret",
        "/.../secret",
        "/%00/../secret",
        "/text.txt%00.html",
        "/%c0%ae%c0%ae/secret",
        "/%252e%252e/secret",
        "/outside/secret",
        "/outside-file",
        "/absolute",
        "/outside/",
        "/outside",
        "/loop",
        "/dangling",
    ],
)
def test_no_path_leaves_the_root(get, host, target):
    got = get(target, host=host)
    assert got.status in (400, 403, 404)
    assert b"secret" not in got.body.replace(b"\n", b"")


@pytest.mark.parametrize("target", ["/../secret", "/%2e%2e/secret"])
def test_a_path_above_the_root_is_a_bad_target(get, target):
    assert (get(target).status, get(target).reason) == (400, "bad_target")


@MODE
@pytest.mark.parametrize("name", ["fifo", "socket", "device"])
def test_only_regular_files_are_served(get, folder, host, name):
    if not os.path.lexists(folder / name):
        pytest.skip("only root makes devices")
    for _ in range(2):
        got = get(f"/{name}", host=host)
        assert (got.status, got.reason) == (403, "file_forbidden")


# Routes to files


def test_a_single_file(get):
    for host in ("single", "single-memory"):
        for target in ("/", "/text.txt", "/any/thing", "/any/thing/"):
            assert get(target, host=host).body == TEXT
        got = get("/", "Range: bytes=0-3", host=host)
        assert (got.status, got.body) == (206, TEXT[:4])
        assert get("/", host=host).one("content-type") == "text/plain; charset=utf-8"


def test_prefixes(get):
    assert get("/pub/text.txt", host="paths").body == TEXT
    assert get("/pub/", host="paths").body == b"<p>start"
    assert get("/pub/docs", host="paths").one("location") == "/pub/docs/"
    got = get("/pub", host="paths")
    # The folder without its final slash: relative links of its index would not work.
    assert (got.status, got.all("location")) == (301, ["/pub/"])
    assert get("/docs/index.html", host="paths").body == b"<p>docs"
    assert get("/docs/", host="paths").body == b"<p>docs"
    assert get("/one", host="paths").body == b"<p>start"
    assert get("/text.txt", host="paths").status == 404
    assert get("/pub/../text.txt", host="paths").status == 404


# Conditions, 13


@pytest.fixture
def etag(get):
    return get("/text.txt").one("etag")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["If-Match: *"], 200),
        (["If-Match: {etag}"], 200),
        (['If-Match: "other", {etag}'], 200),
        (['If-Match: "other"'], 412),
        (["If-Match: W/{etag}"], 412),  # 8.8.3.2: strong comparison
        (["If-None-Match: *"], 304),
        (["If-None-Match: {etag}"], 304),
        (["If-None-Match: W/{etag}"], 304),  # weak comparison
        (['If-None-Match: "other", {etag}'], 304),
        (['If-None-Match: "other"'], 200),
        ([f"If-Modified-Since: {DATE}"], 304),
        ([f"If-Modified-Since: {LATER}"], 304),
        ([f"If-Modified-Since: {EARLIER}"], 200),
        (["If-Modified-Since: yesterday"], 200),  # 13.1.3: not a date, ignored
        (["If-Modified-Since: Sunday, 13-Sep-20 12:26:40 GMT"], 304),  # 5.6.7: obsolete forms, too
        (["If-Modified-Since: Sun Sep 13 12:26:40 2020"], 304),
        ([f"If-Unmodified-Since: {DATE}"], 200),
        ([f"If-Unmodified-Since: {EARLIER}"], 412),
        (["If-Unmodified-Since: yesterday"], 200),
        # 13.2.2: order of evaluation
        (["If-Match: {etag}", f"If-Unmodified-Since: {EARLIER}"], 200),
        (['If-None-Match: "other"', f"If-Modified-Since: {LATER}"], 200),
        (["If-None-Match: {etag}", f"If-Modified-Since: {EARLIER}"], 304),
        (['If-Match: "other"', "If-None-Match: {etag}"], 412),
        (["If-Match: {etag}", "If-None-Match: {etag}"], 304),
        (["If-None-Match: {etag}", "Range: bytes=0-1"], 304),
        (['If-None-Match: "other"', "Range: bytes=0-1"], 206),
        (['If-Match: "other"', "Range: bytes=0-1"], 412),
        # 5.3: all lines of a list field count, and only one line of other fields.
        (["If-Match: {etag}", 'If-Match: "other"'], 200),
        (['If-Match: "other"', "If-Match: {etag}"], 200),
        (['If-Match: "other"', 'If-Match: "zz"'], 412),
        (["If-None-Match: {etag}", 'If-None-Match: "other"'], 304),
        (['If-None-Match: "other"', "If-None-Match: {etag}"], 304),
        ([f"If-Modified-Since: {LATER}", f"If-Modified-Since: {LATER}"], 200),
        ([f"If-Unmodified-Since: {EARLIER}", f"If-Unmodified-Since: {EARLIER}"], 200),
        (["Range: bytes=0-1", "Range: bytes=2-3"], 200),
        (["Range: bytes=0-1", "If-Range: {etag}", "If-Range: {etag}"], 200),
    ],
)
@MODE
def test_conditions(get, etag, host, fields, status):
    fields = [field.format(etag=etag) for field in fields]
    got = get("/text.txt", *fields, host=host)
    assert got.status == status
    if status == 304:
        # 15.4.5
        assert got.body == b""
        assert got.one("etag") == etag
        assert "date" in got
        assert "transfer-encoding" not in got
    elif status == 200:
        assert got.body == TEXT
    head = get("/text.txt", *fields, host=host, method="HEAD")
    assert head.status == (200 if status == 206 else status)


@MODE
@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("{etag}", True),
        ("W/{etag}", False),  # 13.1.5: strong comparison only
        ('"other"', False),
        (DATE, True),
        (LATER, False),
        (EARLIER, False),
        ("yesterday", False),
    ],
)
def test_if_range(get, etag, host, condition, holds):
    got = get("/text.txt", "Range: bytes=10-19", f"If-Range: {condition.format(etag=etag)}", host=host)
    assert (got.status, got.body) == ((206, TEXT[10:20]) if holds else (200, TEXT))


def test_if_range_without_range(get, etag):
    assert get("/text.txt", f"If-Range: {etag}").status == 200


# Ranges, 14


@MODE
@TLS
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("0-0", 0, 0),
        ("0-99", 0, 99),
        ("100-199", 100, 199),
        ("499999-", 499_999, 499_999),
        ("0-", 0, 499_999),
        ("-1", 499_999, 499_999),
        ("-500", 499_500, 499_999),
        ("-500000", 0, 499_999),
        ("-999999999999999999999999", 0, 499_999),
        ("65530-131080", 65_530, 131_080),
        ("499990-999999999999999999999999", 499_990, 499_999),
        (" 5-6 ,", 5, 6),
    ],
)
def test_one_range(get, host, tls, asked, first, last):
    whole = b"".join(bulk.pieces(500_000))
    got = get("/large.bin", f"Range: bytes={asked}", host=host, tls=tls)
    assert (got.status, got.body) == (206, whole[first : last + 1])
    assert got.one("content-range") == f"bytes {first}-{last}/500000"
    assert got.one("content-length") == str(last + 1 - first)
    assert got.one("content-type") == "application/octet-stream"
    assert "etag" in got


@MODE
@TLS
@pytest.mark.parametrize(
    "asked",
    [
        [(0, 0), (499_999, 499_999)],
        [(100, 199), (0, 99)],
        [(0, 99_999), (200_000, 299_999), (400_000, 499_999)],
        [(number * 10_000, number * 10_000 + 99) for number in range(8)],
    ],
    ids=["ends", "backwards", "long", "many"],
)
def test_several_ranges(get, host, tls, asked):
    """15.3.7.2: multipart/byteranges, each part with its own range."""
    whole = b"".join(bulk.pieces(500_000))
    text = ",".join(f"{first}-{last}" for first, last in asked)
    got = get("/large.bin", f"Range: bytes={text}", host=host, tls=tls)
    assert got.status == 206
    assert "content-range" not in got
    head = f"Content-Type: {got.one('content-type')}\r\n\r\n".encode()
    message = email.message_from_bytes(head + got.body, policy=email.policy.HTTP)
    assert message.get_content_type() == "multipart/byteranges"
    parts = list(message.iter_parts())
    assert len(parts) == len(asked)
    for part, (first, last) in zip(parts, asked, strict=True):
        assert part["Content-Range"] == f"bytes {first}-{last}/500000"
        assert part["Content-Type"] == "application/octet-stream"
    # The email package decodes text, so compare the received bytes.
    boundary = message.get_boundary().encode()
    rest = got.body
    for first, last in asked:
        before, found, rest = rest.partition(b"--" + boundary + b"\r\n")
        assert (before.strip(), bool(found)) == (b"", True)
        _, _, rest = rest.partition(b"\r\n\r\n")
        assert rest[: last + 1 - first] == whole[first : last + 1]
        rest = rest[last + 1 - first :]
    assert rest == b"\r\n--" + boundary + b"--\r\n"


@MODE
@pytest.mark.parametrize("asked", ["500000-", "500000-600000", "-0", "600000-,700000-", "-0,500000-"])
def test_not_satisfiable(get, host, asked):
    got = get("/large.bin", f"Range: bytes={asked}", host=host)
    assert (got.status, got.reason) == (416, "range_not_satisfiable")
    assert got.one("content-range") == "bytes */500000"


@MODE
@pytest.mark.parametrize(
    "field",
    [
        "bytes=5-4",
        "bytes=",
        "bytes=a-b",
        "bytes=1-2-3",
        "lines=0-1",
        "bytes 0-1",
        "bytes=0-1;",
        "bytes=--1",
        "bytes=0-400000,0-400000",  # 14.2: beyond the end of the file
        "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 600, 2)),
    ],
)
def test_ranges_that_are_ignored(get, host, field):
    """14.2: Ringway ignores ranges that are invalid or abusive, and sends the whole file."""
    got = get("/large.bin", f"Range: {field}", host=host)
    assert (got.status, len(got.body)) == (200, 500_000)


def test_satisfiable_ones_alone_are_answered(get):
    got = get("/large.bin", "Range: bytes=600000-700000,5-6")
    assert (got.status, got.one("content-range")) == (206, "bytes 5-6/500000")


def test_ranges_of_an_empty_file_and_of_head(get):
    assert (get("/nothing", "Range: bytes=0-").status) == 200
    got = get("/large.bin", "Range: bytes=0-1", method="HEAD")
    assert (got.status, got.one("content-length")) == (200, "500000")

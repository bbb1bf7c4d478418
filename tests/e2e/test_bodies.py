"""Bodies of every size, in both directions and with both framings, over TCP and TLS, with nginx and a Python server."""

import json
import time
import uuid

import pytest
from harness import bulk
from harness.bulk import GIB, SIZES
from harness.memory import resident
from harness.waiting import DEADLINE

TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
SIZE = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
HOST = pytest.mark.parametrize("host", ["nginx", "python"])


def upload(site, host, path, tls, framing, size):
    if framing == "length":
        return site.curl(host, path, tls, "--upload-file", str(site.folder / str(size)))

    def write(stream):
        for piece in bulk.pieces(size):
            stream.write(piece)

    return site.curl(host, path, tls, upload=write)


@TLS
@HOST
@pytest.mark.parametrize("framing", ["length", "chunked"])
@SIZE
def test_download(site, tls, host, framing, size):
    got = site.curl(host, f"/{framing}/{size}", tls, keep=False)
    assert (got.code, got.status, got.size, got.sha256) == (0, 200, size, bulk.checksum(size)), got
    if framing == "length":
        assert got.fields("content-length") == [str(size)]
        assert got.fields("transfer-encoding") == []
    # With a filter, nginx does not even know that a body is empty.
    elif size or host == "python":
        assert got.fields("transfer-encoding") == ["chunked"]
        assert got.fields("content-length") == []


@TLS
@SIZE
def test_download_that_ends_with_the_connection(site, tls, size):
    got = site.curl("python", f"/close/{size}", tls, keep=False)
    assert (got.code, got.status, got.size, got.sha256) == (0, 200, size, bulk.checksum(size)), got
    # The client can still tell the end: RFC 9112 6.3 uses the close only for HTTP/1.0.
    assert got.fields("transfer-encoding") == ["chunked"]


@TLS
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@SIZE
def test_download_by_http_1_0(site, tls, framing, size):
    got = site.curl("python", f"/{framing}/{size}", tls, "--http1.0", keep=False)
    assert (got.code, got.status, got.size, got.sha256) == (0, 200, size, bulk.checksum(size)), got
    assert got.fields("transfer-encoding") == []


@TLS
@pytest.mark.parametrize("framing", ["length", "chunked"])
@SIZE
def test_upload_to_python(site, tls, framing, size):
    got = upload(site, "python", "/up", tls, framing, size)
    assert (got.code, got.status) == (0, 200), got
    assert json.loads(got.body) == {"size": size, "sha256": bulk.checksum(size), "framing": framing}


@TLS
@pytest.mark.parametrize("framing", ["length", "chunked"])
@SIZE
def test_upload_to_nginx(site, tls, framing, size):
    name = uuid.uuid4().hex
    got = upload(site, "nginx", f"/up/{name}", tls, framing, size)
    assert (got.code, got.status) == (0, 201), got
    path = site.nginx.uploads / name
    with path.open("rb") as stream:
        assert bulk.checksum_of(iter(lambda: stream.read(1 << 20), b"")) == (size, bulk.checksum(size))
    path.unlink()


@TLS
@pytest.mark.parametrize("host", ["files", "memory"])
@SIZE
def test_file(site, tls, host, size):
    got = site.curl(host, f"/{size}", tls, keep=False)
    assert (got.code, got.status, got.size, got.sha256) == (0, 200, size, bulk.checksum(size)), got


def test_one_connection_many_bodies(site):
    """Bodies with different framings, one after the other on one connection. None reads a byte of the next."""
    with site.server.connect(tls=True) as client:
        for size in (0, 1, 65536, 65537, 200_000, 0, 3):
            for framing in ("length", "chunked"):
                response = client.get(f"/{framing}/{size}", host="python")
                assert (response.status, response.framing) == (200, framing)
                assert bulk.checksum_of([response.body]) == (size, bulk.checksum(size))
                body = b"".join(bulk.pieces(size))
                sent = client.get("/up", f"Content-Length: {size}", method="PUT", body=body, host="python")
                assert json.loads(sent.body) == {"size": size, "sha256": bulk.checksum(size), "framing": "length"}


# 1 GiB


@pytest.mark.slow
@TLS
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_download_of_1_gib(site, tls, framing):
    pid = site.server.worker_pids[0]
    before = resident(pid)
    with site.server.connect(tls=tls) as client:
        client.send(f"GET /{framing}/{GIB} HTTP/1.1\r\nHost: python\r\n\r\n".encode())
        head = client.response_head()
        assert head.status == 200
        found = bulk.checksum_of(body_of(client, framing))
    assert found == (GIB, bulk.checksum(GIB))
    assert resident(pid) - before < 32 << 20


@pytest.mark.slow
@TLS
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload_of_1_gib(site, tls, framing):
    pid = site.server.worker_pids[0]
    before = resident(pid)
    field = f"Content-Length: {GIB}" if framing == "length" else "Transfer-Encoding: chunked"
    with site.server.connect(tls=tls) as client:
        client.send(f"PUT /up HTTP/1.1\r\nHost: python\r\n{field}\r\n\r\n".encode())
        client.sock.settimeout(6 * DEADLINE)
        bulk.send_body(client.sock, GIB, framing == "chunked")
        response = client.response()
    assert json.loads(response.body) == {"size": GIB, "sha256": bulk.checksum(GIB), "framing": framing}
    assert resident(pid) - before < 32 << 20


@pytest.mark.slow
def test_file_of_1_gib(site):
    path = site.folder / "gib"
    bulk.write_file(path, GIB)
    try:
        got = site.curl("files", "/gib", False, keep=False)
        assert (got.code, got.status, got.size, got.sha256) == (0, 200, GIB, bulk.checksum(GIB)), got
    finally:
        path.unlink()


def body_of(client, framing):
    reader = client.reader
    end = time.monotonic() + 6 * DEADLINE
    if framing == "length":
        left = GIB
        while left:
            data = reader.some(min(left, bulk.PIECE), end)
            left -= len(data)
            yield data
        return
    while size := int(reader.passing_line(end), 16):
        while size:
            data = reader.some(min(size, bulk.PIECE), end)
            size -= len(data)
            yield data
        assert reader.passing_line(end) == b""
    assert reader.passing_line(end) == b""

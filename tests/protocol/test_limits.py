"""Each bound of `[limits]` that is not tested elsewhere: up to the bound requests succeed, beyond it they are
rejected."""

import pytest
from harness.memory import total, wait_for_total
from harness.raw import chunked, message
from harness.upstream import answers

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture
def bounded(ringway, upstream, tmp_path):
    """Starts Ringway with these limits. Host `files` is a folder, all others go to the upstream. Returns both."""

    def start(serve=None, timeouts=(), **limits):
        up = upstream(serve)
        routes = {"*": {"type": "Proxy", "url": up.url}, "files": {"type": "File", "path": tmp_path}}
        return ringway({"limits": limits, "timeouts": dict(timeouts), "host_routes": routes}), up

    return start


def test_head_fields_of_a_request(bounded):
    """6585-5"""
    server, up = bounded(answers(HI), head_fields=5)
    with server.connect() as client:
        assert client.get("/", *[f"X-{i}: y" for i in range(4)]).status == 200
        refused = client.get("/mark", *[f"X-{i}: y" for i in range(5)])
        assert (refused.status, refused.reason) == (431, "too_many_fields")
        client.assert_ended()
    assert b"mark" not in up.received


@pytest.mark.parametrize("limit", [100, 101, 1000])
def test_as_many_head_fields_as_wanted(bounded, limit):
    """In a request and in its response; one more is rejected."""
    fields = ["X: y"] * (limit - 2)
    hi = message("HTTP/1.1 200 OK", "Content-Length: 2", "Date: x", *fields, body=b"hi")
    server, up = bounded(answers(hi, hi), head_fields=limit, head_bytes=16384)
    with server.connect() as client:
        assert client.get("/", *fields, "X-Last: z").fields.count(("x", "y")) == len(fields)
        assert client.get("/", *fields, "X: y", "X: y").status == 431
    assert up.received.count(b"X: y") == len(fields)
    assert b"X-Last: z" in up.received


@pytest.mark.parametrize("start", ["HTTP/1.1 200 OK", "HTTP/1.1 103 Early Hints"])
def test_head_fields_of_a_response(bounded, start):
    server, _ = bounded(
        answers(
            message("HTTP/1.1 200 OK", "Content-Length: 2", *["X: y"] * 4, body=b"hi"),
            message(start, "Content-Length: 2" if "200" in start else "X: y", *["X: y"] * 5, body=b"hi"),
        ),
        head_fields=5,
    )
    with server.connect() as client:
        assert client.get("/").status == 200
        refused = client.get("/")
        assert (refused.status, refused.reason) == (502, "upstream_head_too_large")


def test_chunk_line(bounded):
    """9112-7.1.1: the size, its extensions and the end of the line."""
    server, _ = bounded(answers(HI), chunk_line_bytes=40)
    head = message("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
    with server.connect() as client:
        client.send(head + b"2;" + b"e" * 36 + b"\r\nab\r\n0\r\n\r\n")
        assert client.response().status == 200
        client.send(head + b"2;" + b"e" * 37 + b"\r\nab\r\n0\r\n\r\n")
        refused = client.response()
        assert (refused.status, refused.reason) == (400, "bad_chunk")


def test_chunk_line_of_a_response(bounded):
    def answer(extension):
        line = b"2;" + b"e" * extension + b"\r\n"
        return message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + line + b"hi\r\n0\r\n\r\n"

    server, _ = bounded(answers(answer(5000), answer(8000)), chunk_line_bytes=6000)
    with server.connect() as client:
        assert client.get("/").body == b"hi"
        assert client.get("/").reason == "upstream_bad_body"


def test_trailer(bounded):
    """6585-5, 9112-7.1.2: all field lines and the empty line."""
    server, up = bounded(answers(HI), trailer_bytes=64)
    head = message("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
    with server.connect() as client:
        client.send(head + chunked(b"ab", trailers="X: " + "y" * 57 + "\r\n"))
        assert client.response().status == 200
        assert b"y" * 57 in up.received
        client.send(head + chunked(b"ab", trailers="X: " + "y" * 58 + "\r\n"))
        refused = client.response()
        assert (refused.status, refused.reason) == (431, "trailer_too_large")


def test_ranges(bounded, tmp_path):
    """9110-14.2: a request for more ranges gets the whole file."""
    (tmp_path / "file").write_bytes(bytes(range(100)))
    server, _ = bounded(ranges=2)
    with server.connect() as client:
        assert client.get("/file", "Range: bytes=1-2,5-6", host="files").status == 206
        whole = client.get("/file", "Range: bytes=1-2,5-6,9-9", host="files")
        assert (whole.status, whole.body) == (200, bytes(range(100)))


@pytest.mark.parametrize("size", [16384, 1048576])
def test_body_buffer(bounded, tmp_path, size):
    """Bodies with the size of a buffer, and a byte more or less, pass complete in both directions, for any size of
    buffers."""
    server, _ = bounded(
        echo, head_bytes=8192, buffer_bytes=max(16 * size, 1 << 20), body_buffer_bytes=size, request_body_bytes=0
    )
    with server.connect() as client:
        for length in (size - 1, size, size + 1, 3 * size + 7):
            body = bytes(range(251)) * (length // 251 + 1)
            body = body[:length]
            got = client.get("/", f"Content-Length: {length}", method="POST", body=body)
            assert (got.status, got.body) == (200, body)
            (tmp_path / "file").write_bytes(body)


def echo(link):
    while True:
        request = link.request()
        link.send(message("HTTP/1.1 200 OK", f"Content-Length: {len(request.body)}", body=request.body))


def test_what_is_pipelined(bounded):
    """What a waiting client sends beyond the bound stays in the kernel, with one of them and not with the other."""
    more = message("GET / HTTP/1.1", "Host: x", "X: " + "y" * 900) * 2000
    started = []
    for bound in (4096, 1048576):
        server, up = bounded(lambda link: link.to_end(3600), pipeline_bytes=bound)
        client = server.connect()
        client.send(message("GET /first HTTP/1.1", "Host: x"))
        up.link(0)
        client.sock.setblocking(False)
        client.sock.send(more)
        started.append((client, server))

    (narrow, narrow_server), (wide, wide_server) = started
    wait_for_total(wide_server, "buffers", lambda count: count > 150)
    # The kernel delivers 32 more at once before it stops.
    assert total(narrow_server, "buffers") < 75
    narrow.reset()
    wide.reset()


def test_linger(bounded):
    """Ringway reads for this time from a client that keeps sending after the last response. One of two clients sends
    nothing."""
    ends = {}
    for linger in (3600, 0.3):
        server, _ = bounded(timeouts={"linger": linger}, request_body_bytes=10)
        client = server.connect()
        client.send(message("POST / HTTP/1.1", "Host: x", "Content-Length: 11"))
        assert client.response().reason == "body_too_large"
        ends[linger] = (server, client)
    server, client = ends[0.3]
    wait_for_total(server, "clients", lambda count: count == 0)
    client.close()
    server, client = ends[3600]
    assert total(server, "clients") == 1
    client.close()

"""Upstreams that misbehave: what the client gets."""

import pytest
from harness.raw import chunked, message

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = "Transfer-Encoding: chunked"


# --- heads

BAD_HEADS = {
    "9112-4 not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "9112-4 HTTP/2": b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "9112-2.3 HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "9112-4 lower-case version": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "9112-4 status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "9112-4 status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "9110-15 status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "9112-2.2 LF and no fields": b"\nHTTP/1.1 200 OK\n\n",
    "9112-2.2 CR alone beside LF alone": b"HTTP/1.1 200 OK\nX: a\rb\nContent-Length: 0\n\n",
    "9112-5.2 obs-fold with LF": b"HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 0\n\n",
    "9112-2.2 bare CR in a value": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "9112-5.2 obs-fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "9112-5.1 space before the colon": b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    "9110-5.5 NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "9112-5 no colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
    "9112-6.3 length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "9112-6.3 lengths differ": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
    "9112-6.3 bad length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x0\r\n\r\n",
    "9112-6.1 other coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "9112-6.1 coding and chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "9112-6.1 chunked in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS)
def test_bad_head(site, head, pieces):
    """502 with its reason. The client's connection persists, the upstream's does not, and nothing is retried."""

    def serve(link, request):
        for at in range(0, len(head), 1 if pieces else len(head)):
            link.send(head[at : at + (1 if pieces else len(head))])
        link.to_end()
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        response = client.get(target, host="proxied")
        assert (response.status, response.reason) == (502, "upstream_bad_head")
        assert client.get("/a.txt", host="files").status == 200
    link = site.upstream.request(target).link
    site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
    assert len(site.upstream.requests_for(target)) == 1
    record = site.server.record(target)
    assert (record["status"], record["reason"]) == (502, "upstream_bad_head")


BARE_LF = {
    "all lines": b"HTTP/1.1 200 OK\nX: a b\nContent-Length: 2\n\nhi",
    "the status line": b"HTTP/1.1 200 OK\nX: a b\r\nContent-Length: 2\r\n\r\nhi",
    "a field": b"HTTP/1.1 200 OK\r\nX: a b\nContent-Length: 2\r\n\r\nhi",
    "the empty line": b"HTTP/1.1 200 OK\r\nX: a b\r\nContent-Length: 2\r\n\nhi",
    "all but the empty line": b"HTTP/1.1 200 OK\nX: a b\nContent-Length: 2\n\r\nhi",
    "a body of such lines": b"HTTP/1.1 200 OK\nX: a b\nContent-Length: 2\n\n\n\n",
    "behind an interim response": b"HTTP/1.1 103 x\nLink: <a>\n\nHTTP/1.1 200 OK\nX: a b\nContent-Length: 2\n\nhi",
}


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("answer", BARE_LF.values(), ids=BARE_LF)
def test_lines_that_end_with_lf_alone(site, answer, pieces):
    """9112-2.2: a recipient can read LF as the end of a line. Ringway forwards CR LF, and the body does not change."""

    def serve(link, request):
        for at in range(0, len(answer), 1 if pieces else len(answer)):
            link.send(answer[at : at + (1 if pieces else len(answer))])

    target = site.upstream.on(serve)
    with site.connect() as client:
        for _ in range(2):
            response = client.get(target, host="proxied")
            if response.status == 103:
                response = client.response()
            assert (response.status, response.one("x")) == (200, "a b")
            assert response.body == answer[-2:]
    # It is reused like any other connection.
    first, second = site.upstream.requests_for(target)
    assert first.link is second.link


PADDED = {
    "blanks": b"2  \r\nhi\r\n0   \r\n\r\n",
    "tab, and an extension": b"2\t;a=b\r\nhi\r\n0\r\n\r\n",
    "eight digits": b"00000002\r\nhi\r\n00000000\r\n\r\n",
    "twenty digits": b"00000000000000000002\r\nhi\r\n00000000000000000000\r\n\r\n",
}


@pytest.mark.parametrize("body", PADDED.values(), ids=PADDED)
def test_padded_chunk_sizes(site, body):
    """9112-7.1 requires 1*HEXDIG; RFC 2616 allowed blanks. From a client, neither more than 15 digits nor blanks are
    accepted."""
    target = site.upstream.on(message("HTTP/1.1 200 OK", CHUNKED) + body)
    with site.connect() as client:
        response = client.get(target, host="proxied")
        assert (response.status, response.body) == (200, b"hi")
        if body != PADDED["eight digits"]:
            client.send(message(f"POST {target} HTTP/1.1", "Host: proxied", CHUNKED) + body)
            assert client.response().status == 400


LF_IN_CHUNKS = {
    "behind a size": b"2\nhi\r\n0\r\n\r\n",
    "behind the data": b"2\r\nhi\n0\r\n\r\n",
    "behind the last size": b"2\r\nhi\r\n0\n\r\n",
    "behind a trailer": b"2\r\nhi\r\n0\r\nA: b\n\r\n",
    "behind the trailers": b"2\r\nhi\r\n0\r\nA: b\r\n\n",
    "everywhere": b"2\nhi\n0\n\n",
}


@pytest.mark.parametrize("body", LF_IN_CHUNKS.values(), ids=LF_IN_CHUNKS)
@pytest.mark.parametrize(
    "head", [f"HTTP/1.1 200 OK\r\n{CHUNKED}\r\n\r\n", f"HTTP/1.1 200 OK\n{CHUNKED}\n\n"], ids=["crlf", "lf"]
)
def test_rfc9112_7_1_lf_alone_in_chunks(site, head, body):
    """In a head it ends a line. In a body it would decide where the response ends, and readers differ."""
    target = site.upstream.on(head.encode() + body)
    with site.connect() as client:
        response = client.get(target, host="proxied")
        assert (response.status, response.reason) == (502, "upstream_bad_body")
    link = site.upstream.request(target).link
    site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")


def head_of(length: int, *fields: str) -> bytes:
    head = message("HTTP/1.1 200 OK", *fields, "X: ")
    return head[:-4] + b"y" * (length - len(head)) + b"\r\n\r\n"


@pytest.mark.parametrize("framing", ["Content-Length: 2", CHUNKED])
@pytest.mark.parametrize("length", [8192, 8193, 20000])
def test_large_head(site, length, framing):
    """The limit itself is allowed; beyond it 502."""
    body = b"hi" if framing != CHUNKED else chunked(b"hi")
    target = site.upstream.on(head_of(length, framing) + body)
    with site.connect() as client:
        response = client.get(target, "Connection: close", host="proxied")
        if length <= 8192:
            assert (response.status, response.body) == (200, b"hi")
            assert len(response.one("x")) > 8000
        else:
            assert (response.status, response.reason) == (502, "upstream_head_too_large")


def test_too_many_fields(site):
    target = site.upstream.on(message("HTTP/1.1 200 OK", "Content-Length: 0", *["X: y"] * 150))
    with site.connect() as client:
        response = client.get(target, host="proxied")
        assert (response.status, response.reason) == (502, "upstream_head_too_large")


# --- bodies


def assert_cut(client, method="GET"):
    """An incomplete response can be told from a complete one: the connection is aborted."""
    try:
        response = client.response(method)
    except ConnectionResetError:
        return
    raise AssertionError(f"taken for a whole response: {response}")


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize(
    "answer",
    [
        message("HTTP/1.1 200 OK", "Content-Length: 10", body=b"hello"),
        message("HTTP/1.1 200 OK", "Content-Length: 10"),
        message("HTTP/1.1 200 OK", CHUNKED, body=b"5\r\nhello\r\n"),
        message("HTTP/1.1 200 OK", CHUNKED, body=b"a\r\nhello"),
        message("HTTP/1.1 200 OK", CHUNKED, body=b"5\r\nhello\r\n0\r\n"),
        message("HTTP/1.1 200 OK", CHUNKED),
    ],
    ids=["length", "length, nothing", "between chunks", "within a chunk", "before the last CR LF", "chunked, nothing"],
)
def test_cut_body(site, version, answer):
    """9112-8: an incomplete response does not look complete, not even to a 1.0 client: a reset, not an end."""

    def serve(link, request):
        link.send(answer)
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1".replace("HTTP/1.1", version), "Host: proxied"))
        assert_cut(client)
    record = site.server.record(target)
    assert (record["status"], record["reason"]) == (200, "upstream_cut")


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("chunk", [b"x\r\nhello\r\n", b"5\r\nhelloo\r\n", b"5\nhello\r\n", b"0\r\nnonsense\r\n\r\n"])
def test_broken_chunk(site, version, chunk):
    """9112-7.1, 8: aborted at the error, if the response had begun."""
    journal = site.upstream.journal.__class__()
    begun = []

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", CHUNKED, body=b"5\r\nfirst\r\n"))
        journal.until(lambda: begun, "beginning of the response at the client")
        link.send(chunk)
        link.to_end()
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"GET {target} {version}", "Host: proxied"))
        client.response_head()
        assert b"first" in client.exactly(10 if version == "HTTP/1.1" else 5)
        with journal:
            begun.append(True)
            journal.notify_all()
        client.assert_broken()
    record = site.server.record(target)
    assert (record["status"], record["reason"]) == (200, "upstream_bad_body")


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_broken_chunk_at_once(site, version):
    """Nothing was sent yet: 502."""
    target = site.upstream.on(message("HTTP/1.1 200 OK", CHUNKED, body=b"x\r\nhello\r\n"))
    with site.connect() as client:
        client.send(message(f"GET {target} {version}", "Host: proxied"))
        response = client.response()
        assert (response.status, response.reason) == (502, "upstream_bad_body")


# --- the request is not sent completely


@pytest.mark.parametrize("end", ["reads on", "does nothing", "closes"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_answer_before_the_body_has_come(site, end, coding):
    """9112-9.3, 9.6: the client gets the response at once, which announces the close."""

    def serve(link, request):
        link.send(message("HTTP/1.1 403 No", "Content-Length: 2", body=b"no"))
        if end == "reads on":
            link.to_end()
        elif end == "does nothing":
            link.upstream.journal.until(lambda: done, "client")
        link.close()

    done = []
    target = site.upstream.on(serve)
    field = "Content-Length: 90000" if coding == "length" else CHUNKED
    with site.connect() as client:
        client.send(message(f"POST {target} HTTP/1.1", "Host: proxied", field))
        client.send(b"x" * 1000 if coding == "length" else b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        response = client.response()
        assert (response.status, response.body) == (403, b"no")
        assert response.one("connection") == "close"
        client.try_send(b"x" * 10_000)
        client.assert_ended()
    with site.upstream.journal:
        done.append(True)
        site.upstream.journal.notify_all()
    assert site.server.record(target)["status"] == 403


def test_answer_while_the_body_goes_on(site):
    """Both directions run at the same time: each part of the body gets its answer before the next one is sent."""

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", CHUNKED))
        for _ in range(5):
            link.send(b"5\r\n" + link.exactly(10)[3:8] + b"\r\n")
        assert link.exactly(5) == b"0\r\n\r\n"
        link.send(b"0\r\n\r\n")

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"POST {target} HTTP/1.1", "Host: proxied", CHUNKED))
        assert client.response_head().status == 200
        for word in (b"alpha", b"bravo", b"charl", b"delta", b"echoo"):
            client.send(b"5\r\n" + word + b"\r\n")
            assert client.exactly(10) == b"5\r\n" + word + b"\r\n"
        client.send(b"0\r\n\r\n")
        assert client.exactly(5) == b"0\r\n\r\n"


def test_large_bodies_both_ways_at_once(site):
    """An echo of more than all buffers can hold: back-pressure in both directions, and no deadlock."""
    import threading

    size = 99_000
    count = 30

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", f"Content-Length: {size}"))
        link.send(link.exactly(size))

    target = site.upstream.on(serve)
    body = bytes(i * 7 % 251 for i in range(size))
    with site.connect() as client:
        got = []
        reader = threading.Thread(target=lambda: got.extend(client.response(seconds=30) for _ in range(count)))
        reader.start()
        for _ in range(count):
            client.send(message(f"POST {target} HTTP/1.1", "Host: proxied", f"Content-Length: {size}", body=body))
        reader.join(30)
        assert [response.body == body for response in got] == [True] * count


# --- reason codes


@pytest.mark.parametrize(
    ("host", "status", "reason"), [("refused", 502, "upstream_refused"), ("unresolved", 503, "upstream_unresolved")]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_reason_code(site, host, status, reason, method):
    """In the body and in the log. The client's connection persists."""
    with site.connect() as client:
        response = client.get(f"/{host}-{method}", "Content-Length: 3", method=method, host=host, body=b"abc")
        assert (response.status, response.reason) == (status, reason)
        assert response.one("content-type").startswith("text/plain")
        assert response.keeps
        assert client.get("/a.txt", host="files").status == 200
    record = site.server.record(f"/{host}-{method}")
    assert (record["status"], record["reason"], record["method"]) == (status, reason, method)


@pytest.mark.parametrize("size", [10, 4000])
def test_endless_interim_responses(site, size):
    """9110-15.2, with a bound: if an upstream sends more of them than the client reads, the request ends and memory
    does not grow."""

    def serve(link, request):
        interim = message("HTTP/1.1 103 Early Hints", "X: " + "y" * size)
        while True:
            link.send(interim * 100)

    target = site.upstream.on(serve)
    with site.server.connect(window=4096) as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: proxied"))
        assert site.server.record(target, status=502)["reason"] == "upstream_head_too_large"
        link = site.upstream.requests_for(target)[0].link
        site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
        while (response := client.response()).status == 103:
            pass
        assert (response.status, response.reason) == (502, "upstream_head_too_large")
        assert client.get("/a.txt", host="files").status == 200

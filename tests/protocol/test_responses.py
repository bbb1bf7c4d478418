"""How responses are forwarded: framing, fields, interim responses; and conversion for HTTP/1.0."""

import socket

import pytest
from harness.raw import chunked, message
from hypothesis import given
from hypothesis import strategies as st

CHUNKED = "Transfer-Encoding: chunked"


def then_close(answer):
    """Returns a handler that sends this and closes."""

    def serve(link, request):
        link.body(request)
        link.send(answer)
        link.close()

    return serve


def in_pieces(answer, size=1):
    def serve(link, request):
        for at in range(0, len(answer), size):
            link.send(answer[at : at + size])

    return serve


def get(client, target, version="HTTP/1.1", *fields, method="GET"):
    client.send(message(f"{method} {target} {version}", "Host: proxied", *fields))
    return client.response(method)


# --- framing


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 300_000])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_length(site, size, version):
    """9112-6.2"""
    body = bytes(i * 7 % 251 for i in range(size))
    target = site.upstream.on(message("HTTP/1.1 200 OK", f"Content-Length: {size}", body=body))
    with site.connect() as client:
        for _ in range(2):
            response = get(client, target, version, "Connection: keep-alive")
            assert (response.framing, response.body) == ("length", body)
            assert response.keeps


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 300_000])
def test_chunked(site, size):
    """9112-7.1: chunked in, chunked out, and both connections persist."""
    body = bytes(i * 7 % 251 for i in range(size))
    chunks = [body[at : at + 9000] for at in range(0, size, 9000)]
    target = site.upstream.on(message("HTTP/1.1 200 OK", CHUNKED, body=chunked(*chunks)))
    with site.connect() as client:
        for _ in range(2):
            response = get(client, target)
            assert (response.framing, response.body) == ("chunked", body)
            assert response.keeps


def test_chunked_byte_by_byte(site):
    """9112-7.1.1: extensions are ignored, with any split."""
    body = b"3;a=b\r\nabc\r\n000A ;x\r\n".replace(b" ;", b";") + b'0123456789\r\n0;last="1"\r\n\r\n'
    target = site.upstream.on(in_pieces(message("HTTP/1.1 200 OK", CHUNKED, body=body)))
    with site.connect() as client:
        for _ in range(2):
            assert get(client, target).body == b"abc0123456789"


@given(data=st.data())
def test_chunked_in_any_pieces(running_site, data):
    """9112-7.1: the result does not depend on splits, and neither does what follows."""
    chunks = data.draw(st.lists(st.binary(min_size=1, max_size=60), max_size=5))
    cuts = sorted(data.draw(st.lists(st.integers(0, 300), max_size=6)))
    answer = message("HTTP/1.1 200 OK", CHUNKED, body=chunked(*chunks))

    def serve(link, request):
        for begin, end in zip([0, *cuts], [*cuts, len(answer)], strict=True):
            if answer[begin:end]:
                link.send(answer[begin:end])

    target = running_site.upstream.on(serve)
    with running_site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: proxied") * 2)
        for _ in range(2):
            assert client.response().body == b"".join(chunks)


def test_chunks_are_not_held_back(site):
    """Ringway sends what has arrived, although more will follow."""
    more = site.upstream.journal.__class__()
    taken = []

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", CHUNKED) + b"3\r\none\r\n")
        more.until(lambda: len(taken) == 1, "reader of the first chunk")
        link.send(b"3\r\ntwo\r\n")
        more.until(lambda: len(taken) == 2, "reader of the second chunk")
        link.send(b"0\r\n\r\n")

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: proxied"))
        client.response_head()
        for part in (b"3\r\none\r\n", b"3\r\ntwo\r\n"):
            assert client.exactly(8) == part
            with more:
                taken.append(part)
                more.notify_all()
        assert client.exactly(5) == b"0\r\n\r\n"


def test_trailers(site):
    """9110-6.5: forwarded, except those that are not allowed there."""
    trailers = "X-Sum: 1\r\nContent-Length: 9\r\nSet-Cookie: evil\r\nTransfer-Encoding: x\r\nX-Two: 2\r\n"
    answer = message("HTTP/1.1 200 OK", CHUNKED, "Trailer: X-Sum", body=chunked(b"abc", trailers=trailers))
    target = site.upstream.on(answer)
    with site.connect() as client:
        response = get(client, target)
        assert response.body == b"abc"
        assert response.trailers == [("x-sum", "1"), ("x-two", "2")]
        assert get(client, target).status == 200


@pytest.mark.parametrize("body", [b"", b"abc", b"x" * 200_000], ids=["empty", "small", "large"])
@pytest.mark.parametrize("keep", [[], ["Connection: keep-alive"]], ids=["", "keep-alive"])
def test_chunked_to_http_1_0(site, body, keep):
    """9112-6.1, 7.1: an HTTP/1.0 client does not know chunks: decoded, without trailers, ended by the close."""
    chunks = [body[at : at + 9000] for at in range(0, len(body), 9000)]
    target = site.upstream.on(message("HTTP/1.1 200 OK", CHUNKED, body=chunked(*chunks, trailers="X-Sum: 1\r\n")))
    with site.connect() as client:
        response = get(client, target, "HTTP/1.0", *keep)
        assert (response.framing, response.body) == ("close", body)
        assert response.one("connection") == "close"
        assert "transfer-encoding" not in response


@pytest.mark.parametrize("body", [b"", b"abc", b"x" * 200_000], ids=["empty", "small", "large"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_until_close(site, body, version):
    """9112-6.3 rule 8: chunked for a 1.1 client, whose connection persists; until close for a 1.0 client."""
    target = site.upstream.on(then_close(message("HTTP/1.1 200 OK", body=body)))
    with site.connect() as client:
        response = get(client, target, version)
        assert response.body == body
        if version == "HTTP/1.0":
            assert response.framing == "close"
            assert response.one("connection") == "close"
        else:
            assert response.framing == "chunked"
            assert get(client, target).body == body


def test_until_close_to_a_client_that_reads_late(site):
    """Full buffers wait for the client, and a small piece follows: it must not run over the end of the last one."""
    for size in range(200_000, 266_000, 3000):
        body = b"".join(b"%07d\n" % at for at in range(size // 8))
        sent = site.upstream.journal.__class__()
        ended = []

        def serve(link, request, body=body, sent=sent, ended=ended):
            link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # all of it at once
            then_close(message("HTTP/1.1 200 OK", body=body))(link, request)
            with sent:
                ended.append(True)
                sent.notify_all()

        target = site.upstream.on(serve)
        with site.server.connect(window=16384) as client:
            client.send(message(f"GET {target} HTTP/1.1", "Host: proxied"))
            sent.until(lambda ended=ended: ended, "end of the body")
            assert client.response().body == body


def test_until_close_from_http_1_0(site):
    """9112-9.3: an upstream with HTTP/1.0."""
    target = site.upstream.on(then_close(b"HTTP/1.0 200 OK\r\n\r\nabc"))
    with site.connect() as client:
        response = get(client, target)
        assert (response.version, response.framing, response.body) == ("HTTP/1.1", "chunked", b"abc")


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("fields", [[], ['ETag: "x"'], ["Content-Length: 5"]], ids=["bare", "etag", "length"])
def test_without_body(site, status, fields):
    """9112-6.3 rule 1, 9110-15.3.5, 15.4.5: no body, whatever the fields say, and no Content-Length in a 204."""
    target = site.upstream.on(message(f"HTTP/1.1 {status} x", *fields))
    with site.connect() as client:
        for _ in range(2):
            response = get(client, target)
            assert (response.status, response.framing) == (status, "none")
            assert "transfer-encoding" not in response
            if status == 204:
                assert "content-length" not in response
            assert response.keeps
        assert client.get("/a.txt", host="files").body == b"a file\n"


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_status_line(site, version):
    """9112-4: the phrase stays, and the version is Ringway's."""
    target = site.upstream.on(b"HTTP/1.1 299 A  strange \xe9 phrase\r\nContent-Length: 0\r\n\r\n")
    with site.connect() as client:
        response = get(client, target, version)
        assert (response.version, response.status, response.phrase) == ("HTTP/1.1", 299, "A  strange \xe9 phrase")


def test_status_line_without_phrase(site):
    """9112-4: the phrase can be empty; many servers omit the space before it."""
    for answer in (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"):
        target = site.upstream.on(answer)
        with site.connect() as client:
            response = get(client, target)
            assert (response.status, response.phrase) == (200, "")


# --- fields


@pytest.mark.parametrize(
    "field",
    [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: x",
        "Proxy-Authenticate: Basic",
        "Upgrade: h2c",
        "Connection: keep-alive",
    ],
)
def test_hop_by_hop_removed(site, field):
    """9110-7.6.1"""
    answer = message("HTTP/1.1 200 OK", "X-Stays: 1", field, "Content-Length: 0", "X-Stays-Too: 2")
    target = site.upstream.on(answer)
    with site.connect() as client:
        response = get(client, target)
    assert field.partition(":")[0] not in response
    assert response.one("x-stays") == "1"
    assert response.one("x-stays-too") == "2"


def test_named_by_connection_removed(site):
    """9110-7.6.1"""
    fields = ["X-One: 1", "Connection: x-one", "Connection: x-TWO, keep-alive", "X-Two: 2", "X-Three: 3"]
    target = site.upstream.on(message("HTTP/1.1 200 OK", *fields, "Content-Length: 0"))
    with site.connect() as client:
        response = get(client, target)
    for name in ("connection", "x-one", "x-two"):
        assert name not in response
    assert response.one("x-three") == "3"


@pytest.mark.parametrize("framing", [["Content-Length: 2"], [CHUNKED]], ids=["length", "chunked"])
def test_close_of_the_upstream_is_its_own(site, framing):
    """9110-7.6.1: Connection applies to one connection. The client's persists, and the upstream's is not reused."""
    body = b"ab" if framing != [CHUNKED] else chunked(b"ab")
    target = site.upstream.on(message("HTTP/1.1 200 OK", "Connection: close", *framing, body=body))
    with site.connect() as client:
        for _ in range(2):
            response = get(client, target)
            assert (response.body, response.keeps) == (b"ab", True)
            assert "connection" not in response
    first, second = site.upstream.requests_for(target)
    assert first.link is not second.link


def test_upstream_of_http_1_0_is_not_used_again(site):
    """9112-9.3: not without keep-alive."""
    plain = site.upstream.on(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab")
    kept = site.upstream.on(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nab")
    with site.connect() as client:
        for target in (plain, plain, kept, kept):
            assert get(client, target).body == b"ab"
    first, second = site.upstream.requests_for(plain)
    assert first.link is not second.link
    first, second = site.upstream.requests_for(kept)
    assert first.link is second.link


def test_date(site):
    """9110-6.6.1: kept, or added if missing."""
    there = site.upstream.on(b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n")
    missing = site.upstream.on(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with site.connect() as client:
        assert get(client, there).one("date") == "Thu, 01 Jan 1970 00:00:00 GMT"
        assert get(client, missing).one("date").endswith(" GMT")


def test_other_fields_stay_as_they_are(site):
    """9110-5.3: order, repetition, case and content."""
    fields = ["X-B: 1", "Set-Cookie: a=b", "x-b: \xe9", "Set-Cookie: c=d", "Server: its own", "Via: x", "X-Empty:"]
    target = site.upstream.on(message("HTTP/1.1 200 OK", *fields, "Content-Length: 0"))
    with site.connect() as client:
        response = get(client, target)
    lines = response.head.decode("latin-1").split("\r\n")
    assert [line for line in lines if line in fields] == fields


# --- interim responses


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_interim_passed_on(site, status):
    """9110-15.2: forwarded to 1.1 clients, any number of them, without framing or Connection."""
    interim = message(f"HTTP/1.1 {status} Early", "Link: </a.css>", "Connection: keep-alive")
    target = site.upstream.on(interim * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    with site.connect() as client:
        for _ in range(2):
            client.send(message(f"GET {target} HTTP/1.1", "Host: proxied"))
            for _ in range(3):
                response = client.response()
                assert (response.status, response.phrase) == (status, "Early")
                assert response.fields == [("link", "</a.css>")]
            assert client.response().body == b"hi"


def test_interim_byte_by_byte(site):
    """9112-9.2"""
    answer = message("HTTP/1.1 103 Early Hints", "Link: x") + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    target = site.upstream.on(in_pieces(answer))
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: proxied"))
        assert client.response().status == 103
        assert client.response().body == b"hi"


def test_interim_withheld_from_http_1_0(site):
    """9110-15.2"""
    answer = message("HTTP/1.1 103 Early Hints", "Link: x") + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    target = site.upstream.on(answer)
    with site.connect() as client:
        response = get(client, target, "HTTP/1.0")
        assert (response.status, response.body) == (200, b"hi")
        client.assert_ended()


def test_interim_goes_out_at_once(site):
    """Early hints are useful only before the response is ready."""
    journal = site.upstream.journal.__class__()
    seen = []

    def serve(link, request):
        link.send(message("HTTP/1.1 103 Early Hints", "Link: x"))
        journal.until(lambda: seen, "reader of the early hints")
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: proxied"))
        assert client.response().status == 103
        with journal:
            seen.append(103)
            journal.notify_all()
        assert client.response().body == b"hi"


def test_interim_before_head(site):
    """9110-9.3.2"""
    target = site.upstream.on(message("HTTP/1.1 103 x") + message("HTTP/1.1 200 OK", "Content-Length: 5"))
    with site.connect() as client:
        client.send(message(f"HEAD {target} HTTP/1.1", "Host: proxied"))
        assert [client.response("HEAD").status for _ in range(2)] == [103, 200]
        assert client.get("/a.txt", host="files").status == 200


def test_interim_announces_no_body(site):
    """9112-6.3 rule 1: 1xx never has a body; its Content-Length is not forwarded (9110-8.6)."""
    answer = message("HTTP/1.1 103 x", "Content-Length: 5") + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    target = site.upstream.on(answer)
    with site.connect() as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: proxied"))
        response = client.response()
        assert response.status == 103
        assert "content-length" not in response
        assert client.response().body == b"hi"


def test_head_across_buffers_behind_interim_responses(site):
    """However much came before it in the same receive: a head can extend across the end of a buffer."""
    interim = message("HTTP/1.1 103 Early Hints", "X: " + "y" * 1000)
    final = message("HTTP/1.1 200 OK", "Content-Length: 2", "X: " + "y" * 5000, body=b"hi")
    for count in range(55, 70):  # of 64 KiB, the size of a buffer
        target = site.upstream.on(interim * count + final)
        with site.connect() as client:
            client.send(message(f"GET {target} HTTP/1.1", "Host: proxied"))
            assert [client.response().status for _ in range(count)] == [103] * count
            assert client.response().body == b"hi"

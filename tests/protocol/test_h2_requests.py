"""Requests and responses over HTTP/2 (RFC 9113 8), to files and to an upstream that speaks HTTP/1.1."""

import itertools
import threading

import pytest
from conftest import BODY_LIMIT
from harness.h2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    RST_STREAM,
    WITH_PRIORITY,
    Code,
    Setting,
    block_frames,
    connect,
    frame,
    head,
)
from harness.raw import chunked, message
from harness.waiting import DEADLINE
from hypothesis import given
from hypothesis import strategies as st

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
LARGE = 10 << 20


def echo(link, request):
    body = link.body(request)
    link.send(message("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", body=body))


# --- what passes


@TLS
@pytest.mark.parametrize("host", ["files", "memory"])
def test_file(h2_site, tls, host):
    target = f"/a.txt?{host}-{tls}"
    with h2_site.http2(tls) as client:
        for _ in range(3):
            response = client.get(target, host=host)
            assert (response.status, response.body) == (200, b"a file\n")
            assert response.one("content-length") == "7"
            assert "etag" in response
            assert "date" in response
            assert response.reset is None
    record = h2_site.server.record(target, protocol="HTTP/2.0", host=host)
    assert (record["status"], record["reason"]) == (200, None)


@TLS
def test_proxied(h2_site, tls):
    """8.3.1: what the upstream gets is HTTP/1.1."""
    target = h2_site.upstream.on(message("HTTP/1.1 200 OK", "X-Answer: Yes", "Content-Length: 2", body=b"hi"))
    scheme = "https" if tls else "http"
    with h2_site.http2(tls) as client:
        id = client.request(
            head("GET", f"{target}?a=b", "proxied", ("user-agent", "x y"), ("x-e", "\xe9"), scheme=scheme)
        )
        response = client.response(id)
        assert (response.status, response.body, response.one("x-answer")) == (200, b"hi", "Yes")
    request = h2_site.upstream.request(target)
    assert request.head.startswith(f"GET {target}?a=b HTTP/1.1\r\nHost: proxied\r\n".encode())
    assert (request.one("user-agent"), request.one("x-e"), request.framing) == ("x y", "\xe9", "none")
    assert request.one("x-forwarded-proto") == scheme
    assert not [name for name, _ in request.fields if name.startswith(":")]
    record = h2_site.server.record(f"{target}?a=b")
    assert (record["protocol"], record["method"], record["status"]) == ("HTTP/2.0", "GET", 200)


@TLS
def test_the_scheme_is_what_the_connection_is(h2_site, tls):
    """8.3.1: `:scheme` can be anything; an upstream must not take it for the connection's."""
    target = h2_site.upstream.on(OK)
    with h2_site.http2(tls) as client:
        other = "http" if tls else "https"
        lane = client.done(client.request(head("GET", target, "proxied", scheme=other)))
        if lane.status == 200:
            assert h2_site.upstream.request(target).one("x-forwarded-proto") == ("https" if tls else "http")


@pytest.mark.parametrize("host", ["files", "memory", "proxied"])
def test_head(h2_site, host):
    """9110-9.3.2: the length stays, and END_STREAM is on the head."""
    answer = message("HTTP/1.1 200 OK", "Content-Length: 7")
    target = h2_site.upstream.on(answer) if host == "proxied" else "/a.txt"
    with h2_site.http2() as client:
        for _ in range(2):
            response = client.get(target, host=host, method="HEAD")
            assert (response.status, response.one("content-length"), response.body) == (200, "7", b"")
            assert response.head_ended
        assert client.get("/t", host="files").body == b"t\n"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("fields", [[], ['ETag: "x"'], ["Content-Length: 5"]], ids=["bare", "etag", "length"])
def test_without_body(h2_site, status, fields):
    target = h2_site.upstream.on(message(f"HTTP/1.1 {status} x", *fields))
    with h2_site.http2() as client:
        for _ in range(2):
            response = client.get(target)
            assert (response.status, response.head_ended) == (status, True)


def test_not_modified_and_ranges_of_a_file(h2_site):
    with h2_site.http2() as client:
        etag = client.get("/a.txt", host="files").one("etag")
        unchanged = client.get("/a.txt", ("if-none-match", etag), host="files")
        assert (unchanged.status, unchanged.head_ended) == (304, True)
        part = client.get("/a.txt", ("range", "bytes=2-4"), host="files")
        assert (part.status, part.body, part.one("content-range")) == (206, b"fil", "bytes 2-4/7")


@pytest.mark.parametrize("size", [0, 1, 2, 100, 16384, 16385, 65536, 90_000])
@pytest.mark.parametrize("coding", ["length", "chunked"])
@TLS
def test_body(h2_site, size, coding, tls):
    """8.1: the upstream gets Content-Length or the chunked coding, never both."""
    body = bytes(range(251)) * (size // 251 + 1)
    body = body[:size]
    target = h2_site.upstream.on(echo)
    length = [("content-length", str(size))] if coding == "length" else []
    with h2_site.http2(tls) as client:
        id = client.request(head("POST", target, "proxied", *length), end=False)
        client.data(id, body, end=True)
        response = client.response(id)
        assert (response.status, response.body) == (200, body)
        h2_site.assert_goes_on(client)
    request = h2_site.upstream.request(target)
    assert (request.framing, request.body) == (coding, body)
    assert ("content-length" in request, "transfer-encoding" in request) == (coding == "length", coding == "chunked")


@pytest.mark.parametrize("length", [[], [("content-length", "0")]], ids=["none", "0"])
def test_post_that_ends_with_its_head(h2_site, length):
    target = h2_site.upstream.on(echo)
    with h2_site.http2() as client:
        assert client.response(client.request(head("POST", target, "proxied", *length))).status == 200
    request = h2_site.upstream.request(target)
    assert "transfer-encoding" not in request
    assert request.all("content-length") in ([], ["0"])


def test_body_in_frames_of_any_size(h2_site):
    """6.1: also empty ones, and with padding."""
    target = h2_site.upstream.on(echo)
    with h2_site.http2() as client:
        id = client.request(head("POST", target, "proxied"), end=False)
        for number in range(20):
            client.data(id, b"x" * number, size=1)
            client.send_frame(DATA, PADDED, id, bytes([number]) + b"y" * number + bytes(number))
            client.send_frame(DATA, 0, id, b"")
        client.send_frame(DATA, PADDED | END_STREAM, id, bytes([255]) + bytes(255))
        expected = b"".join(b"x" * number + b"y" * number for number in range(20))
        assert client.response(id).body == expected
        h2_site.assert_goes_on(client)


def test_rfc9113_8_2_3_crumbs(h2_site):
    target = h2_site.upstream.on(OK)
    crumbs = [("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]
    with h2_site.http2() as client:
        assert client.get(target, *crumbs).status == 200
    request = h2_site.upstream.request(target)
    assert request.one("cookie") == "a=1; b=2; c=3; d=4"
    assert request.one("accept") == "*/*"


@pytest.mark.parametrize(
    "fields",
    [
        [(":authority", "proxied"), ("host", "proxied")],
        [(":authority", "proxied"), ("host", "PROXIED")],
        [("host", "proxied")],
        [(":authority", "proxied")],
    ],
    ids=["both", "both, other case", "host", "authority"],
)
def test_rfc9113_8_3_1_one_host(h2_site, fields):
    target = h2_site.upstream.on(OK)
    with h2_site.http2() as client:
        id = client.request([(":method", "GET"), (":scheme", "http"), (":path", target), *fields])
        assert client.response(id).status == 200
    assert h2_site.upstream.request(target).one("host").lower() == "proxied"


def test_routes_by_authority_of_each_lane(h2_site):
    target = h2_site.upstream.on(OK)
    with h2_site.http2() as client:
        lanes = [
            ("files", "/t"),
            ("proxied", target),
            ("nobody", "/"),
            ("moved", "/x"),
            ("refused", "/"),
            ("memory", "/t"),
        ]
        ids = [client.request(head("GET", path, host)) for host, path in lanes]
        assert [client.response(id).status for id in ids] == [200, 200, 404, 301, 502, 200]


def test_options_asterisk(h2_site):
    with h2_site.http2() as client:
        before = len(h2_site.upstream.requests)
        response = client.response(client.request(head("OPTIONS", "*", "proxied")))
        assert (response.status, response.one("allow").split(", ")[0]) == (204, "GET")
        assert len(h2_site.upstream.requests) == before  # it asks about Ringway


@pytest.mark.parametrize(
    "field",
    ["X-Forwarded-For: 1.2.3.4", "x-forwarded-proto: ftp", "Forwarded: for=1.2.3.4", "x_forwarded_for: 1.2.3.4"],
)
def test_forwarded_is_never_trusted(h2_site, field):
    target = h2_site.upstream.on(OK)
    name, _, value = field.partition(": ")
    with h2_site.http2() as client:
        assert client.get(target, (name.lower(), value)).status == 200
    assert value not in str(h2_site.upstream.request(target).fields)


def test_te_is_for_this_connection(h2_site):
    """9110-10.1.4: `te: trailers` may come, and does not go on to an upstream with HTTP/1.1."""
    target = h2_site.upstream.on(OK)
    with h2_site.http2() as client:
        assert client.get(target, ("te", "trailers")).status == 200
    assert "te" not in h2_site.upstream.request(target)


def test_a_head_with_padding_and_priority(h2_site):
    """6.2, 5.3.2: both have no effect."""
    with h2_site.http2() as client:
        block = client.block(head("GET", "/t", "files"))
        payload = bytes([7]) + b"\0\0\0\3\x10" + block + bytes(7)
        client.send_frame(HEADERS, END_STREAM | END_HEADERS | PADDED | WITH_PRIORITY, 1, payload)
        assert client.response(1).body == b"t\n"


@pytest.mark.parametrize("size", [20, 60, 200])
def test_rfc9113_6_10_continuation(h2_site, size):
    """A head in pieces. At most eight frames."""
    target = h2_site.upstream.on(OK)
    with h2_site.http2() as client:
        fields = [("x-filler", "y" * (4 * size))]
        id, data = client.prepare(head("GET", target, "proxied", *fields), size=size)
        assert data.count(b"\x09") > 1
        client.send(data)
        assert client.response(id).status == 200
        h2_site.assert_goes_on(client)
    assert h2_site.upstream.request(target).one("x-filler") == "y" * (4 * size)


@TLS
def test_octet_by_octet(h2_site, tls):
    target = h2_site.upstream.on(echo)
    with h2_site.http2(tls) as client:
        id, data = client.prepare(head("POST", target, "proxied", ("x-a", "b" * 50)), end=False, size=40)
        data += frame(DATA, 0, id, b"abc") + frame(DATA, PADDED, id, b"\2def\0\0")
        data += block_frames(id, client.block([("x-trailer", "z")]))
        client.send_pieces(data)
        assert client.response(id).body == b"abcdef"
        assert client.get("/t", host="files").body == b"t\n"
    assert h2_site.upstream.request(target).trailers == [("x-trailer", "z")]


@given(data=st.data())
def test_in_any_pieces(running_h2_site, data):
    target = running_h2_site.upstream.on(echo, "/pieces")
    with running_h2_site.http2() as client:
        first, sent = client.prepare(head("POST", target, "proxied"), end=False)
        second, more = client.prepare(head("GET", "/t", "files"))
        sent += frame(DATA, 0, first, b"one") + more + frame(DATA, END_STREAM, first, b"two")
        cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1), max_size=8)))
        for start, end in itertools.pairwise([0, *cuts, len(sent)]):
            client.send(sent[start:end])
        assert client.response(first).body == b"onetwo"
        assert client.response(second).body == b"t\n"


# --- trailers, interim responses


def test_trailers_of_a_request(h2_site):
    """9110-6.5: forwarded in the chunked coding, except those that are not allowed there."""
    target = h2_site.upstream.on(echo)
    trailers = [("x-sum", "1"), ("content-length", "9"), ("set-cookie", "evil"), ("host", "evil"), ("x-two", "2")]
    with h2_site.http2() as client:
        id = client.request(head("POST", target, "proxied", ("trailer", "x-sum")), b"abc", trailers=trailers)
        assert client.response(id).body == b"abc"
        h2_site.assert_goes_on(client)
    request = h2_site.upstream.request(target)
    assert (request.framing, request.body) == ("chunked", b"abc")
    assert request.trailers == [("x-sum", "1"), ("x-two", "2")]


def test_trailers_without_a_body(h2_site):
    target = h2_site.upstream.on(echo)
    with h2_site.http2() as client:
        id = client.request(head("POST", target, "proxied"), trailers=[("x-sum", "1")])
        assert client.response(id).body == b""
    request = h2_site.upstream.request(target)
    assert (request.framing, request.body, request.trailers) == ("chunked", b"", [("x-sum", "1")])


def test_trailers_behind_a_length(h2_site):
    """There is no place for them in HTTP/1.1, or the body is chunked without the length. Never both."""
    target = h2_site.upstream.on(echo)
    with h2_site.http2() as client:
        fields = head("POST", target, "proxied", ("content-length", "3"))
        assert client.response(client.request(fields, b"abc", trailers=[("x-sum", "1")])).body == b"abc"
        h2_site.assert_goes_on(client)
    request = h2_site.upstream.request(target)
    assert ("content-length" in request) != ("transfer-encoding" in request)
    assert request.body == b"abc"


@pytest.mark.parametrize("body", [b"", b"abc", b"x" * 100_000], ids=["empty", "small", "large"])
def test_trailers_of_a_response(h2_site, body):
    trailers = "X-Sum: 1\r\nContent-Length: 9\r\nSet-Cookie: evil\r\nTransfer-Encoding: x\r\nX-Two: 2\r\n"
    chunks = [body[at : at + 9000] for at in range(0, len(body), 9000)]
    target = h2_site.upstream.on(message("HTTP/1.1 200 OK", CHUNKED, body=chunked(*chunks, trailers=trailers)))
    with h2_site.http2() as client:
        for _ in range(2):
            response = client.get(target)
            assert response.body == body
            assert response.trailers == [("x-sum", "1"), ("x-two", "2")]


@pytest.mark.parametrize("count", [1, 3])
def test_interim_responses(h2_site, count):
    """8.1: HEADERS without END_STREAM."""
    early = message("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload") * count
    target = h2_site.upstream.on(early + OK)
    with h2_site.http2() as client:
        response = client.get(target)
        assert (response.status, response.body) == (200, b"ok")
        assert response.interim == [(103, [("link", "</a>; rel=preload")])] * count
        h2_site.assert_goes_on(client)


def test_an_interim_response_goes_out_at_once(h2_site):
    more = threading.Event()

    def serve(link, request):
        link.send(message("HTTP/1.1 103 Early Hints", "Link: </a>"))
        assert more.wait(DEADLINE)
        link.send(OK)

    target = h2_site.upstream.on(serve)
    with h2_site.http2() as client:
        id = client.request(head("GET", target, "proxied"))
        client.wait(lambda: client.lanes[id].interim, "interim response")
        assert not client.lanes[id].status
        more.set()
        assert client.response(id).body == b"ok"


def test_expect(h2_site):
    """9110-10.1.1: the client gets the upstream's 100 before it sends its body."""

    def serve(link, request):
        assert request.one("expect") == "100-continue"
        link.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        link.body(request)
        link.send(OK)

    target = h2_site.upstream.on(serve)
    with h2_site.http2() as client:
        fields = head("POST", target, "proxied", ("expect", "100-continue"), ("content-length", "3"))
        id = client.request(fields, end=False)
        client.wait(lambda: client.lanes[id].interim, "100")
        assert client.lanes[id].interim[0][0] == 100
        client.data(id, b"abc", end=True)
        assert client.response(id).status == 200
        h2_site.assert_goes_on(client)
    assert h2_site.upstream.request(target).body == b"abc"


def test_switching_protocols_is_nothing_for_http2(h2_site):
    """8.6: an upstream that switches without being asked."""
    target = h2_site.upstream.on(message("HTTP/1.1 101 x", "Connection: upgrade", "Upgrade: websocket"))
    with h2_site.http2() as client:
        assert client.get(target).status == 502
        h2_site.assert_goes_on(client)


# --- responses


@pytest.mark.parametrize(
    "fields",
    [
        ["Connection: close"],
        ["Connection: x-a", "X-A: b"],
        ["Keep-Alive: timeout=5"],
        ["Proxy-Connection: close"],
        ["Upgrade: h2c", "Connection: upgrade"],
        ["X-Mixed-Case: y", "SERVER: x"],
    ],
    ids=lambda fields: fields[0],
)
def test_fields_of_a_response(h2_site, fields):
    """8.2.2: the client of the harness rejects what is forbidden."""
    target = h2_site.upstream.on(
        lambda link, request: (
            link.send(message("HTTP/1.1 200 OK", "Content-Length: 2", *fields, body=b"hi")),
            link.close(),
        )
    )
    with h2_site.http2() as client:
        response = client.get(target)
        assert (response.status, response.body) == (200, b"hi")
        assert ("x-mixed-case" in response) == ("X-Mixed-Case: y" in fields)
        assert "x-a" not in response
        h2_site.assert_goes_on(client)


@pytest.mark.parametrize("body", [b"", b"abc", b"x" * 200_000], ids=["empty", "small", "large"])
@pytest.mark.parametrize("framing", ["length", "chunked", "until close", "HTTP/1.0"])
@TLS
def test_framing_of_the_upstream(h2_site, body, framing, tls):
    version = "HTTP/1.0" if framing == "HTTP/1.0" else "HTTP/1.1"
    field = {"length": [f"Content-Length: {len(body)}"], "chunked": [CHUNKED]}.get(framing, [])
    data = chunked(*[body[at : at + 7000] for at in range(0, len(body), 7000)]) if framing == "chunked" else body

    def serve(link, request):
        link.send(message(f"{version} 200 OK", *field, body=data))
        if not field:
            link.close()

    target = h2_site.upstream.on(serve)
    with h2_site.http2(tls) as client:
        for _ in range(2):
            response = client.get(target)
            assert (response.status, response.body) == (200, body)
            assert response.all("content-length") == ([str(len(body))] if framing == "length" else [])


def test_chunks_are_not_held_back(h2_site):
    turns = threading.Semaphore(0)

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", CHUNKED))
        for part in (b"one", b"two", b""):
            link.send(b"%x\r\n%b\r\n" % (len(part), part))
            if part:
                assert turns.acquire(timeout=DEADLINE)

    target = h2_site.upstream.on(serve)
    with h2_site.http2() as client:
        id = client.request(head("GET", target, "proxied"))
        for expected in (b"one", b"onetwo"):
            client.wait(lambda expected=expected: client.lanes[id].so_far == expected, "the part")
            turns.release()
        assert client.response(id).body == b"onetwo"


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 x\r\n\r\n"])
def test_upstream_that_closes(h2_site, begun):
    """9110-15.6.3. A POST is not retried."""
    target = h2_site.upstream.on(lambda link, request: (link.body(request), link.send(begun), link.close()))
    with h2_site.http2() as client:
        lane = client.response(client.request(head("POST", target, "proxied"), b"abc"))
        assert lane.status == 502
        h2_site.assert_goes_on(client)


@pytest.mark.parametrize("coding", [["Content-Length: 10"], [CHUNKED]], ids=["length", "chunked"])
def test_response_that_is_cut(h2_site, coding):
    """8.1: it must not look complete. Other lanes go on."""
    data = b"5\r\nab" if coding == [CHUNKED] else b"ab"
    target = h2_site.upstream.on(
        lambda link, request: (link.send(message("HTTP/1.1 200 OK", *coding, body=data)), link.close())
    )
    with h2_site.http2() as client:
        id = client.request(head("GET", target, "proxied"))
        assert client.reset_of(id) == Code.INTERNAL_ERROR
        assert (client.lanes[id].status, client.lanes[id].ended) == (200, False)
        h2_site.assert_goes_on(client)
    assert h2_site.server.record(target)["reason"] == "upstream_cut"


# --- responses before the end of the request


@pytest.mark.parametrize("begun", [b"", b"abc"], ids=["nothing", "some"])
def test_response_before_the_end_of_the_request(h2_site, begun):
    """8.1: complete, and then RST_STREAM(NO_ERROR). What comes on the lane meanwhile does no harm."""
    target = h2_site.upstream.on(lambda link, request: link.send(OK))
    with h2_site.http2() as client:
        id = client.request(head("POST", target, "proxied", ("content-length", "50000")), end=False)
        client.data(id, begun)
        response = client.response(id)
        assert (response.status, response.body) == (200, b"ok")
        assert client.reset_of(id) == Code.NO_ERROR
        for _ in range(20):
            client.send_frame(DATA, 0, id, b"x" * 1000)
        client.send_frame(DATA, END_STREAM, id, b"x")
        h2_site.assert_goes_on(client)
        assert not client.goaways


OWN = {
    "no_route": (404, "nobody", "/", []),
    "method_not_allowed": (405, "files", "/a.txt", []),
    "body_too_large": (413, "proxied", "/", [("content-length", str(BODY_LIMIT + 1))]),
    "upstream_refused": (502, "refused", "/", []),
}


@pytest.mark.parametrize("reason", OWN)
@pytest.mark.parametrize("end", [True, False], ids=["ended", "open"])
@TLS
def test_own_answers(h2_site, reason, end, tls):
    status, host, path, fields = OWN[reason]
    if end and fields:
        pytest.skip("a length without a body is malformed")
    with h2_site.http2(tls) as client:
        id = client.request(head("POST", path, host, *fields), end=end)
        response = client.response(id)
        assert (response.status, response.reason) == (status, reason)
        if not end:
            assert client.reset_of(id) == Code.NO_ERROR
        h2_site.assert_goes_on(client)
    assert h2_site.server.record(path, reason=reason, host=host)["protocol"] == "HTTP/2.0"


def test_own_answer_to_head(h2_site):
    with h2_site.http2() as client:
        response = client.get("/missing", host="files", method="HEAD")
        assert (response.status, response.head_ended) == (404, True)


@pytest.mark.parametrize("size", [BODY_LIMIT, BODY_LIMIT + 1, 2 * BODY_LIMIT])
def test_body_without_a_length_that_is_too_large(h2_site, size):
    """9110-15.5.14: known only when it exceeds the limit. The upstream gets no complete request."""
    got = []

    def serve(link, request):
        if size <= BODY_LIMIT:
            return echo(link, request)
        got.append(link.to_end())
        link.close()

    target = h2_site.upstream.on(serve)
    with h2_site.http2() as client:
        id = client.request(head("POST", target, "proxied"), end=False)
        client.data(id, b"x" * size, end=True)
        lane = client.response(id)
        if size <= BODY_LIMIT:
            assert (lane.status, lane.count) == (200, size)
        else:
            assert (lane.status, lane.reason) == (413, "body_too_large")
            link = h2_site.upstream.request(target).link
            h2_site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
        h2_site.assert_goes_on(client)
    assert not [data for data in got if b"\r\n0\r\n" in data]


@pytest.mark.parametrize("reason", ["head_too_large", "too_many_fields"])
def test_head_that_is_too_large(h2_site, reason):
    """6585-5. The table stays in sync, though the fields were dropped: they are indexed, and come again."""
    fields = [("x-a", "y" * 4000), ("x-b", "z" * 4500)] if reason == "head_too_large" else [("x-a", "y")] * 120
    with h2_site.http2() as client:
        for _ in range(2):
            refused = client.get("/", ("x-kept", "kept"), *fields)
            assert (refused.status, refused.reason) == (431, reason)
        target = h2_site.upstream.on(OK)
        assert client.get(target, ("x-kept", "kept"), ("x-more", "more")).status == 200
        assert client.get(target, ("x-kept", "kept"), ("x-more", "more")).status == 200
    for request in h2_site.upstream.requests_for(target):
        assert (request.one("x-kept"), request.one("x-more")) == ("kept", "more")


# --- many lanes


@pytest.mark.parametrize("host", ["proxied", "files"])
@TLS
def test_a_hundred_lanes(h2_site, host, tls):
    def serve(link, request):
        body = request.target.encode() * 100
        link.send(message("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", body=body))

    target = h2_site.upstream.on(serve) if host == "proxied" else "/a.txt"
    with h2_site.http2(tls) as client:
        for _ in range(3):
            ids = [client.request(head("GET", f"{target}?{number}", host)) for number in range(100)]
            for number, id in enumerate(ids):
                response = client.response(id)
                assert response.status == 200
                assert response.body == (f"{target}?{number}".encode() * 100 if host == "proxied" else b"a file\n")


def test_a_hundred_lanes_at_once(h2_site):
    """All heads in one segment; the upstream answers none before it has all of them, and then in reverse order."""
    waiting = []
    more = threading.Condition()

    def serve(link, request):
        turn = int(request.target.partition("?")[2])
        with more:
            waiting.append(turn)
            more.notify_all()
            assert more.wait_for(lambda: len(waiting) >= 100 and max(waiting) == turn, DEADLINE)
            link.send(
                message("HTTP/1.1 200 OK", f"Content-Length: {len(request.target)}", body=request.target.encode())
            )
            waiting[waiting.index(turn)] = -1
            more.notify_all()

    target = h2_site.upstream.on(serve)
    with h2_site.http2() as client:
        prepared = [client.prepare(head("GET", f"{target}?{number}", "proxied")) for number in range(100)]
        client.send(b"".join(data for _, data in prepared))
        for number, (id, _) in enumerate(prepared):
            assert client.response(id).body == f"{target}?{number}".encode()


def test_interleaved_uploads(h2_site):
    target = h2_site.upstream.on(echo)
    with h2_site.http2(connection_window=1 << 24) as client:
        ids = [client.request(head("POST", f"{target}?{n}", "proxied"), end=False) for n in range(30)]
        for turn in range(40):
            for id in ids:
                client.data(id, b"%d-%d;" % (id, turn) * 50)
        for id in ids:
            client.data(id, b"", end=True)
        for id in ids:
            assert client.response(id).body == b"".join(b"%d-%d;" % (id, turn) * 50 for turn in range(40))


def test_lanes_of_every_kind_beside_each_other(h2_site):
    """Downloads, uploads, refusals and cancelled ones at the same time."""
    large = h2_site.upstream.on(message("HTTP/1.1 200 OK", "Content-Length: 500000", body=b"x" * 500_000))
    upload, silent = h2_site.upstream.on(echo), h2_site.upstream.on(lambda link, _: link.to_end(3600))
    with h2_site.http2() as client:
        for _ in range(4):
            downloads = [client.request(head("GET", large, "proxied")) for _ in range(4)]
            bad = [client.request(head("GET", "/a b", "proxied")) for _ in range(4)]
            quiet = [client.request(head("GET", silent, "proxied")) for _ in range(4)]
            uploads = [client.request(head("POST", upload, "proxied"), b"z" * 50_000) for _ in range(4)]
            for id in quiet:
                client.cancel(id)
            for id in downloads:
                assert client.response(id).body == b"x" * 500_000
            for id in uploads:
                assert client.response(id).body == b"z" * 50_000
            for id in bad:
                assert client.done(id).status in (0, 400)
        h2_site.assert_goes_on(client)


# --- large bodies


@pytest.fixture
def wide(ringway, upstream, tmp_path, certificate):
    """A Ringway without a limit for bodies. Host `files` has the file `large`."""
    body = bytes(range(251)) * (LARGE // 251 + 1)
    (tmp_path / "large").write_bytes(body[:LARGE])
    up = upstream()
    server = ringway(
        {
            "server": {"plain_listen": "127.0.0.1:0", "http2": True, "h2c": True},
            "tls": certificate,
            "limits": {"request_body_bytes": 0, "memory_file_bytes": LARGE},
            "host_routes": {
                "*": {"type": "Proxy", "url": up.url},
                "files": {"type": "File", "path": tmp_path},
                "memory": {"type": "File", "path": tmp_path, "mode": "memory"},
            },
        }
    )
    return server, up, body[:LARGE]


@pytest.mark.parametrize("host", ["files", "memory", "proxied"])
@pytest.mark.parametrize("window", [1000, 16384, 65535, 1 << 24])
@TLS
def test_large_download(wide, host, window, tls):
    server, up, body = wide
    target = up.on(message("HTTP/1.1 200 OK", f"Content-Length: {LARGE}", body=body)) if host == "proxied" else "/large"
    body = body if window > 1000 else body[: 1 << 20]
    fields = [("range", f"bytes=0-{len(body) - 1}")] if window == 1000 and host != "proxied" else []
    with connect(server, tls, settings={Setting.INITIAL_WINDOW_SIZE: window}) as client:
        id = client.request(head("GET", target, host, *fields))
        if window == 1000 and host == "proxied":
            client.wait(lambda: client.lanes[id].count >= len(body), "the beginning", 4 * DEADLINE)
            assert client.lanes[id].so_far[: len(body)] == body
            client.cancel(id)
        else:
            assert client.response(id, 4 * DEADLINE).body == body


@pytest.mark.parametrize("coding", ["length", "chunked"])
@TLS
def test_large_upload(wide, coding, tls):
    """The windows are given back as the upstream takes the body."""
    server, up, body = wide

    def serve(link, request):
        link.body(request, 4 * DEADLINE)
        link.send(message("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok"))

    target = up.on(serve)
    length = [("content-length", str(LARGE))] if coding == "length" else []
    with connect(server, tls) as client:
        id = client.request(head("POST", target, "x", *length), body)
        assert client.response(id, 4 * DEADLINE).status == 200
    assert up.request(target).body == body


def test_upload_and_download_at_once(wide):
    """A body that comes back while it is sent, in both directions more than all windows."""
    server, up, body = wide

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", f"Content-Length: {LARGE}"))
        left = LARGE
        while left:
            data = link.some(min(left, 65536))
            left -= len(data)
            link.send(data)
        link.close()

    target = up.on(serve)
    with connect(server) as client:
        id = client.request(head("POST", target, "x", ("content-length", str(LARGE))), body)
        assert client.response(id, 4 * DEADLINE).body == body


# --- the client gives up


@pytest.mark.parametrize("where", ["in the request", "before the head", "in the response"])
def test_lane_that_is_cancelled(h2_site, where):
    """5.4.2: the connection to the upstream is closed. The other lanes go on."""
    target = h2_site.upstream.on(
        lambda link, request: (
            link.send(message("HTTP/1.1 200 OK", "Content-Length: 10", body=b"hello")) if "response" in where else None,
            link.to_end(),
            link.close(),
        )
    )
    with h2_site.http2() as client:
        id = client.request(head("POST", target, "proxied"), b"some", end=where != "in the request")
        link = h2_site.upstream.request(target).link
        if where == "in the response":
            client.started(id)
        client.cancel(id)
        h2_site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
        h2_site.assert_goes_on(client)
        assert not client.frames(RST_STREAM)
    assert h2_site.server.record(target)["reason"] in ("client_reset", "client_closed")


def test_lane_that_is_cancelled_at_once(h2_site):
    """HEADERS and RST_STREAM in one segment."""
    with h2_site.http2() as client:
        for path, host in (("/a.txt", "files"), (h2_site.upstream.on(OK), "proxied"), ("/", "nobody")):
            id, data = client.prepare(head("GET", path, host))
            client.lanes[id].sent_reset = True
            client.send(data + frame(RST_STREAM, 0, id, bytes([0, 0, 0, Code.CANCEL])))
        h2_site.assert_goes_on(client)


@pytest.mark.parametrize("kind", ["fin", "reset"])
@TLS
def test_client_that_disappears(h2_site, kind, tls):
    """In the middle of three lanes: all connections to the upstream are closed."""

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", "Content-Length: 9"))
        link.to_end()
        link.close()

    targets = [h2_site.upstream.on(serve) for _ in range(3)]
    with h2_site.http2(tls) as client:
        for target in targets:
            client.started(client.request(head("POST", target, "proxied"), b"x", end=False))
        links = [h2_site.upstream.request(target).link for target in targets]
        client.abort() if kind == "reset" else client.close()
        for link in links:
            h2_site.upstream.journal.until(lambda link=link: link.closed, "end of the connection to the upstream")
    for target in targets:
        assert h2_site.server.record(target)["reason"] == "client_closed"

"""Ambiguous requests are rejected: a status with a reason, `Connection: close`, the connection ends, nothing is
forwarded.

Each case is a complete request. A second, harmless request follows in the same segment and must never get a response.
"""

import itertools
import uuid

import pytest
from conftest import BODY_LIMIT
from harness.raw import chunked, message

_targets = itertools.count()

LONG = b"a" * 8200
Y = b"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"


def get(*lines: bytes) -> bytes:
    """A valid request line and Host, followed by these lines."""
    return b"\r\n".join([b"GET TARGET HTTP/1.1", b"Host: HOST", *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"abc") -> bytes:
    return b"\r\n".join([b"POST TARGET HTTP/1.1", b"Host: HOST", *lines, b"", body])


def line(start: bytes) -> bytes:
    """This request line, with Host."""
    return start + b"\r\nHost: HOST\r\n\r\n"


def host(field: bytes, start: bytes = b"GET TARGET HTTP/1.1") -> bytes:
    return start + b"\r\n" + field + b"\r\nX: TARGET\r\n\r\n"


CHUNKED = b"Transfer-Encoding: chunked"

# Rejected requests by status and reason: name with the section, and the request with HOST and TARGET in it
REFUSED_HEADS = {
    (400, "bad_request_line"): [
        ("9112-3 lower-case version", line(b"GET TARGET http/1.1")),
        ("9112-3 no version (HTTP/0.9)", line(b"GET TARGET")),
        ("9112-3 two spaces", line(b"GET  TARGET HTTP/1.1")),
        ("9112-3 space behind the version", line(b"GET TARGET HTTP/1.1 ")),
        ("9112-3.2 space in the target", line(b"GET TARGET x HTTP/1.1")),
    ],
    (400, "bad_method"): [
        ("9112-3 tab for a space", line(b"GET\tTARGET HTTP/1.1")),
        ("9112-3 space before the method", line(b" GET TARGET HTTP/1.1")),
        ("9110-9.1 method is no token", line(b"G(T TARGET HTTP/1.1")),
        ("9110-9.1 a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03TARGET"),
    ],
    (400, "bad_target"): [
        ("9112-3.2 control character in the target", line(b"GET TARGET\x01 HTTP/1.1")),
        ("9112-3.2 octet above 127 in the target", line(b"GET TARGET\xff HTTP/1.1")),
        ("9112-3.2 target of no form", host(b"Host: HOST", b"GET x HTTP/1.1")),
        ("9112-3.2.2 other scheme", host(b"Host: HOST", b"GET ftp://HOST/ HTTP/1.1")),
        ("9112-3.2.4 asterisk but not OPTIONS", host(b"Host: HOST", b"GET * HTTP/1.1")),
        ("9110-4.2.4 user information in absolute-form", line(b"GET http://me@HOST/TARGET HTTP/1.1")),
        ("3986-2.1 broken escape", line(b"GET TARGET%zz HTTP/1.1")),
        ("3986-2.1 escape cut off", line(b"GET TARGET%4 HTTP/1.1")),
        ("3986-2.1 escaped NUL", line(b"GET TARGET%00 HTTP/1.1")),
        ("3986-5.2.4 above the root", line(b"GET /../TARGET HTTP/1.1")),
        ("3986-5.2.4 above the root, escaped", line(b"GET /%2E%2e/TARGET HTTP/1.1")),
    ],
    (505, "bad_version"): [
        ("9112-2.3 HTTP/2.0", line(b"GET TARGET HTTP/2.0")),
        ("9112-2.3 HTTP/0.9", line(b"GET TARGET HTTP/0.9")),
        ("9113-3.4 the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nTARGET"),
    ],
    (400, "bare_cr_or_lf"): [
        ("9112-2.2 bare LF ends the request line", b"GET TARGET HTTP/1.1\nHost: HOST\r\n\r\n"),
        ("9112-2.2 bare LF ends a field", get(b"X: y\nZ: x")),
        ("9112-2.2 bare LF ends the head", b"GET TARGET HTTP/1.1\r\nHost: HOST\r\n\n"),
        ("9112-2.2 only bare LF", b"GET TARGET HTTP/1.1\nHost: HOST\n\n"),
        ("9112-2.2 bare CR in a value", get(b"X: y\rZ: x")),
        ("9112-2.2 bare CR in the request line", line(b"GET TARGET\r HTTP/1.1")),
        ("9112-2.2 CR CR LF", get(b"X: y\r")),
    ],
    (400, "obsolete_fold"): [
        ("9112-5.2 obs-fold", get(b"X: a", b" b")),
        ("9112-5.2 obs-fold with a tab", get(b"X: a", b"\tb")),
        ("9112-2.2 space before the first field", host(b" Host: HOST")),
    ],
    (400, "bad_field"): [
        ("9112-5.1 space before the colon", get(b"X : y")),
        ("9112-5.1 tab before the colon", get(b"X\t: y")),
        ("9112-5 line without a colon", get(b"nonsense")),
        ("9110-5.1 empty name", get(b": y")),
        ("9110-5.1 name is no token", get(b"X{}: y")),
        ("9110-5.1 octet above 127 in a name", get(b"X\xe9: y")),
        ("9110-5.5 NUL in a value", get(b"X: a\x00b")),
        ("9110-5.5 control character in a value", get(b"X: a\x08b")),
        ("9110-5.5 DEL in a value", get(b"X: a\x7fb")),
        ("9112-6.1 vertical tab before the coding", post(b"Transfer-Encoding: \x0bchunked")),
        ("9112-6.1 space before the colon of the coding", post(b"Transfer-Encoding : chunked")),
        ("9112-6.3 space before the colon of the length", post(b"Content-Length : 3")),
    ],
    (400, "bad_host"): [
        ("9112-3.2 no Host", host(b"Y: y")),
        ("9112-3.2 Host twice", get(b"Host: HOST")),
        ("9112-3.2 Host twice in HTTP/1.0", host(b"Host: HOST\r\nHost: HOST", b"GET TARGET HTTP/1.0")),
        ("9112-3.2 empty Host", host(b"Host:")),
        ("9112-3.2 Host with a path", host(b"Host: HOST/x")),
        ("9112-3.2 Host with user information", host(b"Host: me@HOST")),
        ("9112-3.2 list of hosts", host(b"Host: HOST, HOST")),
        ("9112-3.2 Host with a space", host(b"Host: HOST x")),
        ("9112-3.2 port is no number", host(b"Host: HOST:http")),
        ("9112-3.2 port beyond 65535", host(b"Host: HOST:65536")),
        ("9112-3.2.2 absolute-form contradicts Host", line(b"GET http://other/TARGET HTTP/1.1")),
        ("9112-3.2.2 absolute-form, other port", line(b"GET http://HOST:81/TARGET HTTP/1.1")),
        ("9112-3.2.2 absolute-form without Host", host(b"Y: y", b"GET http://HOST/TARGET HTTP/1.1")),
        ("9112-3.2.2 absolute-form with Host twice", host(b"Host: HOST\r\nHost: HOST", b"GET http://HOST/ HTTP/1.1")),
    ],
    (400, "bad_content_length"): [
        ("9112-6.3 lengths differ", post(b"Content-Length: 3", b"Content-Length: 4")),
        ("9112-6.3 length twice", post(b"Content-Length: 3", b"Content-Length: 3")),
        ("9112-6.3 list of different lengths", post(b"Content-Length: 3, 4")),
        ("9112-6.3 list of one length", post(b"Content-Length: 3, 3")),
        ("9112-6.3 with a plus", post(b"Content-Length: +3")),
        ("9112-6.3 negative", post(b"Content-Length: -3")),
        ("9112-6.3 hexadecimal", post(b"Content-Length: 0x3")),
        ("9112-6.3 empty length", post(b"Content-Length:")),
        ("9112-6.3 with a unit", post(b"Content-Length: 3 bytes")),
        ("9112-6.3 with a fraction", post(b"Content-Length: 3.0")),
        ("9112-6.3 beyond 64 bits", post(b"Content-Length: 18446744073709551619")),
    ],
    (400, "length_and_coding"): [
        ("9112-6.1 length and coding", post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n")),
        ("9112-6.1 coding and length", post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n")),
        ("9112-6.1 length 0 and coding", post(b"Content-Length: 0", CHUNKED, body=b"0\r\n\r\n")),
    ],
    (400, "bad_transfer_coding"): [
        *(
            (f"9112-6.1 {coding.decode()}", post(b"Transfer-Encoding: " + coding, body=b"0\r\n\r\n"))
            for coding in (
                *(b"gzip", b"identity", b"chunked, chunked", b"chunked, gzip", b"gzip, chunked", b"identity, chunked"),
                *(b"xchunked", b'"chunked"', b"chunked;q=1", b"chunked,", b",chunked", b""),
            )
        ),
        ("9112-6.1 chunked in two fields", post(CHUNKED, CHUNKED, body=b"0\r\n\r\n")),
        ("9112-6.1 chunked in HTTP/1.0", host(b"Host: HOST\r\n" + CHUNKED, b"POST TARGET HTTP/1.0")),
    ],
    (417, "bad_expectation"): [
        ("9110-10.1.1 other expectation", post(b"Expect: 200-ok", b"Content-Length: 3")),
        ("9110-10.1.1 expectation with more", post(b"Expect: 100-continue, x", b"Content-Length: 3")),
    ],
    (501, "method_not_implemented"): [
        ("9110-9.3.6 CONNECT", host(b"Host: HOST:443", b"CONNECT HOST:443 HTTP/1.1")),
        ("9112-3 longer than any method", LONG),
        ("9112-3 longer than any method, behind an empty line", b"\r\n" + LONG),
    ],
    (413, "body_too_large"): [
        ("9110-15.5.14 body too large", post(b"Content-Length: %d" % (BODY_LIMIT + 1))),
    ],
    (414, "target_too_long"): [
        ("9110-15.5.15 target too long", line(b"GET TARGET" + LONG + b" HTTP/1.1")),
        ("9110-15.5.15 target too long, behind an empty line", b"\r\n" + line(b"GET TARGET" + LONG + b" HTTP/1.1")),
    ],
    (431, "head_too_large"): [
        ("6585-5 field too large", get(b"X: " + LONG)),
        ("6585-5 endless head", get(*[b"X: " + Y] * 99, b"X: " + LONG)),
    ],
    (431, "too_many_fields"): [
        ("6585-5 too many fields", get(*[b"X: y"] * 150)),
    ],
}
HEADS = [(name, data, *answer) for answer, cases in REFUSED_HEADS.items() for name, data in cases]

# Bodies that are invalid at their beginning, so that nothing of a request that arrives at once may be forwarded.
CHUNKS = [
    ("9112-7.1.1 no extension behind the semicolon", b"3;\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1.1 an extension's name is a token", b"3;[x]=1\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1 no size", b"\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1 size is no hex number", b"g\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1 size with 0x", b"0x3\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1 negative size", b"-3\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1 size overflows 64 bits", b"10000000000000003\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1 space behind the size", b"3 \r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1 bare LF behind the size", b"3\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1 data longer than its size", b"3\r\nabcd\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1 bare LF behind the data", b"3\r\nabc\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1.1 control character in an extension", b"3;a=\x01\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1.1 bare LF in an extension", b"3;a\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1.1 endless extension", b"3;" + LONG + b"\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    ("9112-7.1.2 trailer is no field", b"3\r\nabc\r\n0\r\nnonsense\r\n\r\n", 400, "bad_field"),
    ("9112-7.1.2 bare LF in the trailers", b"3\r\nabc\r\n0\r\nX: y\n\r\n", 400, "bare_cr_or_lf"),
    ("9112-7.1.2 obs-fold in the trailers", b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n", 400, "obsolete_fold"),
    (
        "9112-7.1.2 trailers too large",
        b"3\r\nabc\r\n0\r\n" + (b"X: " + Y + b"\r\n") * 150 + b"\r\n",
        431,
        "trailer_too_large",
    ),
]


def ids(cases):
    return [case[0] for case in cases]


def fresh(data: bytes, host: str) -> tuple[bytes, str]:
    """Returns the request, and the text that identifies it at the upstream."""
    mark = f"mark{next(_targets)}x"
    return data.replace(b"TARGET", f"/{mark}".encode()).replace(b"HOST", host.encode()), mark


def assert_refused(client, status, reason):
    response = client.response()
    assert (response.status, response.reason) == (status, reason)
    assert response.one("connection") == "close"
    client.assert_ended()


@pytest.mark.parametrize("route", ["proxied", "files"])
@pytest.mark.parametrize(("name", "data", "status", "reason"), HEADS, ids=ids(HEADS))
def test_refused_head(site, route, name, data, status, reason):
    data, mark = fresh(data, route)
    with site.connect() as client:
        client.send(data + message(f"GET /{mark}-behind HTTP/1.1", f"Host: {route}"))
        assert_refused(client, status, reason)
    site.assert_not_forwarded(mark)


@pytest.mark.parametrize(("name", "data", "status", "reason"), HEADS, ids=ids(HEADS))
def test_refused_head_in_pieces(site, name, data, status, reason):
    """The same with any split: byte by byte (long ones in larger pieces)."""
    data, mark = fresh(data, "proxied")
    with site.connect() as client:
        size = 1 + len(data) // 400
        for at in range(0, len(data), size):
            if not client.try_send(data[at : at + size]):
                break
        assert_refused(client, status, reason)
    site.assert_not_forwarded(mark)


@pytest.mark.parametrize("host", ["proxied", "files"])
@pytest.mark.parametrize(("name", "body", "status", "reason"), CHUNKS, ids=ids(CHUNKS))
def test_refused_chunks(site, host, name, body, status, reason):
    head = message("POST TARGET HTTP/1.1", "Host: HOST", "Transfer-Encoding: chunked")
    data, mark = fresh(head + body, host)
    with site.connect() as client:
        client.send(data + message(f"GET /{mark}-behind HTTP/1.1", f"Host: {host}"))
        assert_refused(client, status, reason)
    site.assert_not_forwarded(mark if len(data) < 4000 else f"{mark}-behind")


@pytest.mark.parametrize(("name", "body", "status", "reason"), CHUNKS, ids=ids(CHUNKS))
def test_refused_chunks_under_way(site, name, body, status, reason):
    """The upstream has the head already. It must not take this as a complete request."""
    cut = []

    def serve(link, request):
        cut.append(link.to_end())
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        client.send(message(f"POST {target} HTTP/1.1", "Host: proxied", "Transfer-Encoding: chunked"))
        client.send(b"2\r\nok\r\n")
        link = site.upstream.request(target).link
        client.try_send(body)
        assert_refused(client, status, reason)
    site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
    assert b"\r\n0\r\n" not in cut[0]


@pytest.mark.parametrize("host", ["proxied", "files"])
def test_largest_head_is_served(site, host):
    """6585-5: the limit itself is allowed, one more is not."""
    target = site.upstream.on(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") if host == "proxied" else "/t"
    for length, status in [(8192, 200), (8193, 431)]:
        head = message(f"GET {target} HTTP/1.1", f"Host: {host}", "X: ")
        with site.connect() as client:
            client.send(head[:-4] + b"y" * (length - len(head)) + b"\r\n\r\n")
            assert client.response().status == status


@pytest.mark.parametrize("chunks", [1, 4])
def test_chunked_body_too_large(site, chunks):
    """9110-15.5.14: the length is unknown before, so the request ends when it exceeds the limit."""
    seen = []

    def serve(link, request):
        seen.append(link.to_end())
        link.close()

    target = site.upstream.on(serve)
    body = chunked(*[b"x" * (BODY_LIMIT // chunks + 1)] * chunks)
    with site.connect() as client:
        client.send(message(f"POST {target} HTTP/1.1", "Host: proxied", "Transfer-Encoding: chunked") + body[:1000])
        link = site.upstream.request(target).link
        for at in range(1000, len(body), 30_000):
            if not client.try_send(body[at : at + 30_000]):
                break
        assert_refused(client, 413, "body_too_large")
    site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
    assert not seen[0].endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("together", [True, False], ids=["in one segment", "head first"])
def test_small_chunked_body_too_large(ringway, upstream, together):
    """9110-15.5.14, with a limit so small that the whole body arrives with the head."""
    up = upstream(lambda link: link.to_end())
    to_upstream = {"type": "Proxy", "url": up.url}
    server = ringway({"limits": {"request_body_bytes": 10}, "host_routes": {"*": to_upstream}})
    with server.connect() as client:
        head = message("POST /x HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
        body = chunked(b"elevenbytes")
        if together:
            client.send(head + body)
        else:
            client.send(head)
            up.link(0)
            client.send(body)
        assert_refused(client, 413, "body_too_large")


def test_length_of_body_at_limit(site):
    target = site.upstream.on(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with site.connect() as client:
        body = b"x" * BODY_LIMIT
        assert (
            client.get(target, f"Content-Length: {len(body)}", method="POST", body=body, host="proxied").status == 200
        )
    assert site.upstream.request(target).body == body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_files_allow_get_and_head(site, method):
    """9110-15.5.6: 405 with Allow, and the connection persists."""
    with site.connect() as client:
        response = client.get("/a.txt", method=method, host="files")
        assert (response.status, response.reason) == (405, "method_not_allowed")
        assert response.one("allow") == "GET, HEAD"
        assert response.keeps
        assert client.get("/a.txt", host="files").body == b"a file\n"


def test_unknown_method(site):
    """9110-9.1, 15.6.2: file routes do not know the method, but an application may."""
    target = site.upstream.on(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with site.connect() as client:
        response = client.get("/a.txt", method="BREW", host="files")
        assert (response.status, response.reason) == (501, "method_not_implemented")
    with site.connect() as client:
        # Methods are case-sensitive.
        assert client.get("/a.txt", method="get", host="files").status == 501
    with site.connect() as client:
        assert client.get(target, method="BREW", host="proxied").status == 200
    assert site.upstream.request(target).method == "BREW"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("proxied", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"),
        ("moved", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"),
        ("files", "GET, HEAD"),
        ("memory", "GET, HEAD"),
    ],
)
def test_trace(site, host, allowed):
    """9110-9.3.8: TRACE would show fields that Ringway adds. 15.5.6: Allow lists the methods of this resource."""
    with site.connect() as client:
        response = client.get("/mark-trace", method="TRACE", host=host)
        assert (response.status, response.reason) == (405, "method_not_allowed")
        assert response.one("allow") == allowed
    site.assert_not_forwarded("mark-trace")


def test_no_route(site):
    """9110-15.5.5; the connection persists."""
    with site.connect() as client:
        response = client.get("/a.txt", host="nobody")
        assert (response.status, response.reason) == (404, "no_route")
        response = client.get("/missing", host="files")
        assert (response.status, response.reason) == (404, "file_not_found")
        assert client.get("/a.txt", host="files").status == 200


def test_options_for_the_server(site):
    """9110-9.3.7"""
    with site.connect() as client:
        response = client.get("*", method="OPTIONS", host="proxied")
        assert response.status == 204
        assert "GET" in response.one("allow")
        assert client.get("/a.txt", host="files").status == 200


def test_refusal_outlives_a_body_that_goes_on(site):
    """9112-9.6: a client that still sends gets the response, and no reset before it."""
    with site.connect() as client:
        client.send(message("PUT /x HTTP/1.1", "Host: files", "Content-Length: 90000"))
        response = client.response()
        assert response.status == 405
        for _ in range(9):
            client.try_send(b"x" * 10000)
        client.assert_ended()


@pytest.mark.parametrize("host", ["proxied", "files"])
def test_empty_lines_before_a_request(site, host):
    """9112-2.2: a server ignores at least one empty line before the request line."""
    target = site.upstream.on(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") if host == "proxied" else "/t"
    with site.connect() as client:
        client.send(b"\r\n\r\n" + message(f"GET {target} HTTP/1.1", f"Host: {host}"))
        assert client.response().status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\nX: y\r\n\r\n",
        b"G() / HTTP/1.1\r\nHost: mine\r\n\r\n",
        b"GET /\x7fzz HTTP/1.1\r\nX: own\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: mine\r\n\r\n",
        b"GET /mine HTTP/9.9\r\nUser-Agent: mine\r\n\r\n",
        b"GET /mine HTTP/1.1\r\nHost: mine\r\nUser-Agent: mine\r\n folded\r\n\r\n",
    ],
    ids=["empty lines", "method", "target", "absolute", "version", "fold"],
)
def test_the_log_of_a_refused_head_has_nothing_of_another_request(site, head):
    """A rejected head is logged as far as it was read. The log must not contain data of earlier requests."""
    secret = "secret" * 30 + uuid.uuid4().hex
    with site.connect() as client:
        fields = [f"User-Agent: {secret}", f"Referer: {secret}"]
        assert client.get(f"/a.txt?{secret}", *fields, host="files").status == 200
    site.server.record(f"/a.txt?{secret}")  # and the records of the tests before are there as well
    seen = len(site.server.records)
    with site.connect() as client:
        client.send(head)
        assert client.response().status in (400, 505)

    def look():
        return next((r for r in site.server.records[seen:] if r["status"] in (400, 505)), None)

    record = site.server.wait_for(look, "record of the refused head")
    for name in ("host", "target", "method", "user_agent", "referer"):
        assert (record[name] or "").strip() in ("", "mine", "/mine", "GET", "G()", "http://"), (name, record)

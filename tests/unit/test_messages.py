"""HTTP/2 messages as field lines: RFC 9113 8.1 to 8.3. A debug build also parses each head with HTTP/1.1's parser."""

import random

import hpack
import pytest
from harness.nghttp2 import Deflater, Head

from ringway.engine.http2.messages import read_requests, read_trailers, write_messages

GET: Head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x?y")]


def read(head: Head, end: bool = True, **bounds: int) -> dict | str:
    found = read_requests([(Deflater().encode(head), end)], **bounds)[0]
    assert isinstance(found, dict | str)
    return found


def lines(head: Head, end: bool = True, **bounds: int) -> list[bytes]:
    found = read(head, end, **bounds)
    assert isinstance(found, dict), found
    assert found["lines"].endswith(b"\r\n\r\n")
    return found["lines"][:-4].split(b"\r\n")


def changed(**pseudo: bytes | None) -> Head:
    """Returns GET with other values of pseudo fields. None: without that field."""
    head = [(name, pseudo.get(name[1:].decode(), value)) for name, value in GET]
    return [(name, value) for name, value in head if value is not None]


def test_the_lines_of_a_request() -> None:
    head = [*GET, (b"user-agent", b"x y"), (b"accept", b""), (b"x-\xe9".replace(b"\xe9", b"e"), b"\xe9\t1")]
    assert lines(head) == [b"GET /x?y HTTP/1.1", b"Host: a.example", b"user-agent: x y", b"accept: ", b"x-e: \xe9\t1"]
    found = read(head)
    assert isinstance(found, dict)
    assert (found["method"], found["path"], found["query"], found["host"]) == (b"GET", b"/x", b"?y", b"a.example")
    assert [one[:2] for one in found["fields"]] == [(b"Host", b"a.example"), *head[4:]]


def test_pseudo_fields_in_any_order() -> None:
    assert lines(GET[::-1]) == [b"GET /x?y HTTP/1.1", b"Host: a.example"]


def test_rfc9113_8_2_3_crumbs_become_one_cookie() -> None:
    head = [*GET, (b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2"), (b"cookie", b"")]
    assert lines(head) == [b"GET /x?y HTTP/1.1", b"Host: a.example", b"accept: */*", b"Cookie: a=1; b=2"]


def test_host_in_place_of_the_authority() -> None:
    assert lines([*changed(authority=None), (b"a", b"b"), (b"host", b"h")]) == [
        b"GET /x?y HTTP/1.1",
        b"a: b",
        b"host: h",
    ]
    assert lines([*GET, (b"host", b"A.Example")]) == [b"GET /x?y HTTP/1.1", b"Host: a.example"]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        # 8.3, 8.3.1: pseudo fields
        (changed(method=None), "bad_pseudo_field"), (changed(scheme=None), "bad_pseudo_field"),
        (changed(path=None), "bad_pseudo_field"), (changed(path=b""), "bad_pseudo_field"),
        (changed(method=b""), "bad_pseudo_field"), (changed(scheme=b"ftp"), "bad_pseudo_field"),
        ([*GET, (b":path", b"/")], "bad_pseudo_field"), ([*GET, (b":status", b"200")], "bad_pseudo_field"),
        ([*GET, (b":foo", b"1")], "bad_pseudo_field"), ([*GET, (b":", b"1")], "bad_pseudo_field"),
        ([*GET, (b":protocol", b"websocket")], "bad_pseudo_field"), ([*GET, (b":Path", b"/")], "bad_pseudo_field"),
        ([GET[0], (b"a", b"b"), *GET[1:]], "bad_pseudo_field"), ([], "bad_pseudo_field"),
        ([*changed(path=None), (b"a", b"b"), GET[3]], "bad_pseudo_field"),
        (changed(authority=None), "bad_host"), (changed(authority=b""), "bad_host"),
        (changed(authority=b"a@b"), "bad_host"), (changed(authority=b"a b"), "bad_host"),
        (changed(authority=b"a\r\nx: y"), "bad_host"), (changed(authority=b"a,b"), "bad_host"),
        ([*GET, (b"host", b"b.example")], "bad_host"), ([*changed(authority=None), (b"host", b"a"),
        (b"host", b"a")], "bad_host"),
        # would be another request line, or a second request, in HTTP/1.1
        (changed(path=b"/ HTTP/1.1\r\nx: y"), "bad_target"), (changed(path=b"/a b"), "bad_target"),
        (changed(path=b"/a\tb"), "bad_target"), (changed(path=b"/a#b"), "bad_target"),
        (changed(path=b"/\x80"), "bad_target"),
        (changed(path=b"x"), "bad_target"), (changed(path=b"*"), "bad_target"),
        (changed(path=b"http://b/"), "bad_target"),
        (changed(path=b" /"), "bad_target"), (changed(method=b"GET /"), "bad_method"),
        (changed(method=b"G\0"), "bad_pseudo_field"),
        (changed(method=b"G\xe9"), "bad_method"),
        # 8.5
        ([(b":method", b"CONNECT"), (b":authority", b"a:1")], "method_not_implemented"),
        (changed(method=b"CONNECT"), "bad_pseudo_field"),
        # 8.2.1
        ([*GET, (b"A", b"b")], "bad_field"), ([*GET, (b"a b", b"b")], "bad_field"), ([*GET, (b"", b"b")], "bad_field"),
        ([*GET, (b"a", b"b\r\nc: d")], "bad_field"), ([*GET, (b"a", b"\0")], "bad_field"),
        ([*GET, (b"a", b" b")], "bad_field"),
        ([*GET, (b"a", b"b ")], "bad_field"), ([*GET, (b"a:b", b"c")], "bad_field"),
        ([*GET, (b"a\n", b"c")], "bad_field"),
        # 8.2.2
        ([*GET, (b"connection", b"close")], "bad_field"), ([*GET, (b"keep-alive", b"1")], "bad_field"),
        ([*GET, (b"proxy-connection", b"close")], "bad_field"),
        ([*GET, (b"transfer-encoding", b"chunked")], "bad_field"),
        ([*GET, (b"upgrade", b"h2c")], "bad_field"), ([*GET, (b"http2-settings", b"")], "bad_field"),
        ([*GET, (b"te", b"gzip")], "bad_field"), ([*GET, (b"te", b"trailers, gzip")], "bad_field"),
        # 8.1.1
        ([*GET, (b"content-length", b"5")], "bad_content_length"),
        ([*GET, (b"content-length", b"x")], "bad_content_length"),
        ([*GET, (b"content-length", b"0"), (b"content-length", b"0")], "bad_content_length"),
        ([*GET, (b"expect", b"x")], "bad_expectation"),
    ],
)  # fmt: skip
def test_rfc9113_8_what_is_malformed(head: Head, reason: str) -> None:
    assert read(head) == reason
    # The tables stay in sync, and the next request does not depend on the rejected one.
    deflater = Deflater()
    first, second = deflater.encode([*head, (b"x-later", b"1")]), deflater.encode([*GET, (b"x-later", b"1")])
    found = read_requests([(first, True), (second, True)])
    assert found[0] == reason
    assert found[1]["lines"] == b"GET /x?y HTTP/1.1\r\nHost: a.example\r\nx-later: 1\r\n\r\n"


@pytest.mark.parametrize("order", ["OPTIONS", "GET"])
def test_asterisk(order: str) -> None:
    found = read(changed(method=order.encode(), path=b"*"))
    assert (found if order == "GET" else found["lines"][:18]) == (
        "bad_target" if order == "GET" else b"OPTIONS * HTTP/1.1"
    )


def test_te_trailers_may_pass() -> None:
    assert lines([*GET, (b"te", b"trailers")])[-1] == b"te: trailers"


@pytest.mark.parametrize(
    ("fields", "end", "framing", "length"),
    [
        ([], True, "none", 0), ([], False, "lane", 0), ([(b"content-length", b"5")], False, "length", 5),
        ([(b"content-length", b"0")], False, "none", 0), ([(b"content-length", b"0")], True, "none", 0),
    ],
)  # fmt: skip
def test_framing(fields: Head, end: bool, framing: str, length: int) -> None:
    found = read([*GET, *fields, (b"expect", b"100-continue")], end)
    assert isinstance(found, dict)
    assert (found["framing"], found["content_length"]) == (framing, length)
    assert found["expect_continue"] == (framing in ("lane", "length"))


def test_bounds() -> None:
    many = [(b"a", b"")] * 100
    assert read([*GET, *many[:96]], fields_max=100) != "too_many_fields"
    assert read([*GET, *many[:97]], fields_max=100) == "too_many_fields"
    assert read([*GET, *[(b"cookie", b"")] * 97], fields_max=100) == "too_many_fields"
    counted = sum(len(name) + len(value) + 32 for name, value in GET)
    assert isinstance(read(GET, bytes_max=counted), dict)
    assert read(GET, bytes_max=counted - 1) == "head_too_large"
    assert read([*GET, (b"a", b"x" * 9000)], bytes_max=5000) == "head_too_large"
    assert read([*GET, (b"a", b"x" * 9000)], bytes_max=50000, room=8000) == "head_too_large"
    assert read([*GET, (b"cookie", b"x" * 9000)], bytes_max=50000, room=8000) == "head_too_large"
    assert read(changed(path=b"/" + b"x" * 9000), bytes_max=50000, room=8000) == "head_too_large"
    assert read(changed(path=b"/" + b"x" * 20000), bytes_max=50000, room=60000) == "head_too_large"


def test_every_room_is_kept() -> None:
    head = [*GET, (b"user-agent", b"x" * 30), (b"cookie", b"a=b"), (b"cookie", b"c=d"), (b"accept", b"y")]
    whole = read(head)
    assert isinstance(whole, dict)
    for room in range(4, len(whole["lines"]) + 200):
        found = read(head, room=room)
        assert found in (whole, "head_too_large")
        assert found == whole or room < len(whole["lines"]) + 24


def test_broken_blocks() -> None:
    assert read_requests([(b"\x80", True)]) == ["broken"]
    assert read_requests([(Deflater().encode(GET) + b"\xff\xff", True)]) == ["broken"]
    assert read_trailers([b"\x80"]) == ["broken"]


def test_random_heads_are_read_as_they_were_meant() -> None:
    rng = random.Random(7)
    deflater, blocks, heads = Deflater(), [], []
    for _ in range(3000):
        names = [
            b"accept",
            b"x-y",
            b"user-agent",
            b"if-none-match",
            b"range",
            b"x-forwarded-for",
            b"content-type",
            b"a_b",
        ]
        fields = [
            (rng.choice(names), bytes(rng.choices(b"abc,;=/ \t\xe9", k=rng.randrange(9))).strip())
            for _ in range(rng.randrange(9))
        ]
        heads.append([*GET, *fields])
        blocks.append((deflater.encode(heads[-1]), rng.random() < 0.5))
    for head, found in zip(heads, read_requests(blocks), strict=True):
        assert found["lines"] == b"".join(
            [
                b"GET /x?y HTTP/1.1\r\n",
                b"Host: a.example\r\n",
                *(name + b": " + value + b"\r\n" for name, value in head[4:]),
                b"\r\n",
            ]
        )


def test_trailers() -> None:
    blocks = [
        [(b"grpc-status", b"0"), (b"grpc-message", b"")], [(b"content-length", b"5"), (b"x", b"y"), (b"host", b"a")],
        [(b":path", b"/")], [(b"a", b"b"), (b"connection", b"x")], [(b"A", b"b")], [], [(b"a", b"b")] * 101,
        [(b"a", b"b" * 20000)],
    ]  # fmt: skip
    deflater = Deflater()
    assert read_trailers([deflater.encode(head) for head in blocks]) == [
        b"grpc-status: 0\r\ngrpc-message: \r\n", b"x: y\r\n", "bad_pseudo_field", "bad_field", "bad_field", b"",
        "too_many_fields",
        "head_too_large",
    ]  # fmt: skip


def test_writing() -> None:
    request = (
        b"POST /x?y HTTP/1.1\r\nHost: a.example\r\nAccept:  */* \r\nConnection: keep-alive\r\nTE: trailers\r\n"
        b"Transfer-Encoding: chunked\r\nX-Secret: 1\r\n\r\n"
    )
    response = (
        b"HTTP/1.1 404 Not Found\r\nServer: ringway\r\nKeep-Alive: 5\r\nContent-Length: 0\r\nUpgrade: x\r\nA:\r\n\r\n"
    )
    trailer = b"Grpc-Status: 0\r\n"
    blocks = write_messages([("request", request), ("response", response), ("trailer", trailer), ("request", request)])
    decoder = hpack.Decoder()
    first, second, third, fourth = (decoder.decode(block, raw=True) for block in blocks)
    assert first == fourth == [
        (b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x?y"),
        (b"accept", b"*/*"),
        (b"te", b"trailers"), (b"x-secret", b"1"),
    ]  # fmt: skip
    assert second == [(b":status", b"404"), (b"server", b"ringway"), (b"content-length", b"0"), (b"a", b"")]
    assert third == [(b"grpc-status", b"0")]
    assert len(blocks[3]) < len(blocks[0])

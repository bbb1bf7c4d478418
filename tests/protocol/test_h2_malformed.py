"""Malformed requests over HTTP/2 (RFC 9113 8.1.1, 8.2, 8.3): in HTTP/1.1 many of them would be a second request. An
upstream gets nothing of them. Their lane ends, and the others on the connection go on."""

import itertools

import pytest
from conftest import BODY_LIMIT
from harness.h2 import DATA, END_STREAM, Code, block_frames, frame, head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

_marks = itertools.count()


def changed(**pseudo):
    """Returns the head of a POST to MARK with other pseudo fields. None: without that one."""
    fields = {"method": "POST", "scheme": "http", "authority": "HOST", "path": "/MARK", **pseudo}
    return [(f":{name}", value) for name, value in fields.items() if value is not None]


def with_(*fields):
    return [*changed(), *fields]


MALFORMED = {
    "bad_pseudo_field": [
        ("8.3 method with a line end", changed(method="GET /MARK HTTP/1.1\r\nX: y\r\n\r\nGET")),
        ("8.3.1 no method", changed(method=None)),
        ("8.3.1 no scheme", changed(scheme=None)),
        ("8.3.1 no path", changed(path=None)),
        ("8.3.1 empty path", changed(path="")),
        ("8.3.1 empty method", changed(method="")),
        ("8.3.1 empty scheme", changed(scheme="")),
        ("8.3.1 other scheme", changed(scheme="ftp")),
        ("8.3 method twice", with_((":method", "GET"))),
        ("8.3 path twice", with_((":path", "/MARK"))),
        ("8.3 scheme twice", with_((":scheme", "http"))),
        ("8.3 authority twice", with_((":authority", "HOST"))),
        ("8.3 a pseudo field of responses", with_((":status", "200"))),
        ("8.3 an unknown pseudo field", with_((":foo", "x"))),
        ("8.3 an empty pseudo field", with_((":", "x"))),
        ("8.3 upper case in a pseudo field", [*changed(path=None), (":Path", "/MARK")]),
        ("8.3 a pseudo field behind a field", [*changed(path=None), ("a", "b"), (":path", "/MARK")]),
        ("8.3 all pseudo fields behind a field", [("a", "b"), *changed()]),
        ("8441-4 :protocol without CONNECT", with_((":protocol", "websocket"))),
        ("8.5 CONNECT with scheme and path", changed(method="CONNECT")),
    ],
    "bad_method": [
        ("9110-9.1 method is no token", changed(method="P(ST")),
        ("9110-9.1 method above 127", changed(method="P\xe9ST")),
    ],
    "bad_target": [
        ("8.3.1 path with a second request", changed(path="/MARK HTTP/1.1\r\nHost: HOST\r\n\r\nGET /MARK")),
        ("8.3.1 path with CR LF", changed(path="/MARK\r\nX: y")),
        ("8.3.1 path with LF", changed(path="/MARK\nX: y")),
        ("8.3.1 path with CR", changed(path="/MARK\rX: y")),
        ("8.3.1 path with NUL", changed(path="/MARK\0")),
        ("8.3.1 path with a space", changed(path="/MARK x")),
        ("8.3.1 path with a tab", changed(path="/MARK\tx")),
        ("8.3.1 path with white space in front", changed(path=" /MARK")),
        ("8.3.1 path with white space behind", changed(path="/MARK ")),
        ("8.3.1 path with a fragment", changed(path="/MARK#x")),
        ("8.3.1 path above 127", changed(path="/MARK\xe9")),
        ("8.3.1 path with DEL", changed(path="/MARK\x7f")),
        ("8.3.1 path without a slash", changed(path="MARK")),
        ("8.3.1 path in absolute-form", changed(path="http://HOST/MARK")),
        ("8.3.1 asterisk but not OPTIONS", changed(path="*")),
        ("3986-2.1 broken escape", changed(path="/MARK%zz")),
        ("3986-2.1 escaped NUL", changed(path="/MARK%00")),
        ("3986-5.2.4 above the root", changed(path="/../MARK")),
    ],
    "bad_host": [
        ("8.3.1 neither authority nor Host", changed(authority=None)),
        ("8.3.1 empty authority", changed(authority="")),
        ("8.3.1 user information", changed(authority="me@HOST")),
        ("8.3.1 authority with CR LF", changed(authority="HOST\r\nX: y")),
        ("8.3.1 authority with a space", changed(authority="HOST x")),
        ("8.3.1 authority with a path", changed(authority="HOST/x")),
        ("8.3.1 list of authorities", changed(authority="HOST,HOST")),
        ("8.3.1 port beyond 65535", changed(authority="HOST:65536")),
        ("8.3.1 Host is another one", with_(("host", "other"))),
        ("8.3.1 Host with another port", with_(("host", "HOST:81"))),
        ("8.3.1 Host twice", [*changed(authority=None), ("host", "HOST"), ("host", "HOST")]),
        ("8.3.1 Host twice, with an authority", with_(("host", "HOST"), ("host", "HOST"))),
        ("8.3.1 empty Host", [*changed(authority=None), ("host", "")]),
        ("8.3.1 Host with user information", [*changed(authority=None), ("host", "me@HOST")]),
    ],
    "bad_field": [
        ("8.2.1 name in upper case", with_(("X-Foo", "y"))),
        ("8.2.1 one letter in upper case", with_(("fooO", "y"))),
        ("8.2.1 empty name", with_(("", "y"))),
        ("8.2.1 name with a space", with_(("x y", "y"))),
        ("8.2.1 name with a colon", with_(("x:y", "y"))),
        ("8.2.1 name with CR LF", with_(("x: y\r\ntransfer-encoding", "chunked"))),
        ("8.2.1 name with LF", with_(("x\n", "y"))),
        ("8.2.1 name with NUL", with_(("x\0", "y"))),
        ("8.2.1 name above 127", with_(("x\xe9", "y"))),
        ("8.2.1 name is no token", with_(("x{}", "y"))),
        ("8.2.1 space before the colon of the coding", with_(("transfer-encoding ", "chunked"))),
        ("8.2.1 value with CR LF", with_(("x", "y\r\ntransfer-encoding: chunked"))),
        ("8.2.1 value with a head's end", with_(("x", "y\r\n\r\nGET /MARK HTTP/1.1\r\nHost: HOST\r\n\r\n"))),
        ("8.2.1 value with LF", with_(("x", "y\nz: x"))),
        ("8.2.1 value with CR", with_(("x", "y\rz: x"))),
        ("8.2.1 value with NUL", with_(("x", "a\0b"))),
        ("9110-5.5 value with a control character", with_(("x", "a\x08b"))),
        ("9110-5.5 value with DEL", with_(("x", "a\x7fb"))),
        ("8.2.1 value with a space in front", with_(("x", " y"))),
        ("8.2.1 value with a space behind", with_(("x", "y "))),
        ("8.2.1 value with a tab in front", with_(("x", "\ty"))),
        ("8.2.1 value with a tab behind", with_(("x", "y\t"))),
        ("8.2.3 crumb with CR LF", with_(("cookie", "a=b\r\nx: y"), ("cookie", "c"))),
        ("8.2.3 crumb with a space behind", with_(("cookie", "a=b "), ("cookie", "c"))),
        ("8.2.2 connection", with_(("connection", "close"))),
        ("8.2.2 connection names a field", with_(("connection", "x-a"), ("x-a", "b"))),
        ("8.2.2 proxy-connection", with_(("proxy-connection", "keep-alive"))),
        ("8.2.2 keep-alive", with_(("keep-alive", "timeout=5"))),
        ("8.2.2 transfer-encoding", with_(("transfer-encoding", "chunked"))),
        ("8.2.2 transfer-encoding: identity", with_(("transfer-encoding", "identity"))),
        ("8.2.2 transfer-encoding and a length", with_(("content-length", "3"), ("transfer-encoding", "chunked"))),
        ("8.2.2 upgrade", with_(("upgrade", "websocket"))),
        ("8.2.2 upgrade: h2c", with_(("upgrade", "h2c"))),
        ("8.2.2 http2-settings", with_(("http2-settings", "AAMAAABkAAQAAP__"))),
        ("8.2.2 te", with_(("te", "gzip"))),
        ("8.2.2 te with more", with_(("te", "trailers, gzip"))),
    ],
    "bad_content_length": [
        ("8.1.1 lengths differ", with_(("content-length", "3"), ("content-length", "4"))),
        ("8.1.1 length twice", with_(("content-length", "3"), ("content-length", "3"))),
        ("8.1.1 list of lengths", with_(("content-length", "3, 3"))),
        ("8.1.1 with a plus", with_(("content-length", "+3"))),
        ("8.1.1 negative", with_(("content-length", "-3"))),
        ("8.1.1 hexadecimal", with_(("content-length", "0x3"))),
        ("8.1.1 empty length", with_(("content-length", ""))),
        ("8.1.1 beyond 64 bits", with_(("content-length", "18446744073709551619"))),
    ],
    "bad_expectation": [
        ("9110-10.1.1 other expectation", with_(("expect", "200-ok"))),
    ],
    "method_not_implemented": [
        ("8.5 CONNECT", [(":method", "CONNECT"), (":authority", "HOST:443"), ("x-mark", "MARK")]),
    ],
    "body_too_large": [
        ("9110-15.5.14 body too large", with_(("content-length", str(BODY_LIMIT + 1)))),
    ],
    "head_too_large": [
        ("6585-5 field too large", with_(("x", "y" * 8200))),
        ("6585-5 many large fields", with_(*[("x", "y" * 100)] * 75)),
        ("6585-5 path too large", changed(path="/MARK" + "y" * 8200)),
        ("6585-5 large after decoding", with_(("x", "y" * 1000), *[("x", "y" * 1000)] * 20)),
    ],
    "too_many_fields": [
        ("6585-5 too many fields", with_(*[("x", "y")] * 101)),
        ("8.2.3 too many crumbs", with_(*[("cookie", "a=b")] * 101)),
    ],
}  # fmt: skip
STATUSES = {"bad_expectation": 417, "method_not_implemented": 501, "body_too_large": 413}
STATUSES |= {"head_too_large": 431, "too_many_fields": 431}
CASES = [(name, fields, reason) for reason, cases in MALFORMED.items() for name, fields in cases]
# Answered by HTTP, so that there is a response in any case.
WELL_FORMED = ("bad_expectation", "method_not_implemented", "body_too_large", "head_too_large", "too_many_fields")


def fresh(fields, host):
    """Returns the head, and the text that identifies it at the upstream."""
    mark = f"mark{next(_marks)}x"
    return [
        (name.replace("HOST", host), value.replace("MARK", mark).replace("HOST", host)) for name, value in fields
    ], mark


def assert_refused(client, id, reason, unfinished):
    """A response with this reason, which a reset follows if the request is unfinished; or a reset alone."""
    lane = client.done(id)
    if not lane.status:
        assert reason not in WELL_FORMED
        assert lane.reset == Code.PROTOCOL_ERROR
        return
    # An overlong path may be either of them.
    said = lane.reason
    assert said in ((reason, "target_too_long") if reason == "head_too_large" else (reason,))
    assert lane.status == (414 if said == "target_too_long" else STATUSES.get(reason, 400))
    client.ping()
    if unfinished:
        assert client.reset_of(id) in (Code.NO_ERROR, Code.PROTOCOL_ERROR)
    elif not lane.ended:
        assert client.reset_of(id) == Code.PROTOCOL_ERROR


@pytest.mark.parametrize("host", ["proxied", "files"])
@pytest.mark.parametrize("end", [True, False], ids=["ended", "open"])
@pytest.mark.parametrize(("name", "fields", "reason"), CASES, ids=[case[0] for case in CASES])
def test_malformed(h2_site, name, fields, reason, end, host):
    """Nothing reaches the upstream. The lanes before and after it on the connection are served."""
    fields, mark = fresh(fields, host)
    target = h2_site.upstream.on(OK)
    with h2_site.http2() as client:
        before = client.request(head("GET", target, "proxied"))
        id = client.request([*fields, ("x-sync", "a value that is indexed")], end=end)
        behind = client.request(head("GET", target, "proxied"))
        if end and reason in ("body_too_large", "bad_content_length"):
            # 8.1.1: also more than the nothing that came.
            reason = client.done(id).reason if client.done(id).status else "bad_content_length"
            assert reason in ("body_too_large", "bad_content_length")
        assert_refused(client, id, reason, not end)
        assert client.response(before).status == client.response(behind).status == 200
        h2_site.assert_goes_on(client)
        assert not client.goaways
    h2_site.assert_not_forwarded(mark)


def test_malformed_octet_by_octet(h2_site):
    fields, mark = fresh(with_(("x", "y\r\nz: x")), "proxied")
    with h2_site.http2() as client:
        id, data = client.prepare(fields)
        client.send_pieces(data)
        assert_refused(client, id, "bad_field", False)
        h2_site.assert_goes_on(client)
    h2_site.assert_not_forwarded(mark)


@pytest.mark.parametrize("length", [1, 3, 65536])
def test_rfc9113_8_1_1_length_of_nothing(h2_site, length):
    """END_STREAM on the head, and a Content-Length."""
    fields, mark = fresh(with_(("content-length", str(length))), "proxied")
    with h2_site.http2() as client:
        assert_refused(client, client.request(fields), "bad_content_length", False)
        h2_site.assert_goes_on(client)
    h2_site.assert_not_forwarded(mark)


LENGTHS = {
    "more, in one frame": ([b"abcdSURPLUS"], True),
    "more, in a frame of its own": ([b"abc", b"SURPLUS"], True),
    "more, without the end": ([b"abc", b"SURPLUS"], False),
    "more, at the beginning of a large frame": ([b"abc", b"SURPLUS" * 1000], False),
    "fewer": ([b"ab"], True),
    "none": ([b""], True),
    "fewer, in pieces": ([b"a", b"", b"b", b""], True),
}


@pytest.mark.parametrize(("parts", "end"), LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("known", [True, False], ids=["forwarded", "at once"])
def test_rfc9113_8_1_1_length_and_data(h2_site, parts, end, known):
    """The upstream gets neither the surplus nor a complete request."""
    got = []

    def serve(link, request):
        got.append(link.to_end())
        link.close()

    target = h2_site.upstream.on(serve)
    with h2_site.http2() as client:
        id, data = client.prepare(head("POST", target, "proxied", ("content-length", "3")), end=False)
        if known:
            client.send(data)
            link = h2_site.upstream.request(target).link
            data = b""
        for number, part in enumerate(parts):
            data += frame(DATA, END_STREAM if end and number == len(parts) - 1 else 0, id, part)
        client.lanes[id].disturbed = True
        client.send(data)
        lane = client.done(id)
        if lane.status:
            assert (lane.status, lane.reason) == (400, "bad_content_length")
        else:
            assert lane.reset == Code.PROTOCOL_ERROR
        h2_site.assert_goes_on(client)
    if known:
        h2_site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
    assert b"SURPLUS" not in h2_site.upstream.received
    if not parts[0].startswith(b"abc"):  # with "abc" the request is complete before it is wrong
        assert b"".join(got) in (b"", b"a", b"ab")


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_trailer_that_is_malformed(h2_site, coding):
    """8.1, 8.3: it must not end the request at the upstream."""
    got = []

    def serve(link, request):
        got.append(link.to_end())
        link.close()

    for trailers in ([(":path", "/x")], [("X-Upper", "y")], [("x", "a\r\nb: c")], [("transfer-encoding", "chunked")]):
        target = h2_site.upstream.on(serve)
        length = [("content-length", "9")] if coding == "length" else []
        with h2_site.http2() as client:
            id = client.request(head("POST", target, "proxied", *length), b"ab", end=False)
            link = h2_site.upstream.request(target).link
            client.trail(id, trailers)
            lane = client.done(id)
            assert lane.status == 400 or lane.reset == Code.PROTOCOL_ERROR
            h2_site.upstream.journal.until(lambda link=link: link.closed, "end of the connection to the upstream")
            h2_site.assert_goes_on(client)
    assert not [data for data in got if b"\r\n0\r\n" in data]


def test_rfc9113_8_1_second_head_without_the_end(h2_site):
    """A second HEADERS without END_STREAM is malformed."""
    target = h2_site.upstream.on(lambda link, request: (link.to_end(), link.close()))
    with h2_site.http2() as client:
        id = client.request(head("POST", target, "proxied"), end=False)
        link = h2_site.upstream.request(target).link
        client.lanes[id].disturbed = True
        client.send(block_frames(id, client.block([("x-trailer", "y")]), end=False))
        lane = client.done(id)
        assert lane.status == 400 or lane.reset == Code.PROTOCOL_ERROR
        h2_site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
        h2_site.assert_goes_on(client)

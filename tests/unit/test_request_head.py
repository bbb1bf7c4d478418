"""The request head: RFC 9112 2, 3, 6 and 9, RFC 9110 7 to 10. One test for each rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import CUTS, bytewise, scan_in_pieces, split

from ringway.engine.base.outcome import describe
from ringway.engine.http.request_head import parse_request, scan_request


def request(line: str | bytes = "GET / HTTP/1.1", *fields: str | bytes, host: str | None = "a.example") -> bytes:
    lines = [line, *([f"Host: {host}"] if host is not None else []), *fields, "", ""]
    return b"\r\n".join(x.encode("latin-1") if isinstance(x, str) else x for x in lines)


def reason(*args, **named) -> str:
    return parse_request(request(*args, **named))["reason"]


def parse(*args, **named) -> dict:
    found = parse_request(request(*args, **named))
    assert found["reason"] == "none"
    return found


def scan_reason(data: bytes, seen: int = 0) -> str:
    result = scan_request(data, seen)
    assert result <= 0
    return describe(-result)[0]


# Whole or in pieces


PARTS = st.sampled_from(
    [b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\r", b"\n", b"Host: a", b"\r\n\r\n", b":", b"A: b", b"\x16", b"\0"]
    + [b"x" * n for n in (1, 12, 15, 16, 17, 40)]
)
SHAPED = st.lists(PARTS, max_size=25).map(b"".join)
SOUND = st.lists(st.integers(0, 40), max_size=8).map(
    lambda sizes: request("GET /a HTTP/1.1", *["N: " + "v" * n for n in sizes]) + b"GET /the/next/one HTTP/1.1\r\n\r\n"
)


@given(SHAPED | SOUND | st.binary(max_size=60), CUTS)
def test_rfc9112_2_2_splits_do_not_change_the_verdict_of_the_scan(data, cuts):
    whole = scan_request(data, 0)
    assert scan_in_pieces(scan_request, bytewise(data)) == whole
    assert scan_in_pieces(scan_request, split(data, cuts)) == whole


def slow_scan(data: bytes) -> int:
    """The rules of the scan, one octet at a time."""
    start = 0
    while data[start : start + 2] == b"\r\n" and start < 4:
        start += 2
    for i in range(start, len(data)):
        if data[i] == 10 and (i == start or data[i - 1] != 13):
            return -1
        if i > start and data[i - 1] == 13 and data[i] != 10:
            return -1
        if i == start and data[i] == 13:
            continue
        if i == start + 1 and data[start] == 13:
            return -1
        if i == start and chr(data[i]) not in "GHNAx:vh/":
            return -1
        if i == start and data[i] in b":/":
            return -1
        if data[max(start, i - 3) : i + 1] == b"\r\n\r\n":
            return i + 1
    return 0


@given(SHAPED | SOUND)
def test_the_scan_agrees_with_a_slow_one(data):
    assert max(scan_request(data, 0), -1) == slow_scan(data)


@given(st.integers(0, 70), st.integers(0, 70), st.sampled_from([b"\r", b"\n", b"\rx", b"\r\r\n", b"\n\r\n"]))
def test_rfc9112_2_2_bare_cr_and_lf_are_refused_at_once(before, after, bare):
    data = b"GET / HTTP/1.1\r\nA: " + b"v" * before + bare + b"v" * after
    if bare == b"\r" and after == 0:
        assert scan_request(data, 0) == 0
        assert scan_reason(data + b"v", len(data)) == "bare_cr_or_lf"
    else:
        assert scan_reason(data) == "bare_cr_or_lf"
    assert scan_reason(data + b"v\r\n\r\n") == "bare_cr_or_lf"


@given(st.integers(0, 70), st.integers(0, 90))
def test_the_scan_finds_the_end_wherever_it_is_and_looks_no_further(size, seen):
    data = b"GET / HTTP/1.1\r\nA: " + b"v" * size + b"\r\n\r\n"
    assert scan_request(data + b"\n\r\n\r\n", min(seen, len(data) - 1)) == len(data)
    assert scan_request(data + b"the next request\r\n" * 5, min(seen, len(data) - 1)) == len(data)


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02\x00", b"\0", b" GET", b"\x80", b":", b"/", b"\x7f"])
def test_a_first_octet_that_begins_no_method_is_refused_at_once(first):
    assert scan_reason(first[:1]) == "bad_method"
    assert scan_reason(b"\r\n" + first) == "bad_method"
    assert parse_request(first + request())["reason"] == "bad_method"


def test_rfc9112_2_2_at_most_two_empty_lines_come_before_the_request_line():
    for lines in (b"\r\n", b"\r\n\r\n"):
        data = lines + request()
        assert scan_request(data + b"x", 0) == len(data)
        assert parse_request(data)["target"] == b"/"
    data = b"\r\n\r\n\r\n" + request()
    assert scan_reason(data) == "bad_request_line"
    assert parse_request(data)["reason"] == "bad_request_line"
    assert scan_reason(b"\n" + request()) == "bare_cr_or_lf"
    assert scan_reason(b"\rGET") == "bare_cr_or_lf"


# The request line


@pytest.mark.parametrize(
    "line",
    [
        "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", "GET /", "GET", "GET / ", "GET / HTTP/1.10",
        "GET /x y HTTP/1.1", "GET / http/1.1", "GET / HTTP/1,1", "GET / HTTP/11", "GET / HTTP/x.1",
        "GET / HTTP/1.x", "GET / HTTPS/1.1", "GET / HTTP/ 1.1", "GET / HTTP/1.", "GET  HTTP/1.1",
        "GET / HTTP/1.1\t", "GET HTTP/1.1",
    ],
)  # fmt: skip
def test_rfc9112_3_the_request_line_has_three_parts_and_single_spaces(line):
    assert reason(line) == "bad_request_line"


@pytest.mark.parametrize(
    "line",
    [
        "G\x01T / HTTP/1.1", "GE(T / HTTP/1.1", "G\tET / HTTP/1.1", "GET\t/ HTTP/1.1", " GET / HTTP/1.1",
        "GÄT / HTTP/1.1", "",
    ],
)  # fmt: skip
def test_rfc9112_3_1_a_method_is_a_token(line):
    assert reason(line) == "bad_method"


def test_rfc9110_9_1_methods_are_case_sensitive_and_unknown_ones_pass():
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert parse(f"{method} / HTTP/1.1")["known_method"] == method
    for method in ("get", "Get", "PROPFIND", "GETT", "GE", "M-SEARCH", "!"):
        found = parse(f"{method} / HTTP/1.1")
        assert (found["known_method"], found["method"]) == ("other", method.encode())


def test_rfc9110_9_2_2_idempotent_methods():
    idempotent = {m for m in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "LOCK")
                  if parse(f"{m} / HTTP/1.1")["idempotent"]}  # fmt: skip
    assert idempotent == {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}


@pytest.mark.parametrize("version", ["0.9", "2.0", "3.1", "9.9"])
def test_rfc9112_2_3_another_major_version_is_refused_as_such(version):
    assert reason(f"GET / HTTP/{version}") == "bad_version"


def test_rfc9110_2_5_a_higher_minor_version_is_1():
    assert [parse(f"GET / HTTP/1.{n}")["minor"] for n in (0, 1, 2, 9)] == [0, 1, 1, 1]


# The target


@pytest.mark.parametrize("octet", range(256))
def test_rfc9112_3_2_a_target_is_visible_ascii_without_fragment(octet):
    for pad in ("", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"):
        expected = "none" if 0x21 <= octet < 0x7F and octet != 0x23 else "bad_target"
        if octet in b"\r\n ":
            expected = "bare_cr_or_lf" if octet != 32 else "bad_request_line"
        line = b"GET /" + pad.encode() + bytes([octet]) + pad.encode() + b"a HTTP/1.1"
        assert reason(line) == expected


def test_rfc9112_3_2_1_origin_form():
    found = parse("GET /a/b?c=d?e/f HTTP/1.1")
    assert (found["form"], found["path"], found["query"]) == ("origin", b"/a/b", b"?c=d?e/f")
    assert (parse("GET /? HTTP/1.1")["path"], parse("GET /? HTTP/1.1")["query"]) == (b"/", b"?")
    assert parse("GET //x HTTP/1.1")["host"] == b"a.example"


@pytest.mark.parametrize(
    "target",
    [
        "a/b", "?x", "index.html", "ftp://a.example/", "http:/a.example/", "http:///x", "http://", "https://",
        "http://u@a.example/", "http://a.example:x/", "http://a,b/", "ws://a.example/",
    ],
)  # fmt: skip
def test_rfc9112_3_2_a_target_of_no_form_is_refused(target):
    assert reason(f"GET {target} HTTP/1.1") == "bad_target"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://a.example/x?y", b"/x", b"?y"), ("HTTPS://a.example/", b"/", b""), ("http://a.example", b"", b""),
        ("http://a.example?q=/", b"", b"?q=/"), ("http://A.EXAMPLE:80/x", b"/x", b""),
        ("https://a.example:443/x", b"/x", b""),
    ],
)  # fmt: skip
def test_rfc9112_3_2_2_absolute_form(target, path, query):
    found = parse(f"GET {target} HTTP/1.1")
    assert (found["form"], found["path"], found["query"]) == ("absolute", path, query)
    assert found["host"].lower().startswith(b"a.example")


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://a.example/", "b.example"), ("http://a.example:8080/", "a.example"),
        ("http://a.example/", "a.example:8080"), ("http://a.example:443/", "a.example"),
        ("https://a.example:80/", "a.example"), ("https://a.example/", "a.example:80"),
        ("http://a.example/", "a.example.org"), ("http://[::1]/", "[::2]"),
    ],
)  # fmt: skip
def test_rfc9112_3_2_2_a_target_that_contradicts_host_is_refused(target, host):
    assert reason(f"GET {target} HTTP/1.1", host=host) == "bad_host"


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://a.example:80/", "A.example"), ("https://a.example/", "a.example:443"),
        ("http://a.example:8080/", "a.example:8080"), ("http://[::A]/", "[::a]:80"),
        ("http://a.example:/", "a.example:80"), ("https://a.example:443/", "a.example:"),
    ],
)  # fmt: skip
def test_rfc9112_3_2_2_case_and_the_default_port_do_not_contradict(target, host):
    assert reason(f"GET {target} HTTP/1.1", host=host) == "none"


def test_rfc9112_3_2_2_the_target_gives_the_host_of_an_http10_request():
    assert parse("GET http://b.example/ HTTP/1.0", host=None)["host"] == b"b.example"


def test_rfc9112_3_2_3_authority_form_is_for_connect_and_connect_only_for_it():
    found = parse("CONNECT a.example:443 HTTP/1.1")
    assert (found["form"], found["host"], found["known_method"]) == ("authority", b"a.example", "CONNECT")
    for target in ("/", "a.example", "a.example:", "http://a.example:80/", "*", "u@a.example:1"):
        assert reason(f"CONNECT {target} HTTP/1.1") == "bad_target"
    assert reason("GET a.example:443 HTTP/1.1") == "bad_target"
    assert reason("CONNECT a.example:443 HTTP/1.1", host="b.example") == "bad_host"
    assert reason("CONNECT a.example:443 HTTP/1.1", host="a.example:80") == "bad_host"
    assert reason("CONNECT a.example:443 HTTP/1.1", host="a.example:443") == "none"


def test_rfc9112_3_2_4_asterisk_form_is_for_options():
    assert parse("OPTIONS * HTTP/1.1")["form"] == "asterisk"
    assert reason("GET * HTTP/1.1") == "bad_target"
    assert reason("OPTIONS ** HTTP/1.1") == "bad_target"


# Host


@pytest.mark.parametrize(
    "host",
    [
        "a.example", "A-b_c~.example.", "a.example:80", "127.0.0.1:8443", "[::1]",
        "[2001:db8::ff00:42:8329]:443", "[::]", "[1::]",
        "[1:2:3:4:5:6:7:8]", "[::ffff:192.0.2.1]", "[1:2:3:4:5:6:192.0.2.1]", "[1:2:3:4:5:6:7::]", "localhost",
        "a.example:65535", "a.example:", "[::1]:",  # RFC 3986 3.2.3: a port may be empty
    ],
)  # fmt: skip
def test_rfc9110_7_2_valid_hosts(host):
    assert parse(host=host)["host"] == host.encode()


@pytest.mark.parametrize(
    "host",
    [
        "", " ", "a.example, b.example", "a,b", "a b", "a/b", "u@a", "u:p@a", "a:b", "a:80:80", ":80", ":", "a::",
        "a:65536", "a:123456", "a?b",
        "a#b", "a\\b", "[::1", "::1", "[]", "[:]", "[::1]x", "[::1]::", "[1:2]", "[1:2:3:4:5:6:7:8:9]",
        "[1::2::3]", "[:::]", "[12345::]",
        "[::1%eth0]", "[::g]", "[1:2:3:4:5:6:7:1.2.3.4]", "[::256.0.0.1]", "[::1.2.3]", "[::1.2.3.4.5]",
        "[::01.2.3.4]", "[1:]", "[::1:]",
        "[1:2:3:4:5:6:7:8::]", "[::1.2.3.4:1]", "a%20b", "%61", "ä.example", "<a>", "a|b", 'a"b', "[v1.x]",
        "a[::1]", "a:+80", "a: 80",
    ],
)  # fmt: skip
def test_rfc9112_3_2_invalid_hosts_are_refused(host):
    assert reason(host=host) == "bad_host"
    assert reason("GET / HTTP/1.0", host=host) == "bad_host"


def test_rfc9112_3_2_a_missing_host_is_refused_in_http11():
    assert reason(host=None) == "bad_host"
    assert reason("GET http://a.example/ HTTP/1.1", host=None) == "bad_host"
    assert parse("GET / HTTP/1.0", host=None)["host"] == b""


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "GET / HTTP/1.0"])
def test_rfc9112_3_2_a_repeated_host_is_refused(line):
    assert reason(line, "host: a.example") == "bad_host"


# Framing


@pytest.mark.parametrize(("text", "length"), [("0", 0), ("5", 5), ("005", 5), ("999999999999999999", 10**18 - 1)])
def test_rfc9112_6_3_a_content_length_gives_the_length(text, length):
    found = parse("POST / HTTP/1.1", f"Content-Length: {text}")
    assert (found["framing"], found["content_length"], found["has_length"]) == (
        "length" if length else "none", length, True)  # fmt: skip


def test_rfc9112_6_3_no_length_and_no_coding_is_no_body():
    found = parse("POST / HTTP/1.1")
    assert (found["framing"], found["has_length"]) == ("none", False)


@pytest.mark.parametrize(
    "text",
    [
        "", "-1", "+1", "1 2", "0x10", "1.0", "5,", "5, 5", "5,6", "1e3", "a", "1_0", "9" * 19, "9" * 30, "\u0661",
    ],
)  # fmt: skip
def test_rfc9112_6_3_a_malformed_content_length_is_refused(text):
    assert reason("POST / HTTP/1.1", b"Content-Length: " + text.encode()) == "bad_content_length"


@pytest.mark.parametrize("other", ["5", "6"])
def test_rfc9112_6_3_a_repeated_content_length_is_refused(other):
    assert reason("POST / HTTP/1.1", "Content-Length: 5", f"content-length: {other}") == "bad_content_length"


def test_rfc9112_6_1_length_and_coding_together_are_refused():
    fields = ["Content-Length: 0", "Transfer-Encoding: chunked"]
    assert reason("POST / HTTP/1.1", *fields) == "length_and_coding"
    assert reason("POST / HTTP/1.1", *fields[::-1]) == "length_and_coding"


def test_rfc9112_6_1_chunked():
    for value in ("chunked", "CHUNKED", " chunked\t"):
        assert parse("POST / HTTP/1.1", f"Transfer-Encoding:{value}")["framing"] == "chunked"


@pytest.mark.parametrize(
    "value",
    [
        "", "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked,", "identity", "x-chunked",
        "chunked;q=1", "chunke", "chunkedd", '"chunked"',
    ],
)  # fmt: skip
def test_rfc9112_6_1_any_other_coding_is_refused(value):
    assert reason("POST / HTTP/1.1", f"Transfer-Encoding: {value}") == "bad_transfer_coding"


def test_rfc9112_6_1_a_repeated_coding_is_refused():
    assert reason("POST / HTTP/1.1", *["Transfer-Encoding: chunked"] * 2) == "bad_transfer_coding"


def test_rfc9112_6_1_a_coding_in_http10_is_refused():
    assert reason("POST / HTTP/1.0", "Transfer-Encoding: chunked") == "bad_transfer_coding"


# Connection, Expect, Upgrade


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", None, True), ("1.1", "close", False), ("1.1", "Keep-Alive, CLOSE", False), ("1.1", "closed", True),
        ("1.0", None, False), ("1.0", "keep-alive", True), ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)  # fmt: skip
def test_rfc9112_9_3_persistence(version, connection, kept):
    fields = [] if connection is None else [f"Connection: {connection}"]
    assert parse(f"GET / HTTP/{version}", *fields)["keep_alive"] is kept


def test_rfc9112_9_3_persistence_over_several_connection_fields():
    assert parse("GET / HTTP/1.1", "Connection: x", "Connection: close")["keep_alive"] is False


def test_rfc9110_7_6_1_fields_that_connection_names_are_marked():
    found = parse("GET / HTTP/1.1", "X-A: 1", "Connection: x-a", "X-B: 1")
    assert [name for name, _, _, hop in found["fields"] if hop] == [b"X-A"]


def test_the_number_of_connection_options_is_bounded():
    assert reason("GET / HTTP/1.1", "Connection: " + ",".join("a" * 32)) == "none"
    assert reason("GET / HTTP/1.1", *["Connection: a"] * 33) == "bad_field"


def test_rfc9110_10_1_1_expect_continue():
    body = "Content-Length: 1"
    assert parse("POST / HTTP/1.1", "Expect: 100-Continue", body)["expect_continue"]
    assert parse("POST / HTTP/1.1", "Expect: 100-continue", "Transfer-Encoding: chunked")["expect_continue"]
    assert not parse("POST / HTTP/1.1", "Expect: 100-continue")["expect_continue"]
    assert not parse("POST / HTTP/1.1", "Expect: 100-continue", "Content-Length: 0")["expect_continue"]
    assert not parse("POST / HTTP/1.0", "Expect: 100-continue", body)["expect_continue"]
    assert not parse("POST / HTTP/1.1", body)["expect_continue"]


@pytest.mark.parametrize("value", ["", "200-ok", "100-continue, x", "100-continu"])
def test_rfc9110_10_1_1_another_expectation_is_refused(value):
    assert reason("POST / HTTP/1.1", f"Expect: {value}") == "bad_expectation"
    assert reason("POST / HTTP/1.0", f"Expect: {value}") == "none"


def test_rfc9110_7_8_upgrade():
    upgrade = ["Connection: Upgrade", "Upgrade: websocket"]
    assert parse("GET / HTTP/1.1", *upgrade)["upgrade"]
    assert not parse("GET / HTTP/1.0", *upgrade)["upgrade"]
    assert not parse("GET / HTTP/1.1", upgrade[0])["upgrade"]
    assert not parse("GET / HTTP/1.1", upgrade[1])["upgrade"]


def test_rfc9110_7_8_upgrade_with_a_body_is_ignored():
    upgrade = ["Connection: Upgrade", "Upgrade: websocket"]
    assert not parse("GET / HTTP/1.1", *upgrade, "Content-Length: 1")["upgrade"]
    assert not parse("GET / HTTP/1.1", *upgrade, "Transfer-Encoding: chunked")["upgrade"]
    assert reason("GET / HTTP/1.1", *upgrade, "Content-Length: 0") == "none"
    assert reason("GET / HTTP/1.1", upgrade[1], "Content-Length: 1") == "none"
    assert reason("GET / HTTP/1.0", *upgrade, "Content-Length: 1") == "none"


# The whole


def test_fields_are_as_strict_as_in_test_fields():
    assert reason("GET / HTTP/1.1", "A : b") == "bad_field"
    assert reason("GET / HTTP/1.1", "A: b", " c") == "obsolete_fold"
    assert reason("GET / HTTP/1.1", " A: b", host=None) == "obsolete_fold"
    assert reason("GET / HTTP/1.1", b"A: \0") == "bad_field"
    assert reason("GET / HTTP/1.1", *["A: b"] * 1000) == "too_many_fields"


def test_a_head_is_parsed_alone_and_whole():
    assert parse_request(request() + b"x")["reason"] == "bad_request_line"
    assert parse_request(request() + request())["reason"] == "bad_field"
    for data in (b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n\r\n", b"GET", b"G\r\n\r\n", b"GET / HTTP/1.1\r\n"):
        assert parse_request(data)["reason"] != "none"


def test_a_head_that_a_piece_cannot_reach_is_refused():
    frame = len(request("GET / HTTP/1.1", "A: "))
    assert parse_request(request("GET / HTTP/1.1", "A: " + "v" * (65_535 - frame)))["reason"] == "none"
    assert parse_request(request("GET / HTTP/1.1", "A: " + "v" * (65_536 - frame)))["reason"] == "head_too_large"


def test_everything_of_a_usual_request():
    found = parse("POST /a?b HTTP/1.1", "User-Agent: x y", "Content-Length: 10")
    assert [f[:2] for f in found["fields"]] == [
        (b"Host", b"a.example"),
        (b"User-Agent", b"x y"),
        (b"Content-Length", b"10"),
    ]
    assert (found["method"], found["target"], found["minor"]) == (b"POST", b"/a?b", 1)


@given(SHAPED | st.binary(max_size=80))
def test_what_the_parser_accepts_the_scan_ends_in_the_same_place(data):
    data += b"\r\n\r\n"
    if parse_request(data)["reason"] == "none":
        assert scan_request(data, 0) == len(data)

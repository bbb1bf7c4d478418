"""The response head of an upstream: RFC 9112 4, 6 and 9."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import CUTS, bytewise, scan_in_pieces, split

from ringway.engine.base.outcome import describe
from ringway.engine.http.response_head import parse_response, scan_response


def response(line: str = "HTTP/1.1 200 OK", *fields: str | bytes) -> bytes:
    return b"\r\n".join(x.encode("latin-1") if isinstance(x, str) else x for x in (line, *fields, "", ""))


def parse(*args, method="GET") -> dict:
    found = parse_response(response(*args), method)
    assert found["reason"] == "none"
    return found


def cause(*args, method="GET") -> str:
    """The exact reason; what the engine sees is always the upstream's fault."""
    found = parse_response(response(*args), method)
    if found["reason"] == "none":
        return "none"
    assert found["reason"] in ("upstream_bad_head", "upstream_head_too_large")
    return found["cause"]


PARTS = st.sampled_from(
    [b"HTTP/1.1", b" ", b"200", b"OK", b"\r\n", b"\r", b"\n", b"A: b", b"\r\n\r\n", b"\0", b"x" * 17]
)
SHAPED = st.lists(PARTS, max_size=25).map(lambda parts: b"HTTP/1.1 200 OK" + b"".join(parts))


@given(SHAPED | st.binary(max_size=40), CUTS)
def test_rfc9112_2_2_splits_do_not_change_the_verdict_of_the_scan(data, cuts):
    whole = scan_response(data, 0)
    assert scan_in_pieces(scan_response, bytewise(data)) == whole
    assert scan_in_pieces(scan_response, split(data, cuts)) == whole


@given(SHAPED)
def test_what_the_parser_accepts_the_scan_ends_in_the_same_place(data):
    data += b"\r\n\r\n"
    if parse_response(data)["reason"] == "none":
        assert scan_response(data, 0) == len(data)


@pytest.mark.parametrize("data", [b"S", b"HTTQ", b"HTTP/2", b"\r\n", b"ICY 200", b"http/1.1", b"HTTP/1.1 200 OK\n"])
def test_what_is_not_http1_is_refused_at_once(data):
    assert describe(-scan_response(data, 0))[0] == "upstream_bad_head"


def test_the_scan_ends_behind_the_empty_line():
    assert scan_response(response() + b"\n\r\n\r\n", 0) == len(response())
    assert scan_response(response()[:-1], 0) == 0


# The status line


@pytest.mark.parametrize(
    ("line", "status", "minor", "phrase"),
    [
        ("HTTP/1.1 200 OK", 200, 1, b"OK"),
        ("HTTP/1.0 404 Not Found", 404, 0, b"Not Found"),
        ("HTTP/1.1 200 ", 200, 1, b""),
        ("HTTP/1.1 200", 200, 1, b""),
        ("HTTP/1.9 999 \xe4\t", 999, 1, b"\xe4\t"),
    ],
)
def test_rfc9112_4_status_line(line, status, minor, phrase):
    found = parse(line)
    assert (found["status"], found["minor"], found["phrase"]) == (status, minor, phrase)


@pytest.mark.parametrize(
    "line",
    [
        "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1  200 OK", "HTTP/1.1 200OK", "HTTP/1.1 20x OK",
        "HTTP/1.1 099 OK", "HTTP/1.1 -20 OK", "HTTP/1.1", "HTTP/1.1 ", "HTTP/11 200 OK", "HTTP/1.x 200 OK",
        "HTTP/1,1 200 OK", "http/1.1 200 OK", "HTTP/1.1\t200 OK", "ICY 200 OK", " HTTP/1.1 200 OK", "",
        "HTTP/1.10 200 OK",
    ],
)  # fmt: skip
def test_rfc9112_4_a_malformed_status_line_is_refused(line):
    assert cause(line) == "bad_request_line"


def test_rfc9112_2_3_another_major_version_is_refused():
    assert cause("HTTP/2.0 200 OK") == "bad_version"


@pytest.mark.parametrize("octet", range(256))
def test_rfc9112_4_a_reason_phrase_holds_no_control_character(octet):
    expected = "none" if octet == 9 or (octet >= 32 and octet != 127) else "bad_field"
    assert cause("HTTP/1.1 200 a" + chr(octet) + "b" * 20) == ("bare_cr_or_lf" if octet in b"\r\n" else expected)


# Framing


@pytest.mark.parametrize(
    ("status", "method", "fields", "framing", "length", "has_length", "kept"),
    [
        (200, "GET", ["Content-Length: 5"], "length", 5, True, True),
        (200, "GET", ["Content-Length: 0"], "none", 0, True, True),
        (200, "GET", ["Transfer-Encoding: Chunked"], "chunked", 0, False, True),
        (200, "GET", [], "close", 0, False, False),
        (404, "GET", [], "close", 0, False, False),
        (200, "HEAD", ["Content-Length: 5"], "none", 5, True, True),
        (200, "HEAD", ["Transfer-Encoding: chunked"], "none", 0, False, True),
        (200, "HEAD", [], "none", 0, False, True),
        (304, "GET", ["Content-Length: 5"], "none", 5, True, True),
        (204, "GET", [], "none", 0, False, True),
        (204, "GET", ["Content-Length: 0"], "none", 0, False, True),
        (204, "GET", ["Content-Length: 5"], "none", 0, False, False),
        (204, "GET", ["Transfer-Encoding: chunked"], "none", 0, False, False),
        (100, "GET", [], "none", 0, False, True),
        (103, "GET", ["Content-Length: 5"], "none", 0, False, False),
        (200, "CONNECT", ["Content-Length: 5"], "none", 0, False, True),
        (400, "CONNECT", ["Content-Length: 5"], "length", 5, True, True),
    ],
)
def test_rfc9112_6_3_framing(status, method, fields, framing, length, has_length, kept):
    found = parse(f"HTTP/1.1 {status} X", *fields, method=method)
    assert (found["framing"], found["content_length"], found["has_length"]) == (framing, length, has_length)
    assert found["keep_alive"] is kept


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["Content-Length: 5", "Transfer-Encoding: chunked"], "length_and_coding"),
        (["Content-Length: 5", "Content-Length: 6"], "bad_content_length"),
        (["Content-Length: 5", "Content-Length: 5"], "bad_content_length"),
        (["Content-Length: 5, 5"], "bad_content_length"),
        (["Content-Length: -5"], "bad_content_length"),
        (["Content-Length:"], "bad_content_length"),
        (["Transfer-Encoding: gzip, chunked"], "bad_transfer_coding"),
        (["Transfer-Encoding: identity"], "bad_transfer_coding"),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "bad_transfer_coding"),
    ],
)
def test_rfc9112_6_3_ambiguous_framing_is_refused(method, fields, expected):
    assert cause("HTTP/1.1 200 OK", *fields, method=method) == expected


def test_rfc9112_6_1_chunked_in_http10_is_refused():
    assert cause("HTTP/1.0 200 OK", "Transfer-Encoding: chunked") == "bad_transfer_coding"


# Connection


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", "x", True),
        ("1.1", "close", False),
        ("1.0", "x", False),
        ("1.0", "keep-alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_rfc9112_9_3_persistence(version, connection, kept):
    found = parse(f"HTTP/{version} 200 OK", "Content-Length: 1", f"Connection: {connection}")
    assert found["keep_alive"] is kept


def test_rfc9112_9_3_a_body_until_close_is_never_persistent():
    assert parse("HTTP/1.0 200 OK", "Connection: keep-alive")["keep_alive"] is False


def test_rfc9110_7_6_1_fields_that_connection_names_are_marked():
    found = parse("HTTP/1.1 200 OK", "Connection: x-a", "X-A: 1", "X-B: 2")
    assert [name for name, _, _, hop in found["fields"] if hop] == [b"X-A"]


def test_rfc9110_7_8_upgrade():
    fields = ["Upgrade: websocket", "Connection: upgrade"]
    assert parse("HTTP/1.1 101 Switching Protocols", *fields)["upgrade"]
    assert not parse("HTTP/1.1 101 Switching Protocols", fields[0])["upgrade"]
    assert not parse("HTTP/1.0 101 Switching Protocols", *fields)["upgrade"]


def test_date_is_noticed():
    assert parse("HTTP/1.1 200 OK", "Date: x")["has_date"] is True
    assert parse("HTTP/1.1 200 OK")["has_date"] is False


# Fields and bounds


def test_fields_are_as_strict_as_in_requests():
    assert cause("HTTP/1.1 200 OK", "A : b") == "bad_field"
    assert cause("HTTP/1.1 200 OK", "A: b", " c") == "obsolete_fold"
    assert cause("HTTP/1.1 200 OK", b"A: \x00") == "bad_field"
    assert cause("HTTP/1.1 200 OK", "A: b\nC: d") == "bare_cr_or_lf"


def test_bounds_are_the_upstream_s_fault():
    assert parse_response(response("HTTP/1.1 200 OK", *["A: b"] * 1001))["reason"] == "upstream_head_too_large"
    assert parse_response(response("HTTP/1.1 200 OK", "A: " + "b" * 65_536))["reason"] == "upstream_head_too_large"
    assert parse_response(response("HTTP/1.1 200 OK", *["A: b"] * 1000))["reason"] == "none"


def test_a_head_is_parsed_alone_and_whole():
    for data in (b"", b"\r\n\r\n", b"HTTP/1.1 200\r\n", response() + b"x", response() + response()):
        assert parse_response(data)["reason"] == "upstream_bad_head"

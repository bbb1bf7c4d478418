"""The chunked coding: RFC 9112 7.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import CUTS, bytewise, split

from ringway.engine.http.chunked import decode_chunked

END = b"0\r\n\r\n"


def decode(*pieces: bytes, lenient: bool = False) -> dict:
    found = decode_chunked(list(pieces), lenient=lenient)
    assert (found["reason"], found["ended"]) == ("none", True)
    return found


def reason(data: bytes, lenient: bool = False) -> str:
    """The verdict, which must be the same octet by octet."""
    whole = decode_chunked([data], lenient=lenient)["reason"]
    assert decode_chunked(bytewise(data), lenient=lenient)["reason"] == whole
    return whole


def trailer(*lines: bytes) -> bytes:
    return decode(b"0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n")["trailer"]


def encode(payloads: list[bytes], extension: bytes, lines: list[bytes]) -> bytes:
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in payloads if p)
    return chunks + b"0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


PAYLOADS = st.lists(st.binary(max_size=40), max_size=6)
PARTS = st.sampled_from(
    [
        b"5\r\nhello\r\n",
        b"0\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"a",
        b";x=y",
        b';x="',
        b"=",
        b"1",
        b" ",
        b"A: b\r\n",
        b"Host: h\r\n",
        b"\0",
        b"F" * 9,
    ]
)
SHAPED = st.lists(PARTS, max_size=15).map(b"".join)


@given(
    PAYLOADS,
    st.sampled_from([b"", b";a", b';a="b c"']),
    st.sampled_from([[], [b"A: b"], [b"A: b", b"Host: x", b"C:"]]),
    CUTS,
)
def test_rfc9112_7_1_what_was_coded_is_decoded_however_it_is_split(payloads, extension, lines, cuts):
    data = encode(payloads, extension, lines) + b"next"
    for pieces in ([data], bytewise(data), split(data, cuts)):
        found = decode(*pieces)
        assert found["body"] == b"".join(payloads)
        assert found["total"] == len(found["body"])
        assert found["trailer"] == b"".join(line + b"\r\n" for line in lines if not line.startswith(b"Host"))
        assert found["rest"] == b"next"


@given(SHAPED | st.binary(max_size=40), CUTS)
def test_splits_do_not_change_the_verdict(data, cuts):
    whole = decode_chunked([data])
    for pieces in (bytewise(data), split(data, cuts)):
        found = decode_chunked(pieces)
        assert found == whole


@pytest.mark.parametrize("size", [b"5", b"05", b"0000000000000005", b"000000000000005"])
def test_rfc9112_7_1_a_size_has_at_most_15_digits(size):
    expected = "none" if len(size) <= 15 else "bad_chunk"
    assert reason(size + b"\r\nhello\r\n" + END) == expected


def test_rfc9112_7_1_sizes_are_hexadecimal_in_either_case():
    for size in (b"1a", b"1A"):
        assert decode(size + b"\r\n" + b"x" * 26 + b"\r\n" + END)["body"] == b"x" * 26


def test_rfc9112_7_1_the_largest_size_overflows_nothing():
    found = decode_chunked([b"f" * 15 + b"\r\n", b"abc"])
    assert (found["reason"], found["ended"], found["body"]) == ("none", False, b"abc")
    assert reason(b"f" * 16) == "bad_chunk"


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b";a\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1 ;a\r\n",
        b"0x1\r\n",
        b"1\t\r\n",
        b"1,\r\n",
        b"\n",
    ],
)
def test_rfc9112_7_1_malformed_sizes_are_refused(data):
    assert reason(data) == "bad_chunk"


@pytest.mark.parametrize(
    "data", [b"5\nhello\r\n", b"5\rhello", b"5\r\rh", b"5;a\nhello", b"5;a\rb", b"0\n\r\n", b"0\r\r"]
)
def test_rfc9112_2_2_bare_cr_and_lf_in_a_size_line_are_refused(data):
    assert reason(data) == "bad_chunk"


@pytest.mark.parametrize(
    "data", [b"5\r\nhello0", b"5\r\nhello\n", b"5\r\nhello\r0", b"5\r\nhellox", b"5\r\nhello\r\r\n", b"4\r\nhello\r\n"]
)
def test_rfc9112_7_1_data_ends_exactly_with_cr_lf(data):
    assert reason(data) == "bad_chunk"


@pytest.mark.parametrize("octet", range(256))
def test_rfc9112_7_1_1_an_extension_holds_no_control_character(octet):
    sound = "none" if octet == 9 or (octet >= 32 and octet != 127) else "bad_chunk"
    assert reason(b"5;a=" + bytes([octet]) + b"\r\nhello\r\n" + END, lenient=True) == sound
    quoted = b'5;a="\\' + bytes([octet]) + b'"\r\nhello\r\n' + END
    assert reason(quoted) == reason(quoted, lenient=True) == sound


@pytest.mark.parametrize(
    "extension",
    [
        b";a", b";a=b", b';a="b c;d"', b';a=""', b';a="\\""', b";a;b=c;d", b"; a", b";\ta = b ;c", b';a= "b" \t; c=d',
        b";a" * 20, b";a=b;a=b", b';a="\xff"',
    ],
)  # fmt: skip
def test_rfc9112_7_1_1_extensions_are_read_over(extension):
    for size, rest in ((b"5", b"hello\r\n" + END), (b"0", b"\r\n")):
        assert reason(size + extension + b"\r\n" + rest) == "none"


@pytest.mark.parametrize(
    "extension",
    [
        b";", b";;", b";a;", b";;a", b"; ", b";[bad]=1", b";a b", b";a=", b";a= ", b";=b", b';"a"', b";a=b=c",
        b";a=b c", b';a="b', b';a="b"c', b';a=b"c"', b';a="b" c', b";a ", b";a=b ", b';a="b"\t', b";a=;b", b";a\xff",
        b";a=\xff", b';a="\\',
    ],
)  # fmt: skip
def test_rfc9112_7_1_1_extensions_that_are_none_are_refused_from_clients(extension):
    """Of an upstream they are read over: what follows is framed anew, and nobody who reads it reads them."""
    for size, rest in ((b"5", b"hello\r\n" + END), (b"0", b"\r\n")):
        assert reason(size + extension + b"\r\n" + rest) == "bad_chunk"
        assert reason(size + extension + b"\r\n" + rest, lenient=True) == "none"


def test_rfc9112_7_1_1_a_size_line_is_bounded():
    assert reason(b"5;" + b"a" * 252 + b"\r\nhello\r\n" + END) == "none"
    assert reason(b"5;" + b"a" * 253 + b"\r\nhello\r\n" + END) == "bad_chunk"
    assert reason(b"5;" + b"a" * 255) == "bad_chunk"
    assert reason((b"5;" + b"a" * 252 + b"\r\nhello\r\n") * 3 + END) == "none"


# Trailers


def test_rfc9112_7_1_2_trailer_fields_are_collected():
    assert (
        trailer(b"A: b", b"Server-Timing:x", b"content-digest: y")
        == b"A: b\r\nServer-Timing:x\r\ncontent-digest: y\r\n"
    )


@pytest.mark.parametrize(
    "name",
    b"Transfer-Encoding Content-Length Host Content-Encoding Content-Type Content-Range Content-Location "
    b"Trailer TE Connection Keep-Alive Upgrade Proxy-Connection Proxy-Authorization Proxy-Authenticate "
    b"Proxy-Foo Authorization WWW-Authenticate Cookie Set-Cookie Set-Cookie2 Cache-Control Pragma Expires "
    b"Age Date Vary Location Retry-After Expect Range Max-Forwards If-Match If-None-Match "
    b"If-Modified-Since If-Unmodified-Since If-Range Forwarded X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host "
    b"X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-User X-Real-IP HTTP2-Settings Proxy Front-End-Https If "
    b"If-Schedule-Tag-Match".split(),
)
def test_rfc9110_6_5_1_forbidden_trailer_fields_are_dropped(name):
    assert trailer(b"A: b", name + b": x", name.lower() + b":", name.upper() + b": z", b"C: d") == b"A: b\r\nC: d\r\n"


@pytest.mark.parametrize(
    "name", [b"Hos", b"Hostx", b"Content", b"Ages", b"Cookies", b"X-Real-IQ", b"Iff", b"Proxies", b"ETag"]
)
def test_rfc9110_6_5_1_other_names_are_kept(name):
    assert trailer(name + b": x") == name + b": x\r\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"A b: c\r\n", "bad_field"), (b"A : c\r\n", "bad_field"), (b": c\r\n", "bad_field"), (b"A\r\n", "bad_field"),
        (b"A: \0\r\n", "bad_field"), (b"A: \x7f\r\n", "bad_field"), (b" A: c\r\n", "obsolete_fold"),
        (b"A: b\r\n\tc\r\n", "obsolete_fold"), (b"Host: b\r\n c\r\n", "obsolete_fold"), (b"A: b\n", "bare_cr_or_lf"),
        (b"A: b\rc\r\n", "bare_cr_or_lf"), (b"\n", "bare_cr_or_lf"), (b"\rA", "bare_cr_or_lf"),
        (b"A: b\r\r\n", "bare_cr_or_lf"),
        (b"A:b\r\n\n", "bare_cr_or_lf"), (b"\r\r\n", "bare_cr_or_lf"),
    ],
)  # fmt: skip
def test_rfc9112_7_1_2_trailer_fields_are_as_strict_as_others(line, expected):
    assert reason(b"0\r\n" + line + b"\r\n") == expected


@pytest.mark.parametrize("name", [b"A", b"Host"])
def test_the_trailer_section_is_bounded_with_what_is_dropped(name):
    def section(size):
        return b"0\r\n" + name + b":" + b"v" * (size - len(name) - 5) + b"\r\n\r\n"

    assert reason(section(1024)) == "none"
    assert reason(section(1025)) == "trailer_too_large"
    lines = name + b": " + b"v" * 100 + b"\r\n"
    assert reason(b"0\r\n" + lines * 20 + b"\r\n") == "trailer_too_large"


@pytest.mark.parametrize("size", [b"2 ", b"2 \t ", b"0002", b"0" * 40 + b"2", b"02 ;a=b"])
def test_sizes_of_an_upstream(size: bytes) -> None:
    """Padded and zero-led ones are read, octet by octet too, within the line's bound."""
    data = size + b"\r\nhi\r\n0 \r\n\r\n"
    for pieces in ([data], bytewise(data)):
        found = decode_chunked(pieces, lenient=True)
        assert (found["reason"], found["ended"], found["body"]) == ("none", True, b"hi")
    assert reason(data) == "bad_chunk"


@pytest.mark.parametrize(
    "data",
    [
        b" 2\r\nhi\r\n",
        b"2 2\r\nhi\r\n",
        b"2 x\r\nhi\r\n",
        b"2\nhi\r\n",
        b"0x2\r\nhi\r\n",
        b" \r\n\r\n",
        b"1" * 16 + b"\r\n",
        b"0" * 300 + b"2\r\nhi\r\n",
        b"2" + b" " * 300 + b"\r\nhi\r\n",
    ],
)
def test_what_is_no_size_from_an_upstream_either(data: bytes) -> None:
    assert decode_chunked([data], lenient=True)["reason"] == "bad_chunk"
    assert decode_chunked(bytewise(data), lenient=True)["reason"] == "bad_chunk"


LF_ALONE = {
    b"2\nhi\r\n0\r\n\r\n": "bad_chunk",
    b"2 \nhi\r\n0\r\n\r\n": "bad_chunk",
    b"2;a=b\nhi\r\n0\r\n\r\n": "bad_chunk",
    b"2\r\nhi\n0\r\n\r\n": "bad_chunk",
    b"2\r\nhi\r\n0\n\r\n": "bad_chunk",
    b"2\r\nhi\r\n0\r\n\n": "bare_cr_or_lf",
    b"2\r\nhi\r\n0\r\nA: b\n\r\n": "bare_cr_or_lf",
    b"2\r\nhi\r\n0\r\nA: b\nC: d\r\n\r\n": "bare_cr_or_lf",
    b"2\r\nhi\r\n0\r\nA: b\r\n\n": "bare_cr_or_lf",
    b"2\nhi\n0\n\n": "bad_chunk",
}


@pytest.mark.parametrize("lenient", [False, True], ids=["client", "upstream"])
@given(data=st.sampled_from(sorted(LF_ALONE)), cuts=CUTS)
def test_rfc9112_7_1_lf_alone_ends_nothing(data, cuts, lenient):
    """Not in an upstream's body either: it would decide where the response ends, and readers differ."""
    for pieces in ([data], bytewise(data), split(data, cuts)):
        found = decode_chunked(pieces, lenient=lenient)
        assert (found["reason"], found["ended"]) == (LF_ALONE[data], False)

"""Field lines: RFC 9112 5, RFC 9110 5 and 7.6.1."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringway.engine.http import fields

PXD = Path(__file__).parents[2] / "src/ringway/engine/http/fields.pxd"
TCHAR = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VALUE = bytes([9, *range(32, 127), *range(128, 256)])


def known_names():
    body = re.search(r"cdef enum FieldId:\n(.*?)\n    FIELD_COUNT", PXD.read_text(), re.S).group(1)
    names = re.findall(r"^    FIELD_([A-Z_]+)", body, re.M)
    return {name.lower().replace("_", "-").encode(): number for number, name in enumerate(names)}


KNOWN = known_names()
DISGUISED = KNOWN.pop(b"disguised")
# What the proxy sets or removes by name, and what frames: not to be had with "_" either.
CLAIMED = [name for name in KNOWN if name.startswith((b"x-", b"proxy-c"))]
CLAIMED += [b"content-length", b"transfer-encoding", b"keep-alive"]
# One number for all that is said of a client's certificate.
IDENTITY = [b"x-client-" + name for name in (b"verified", b"subject", b"issuer", b"serial", b"fingerprint")]
IDENTITY += [b"client-cert", b"client-cert-chain"]
KNOWN |= dict.fromkeys(IDENTITY, KNOWN.pop(b"client-identity"))
CLAIMED += IDENTITY
# One number for what only a proxy may say, and one for what nobody may.
SAYS = KNOWN.pop(b"proxy-says")
PROXY = [b"front-end-https", b"x-scheme", b"x-url-scheme", b"x-original-url", b"x-rewrite-url", b"x-forwarded"]
PROXY += [b"x-forwarded-" + name for name in (b"ssl", b"scheme", b"server", b"by", b"user", b"client-cert", b"z" * 40)]
KNOWN |= dict.fromkeys(PROXY, SAYS)
CLAIMED += PROXY
KNOWN |= dict.fromkeys([b"proxy", b"http2-settings"], KNOWN.pop(b"forbidden"))
CLAIMED.append(b"http2-settings")
FAMILY = b"x-forwarded-"


def verdict(section: bytes) -> str:
    return fields.parse(section + b"\r\n")[0]


def hops(section: bytes) -> set:
    reason, found = fields.parse(section + b"\r\n")
    assert reason == "none"
    return {name for name, _, _, hop in found if hop}


@pytest.mark.parametrize("name", [n for n in KNOWN if n != b"other"])
def test_rfc9110_5_1_known_names_are_recognised_without_case(name):
    assert fields.identify(name) == fields.identify(name.upper()) == fields.identify(name.title()) == KNOWN[name]


@given(st.sampled_from(sorted(KNOWN)), st.integers(0, 19), st.sampled_from(list(TCHAR)))
def test_a_name_with_another_octet_is_another_name(name, at, octet):
    at %= len(name)
    other = name[:at] + bytes([octet]) + name[at + 1 :]
    if name in CLAIMED and other.lower() != name and other.lower().replace(b"_", b"-") == name:
        assert fields.identify(other) == DISGUISED
    elif other.lower().startswith(FAMILY):
        assert fields.identify(other) in ((KNOWN[name],) if other.lower() == name else (SAYS, DISGUISED))
    else:
        assert fields.identify(other) == (KNOWN[name] if other.lower() == name and name != b"other" else 0)
    if not name.startswith(FAMILY):
        assert fields.identify(name + b"x") in (0, KNOWN.get(name + b"x"))
        assert fields.identify(name[:-1]) in (0, KNOWN.get(name[:-1]))


@pytest.mark.parametrize("name", CLAIMED)
def test_rfc3875_4_1_18_a_claimed_name_with_underscores_is_known_as_disguised(name):
    for other in (name.replace(b"-", b"_"), name.replace(b"-", b"_", 1), name.upper().replace(b"-", b"_")):
        assert fields.identify(other) == DISGUISED
    for octet in b"+.m~":
        assert fields.identify(name.replace(b"-", bytes([octet]))) != DISGUISED


def test_the_octet_table_agrees_with_the_rfcs():
    classes = fields.octet_classes()
    host = set(b"-._~!$&'()*+;=0123456789") | {c for c in range(128) if chr(c).isalpha()}
    assert {c for c in range(256) if classes[c] & 1} == set(TCHAR)
    assert {c for c in range(256) if classes[c] & 2} == set(range(0x21, 0x7F)) - {0x23}
    assert {c for c in range(256) if classes[c] & 4} == set(VALUE)
    assert {c for c in range(256) if classes[c] & 8} == host
    assert {c for c in range(256) if classes[c] & 16} == set(b"0123456789")
    assert {c for c in range(256) if classes[c] & 32} == set(b"0123456789abcdefABCDEF")


@given(st.binary(max_size=70) | st.lists(st.sampled_from(list(TCHAR)), max_size=70).map(bytes))
def test_rfc9110_5_6_2_token(text):
    assert fields.token(text) == (len(text) > 0 and all(c in TCHAR for c in text))


@given(st.binary(max_size=3), st.lists(st.sampled_from(list(VALUE)), max_size=70).map(bytes), st.binary(max_size=3))
def test_rfc9110_5_5_value(before, middle, after):
    text = before + middle + after
    assert fields.value(text) == all(c in VALUE for c in text)


@pytest.mark.parametrize("octet", range(256))
@pytest.mark.parametrize("pad", [0, 3, 15, 16, 33])
def test_each_octet_in_a_value_at_each_kind_of_place(octet, pad):
    value = b"v" * pad + bytes([octet]) + b"v" * pad
    expected = "none" if octet in VALUE else "bare_cr_or_lf" if octet in b"\r\n" else "bad_field"
    assert verdict(b"A: " + value + b"\r\n") == expected


@pytest.mark.parametrize("octet", range(256))
@pytest.mark.parametrize("pad", [0, 3, 15, 16, 33])
def test_each_octet_in_a_name_at_each_kind_of_place(octet, pad):
    line = b"N" * pad + b"a" + bytes([octet]) + b"a" + b"N" * pad + b": v\r\n"
    reason = verdict(line)
    if octet in TCHAR or octet == ord(":"):
        assert reason == "none"
    else:
        assert reason == ("bare_cr_or_lf" if octet in b"\r\n" else "bad_field")


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (b"A : b\r\n", "bad_field"),
        (b"A\t: b\r\n", "bad_field"),
        (b": b\r\n", "bad_field"),
        (b"A\r\n", "bad_field"),
        (b"A b: c\r\n", "bad_field"),
        (b"A: b\r\n\r\nC: d\r\n", "bad_field"),
        (b"\r\n", "bad_field"),
        ("Ä: b\r\n".encode(), "bad_field"),
        (b"A;: b\r\n", "bad_field"),
    ],
)
def test_rfc9112_5_1_malformed_lines_are_refused(section, reason):
    assert verdict(section) == reason


@pytest.mark.parametrize("section", [b" A: b\r\n", b"A: b\r\n c\r\n", b"A: b\r\n\tc: d\r\n", b"A: b\r\n \r\n"])
def test_rfc9112_5_2_folded_lines_are_refused(section):
    assert verdict(section) == "obsolete_fold"


@pytest.mark.parametrize(
    "section",
    [
        b"A: b\n",
        b"A: b\rc\r\n",
        b"A: b\r\r\n",
        b"A: b\nC: d\r\n",
        b"A\r: b\r\n",
        b"\rA: b\r\n",
        b"\nA: b\r\n",
    ],
)
def test_rfc9112_2_2_bare_cr_and_lf_are_refused(section):
    assert verdict(section) == "bare_cr_or_lf"


@pytest.mark.parametrize("section", [b"", b"A: b", b"A: b\r", b"A: b\r\n", b"\r", b"\n", b"A"])
def test_a_section_without_its_empty_line_is_refused(section):
    assert fields.parse(section)[0] != "none"


def test_rfc9110_5_5_white_space_around_a_value_is_no_part_of_it():
    _, found = fields.parse(b"A: \t b c \t\r\nB:\r\nC:x\r\nD: \t \r\n\r\n")
    assert [(n, v) for n, v, _, _ in found] == [(b"A", b"b c"), (b"B", b""), (b"C", b"x"), (b"D", b"")]


def test_the_number_of_fields_is_bounded():
    assert verdict(b"A: b\r\n" * 1000) == "none"
    assert verdict(b"A: b\r\n" * 1001) == "too_many_fields"
    assert verdict(b"A: b\r\n" * 1000 + b"\r\n") == "bad_field"


@pytest.mark.parametrize(
    "name", [b"X_Forwarded-New", b"X-Forwarded_New", b"x-forwarded-client_cert", b"X_FORWARDED_BY"]
)
def test_rfc3875_4_1_18_all_that_begins_as_a_proxys_field_is_one(name):
    assert fields.identify(name) == DISGUISED
    assert fields.identify(name.replace(b"_", b"-")) == SAYS


@pytest.mark.parametrize(
    ("value", "has"),
    [
        (b"close", True),
        (b"CLOSE", True),
        (b"keep-alive, close", True),
        (b" ,, close\t,", True),
        (b"close,x", True),
        (b"", False),
        (b",", False),
        (b"closed", False),
        (b"x close", False),
        (b"clos", False),
        (b"close;q=1", False),
    ],
)
def test_rfc9110_5_6_1_lists(value, has):
    assert fields.has(value, b"close") is has


def test_rfc9110_7_6_1_fields_that_connection_names_are_marked():
    assert hops(b"Connection: X-A, x-b\r\nx-a: 1\r\nX-A: 2\r\nX-B: 3\r\nX-C: 4\r\n") == {b"x-a", b"X-A", b"X-B"}
    assert hops(b"X-A: 1\r\nConnection: keep-alive\r\nConnection: ,x-a\r\nKeep-Alive: 5\r\n") == {b"X-A", b"Keep-Alive"}
    assert hops(b"Connection: x-\r\nX-A: 1\r\nX: 1\r\n") == set()


def test_rfc9110_7_6_1_host_and_framing_cannot_be_named_away():
    assert hops(b"Connection: host, content-length, transfer-encoding\r\nHost: a\r\nContent-Length: 1\r\n") == set()

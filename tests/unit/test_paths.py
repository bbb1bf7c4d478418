"""Paths in one form: RFC 3986 6.2.2, and what a file name may come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringway.engine.http.paths import decode, is_normal, normalise, place

# Pieces that meet every rule, so that hypothesis finds their combinations soon.
PIECES = [b"/", b".", b"..", b"%2e", b"%2E", b"%2F", b"%2f", b"%41", b"%c3%a9", b"%25", b"%", b"%4", b"%00", b"a", b"~"]
paths = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda parts: b"/" + b"".join(parts)) | st.binary().map(
    lambda rest: b"/" + rest
)


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"", b""),
        (b"/", b"/"),
        (b"/a/../b", b"/b"),
        (b"/a/./b", b"/a/b"),
        (b"/a/..", b"/"),
        (b"/a/.", b"/a/"),
        (b"/a/b/..", b"/a/"),
        (b"/a/b/../", b"/a/"),
        (b"/a/b/c/./../../g", b"/a/g"),  # the example of RFC 3986 5.2.4
        (b"/./a", b"/a"),
        (b"/.", b"/"),
        (b"/...", b"/..."),
        (b"/a..", b"/a.."),
        (b"/..a", b"/..a"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/a//b", b"/a//b"),
        (b"/a//../b", b"/a/b"),
        (b"//..", b"/"),
        (b"//", b"//"),
    ],
)
def test_dot_segments_are_removed_rfc3986_5_2_4(path: bytes, normal: bytes) -> None:
    assert normalise(path) == normal


@pytest.mark.parametrize("path", [b"/..", b"/../", b"/../a", b"/a/../..", b"//../..", b"/%2e%2e", b"/a/%2E%2e/.%2e/b"])
def test_a_path_does_not_leave_the_root(path: bytes) -> None:
    assert normalise(path) is None


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/%41%7a%30%2D%5f%7E", b"/Az0-_~"),
        (b"/a/%2e%2E/b", b"/b"),
        (b"/a/%2e/b", b"/a/b"),
        (b"/a/.%2e/b", b"/b"),
    ],
)
def test_escaped_unreserved_characters_are_decoded_rfc3986_6_2_2_2(path: bytes, normal: bytes) -> None:
    assert normalise(path) == normal


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/%c3%a9", b"/%C3%A9"),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/%2541", b"/%2541"),
        (b"/%3f%23%5b", b"/%3F%23%5B"),
        (b"/a/..%2f..", b"/a/..%2F.."),
        (b"/%7f%20", b"/%7F%20"),
    ],
)
def test_other_escapes_stay_in_upper_case_rfc3986_6_2_2_1(path: bytes, normal: bytes) -> None:
    assert normalise(path) == normal


@pytest.mark.parametrize("path", [b"/%", b"/%4", b"/%4g", b"/%g4", b"/a%", b"/%%41", b"/%-1", b"/% 1", b"/%:0"])
def test_a_percent_sign_needs_two_hex_digits_rfc3986_2_1(path: bytes) -> None:
    assert normalise(path) is None
    assert decode(path) is None


@pytest.mark.parametrize("path", [b"/\0", b"/a%00", b"/a\0/../b", b"/a%00/../b"])
def test_nul_is_refused_even_where_it_would_go(path: bytes) -> None:
    assert normalise(path) is None
    assert decode(path) is None


@pytest.mark.parametrize("path", [b"*", b"a/b", b"..", b"%2fa"])
def test_a_path_begins_with_a_slash(path: bytes) -> None:
    assert normalise(path) is None
    assert not is_normal(path)


@given(paths)
def test_normalising_twice_changes_nothing(path: bytes) -> None:
    once = normalise(path)
    if once is not None:
        assert normalise(once) == once
        assert len(once) <= len(path)


def reference(path: bytes) -> bytes | None:
    """The same rules on lists of segments."""
    text = bytearray()
    while path:
        if path[:1] == b"%":
            try:
                octet = bytes.fromhex(path[1:3].decode("ascii")) if path[1:3].isalnum() else b""
            except ValueError:
                return None
            if len(octet) != 1 or octet == b"\0":
                return None
            text += octet if octet.isalnum() or octet in b"-._~" else b"%%%02X" % octet[0]
            path = path[3:]
        else:
            if path[:1] == b"\0":
                return None
            text += path[:1]
            path = path[1:]
    done: list[bytes] = []
    *segments, last = bytes(text).split(b"/")[1:]
    for segment in [*segments, last]:
        if segment == b"..":
            if not done:
                return None
            done.pop()
        elif segment != b".":
            done.append(segment)
    if last in (b".", b".."):
        done.append(b"")
    return b"/" + b"/".join(done)


@given(paths)
def test_normalising_agrees_with_a_simple_implementation(path: bytes) -> None:
    assert normalise(path) == reference(path)


@given(paths)
def test_what_is_called_normal_is_normal(path: bytes) -> None:
    if is_normal(path):
        assert normalise(path) == path


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (b"/a/b.html", True),
        (b"", True),
        (b"/", True),
        (b"/a.b/c..d", True),
        (b"/%41", False),
        (b"/a/.", False),
        (b"/..", False),
        (b"/a\0", False),
        (b"/" + b"a" * 300 + b"%", False),
        (b"/" + b"a" * 300 + b"/.", False),
    ],
)
def test_the_quick_look(path: bytes, answer: bool) -> None:
    assert is_normal(path) is answer


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"", b""),
        (b"/a%20b", b"/a b"),
        (b"/%C3%A9", b"/\xc3\xa9"),
        (b"/%2541", b"/%41"),
        (b"/a//b", b"/a//b"),
        (b"/%25", b"/%"),
        (b"/a..b/...", b"/a..b/..."),
    ],
)
def test_a_file_name_has_every_escape_decoded(path: bytes, name: bytes) -> None:
    assert decode(path) == name


@pytest.mark.parametrize("path", [b"/a%2Fb", b"/a/..%2F..%2Fb", b"/%2e%2e/x", b"/../x", b"/a/..", b"/.%2E"])
def test_a_file_name_never_climbs(path: bytes) -> None:
    assert decode(path) is None


@given(paths)
def test_a_file_name_from_a_normal_path_stays_below_the_root(path: bytes) -> None:
    normal = normalise(path)
    name = normal is not None and decode(normal)
    if name:
        assert b"\0" not in name
        assert b".." not in name.split(b"/")
        assert name.count(b"/") == normal.count(b"/")


# What is forwarded: the path as it was sent, behind the prefix that its normal form matched


@pytest.mark.parametrize(
    ("sent", "prefix", "rest"),
    [
        (b"/a/%7Eb", b"/a", b"/%7Eb"),
        (b"/%61/%7Eb", b"/a", b"/%7Eb"),
        (b"/%61%62", b"/ab", b""),
        (b"/%7Eb", b"", b"/%7Eb"),
        (b"/a/b%2fc", b"/a", b"/b%2fc"),
        (b"/a/..%2f%2e%2e%2f", b"/a", b"/..%2f%2e%2e%2f"),
        (b"/%c3%A9/%zz"[:-4], b"/%C3%A9", b""),
        (b"/.well-known/x", b"/.well-known", b"/x"),
        (b"/a/.b/c%20", b"/a/.b", b"/c%20"),
        (b"/a//%62", b"/a", b"//%62"),
    ],
)
def test_a_place_in_the_normal_form_is_one_in_what_was_sent(sent, prefix, rest) -> None:
    assert normalise(sent).startswith(prefix)
    assert sent[place(sent, len(prefix)) :] == rest


@pytest.mark.parametrize(
    ("sent", "prefix"),
    [
        (b"/a/./b", b"/a"),
        (b"/a/b/.", b"/a"),
        (b"/x/../a/b", b"/a"),
        (b"/a/%2e%2E/b", b""),
        (b"/a/b/..", b"/a"),
        (b"/a%2fb/c", b"/a%2Fb"),
    ],
)
def test_removed_segments_and_slashes_in_the_prefix_ask_for_the_normal_form(sent, prefix) -> None:
    assert normalise(sent).startswith(prefix)
    assert place(sent, len(prefix)) == -1


@given(paths)
def test_what_was_sent_means_what_was_matched(path: bytes) -> None:
    """However the path is cut at a place of its normal form, both parts have the normal form that they should."""
    normal = normalise(path)
    for at in range(len(normal or b"")):
        if normal[at : at + 1] == b"/" and (cut := place(path, at)) >= 0:
            assert normalise(path[cut:]) == normal[at:]
            assert normalise(path[:cut]) == normal[:at]
            assert b"/../" not in path

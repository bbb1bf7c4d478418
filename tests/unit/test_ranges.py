"""Validators, conditions and ranges: one test for a rule, named by its section of RFC 9110."""

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringway.engine.http.ranges import check, etag

MODIFIED = 784_111_777
NOW = 1_750_000_000
FACTS = (1000, MODIFIED, 123_456_789, 77)
TAG = etag(FACTS)
U64 = 2**64 - 1


def date(seconds: int) -> bytes:
    return email.utils.formatdate(seconds, usegmt=True).encode()


def status(method: str = "GET", now: int = NOW, **headers: bytes) -> int:
    return check(FACTS, [(name.replace("_", "-"), value) for name, value in headers.items()], method, now)[0]


def ranges(value: bytes, size: int = 1000, **headers: bytes) -> tuple[int, list[tuple[int, int]]]:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return check((size, *FACTS[1:]), [*named, ("Range", value)], "GET", NOW)


# Validators


def test_the_tag_is_strong_and_made_of_size_and_time_8_8_3() -> None:
    assert TAG == b'"%x-%x"' % (1000, MODIFIED * 10**9 + 123_456_789)
    assert etag((0, 0, 0, 0)) == b'"0-0"'
    assert len(etag((U64, -1, 0, U64))) <= 40
    assert etag((*FACTS[:3], 78)) == TAG  # the same file on another machine has another inode


@pytest.mark.parametrize("i", range(3))
def test_a_changed_file_has_another_tag_8_8_1(i: int) -> None:
    assert etag(tuple(fact + (i == k) for k, fact in enumerate(FACTS))) != TAG


# If-Match, RFC 9110 13.1.1


@pytest.mark.parametrize("value", [b"*", TAG, b'"x", ' + TAG, TAG + b',"x"', b', ,\t"a,b" ,W/"y", ' + TAG + b" ,"])
def test_if_match_holds_13_1_1(value: bytes) -> None:
    assert status(if_match=value) == 200


@pytest.mark.parametrize("value", [b'"x"', b"", b"W/" + TAG, TAG[1:-1], b"*, " + TAG, b"**", TAG[:-1], b'""'])
def test_if_match_fails_13_1_1(value: bytes) -> None:
    assert status(if_match=value) == 412
    assert status("HEAD", if_match=value) == 412
    assert status("POST", if_match=value) == 412


def test_if_match_compares_strongly_8_8_3_2() -> None:
    assert status(if_match=b"W/" + TAG) == 412
    assert status(if_match=b"W/" + TAG + b", " + TAG) == 200


@pytest.mark.parametrize(
    "value", [TAG + b'"x"', TAG + b' "x"', TAG + b", x", b"x, " + TAG, TAG + b', "x', b'"a b",' + TAG]
)
def test_a_list_that_is_not_one_holds_nothing_8_8_3(value: bytes) -> None:
    assert status(if_match=value) == 412
    assert status(if_none_match=value) == 200


def test_tags_may_hold_commas_and_high_octets_8_8_3() -> None:
    assert status(if_match=b'"a,b\xff!#~", ' + TAG) == 200
    assert status(if_match=b'"a\x7f", ' + TAG) == 412
    assert status(if_match=b'"a\x01", ' + TAG) == 412
    assert status(if_match=b'"a\0", ' + TAG) == 412


# If-None-Match, RFC 9110 13.1.2


@pytest.mark.parametrize("value", [b"*", TAG, b"W/" + TAG, b'"x", W/' + TAG, TAG + b', "x"', b'W/"x",,' + TAG])
def test_if_none_match_compares_weakly_13_1_2(value: bytes) -> None:
    assert status(if_none_match=value) == 304
    assert status("HEAD", if_none_match=value) == 304
    assert status("PUT", if_none_match=value) == 412


@pytest.mark.parametrize("value", [b'"x"', b"", b"w/" + TAG, b"W/ " + TAG, b"W/", b"W", TAG[1:-1], TAG[:-2] + b'"'])
def test_if_none_match_holds_where_nothing_matches_13_1_2(value: bytes) -> None:
    assert status(if_none_match=value) == 200


# Repeated lines, RFC 9110 5.3


def lines(name: str, *values: bytes, **more: bytes) -> int:
    pairs = [(name, value) for value in values] + [(key.replace("_", "-"), value) for key, value in more.items()]
    return check(FACTS, pairs, "GET", NOW)[0]


@pytest.mark.parametrize("other", [b'"zz"', b"", b"no list", b'"a", "b"'])
def test_lines_of_a_list_are_one_list_5_3(other: bytes) -> None:
    for matching in (TAG, b"*", b'"x", ' + TAG):
        for values in ((matching, other), (other, matching), (other, matching, other)):
            assert lines("If-Match", *values) == 200
            assert lines("If-None-Match", *values) == 304
    assert lines("If-Match", other, other) == 412
    assert lines("If-None-Match", other, other) == 200


def test_what_is_no_list_and_stands_twice_is_none_5_3() -> None:
    assert lines("If-Modified-Since", date(MODIFIED), date(MODIFIED)) == 200
    assert lines("If-Unmodified-Since", date(MODIFIED - 1), date(MODIFIED - 1)) == 200
    assert lines("Range", b"bytes=0-1", b"bytes=2-3") == 200
    assert lines("Range", b"bytes=5000-", b"bytes=5000-", b"bytes=5000-") == 200
    # 13.1.5: a part of another version would be worse than the whole.
    assert lines("If-Range", TAG, TAG, range=b"bytes=0-0") == 200


# If-Modified-Since, RFC 9110 13.1.3


def test_if_modified_since_13_1_3() -> None:
    assert status(if_modified_since=date(MODIFIED - 1)) == 200
    assert status(if_modified_since=date(MODIFIED)) == 304
    assert status(if_modified_since=date(MODIFIED + 1)) == 304
    assert status(if_modified_since=b"Sunday, 06-Nov-94 08:49:37 GMT") == 304
    assert status("HEAD", if_modified_since=date(MODIFIED)) == 304


def test_if_modified_since_is_ignored_with_if_none_match_13_1_3() -> None:
    assert status(if_none_match=b'"x"', if_modified_since=date(MODIFIED)) == 200


def test_if_modified_since_is_ignored_when_it_is_no_date_13_1_3() -> None:
    assert status(if_modified_since=b"yesterday") == 200
    assert status(if_modified_since=b"") == 200


def test_if_modified_since_is_for_get_and_head_13_1_3() -> None:
    assert status("POST", if_modified_since=date(MODIFIED)) == 200


# If-Unmodified-Since, RFC 9110 13.1.4


def test_if_unmodified_since_13_1_4() -> None:
    assert status(if_unmodified_since=date(MODIFIED - 1)) == 412
    assert status(if_unmodified_since=date(MODIFIED)) == 200
    assert status(if_unmodified_since=date(MODIFIED + 1)) == 200
    assert status("POST", if_unmodified_since=date(MODIFIED - 1)) == 412
    assert status(if_unmodified_since=b"Wed, 01 Jan 1930 00:00:00 GMT") == 412  # before 1970 is a date, too


def test_if_unmodified_since_is_ignored_with_if_match_13_1_4() -> None:
    assert status(if_match=TAG, if_unmodified_since=date(MODIFIED - 1)) == 200


def test_if_unmodified_since_is_ignored_when_it_is_no_date_13_1_4() -> None:
    assert status(if_unmodified_since=b"0") == 200


# If-Range, RFC 9110 13.1.5


def test_if_range_with_a_tag_compares_strongly_13_1_5() -> None:
    assert status(range=b"bytes=0-0", if_range=TAG) == 206
    for value in (b"W/" + TAG, b'"x"', b"*", TAG + b"," + TAG, b"", b"W/", b"W", TAG[1:-1]):
        assert status(range=b"bytes=0-0", if_range=value) == 200


def test_if_range_with_a_date_is_an_exact_match_13_1_5() -> None:
    assert status(range=b"bytes=0-0", if_range=date(MODIFIED)) == 206
    assert status(range=b"bytes=0-0", if_range=date(MODIFIED + 1)) == 200
    assert status(range=b"bytes=0-0", if_range=date(MODIFIED - 1)) == 200
    assert status(range=b"bytes=0-0", if_range=b"Sun Nov  6 08:49:37 1994") == 206


def test_a_date_is_strong_only_when_its_second_is_over_8_8_2_2() -> None:
    assert status(now=MODIFIED, range=b"bytes=0-0", if_range=date(MODIFIED)) == 200
    assert status(now=MODIFIED + 1, range=b"bytes=0-0", if_range=date(MODIFIED)) == 206


def test_a_file_of_the_last_second_of_1969_does_not_match_what_is_no_date_13_1_5() -> None:
    assert check((9, -1, 0, 1), [("Range", b"bytes=0-0"), ("If-Range", b"x")], "GET", NOW)[0] == 200


def test_if_range_is_ignored_without_range_13_1_5() -> None:
    assert status(if_range=b'"x"') == 200


def test_a_range_that_is_not_wanted_is_not_judged_13_1_5() -> None:
    assert status(range=b"bytes=5000-", if_range=b'"x"') == 200
    assert status(range=b"bytes=5000-", if_range=TAG) == 416


# The order, RFC 9110 13.2.2


def test_the_order_of_conditions_13_2_2() -> None:
    every = {
        "if_match": b'"x"',
        "if_none_match": TAG,
        "if_unmodified_since": date(MODIFIED - 1),
        "if_modified_since": date(MODIFIED),
        "range": b"bytes=5000-",
    }
    assert status(**every) == 412
    assert status(**every | {"if_match": TAG}) == 304
    del every["if_match"]
    assert status(**every) == 412
    del every["if_unmodified_since"]
    assert status(**every) == 304
    del every["if_none_match"]
    assert status(**every) == 304
    del every["if_modified_since"]
    assert status(**every) == 416
    assert status() == 200


# Ranges, RFC 9110 14.1.2 and 14.2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes=0-499", [(0, 500)]),
        (b"bytes=500-999", [(500, 500)]),
        (b"bytes=-500", [(500, 500)]),
        (b"bytes=9500-", None),
        (b"bytes=500-", [(500, 500)]),
        (b"bytes=0-0,-1", [(0, 1), (999, 1)]),
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=999-", [(999, 1)]),
        (b"bytes=0-", [(0, 1000)]),
        (b"bytes=-1", [(999, 1)]),
        (b"bytes=-1000", [(0, 1000)]),
        (b"bytes=-1001", [(0, 1000)]),  # longer than the file: all of it
        (b"bytes=990-5000", [(990, 10)]),  # behind its end: to the end
        (b"bytes=000-0001", [(0, 2)]),
        (b"bytes=500-600,601-999", [(500, 101), (601, 399)]),
        (b"bytes=500-700,601-899", [(500, 201), (601, 299)]),  # overlapping, but cheaper than the whole
        (b"bytes=1000-", None),
        (b"bytes=5-9,1000-", [(5, 5)]),
        (b"bytes=1000-1001,2000-", None),
    ],
)
def test_ranges_14_1_2(value: bytes, expected: list[tuple[int, int]] | None) -> None:
    assert ranges(value) == ((416, []) if expected is None else (206, expected))


def test_an_empty_suffix_cannot_be_satisfied_14_1_2() -> None:
    assert ranges(b"bytes=-0") == (416, [])
    assert ranges(b"bytes=-0,0-1") == (206, [(0, 2)])


@pytest.mark.parametrize("value", [b"0-1, 5-6", b"0-1\t,\t5-6", b",0-1,,5-6,", b" , 0-1 ,, 5-6 , "])
def test_white_space_and_empty_members_5_6_1_2(value: bytes) -> None:
    assert ranges(b"bytes=" + value) == (206, [(0, 2), (5, 2)])


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=,",
        b"bytes= ",
        b"bytes=-",
        b"bytes=x",
        b"bytes=1",
        b"bytes=1-x",
        b"bytes=x-1",
        b"bytes=0 - 1",
        b"bytes=0- 1",
        b"bytes=--1",
        b"bytes=0--1",
        b"bytes=0-1-2",
        b"bytes=0-1 5-6",
        b"bytes=0-1;5-6",
        b"bytes=0-1,x",
        b"bytes=+0-1",
        b"bytes=0x0-1",
        b"bytes =0-1",
        b"bytes:0-1",
        b"0-1",
        b" bytes=0-1",
    ],
)
def test_what_is_no_range_is_ignored_14_1_1(value: bytes) -> None:
    assert ranges(value) == (200, [])


def test_a_range_that_ends_before_it_begins_is_not_valid_14_1_1() -> None:
    assert ranges(b"bytes=5-4") == (200, [])
    assert ranges(b"bytes=0-1,5-4") == (200, [])
    assert ranges(b"bytes=5000-4999") == (200, [])


def test_other_units_are_ignored_and_units_have_no_case_14_1() -> None:
    assert ranges(b"lines=0-1") == (200, [])
    assert ranges(b"BYTES=0-1") == (206, [(0, 2)])


def test_ranges_are_for_get_alone_14_2() -> None:
    assert status("HEAD", range=b"bytes=0-1") == 200
    assert status("POST", range=b"bytes=0-1") == 200
    assert status("HEAD", range=b"bytes=5000-") == 200


def test_an_empty_file_has_no_ranges_14_2() -> None:
    for value in (b"bytes=0-", b"bytes=-1", b"bytes=5-"):
        assert ranges(value, size=0) == (200, [])


def test_too_many_ranges_are_ignored_14_2() -> None:
    some = [b"%d-%d" % (i, i) for i in range(17)]
    assert ranges(b"bytes=" + b",".join(some[:16])) == (206, [(i, 1) for i in range(16)])
    assert ranges(b"bytes=" + b",".join(some)) == (200, [])
    assert ranges(b"bytes=" + b"5000-," * 16) == (416, [])
    assert ranges(b"bytes=" + b"5000-," * 17) == (200, [])


def test_ranges_that_cost_more_than_the_file_are_ignored_14_2() -> None:
    assert ranges(b"bytes=0-999,0-0") == (200, [])
    assert ranges(b"bytes=0-,0-") == (200, [])
    assert ranges(b"bytes=0-,0-", size=U64) == (200, [])
    assert ranges(b"bytes=0-499,500-999") == (206, [(0, 500), (500, 500)])


@pytest.mark.parametrize("huge", [b"18446744073709551615", b"18446744073709551616", b"9" * 500])
def test_numbers_do_not_overflow_14_1_2(huge: bytes) -> None:
    assert ranges(b"bytes=" + huge + b"-") == (416, [])
    assert ranges(b"bytes=1-" + huge) == (206, [(1, 999)])
    assert ranges(b"bytes=-" + huge) == (206, [(0, 1000)])
    assert ranges(b"bytes=" + huge + b"-" + huge) == (416, [])
    assert ranges(b"bytes=0-" + huge, size=U64) == (206, [(0, U64)])
    assert ranges(b"bytes=18446744073709551614-" + huge, size=U64) == (206, [(U64 - 1, 1)])


def reference(specs: list[tuple[int | None, int | None]], size: int) -> tuple[int, list[tuple[int, int]]]:
    found = []
    for first, last in specs:
        if first is None:
            here = range(max(0, size - last), size)
        elif last is not None and last < first:
            return 200, []
        else:
            here = range(first, size if last is None else min(size, last + 1))
        if here:
            found.append((here.start, len(here)))
    if size == 0 or len(specs) > 16 or sum(length for _, length in found) > size:
        return 200, []
    return (206, found) if found else (416, [])


number = st.integers(min_value=0, max_value=30) | st.integers(min_value=0, max_value=2**63 - 2)
spec = st.tuples(number, st.none() | number) | st.tuples(st.none(), number)


@given(st.lists(spec, min_size=1, max_size=18), number)
def test_ranges_agree_with_a_simple_implementation(specs: list, size: int) -> None:
    text = ",".join(f"{'' if first is None else first}-{'' if last is None else last}" for first, last in specs)
    assert ranges(b"bytes=" + text.encode(), size=size) == reference(specs, size)


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(min_value=0, max_value=U64))
def test_no_bytes_are_too_strange(value: bytes, tags: bytes, size: int) -> None:
    for status, found in (ranges(b"bytes=" + value, size=size), ranges(value, size=size, if_none_match=tags)):
        assert status in (200, 206, 304, 416)
        assert (status == 206) == bool(found)
        assert all(length > 0 and first + length <= size for first, length in found)
    assert status_of_tags(tags) in (200, 412)


def status_of_tags(tags: bytes) -> int:
    return status(if_match=tags)

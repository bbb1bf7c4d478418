"""HTTP dates, against the standard library's own reading and writing."""

import calendar
import email.utils
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringway.engine.base.dates import parse, write

NOW = 1_750_000_000  # June 2025
EXAMPLE = 784_111_777  # the date of all examples of RFC 9110 5.6.7
LAST_SECOND_OF_1969 = -1
any_second = st.integers(min_value=-62_135_596_800, max_value=253_402_300_799)  # years 1 to 9999, as datetime has them


def test_the_three_forms_of_rfc9110_5_6_7() -> None:
    assert parse(b"Sun, 06 Nov 1994 08:49:37 GMT", NOW) == EXAMPLE
    assert parse(b"Sunday, 06-Nov-94 08:49:37 GMT", NOW) == EXAMPLE
    assert parse(b"Sun Nov  6 08:49:37 1994", NOW) == EXAMPLE


@given(st.integers(min_value=0, max_value=253_402_300_799))
def test_writing_agrees_with_the_standard_library(second: int) -> None:
    assert write(second) == email.utils.formatdate(second, usegmt=True).encode()


@given(any_second)
def test_what_is_written_can_be_read_rfc9110_5_6_7(second: int) -> None:
    expected = second if second != LAST_SECOND_OF_1969 else -2
    assert parse(write(second), NOW) == expected


@given(any_second)
def test_asctime_agrees_with_the_standard_library(second: int) -> None:
    moment = datetime.fromtimestamp(second, UTC)
    text = f"{moment:%a %b} {moment.day:2d} {moment:%H:%M:%S} {moment.year:04d}".encode()
    assert parse(text, NOW) == (second if second != LAST_SECOND_OF_1969 else -2)


@given(st.integers(min_value=0, max_value=calendar.timegm((2068, 12, 31, 23, 59, 59))))
def test_two_digit_years_agree_with_the_standard_library_where_it_has_the_same_century(second: int) -> None:
    moment = datetime.fromtimestamp(second, UTC)
    text = f"{moment:%A, %d-%b-%y %H:%M:%S} GMT"
    if moment.year >= 1976:  # before, the most recent year with these digits is another one
        assert email.utils.parsedate_to_datetime(text) == moment
        assert parse(text.encode(), NOW) == second


def test_a_two_digit_year_more_than_fifty_years_ahead_is_past_rfc9110_5_6_7() -> None:
    now = calendar.timegm((2025, 6, 15, 12, 0, 0))
    ahead = calendar.timegm((2075, 6, 15, 12, 0, 0))
    assert parse(b"Saturday, 15-Jun-75 12:00:00 GMT", now) == ahead
    assert parse(b"Saturday, 15-Jun-75 12:00:01 GMT", now) == calendar.timegm((1975, 6, 15, 12, 0, 1))
    assert parse(b"Friday, 01-Jan-10 00:00:00 GMT", calendar.timegm((1999, 1, 1, 0, 0, 0))) == 1262304000


@given(st.integers(min_value=0, max_value=5_000_000_000), st.integers(min_value=0, max_value=99))
def test_a_two_digit_year_is_the_latest_that_is_not_too_far_ahead(now: int, digits: int) -> None:
    year = datetime.fromtimestamp(parse(f"Monday, 10-Mar-{digits:02} 00:00:00 GMT".encode(), now), UTC).year
    assert year % 100 == digits
    horizon = datetime.fromtimestamp(now, UTC).replace(day=1).year + 50
    assert horizon - 101 <= year <= horizon


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"Sun, 06 Nov 1994 08:49:37 UTC",  # GMT is the only zone
        b"Sun, 06 Nov 1994 08:49:37 gmt",  # case-sensitive
        b"sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 nov 1994 08:49:37 GMT",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT ",
        b" Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun; 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06-Nov-1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08.49.37 GMT",
        b"Sun, 06 Nov 19x4 08:49:37 GMT",
        b"Sun, 06 Nov -994 08:49:37 GMT",
        b"Sun, 00 Nov 1994 08:49:37 GMT",
        b"Sun, 31 Nov 1994 08:49:37 GMT",
        b"Wed, 29 Feb 2023 08:49:37 GMT",
        b"Thu, 29 Feb 1900 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 1994 08:60:00 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b"Xxx, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Xxx 1994 08:49:37 GMT",
        b"Sunday, 06 Nov 94 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 UTC",
        b"Sunday, 31-Feb-94 08:49:37 GMT",
        b"Sundays, 06-Nov-94 08:49:37 GMT",
        b"Someday, 06-Nov-94 08:49:37 GMT",
        b"Sunday, 06-Nov-9x 08:49:37 GMT",
        b"Sunday, 06-Nov-1994 08:49:37 GMT",
        b"Sun Nov 6  08:49:37 1994",
        b"Sun Nov  0 08:49:37 1994",
        b"Sun Nov 06 08:49:37 94  ",
        b"Sun-Nov  6 08:49:37 1994",
    ],
)
def test_strict_rfc9110_5_6_7(text: bytes) -> None:
    assert parse(text, NOW) is None


def test_leap_days_and_leap_seconds() -> None:
    assert parse(b"Tue, 29 Feb 2000 00:00:00 GMT", NOW) == 951_782_400
    assert parse(b"Tue, 29 Feb 2400 00:00:00 GMT", NOW) == calendar.timegm((2400, 2, 29, 0, 0, 0))
    assert parse(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW) == 1_483_228_800
    # 2028-02-29 has no day of that name fifty years before: it must still be read
    assert parse(b"Tuesday, 29-Feb-28 00:00:00 GMT", NOW) == calendar.timegm((2028, 2, 29, 0, 0, 0))


@pytest.mark.parametrize("name", ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"])
def test_every_day_name_is_known_but_need_not_be_right(name: str) -> None:
    assert parse(f"{name}, 06-Nov-94 08:49:37 GMT".encode(), NOW) == EXAMPLE
    assert parse(f"{name[:3]}, 06 Nov 1994 08:49:37 GMT".encode(), NOW) == EXAMPLE


def test_years_without_four_digits_become_the_nearest_that_have() -> None:
    assert write(2**62) == b"Fri, 31 Dec 9999 23:59:59 GMT"
    assert write(-(2**62)) == b"Sat, 01 Jan 0000 00:00:00 GMT"
    assert write(-1) == b"Wed, 31 Dec 1969 23:59:59 GMT"


@given(st.binary(max_size=40), st.integers(min_value=-(2**62), max_value=2**62))
def test_no_bytes_are_too_strange(text: bytes, now: int) -> None:
    parse(text, now)

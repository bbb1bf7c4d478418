"""HTTP dates, RFC 9110 5.6.7, in integer arithmetic on the Gregorian calendar: an era is 400 years."""

import cython
from cython import cast
from cython.cimports.libc.stdint import int64_t, uint32_t
from cython.cimports.libc.string import memcmp, memcpy

# The calendar, after Howard Hinnant's days_from_civil: years begin in March, so the leap day is the last day.


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def days_of(year: int64_t, month: int64_t, day: int64_t) -> int64_t:
    """Days since 1970-01-01; month and day from 1, years from -400."""
    month_from_march: int64_t = month - 3 if month > 2 else month + 9
    era: int64_t
    year_of_era: int64_t
    if month <= 2:
        year -= 1
    era = (year + 400) // 400 - 1  # C division rounds towards zero: keep the dividend positive
    year_of_era = year - era * 400
    day += (153 * month_from_march + 2) // 5 - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day - 719468


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def month_days(year: int64_t, month: int64_t) -> int64_t:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


# Writing


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def two_put(out: cython.p_char, value: int64_t) -> cython.void:
    out[0] = cast(cython.char, ord("0") + value // 10)
    out[1] = cast(cython.char, ord("0") + value % 10)


def date_write(out, seconds):
    # RFC 9110 5.6.7: IMF-fixdate. A year that does not have four digits (from a damaged inode) becomes the nearest
    # one that does.
    weekdays: cython.p_const_char = b"ThuFriSatSunMonTueWed"  # 1970-01-01 was a Thursday
    months: cython.p_const_char = b"MarAprMayJunJulAugSepOctNovDecJanFeb"
    days: int64_t = seconds // 86400
    second: int64_t = seconds % 86400
    era: int64_t
    day: int64_t
    year: int64_t
    month: int64_t
    if second < 0:  # C rounds towards zero
        second += 86400
        days -= 1
    if days < DAYS_OF_YEAR_0:
        days = DAYS_OF_YEAR_0
        second = 0
    elif days >= DAYS_OF_YEAR_10000:
        days = DAYS_OF_YEAR_10000 - 1
        second = 86399
    memcpy(out, weekdays + 3 * ((days + 7000000) % 7), 3)
    day = days + 719468 + 146097  # from March 1st of the year -400
    era = day // 146097
    day -= era * 146097
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153  # from March
    day -= (153 * month + 2) // 5 - 1
    year += (era - 1) * 400 + (1 if month >= 10 else 0)
    memcpy(out + 3, b", ", 2)
    two_put(out + 5, day)
    out[7] = b" "
    memcpy(out + 8, months + 3 * month, 3)
    out[11] = b" "
    two_put(out + 12, year // 100)
    two_put(out + 14, year % 100)
    out[16] = b" "
    two_put(out + 17, second // 3600)
    out[19] = b":"
    two_put(out + 20, second // 60 % 60)
    out[22] = b":"
    two_put(out + 23, second % 60)
    memcpy(out + 25, b" GMT", 4)


# Reading


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def two(text: cython.p_const_char) -> cython.int:
    """2DIGIT; -1: not digits."""
    if b"0" <= text[0] <= b"9" and b"0" <= text[1] <= b"9":
        return (text[0] - ord("0")) * 10 + text[1] - ord("0")
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def name_index(names: cython.p_const_char, count: cython.int, text: cython.p_const_char) -> cython.int:
    """Index among `count` three-letter names; -1: none. RFC 9110 5.6.7: HTTP-date is case-sensitive."""
    i: cython.int
    for i in range(count):
        if memcmp(names + 3 * i, text, 3) == 0:
            return i
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def month_of(text: cython.p_const_char) -> cython.int:
    """1 to 12; 0: not a month."""
    return name_index(b"JanFebMarAprMayJunJulAugSepOctNovDec", 12, text) + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def four(text: cython.p_const_char) -> cython.int:
    """4DIGIT; -1: not digits."""
    high: cython.int = two(text)
    low: cython.int = two(text + 2)
    return -1 if high < 0 or low < 0 else high * 100 + low


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def time_of_day(text: cython.p_const_char) -> cython.int:
    """Seconds of "08:49:37"; -1: not a time. RFC 9110 5.6.7: second 60 is the leap second."""
    hour: cython.int = two(text)
    minute: cython.int = two(text + 3)
    second: cython.int = two(text + 6)
    if text[2] != b":" or text[5] != b":":
        return -1
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 60):
        return -1
    return hour * 3600 + minute * 60 + second


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def weekday_length(text: cython.p_const_char) -> uint32_t:
    """Length of the long day name that an RFC 850 date begins with; 0: none."""
    day: cython.int = name_index(b"MonTueWedThuFriSatSun", 7, text)
    if (day == 0 and memcmp(text, b"Monday", 6) == 0) or (day == 4 and memcmp(text, b"Friday", 6) == 0):
        return 6
    if day == 6 and memcmp(text, b"Sunday", 6) == 0:
        return 6
    if day == 1 and memcmp(text, b"Tuesday", 7) == 0:
        return 7
    if (day == 5 and memcmp(text, b"Saturday", 8) == 0) or (day == 3 and memcmp(text, b"Thursday", 8) == 0):
        return 8
    return 9 if day == 2 and memcmp(text, b"Wednesday", 9) == 0 else 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def seconds_of(year: cython.int, month: cython.int, day: cython.int, second: cython.int) -> int64_t:
    """Seconds since 1970; -1: no such day, or a part is invalid."""
    seconds: int64_t
    if year < 0 or month < 1 or second < 0 or not (1 <= day <= month_days(year, month)):
        return -1
    seconds = days_of(year, month, day) * 86400 + second
    return seconds if seconds != -1 else -2  # -1 means "not a date": return the second before instead


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def rfc850_parse(text: cython.p_const_char, length: uint32_t, now: int64_t) -> int64_t:
    """ "Sunday, 06-Nov-94 08:49:37 GMT", obsolete."""
    name: uint32_t = weekday_length(text)
    year: cython.int
    month: cython.int
    day: cython.int
    second: cython.int
    if name == 0 or length != name + 24 or memcmp(text + name, b", ", 2) != 0:
        return -1
    text += name + 2
    if text[2] != b"-" or text[6] != b"-" or text[9] != b" " or memcmp(text + 18, b" GMT", 4) != 0:
        return -1
    day = two(text)
    month = month_of(text + 3)
    year = two(text + 7)
    second = time_of_day(text + 10)
    if year < 0 or month < 1 or second < 0 or not (1 <= day <= 31):
        return -1
    # RFC 9110 5.6.7: a date that appears to be more than 50 years in the future means the most recent year in the
    # past with the same last two digits. So the date minus 50 years must not be in the future.
    year += (cast(cython.int, now // 31556952 + 1970) // 100 + 1) * 100  # begin in the next century, then go down
    while year >= 100 and days_of(year - 50, month, day) * 86400 + second > now:
        year -= 100
    return seconds_of(year, month, day, second)


def date_parse(text, length, now):
    # Any weekday is accepted, even the wrong one. The weekday adds nothing, and ignoring a condition because of it
    # could let a request through that the condition should stop.
    if length == DATE_BYTES:  # "Sun, 06 Nov 1994 08:49:37 GMT"
        if name_index(b"MonTueWedThuFriSatSun", 7, text) < 0 or memcmp(text + 3, b", ", 2) != 0:
            return -1
        if text[7] != b" " or text[11] != b" " or text[16] != b" " or memcmp(text + 25, b" GMT", 4) != 0:
            return -1
        return seconds_of(four(text + 12), month_of(text + 8), two(text + 5), time_of_day(text + 17))
    if length == ASCTIME_BYTES:  # "Sun Nov  6 08:49:37 1994", obsolete
        if name_index(b"MonTueWedThuFriSatSun", 7, text) < 0:
            return -1
        if text[3] != b" " or text[7] != b" " or text[10] != b" " or text[19] != b" ":
            return -1
        return seconds_of(four(text + 20), month_of(text + 4), asctime_day(text + 8), time_of_day(text + 11))
    if RFC850_BYTES_MIN <= length <= RFC850_BYTES_MAX:
        return rfc850_parse(text, length, now)
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def asctime_day(text: cython.p_const_char) -> cython.int:
    """date3 = 2DIGIT / ( SP 1DIGIT )"""
    if text[0] == b" " and b"0" <= text[1] <= b"9":
        return text[1] - ord("0")
    return two(text)


# For tests and tools


def write(seconds: int64_t) -> bytes:
    out: cython.char[DATE_BYTES]
    date_write(out, seconds)
    return out[:DATE_BYTES]


def parse(text: bytes, now: int64_t) -> "int | None":
    """Seconds since 1970; None: not a date."""
    seconds: int64_t = date_parse(text, len(text), now)
    return None if seconds == -1 else seconds

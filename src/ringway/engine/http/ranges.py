"""Validators, conditions and ranges of a file, evaluated in the order of RFC 9110."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http.fields import *


def etag_write(out, facts):
    # RFC 9110 8.8.1: strong. A file that changes gets another time (in nanoseconds) or another size. The tag does not
    # contain the inode: the same file on two machines, or a copy that keeps the time, has the same tag.
    at: cython.p_char = out
    at[0] = b'"'
    at = put_hex(at + 1, facts.size)
    at[0] = b"-"
    at = put_hex(at + 1, cast(uint64_t, facts.modified) * 1000000000 + facts.modified_ns)
    at[0] = b'"'
    return cast(cython.int, at + 1 - out)


# Conditions


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def members_skip(value: Span, i: uint32_t, comma: cython.pointer(cython.bint)) -> uint32_t:
    """The position of the next member of a list. RFC 9110 5.6.1.2: skip empty members and white space.

    Sets `comma` if it passed a comma.
    """
    while i < value.length and (value.at[i] == b"," or value.at[i] == b" " or value.at[i] == HT):
        if value.at[i] == b",":
            comma[0] = True
        i += 1
    return i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def etag_end(value: Span, i: uint32_t) -> uint32_t:
    """The end of the opaque-tag that begins at i; 0: there is none (RFC 9110 8.8.3)."""
    if i >= value.length or value.at[i] != b'"':
        return 0
    i += 1
    while i < value.length:
        if value.at[i] == b'"':
            return i + 1
        if 0 <= value.at[i] <= SP or value.at[i] == 127:
            return 0
        i += 1
    return 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def etag_listed(value: Span, facts: cython.pointer(cython.const[FileFacts]), weak: cython.bint) -> cython.bint:
    """The file's validator is in the list, or the list is "*". A malformed list matches nothing.

    RFC 9110 8.8.3.2: strong comparison never matches a weak tag; weak comparison ignores "W/".
    """
    own: cython.char[ETAG_BYTES_MAX]
    own_length: uint32_t = etag_write(own, facts)
    found: cython.bint = False
    comma: cython.bint = True
    is_weak: cython.bint
    end: uint32_t
    i: uint32_t
    if span_is(value, b"*", 1):
        return True
    i = members_skip(value, 0, address(comma))
    while i < value.length:
        is_weak = value.length - i > 2 and value.at[i] == b"W" and value.at[i + 1] == b"/"
        if is_weak:
            i += 2
        end = etag_end(value, i)
        if end == 0 or not comma:
            return False
        if (weak or not is_weak) and span_is(span(value.at + i, end - i), own, own_length):
            found = True
        comma = False
        i = members_skip(value, end, address(comma))
    return found


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def if_range_holds(value: Span, facts: cython.pointer(cython.const[FileFacts]), now: int64_t) -> cython.bint:
    """RFC 9110 13.1.5: one entity tag, with strong comparison, or exactly the date of the last change."""
    own: cython.char[ETAG_BYTES_MAX]
    date: int64_t
    if value.length > 0 and (value.at[0] == b'"' or (value.at[0] == b"W" and value.length > 1 and value.at[1] == b"/")):
        return span_is(value, own, etag_write(own, facts))
    date = date_parse(value.at, value.length, now)
    # RFC 9110 8.8.2.2: a date is strong only if the file cannot change again in that second: it must be over.
    return date != -1 and date == facts.modified and now > date


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def single(place: cython.pointer(Span), value: Span) -> cython.void:
    """RFC 9110 5.3: a field that is not a list may occur only once. If it is repeated, neither value counts."""
    place[0] = value if place.at == NULL else span(value.at, 0)


def condition_add(asked, facts, id, value):
    # RFC 9110 5.3: all lines of a list field are one list, and the tag may be in any of them.
    if id == FIELD_IF_MATCH:
        asked.if_match = True
        asked.if_match_found = asked.if_match_found or etag_listed(value, facts, False)
    elif id == FIELD_IF_NONE_MATCH:
        asked.if_none_match = True
        asked.if_none_match_found = asked.if_none_match_found or etag_listed(value, facts, True)
    elif id == FIELD_IF_MODIFIED_SINCE:
        single(address(asked.if_modified_since), value)
    elif id == FIELD_IF_UNMODIFIED_SINCE:
        single(address(asked.if_unmodified_since), value)
    elif id == FIELD_IF_RANGE:
        single(address(asked.if_range), value)
    elif id == FIELD_RANGE:
        single(address(asked.range), value)


def conditions_check(asked, facts, is_get_or_head, is_get, now, ranges, count):
    # RFC 9110 13.2.2, step by step.
    date: int64_t
    count[0] = 0
    if asked.if_match:  # 1
        if not asked.if_match_found:
            return 412
    elif asked.if_unmodified_since.at != NULL:  # 2
        date = date_parse(asked.if_unmodified_since.at, asked.if_unmodified_since.length, now)
        if date != -1 and facts.modified > date:
            return 412
    if asked.if_none_match:  # 3
        if asked.if_none_match_found:
            return 304 if is_get_or_head else 412
    elif is_get_or_head and asked.if_modified_since.at != NULL:  # 4
        date = date_parse(asked.if_modified_since.at, asked.if_modified_since.length, now)
        if date != -1 and facts.modified <= date:
            return 304
    # 5; RFC 9110 14.2: ranges are defined only for GET
    if is_get and asked.range.at != NULL and (asked.if_range.at == NULL or if_range_holds(asked.if_range, facts, now)):
        return range_parse(asked.range, facts.size, ranges, count)
    return 200


# Ranges


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def number_read(value: Span, i: uint32_t, number: cython.pointer(uint64_t)) -> uint32_t:
    """Read 1*DIGIT at i and return the position after it. A number over 64 bits becomes the largest 64-bit number."""
    most: uint64_t = cast(uint64_t, -1)
    digit: uint64_t
    number[0] = 0
    while i < value.length and b"0" <= value.at[i] <= b"9":
        digit = value.at[i] - ord("0")
        number[0] = most if number[0] > (most - digit) // 10 else number[0] * 10 + digit
        i += 1
    return i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def range_read(value: Span, i: uint32_t, size: uint64_t, found: cython.pointer(ByteRange)) -> uint32_t:
    """Read one range-spec at i (RFC 9110 14.1.2) and return the position after it; 0: invalid. found.length 0: not
    satisfiable."""
    first: uint64_t
    last: uint64_t
    dash: uint32_t = number_read(value, i, address(first))
    end: uint32_t
    if dash >= value.length or value.at[dash] != b"-":
        return 0
    end = number_read(value, dash + 1, address(last))
    found.first = found.length = 0
    if dash == i:  # "-500": the last 500 bytes, or the whole file
        if end == dash + 1:
            return 0
        found.length = last if last < size else size
        found.first = size - found.length
        return end
    if end == dash + 1:  # "500-": to the end
        last = cast(uint64_t, -1)
    if last < first:
        return 0
    if first < size:
        found.first = first
        found.length = (last if last < size else size - 1) - first + 1
    return end


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def range_parse(
    value: Span, size: uint64_t, ranges: cython.pointer(ByteRange), count: cython.pointer(cython.ushort)
) -> cython.int:
    """206 with ranges[0:count], 416 if none is satisfiable, 200 if the field is ignored."""
    found: ByteRange
    comma: cython.bint = True
    asked: uint32_t = 0
    kept: uint32_t = 0
    total: uint64_t = 0
    i: uint32_t
    # RFC 9110 14.1: unit names ignore case. 14.2: an empty file has no ranges, and Content-Range cannot describe one.
    if size == 0 or value.length < 6 or not same_text(value.at, b"bytes=", 6):
        return 200
    i = members_skip(value, 6, address(comma))
    while i < value.length:
        i = range_read(value, i, size, address(found))
        asked += 1
        if i == 0 or not comma or asked > RANGES_MAX:
            return 200
        if found.length > 0:
            # RFC 9110 14.2: ranges that overlap so much that the whole file is cheaper are likely an attack.
            if found.length > size - total:
                return 200
            total += found.length
            ranges[kept] = found
            kept += 1
        comma = False
        i = members_skip(value, i, address(comma))
    if asked == 0:
        return 200
    count[0] = cast(cython.ushort, kept)
    return 206 if kept > 0 else 416


# For tests and tools


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def facts_of(size: uint64_t, modified: int64_t, modified_ns: uint32_t, inode: uint64_t) -> FileFacts:
    facts: FileFacts
    facts.size = size
    facts.modified = modified
    facts.modified_ns = modified_ns
    facts.inode = inode
    facts.changed = 0
    facts.changed_ns = 0
    return facts


CONDITIONS = {
    "if-match": FIELD_IF_MATCH,
    "if-none-match": FIELD_IF_NONE_MATCH,
    "if-modified-since": FIELD_IF_MODIFIED_SINCE,
    "if-unmodified-since": FIELD_IF_UNMODIFIED_SINCE,
    "if-range": FIELD_IF_RANGE,
    "range": FIELD_RANGE,
}


def etag(facts: tuple) -> bytes:
    out: cython.char[ETAG_BYTES_MAX]
    f: FileFacts = facts_of(facts[0], facts[1], facts[2], facts[3])
    return out[: etag_write(out, address(f))]


def check(facts: tuple, headers: list, method: str, now: int) -> tuple:
    """The status, and with 206 the ranges as (first, length). facts: size, modified, modified_ns, inode; headers: pairs
    of name and value, as in the head."""
    asked: Conditions
    ranges: ByteRange[RANGES_MAX]
    count: cython.ushort = 0
    f: FileFacts = facts_of(facts[0], facts[1], facts[2], facts[3])
    memset(address(asked), 0, cython.sizeof(Conditions))
    for name, value in headers:
        condition_add(
            address(asked), address(f), CONDITIONS[name.lower()], span(cast(cython.p_const_char, value), len(value))
        )
    is_get: cython.bint = method == "GET"
    status: cython.int = conditions_check(
        address(asked), address(f), is_get or method == "HEAD", is_get, now, ranges, address(count)
    )
    return status, [(ranges[i].first, ranges[i].length) for i in range(count)]

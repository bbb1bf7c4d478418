"""Fuzzes the chunked coding, strict and lenient: the result does not depend on splits, and equals that of a second
decoder."""

import random
import re

from mutate import run, splits

from ringway.engine.http.chunked import decode_chunked

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
# RFC 9112 7.1.1. A client writes no blanks before the first ";" and none before the CR.
EXTENSION = rb"[\t ]*%b(?:[\t ]*=[\t ]*(?:%b|%b))?" % (TOKEN, TOKEN, QUOTED)
LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;%b(?:[\t ]*;%b)*)?\r\n" % (EXTENSION, EXTENSION))
# From an upstream: zeros before the size, blanks after it, and any text after ";".
LENIENT_LINE = re.compile(rb"(0*[0-9A-Fa-f]{0,15}(?<=[0-9A-Fa-f]))[\t ]*(?:;[\t -~\x80-\xff]*)?\r\n")
TRAILER = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n")


def slow(data: bytes, lenient: bool) -> tuple[bytes, bytes] | None:
    """Returns payload and rest, or None if the coding is invalid or incomplete."""
    payload, at = b"", 0
    while line := (LENIENT_LINE if lenient else LINE).match(data, at):
        if line.end() - at > 256:
            return None
        size, at = int(line[1], 16), line.end()
        if size == 0:
            end = TRAILER.match(data, at)
            return (payload, data[end.end() :]) if end and end.end() - at <= 1024 else None
        payload += data[at : at + size]
        at += size
        if data[at : at + 2] != b"\r\n":
            return None
        at += 2
    return None


def check(data: bytes, rng: random.Random) -> None:
    lenient = rng.random() < 0.5
    whole, *others = [decode_chunked(pieces, lenient=lenient) for pieces in splits(data, rng)]
    assert all(other == whole for other in others), (whole, others)
    expected = slow(data, lenient)
    assert whole["ended"] == (expected is not None)
    if expected is not None:
        assert (whole["body"], whole["rest"]) == expected
    assert whole["total"] == len(whole["body"])
    assert len(whole["trailer"]) <= 1024


if __name__ == "__main__":
    run("chunked", check)

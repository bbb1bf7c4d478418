"""Fuzzes the data from a worker, which an attacker may control: records in shared memory, and lines on its socket.

The first byte of an input selects one of them. `R`: the head of the ring, the position at which reading begins (8 bytes
each), and the data from there on. The reader must agree with a second reader, and reject the same data. Anything else:
lines, which are accepted or rejected no matter how they are split.
"""

import json
import random
import struct

from mutate import run, splits

from ringway.control.logs.access_log import FORMATS
from ringway.control.running.said import BrokenWorker, Lines, parse
from ringway.engine.base.outcome import all_reasons
from ringway.engine.base.records import EVENTS, SIZE, BrokenRing, Reader

START = 128  # head and tail have a cache line each
RING = SIZE - START
HEAD = struct.Struct("@IBBHBBHi8HBqQQQ")
REASONS = len(all_reasons())
RECORD_FIELDS = 16  # of the dict of an access record
block = bytearray(SIZE)


def slow(head: int, tail: int) -> tuple[list[tuple[int, int]], bool]:
    """Returns kind and length of texts of every record, and whether all data up to the head is valid."""
    found = []
    while tail != head:
        there, place = (head - tail) % 2**64, tail % RING
        if there > RING or there % 8:
            return found, False
        raw = bytes(block[START + place : START + place + HEAD.size]).ljust(HEAD.size, b"\0")
        size, kind, minor, status, reason, tls, code, _, *lengths, offload, time_ns, _, _, _ = HEAD.unpack(raw)
        if not 0 < size <= min(there, RING - place) or size % 8:
            return found, False
        if kind == 0 and (place == 0 or size != RING - place):
            return found, False
        if kind and sum(lengths) > size - HEAD.size:
            return found, False
        if kind > 2 or (kind == 2 and not 0 < code < len(EVENTS)):
            return found, False
        if kind == 1:
            at = START + place + HEAD.size + sum(lengths[:7])
            named = all(chr(octet).isalnum() or octet in b"-_" for octet in block[at : at + lengths[7]])
            named = named and bytes(block[at : at + lengths[7]]).isascii()
            if reason >= REASONS or offload > 3 or status > 999 or minor > 9 or tls not in (0, 12, 13):
                return found, False
            if time_ns < 0 or not named:
                return found, False
        if kind:
            found.append((kind, sum(lengths)))
        tail += size
    return found, True


def check_ring(data: bytes) -> None:
    head, begin = struct.unpack("=QQ", data[1:17].ljust(16, b"\0"))
    begin = begin % 2**32 // 8 * 8
    head = (begin + head % 2**32) % 2**64
    place = begin % RING
    lies = data[17:][: RING - place]
    block[START + place : START + place + len(lies)] = lies
    struct.pack_into("=Q", block, 0, head)
    struct.pack_into("=Q", block, 64, begin)
    try:
        expected, sound = slow(head, begin)
        reader, found, refused = Reader(block), [], False
        try:
            while more := reader.read(7):
                found += more
        except BrokenRing:
            refused = True
        assert (len(found), refused) == (len(expected), not sound), (found, expected, sound)
        for item, (kind, length) in zip(found, expected, strict=True):
            if kind == 2:
                assert item["event"] in EVENTS
                assert len(item["detail"]) <= length
                continue
            assert len(item) == RECORD_FIELDS
            for line in FORMATS.values():
                written = line(item)
                assert written.isascii()
                assert written.isprintable() or (written[-1] == "\n" and written[:-1].isprintable())
    finally:
        block[START + place : START + place + len(lies)] = bytes(len(lies))


def taken(pieces: list[bytes]) -> list[str]:
    """Returns the results, up to the first line that is rejected."""
    lines, found = Lines(), []
    for piece in pieces:
        for line in lines.take(piece):
            try:
                kind, told = parse(line)
            except BrokenWorker as error:
                return [*found, str(error)]
            assert json.loads(line) == {kind: told}
            found.append(kind)
    return found


def check(data: bytes, rng: random.Random) -> None:
    if data[:1] == b"R":
        check_ring(data)
        return
    whole, *others = [taken(pieces) for pieces in splits(data, rng)]
    assert all(other == whole for other in others), (whole, others)


if __name__ == "__main__":
    run("worker", check)

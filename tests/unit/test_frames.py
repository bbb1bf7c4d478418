"""HTTP/2 frames (RFC 9113 4 and 6): every rule, any split, and comparison with hyperframe."""

import random
import struct

import hyperframe.frame as other
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import CUTS, bytewise, split

from ringway.engine.http2.frames import read_frames

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR = 1, 3, 6


def frame(kind: int, payload: bytes = b"", flags: int = 0, id: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, id) + payload


def setting(number: int, value: int) -> bytes:
    return frame(4, struct.pack(">HI", number, value))


def events(*frames: bytes, server: bool = True) -> list:
    """Returns the events after SETTINGS. Also checks that reading octet by octet gives the same."""
    data = SETTINGS + b"".join(frames)
    found = read_frames([data], server)
    assert read_frames(bytewise(data), server) == found
    assert found[0] == ("settings_end",)
    return found[1:]


RULES = [
    ("6.1 DATA", frame(0, b"abc", 1, 1), [("data", 1, b"abc", 3, True)]),
    ("6.1 DATA without the end", frame(0, b"abc", 0, 1), [("data", 1, b"abc", 3, False)]),
    ("6.1 empty DATA", frame(0, b"", 1, 1), [("data", 1, b"", 0, True)]),
    ("6.1 padded DATA", frame(0, b"\2abc\0\0", 8, 1), [("data", 1, b"abc", 6, False)]),
    ("6.1 only padding", frame(0, b"\2\0\0", 9, 1), [("data", 1, b"", 3, True)]),
    ("6.1 too much padding", frame(0, b"\3\0\0", 8, 1), [("error", PROTOCOL_ERROR)]),
    ("6.1 no length of padding", frame(0, b"", 8, 1), [("error", FRAME_SIZE_ERROR)]),
    ("6.1 DATA on the connection", frame(0, b"a"), [("error", PROTOCOL_ERROR)]),
    ("6.2 HEADERS", frame(1, b"abc", 5, 1), [("block", 1, b"abc", 0, True)]),
    ("6.2 HEADERS without the end", frame(1, b"abc", 4, 1), [("block", 1, b"abc", 0, False)]),
    ("6.2 padded", frame(1, b"\1abc\0", 12, 1), [("block", 1, b"abc", 0, False)]),
    ("6.2 priority", frame(1, b"\0\0\0\3\0abc", 36, 1), [("block", 1, b"abc", 0, False)]),
    ("6.2 padded, priority", frame(1, b"\1\0\0\0\3\0abc\0", 44, 1), [("block", 1, b"abc", 0, False)]),
    ("6.2 padding up to the priority", frame(1, b"\1\0\0\0\3\0\0", 44, 1), [("block", 1, b"", 0, False)]),
    ("6.2 padding into the priority", frame(1, b"\2\0\0\0\3\0\0", 44, 1), [("error", PROTOCOL_ERROR)]),
    ("6.2 no priority", frame(1, b"\0\0\0\3", 36, 1), [("error", FRAME_SIZE_ERROR)]),
    ("7540 5.3.1 depends on itself", frame(1, b"\0\0\0\1\0abc", 36, 1), [("block", 1, b"abc", PROTOCOL_ERROR, False)]),
    ("6.2 HEADERS on the connection", frame(1, b"a", 4), [("error", PROTOCOL_ERROR)]),
    (
        "6.10 CONTINUATION",
        frame(1, b"ab", 1, 1) + frame(9, b"cd", 0, 1) + frame(9, b"", 4, 1),
        [("block", 1, b"abcd", 0, True)],
    ),
    ("6.10 on another lane", frame(1, b"ab", 1, 1) + frame(9, b"cd", 4, 3), [("error", PROTOCOL_ERROR)]),
    ("6.10 another frame between", frame(1, b"ab", 1, 1) + frame(6, bytes(8)), [("error", PROTOCOL_ERROR)]),
    ("6.10 without HEADERS", frame(9, b"cd", 4, 1), [("error", PROTOCOL_ERROR)]),
    (
        "6.10 after the end",
        frame(1, b"ab", 4, 1) + frame(9, b"cd", 4, 1),
        [("block", 1, b"ab", 0, False), ("error", 1)],
    ),
    ("6.3 PRIORITY", frame(2, b"\0\0\0\3\0", 0, 1), [("ignored",)]),
    ("6.3 wrong length", frame(2, b"\0\0\0\3", 0, 1), [("lane_error", 1, FRAME_SIZE_ERROR)]),
    ("6.3 on the connection", frame(2, b"\0\0\0\3\0"), [("error", PROTOCOL_ERROR)]),
    ("7540 5.3.1 on itself", frame(2, b"\x80\0\0\1\0", 0, 1), [("lane_error", 1, PROTOCOL_ERROR)]),
    ("6.4 RST_STREAM", frame(3, b"\0\0\0\x08", 0, 1), [("reset", 1, 8)]),
    ("6.4 wrong length", frame(3, b"\0\0\0\x08\0", 0, 1), [("error", FRAME_SIZE_ERROR)]),
    ("6.4 on the connection", frame(3, b"\0\0\0\x08"), [("error", PROTOCOL_ERROR)]),
    (
        "6.5 settings",
        frame(4, b"\0\3\0\0\0\5\0\x99\0\0\0\1"),
        [("setting", 3, 5), ("setting", 0x99, 1), ("settings_end",)],
    ),
    ("6.5 ACK", frame(4, b"", 1), [("settings_ack",)]),
    ("6.5 ACK with a payload", frame(4, b"\0\3\0\0\0\5", 1), [("error", FRAME_SIZE_ERROR)]),
    ("6.5 on a lane", frame(4, b"", 0, 1), [("error", PROTOCOL_ERROR)]),
    ("6.5 wrong length", frame(4, b"\0\3\0\0\0"), [("error", FRAME_SIZE_ERROR)]),
    ("6.5.2 push", setting(2, 2), [("error", PROTOCOL_ERROR)]),
    ("6.5.2 window", setting(4, 1 << 31), [("error", FLOW_CONTROL_ERROR)]),
    ("6.5.2 the largest window", setting(4, (1 << 31) - 1), [("setting", 4, (1 << 31) - 1), ("settings_end",)]),
    ("6.5.2 frame size", setting(5, 16383), [("error", PROTOCOL_ERROR)]),
    ("6.5.2 frame size above", setting(5, 1 << 24), [("error", PROTOCOL_ERROR)]),
    ("8441 3", setting(8, 2), [("error", PROTOCOL_ERROR)]),
    ("9218 2.1", setting(9, 2), [("error", PROTOCOL_ERROR)]),
    ("6.6 PUSH_PROMISE", frame(5, bytes(8), 4, 1), [("error", PROTOCOL_ERROR)]),
    ("6.7 PING", frame(6, b"12345678"), [("ping", b"12345678")]),
    ("6.7 ACK", frame(6, b"12345678", 1), [("ping_ack", b"12345678")]),
    ("6.7 wrong length", frame(6, b"1234567"), [("error", FRAME_SIZE_ERROR)]),
    ("6.7 on a lane", frame(6, b"12345678", 0, 1), [("error", PROTOCOL_ERROR)]),
    ("6.8 GOAWAY", frame(7, b"\0\0\0\5\0\0\0\2" + b"why" * 100), [("goaway", 5, 2)]),
    ("6.8 wrong length", frame(7, b"\0\0\0\5\0\0\0"), [("error", FRAME_SIZE_ERROR)]),
    ("6.8 on a lane", frame(7, bytes(8), 0, 1), [("error", PROTOCOL_ERROR)]),
    ("6.9 WINDOW_UPDATE", frame(8, b"\x80\0\0\7", 0, 1), [("window", 1, 7)]),
    ("6.9 on the connection", frame(8, b"\0\0\0\7"), [("window", 0, 7)]),
    ("6.9 increment 0", frame(8, bytes(4), 0, 1), [("lane_error", 1, PROTOCOL_ERROR)]),
    ("6.9 increment 0 on the connection", frame(8, bytes(4)), [("error", PROTOCOL_ERROR)]),
    ("6.9 wrong length", frame(8, bytes(3), 0, 1), [("error", FRAME_SIZE_ERROR)]),
    ("9218 7.1 PRIORITY_UPDATE", frame(16, b"\0\0\0\7u=1, i"), [("priority", 7, b"u=1, i")]),
    ("9218 7.1 a long one", frame(16, b"\0\0\0\7" + b"x" * 500), [("priority", 7, b"x" * 60)]),
    ("9218 7.1 on a lane", frame(16, b"\0\0\0\7u=1", 0, 1), [("error", PROTOCOL_ERROR)]),
    ("9218 7.1 for lane 0", frame(16, b"\0\0\0\0u=1"), [("error", PROTOCOL_ERROR)]),
    ("9218 7.1 its length", frame(16, b"\0\0\0"), [("error", FRAME_SIZE_ERROR)]),
    ("4.1 an unknown type", frame(200, bytes(5000), 255, 9), [("ignored",)]),
    ("4.1 the reserved bit", frame(3, b"\0\0\0\x08", 0, 0x80000001), [("reset", 1, 8)]),
    ("4.2 too long", frame(0, bytes(16385), 0, 1), [("error", FRAME_SIZE_ERROR)]),
    ("4.2 the longest", frame(0, bytes(16384), 0, 1), [("data", 1, bytes(16384), 16384, False)]),
]


@pytest.mark.parametrize(("data", "expected"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_rfc9113_6(data: bytes, expected: list) -> None:
    assert events(data) == expected


def test_rfc9113_3_4_settings_come_first() -> None:
    for first in (frame(6, bytes(8)), frame(4, b"", 1), frame(1, b"", 4, 1), frame(200)):
        assert read_frames([first]) == [("error", PROTOCOL_ERROR)]


def test_what_a_server_may_send() -> None:
    assert events(setting(2, 0), server=False) == [("setting", 2, 0), ("settings_end",)]
    assert events(setting(2, 1), server=False) == [("error", PROTOCOL_ERROR)]
    assert events(frame(16, b"\0\0\0\1"), server=False) == [("error", PROTOCOL_ERROR)]


def random_frames(rng: random.Random) -> bytes:
    data = b""
    for _ in range(rng.randrange(1, 8)):
        kind = rng.choice([0, 0, 1, 2, 3, 4, 6, 7, 8, 9, 16, 33])
        size = {2: 5, 3: 4, 4: 6 * rng.randrange(4), 6: 8, 8: 4}.get(kind, rng.randrange(8, 40))
        flags = rng.choice([0, 0, 1, 4, 5, 8, 12, 32, 44])
        id = 0 if kind in (4, 6, 7, 16) else rng.randrange(1, 5)
        payload = bytes(rng.choices(range(256), k=size))
        if flags & 8 and payload:
            payload = bytes([rng.randrange(12)]) + payload[1:]
        data += frame(kind, payload, flags if kind in (0, 1) else flags & 5, id)
    return data


@given(st.randoms(use_true_random=False), CUTS)
def test_splits_change_nothing(rng: random.Random, cuts: list[int]) -> None:
    data = SETTINGS + random_frames(rng)
    assert read_frames(split(data, cuts)) == read_frames([data]) == read_frames(bytewise(data))


def test_payloads_are_what_hyperframe_finds() -> None:
    rng = random.Random(6)
    for _ in range(3000):
        flags = ["END_STREAM"] * rng.randrange(2)
        length = rng.randrange(300)
        if rng.random() < 0.5:
            one: other.Frame = other.DataFrame(
                rng.randrange(1, 99), bytes(rng.choices(range(256), k=length)), flags=flags
            )
        else:
            one = other.HeadersFrame(
                rng.randrange(1, 99), bytes(rng.choices(range(256), k=length)), flags=[*flags, "END_HEADERS"]
            )
            if rng.random() < 0.5:
                one.flags.add("PRIORITY")
                one.depends_on = 200
        if rng.random() < 0.5:
            one.flags.add("PADDED")
            one.pad_length = rng.randrange(256)
        data = one.serialize()
        (found,) = events(data)
        middle = len(data) - 9 if isinstance(one, other.DataFrame) else 0
        kind = "data" if isinstance(one, other.DataFrame) else "block"
        assert found == (kind, one.stream_id, one.data, middle, bool(flags))

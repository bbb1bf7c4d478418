"""HTTP/2 frames: splits do not change the events, and a simple second reader finds the same complete frames."""

import random
import struct

from mutate import run, splits

from ringway.engine.http2.frames import read_frames

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
BLOCK = {1, 9}


def kinds(data: bytes) -> list[int]:
    """Returns the types of all complete frames, up to one that is too long."""
    found, at = [], 0
    while at + 9 <= len(data):
        length = struct.unpack(">I", b"\0" + data[at : at + 3])[0]
        if length > 16384 or at + 9 + length > len(data):
            break
        found.append(data[at + 3])
        at += 9 + length
    return found


def check(data: bytes, rng: random.Random) -> None:
    data = SETTINGS + data
    whole, *others = [read_frames(pieces) for pieces in splits(data, rng)]
    assert all(other == whole for other in others), (whole, others)
    errors = [event for event in whole if event[0] == "error"]
    assert errors == [] or (errors == whole[-1:] and errors[0][1] in (1, 3, 6))
    if not errors:
        # Each complete frame is one event. Each setting is one more. All frames of a block are one event.
        frames = [kind for kind in kinds(data) if kind not in BLOCK]
        events = [event for event in whole if event[0] not in ("setting", "block")]
        assert len(frames) == len(events), (frames, whole)


if __name__ == "__main__":
    run("frames", check)

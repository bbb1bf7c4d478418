"""HTTP/2 field blocks: our decoder and libnghttp2 return the same fields, or both reject the block. The harness decodes
each block twice, so that the second one refers to entries of the first."""

import random
import sys
from pathlib import Path

from mutate import run

from ringway.engine.http2.hpack_decode import decode_blocks

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from harness.nghttp2 import Inflater


def check(data: bytes, rng: random.Random) -> None:
    inflater, expected = Inflater(), []
    for block in (data, data):
        head = inflater.decode(block)
        expected.append("broken" if head is None else head)
        if head is None:
            break
    found = decode_blocks([data, data])
    assert [one if isinstance(one, str) else [field[:2] for field in one] for one in found] == expected
    # With little room the decoder returns the same fields, except those that do not fit.
    room = rng.randrange(200)
    for one, other in zip(found, decode_blocks([data, data], room), strict=True):
        assert (
            one == other or [field if len(field[0]) + len(field[1]) + 4 <= room else None for field in one] == other
        ), (room, one, other)


if __name__ == "__main__":
    run("hpack", check)

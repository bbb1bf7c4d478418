"""Fuzzes the Location of a Redirect: it is correct for any route and request, and never exceeds the room for it.

An input has four lines: `to`, path, query, room.
"""

import random

from mutate import run

from ringway.engine.http.heads import location


def check(data: bytes, rng: random.Random) -> None:
    to, path, query, room, *_ = [*data.split(b"\n"), b"", b"", b"", b""]
    whole = b"Location: " + to.replace(b"{path}", path + query) + b"\r\n"
    digits = room[:4]
    # The room of the input, one that just fits, one that is a byte too small, and a random one.
    for most in (int(digits) if digits.isdigit() else 0, len(whole), len(whole) - 1, rng.randint(0, 8192)):
        assert location(to, path, query, most) == (whole if len(whole) <= most else b""), most


if __name__ == "__main__":
    run("location", check)

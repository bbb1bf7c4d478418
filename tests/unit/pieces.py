"""Splitting an input: the invariant of every codec here is that the splits change nothing."""

from itertools import pairwise

from hypothesis import strategies as st


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({c % (len(data) + 1) for c in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


CUTS = st.lists(st.integers(0, 2000), max_size=12)


def scan_in_pieces(scan, pieces: list[bytes]) -> int:
    """Feed a scanner as the connection does; each piece is looked at once."""
    data, result = b"", 0
    for piece in pieces:
        seen = len(data)
        data += piece
        result = scan(data, seen)
        if result:
            break
    return result


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]

"""The common part of the harnesses: mutates a corpus at random, for a limited time or number of inputs."""

import argparse
import random
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
# Pieces that are special to a parser of HTTP.
WORDS = [
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b";", b"\0", b"\x7f", b"\x80", b"/", b"?", b"#",
    b"@", b"%00", b"[::1]", b"*", b"0", b"f", b"HTTP/1.1", b"HTTP/1.0", b"GET ", b"Host: a\r\n", b"http://a/",
    b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close, x\r\n", b"Upgrade: x\r\n",
    b"Expect: 100-continue\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n",
]  # fmt: skip


def change(data: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    a, b = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    match rng.randrange(7):
        case 0:
            return data[:a] + rng.choice(WORDS) + data[a:]
        case 1:
            return data[:a] + rng.choice(WORDS) + data[b:]
        case 2:
            return data[:a] + data[b:]
        case 3:
            return data[:b] + data[a:]
        case 4:
            return data[:a] + bytes([rng.randrange(256)]) + data[a + 1 :]
        case 5:
            return data[:a] + data[a:b] * rng.choice([1, 2, 20]) + data[b:]
        case _:
            other = rng.choice(seeds)
            return data[:a] + other[rng.randint(0, len(other)) :]


def splits(data: bytes, rng: random.Random) -> list[list[bytes]]:
    """Returns the data whole, byte by byte, and cut at random."""
    cuts = sorted({0, len(data), *(rng.randint(0, len(data)) for _ in range(rng.randint(0, 6)))})
    return [[data], [data[i : i + 1] for i in range(len(data))], [data[a:b] for a, b in pairwise(cuts)]]


def scan_pieces(scan: Callable[[bytes, int], int], pieces: list[bytes]) -> int:
    data = b""
    for piece in pieces:
        seen = len(data)
        data += piece
        result = scan(data, seen)
        if result:
            return result
    return 0


def run(name: str, check: Callable[[bytes, random.Random], None]) -> None:
    """Calls `check` with mutated inputs. Prints the input if it fails. Add that input to the corpus."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--inputs", type=int, default=None, help="try this many inputs, however long it takes")
    options.add_argument("--seed", type=int, default=None, help="seed of a run to repeat")
    options.add_argument("file", nargs="*", type=Path, help="check only these inputs")
    arguments = options.parse_args()
    seed = arguments.seed if arguments.seed is not None else time.time_ns() % 2**32
    rng = random.Random(seed)
    if arguments.file:
        for file in arguments.file:
            check(file.read_bytes(), rng)
        return
    seeds = [file.read_bytes() for file in sorted((CORPUS / name).iterdir())]
    end = time.monotonic() + arguments.seconds
    count = 0
    while count < arguments.inputs if arguments.inputs is not None else time.monotonic() < end:
        data = rng.choice(seeds)
        for _ in range(rng.randint(0, 6)):
            data = change(data, seeds, rng)[:3000]
        count += 1
        try:
            check(data, rng)
        except AssertionError:
            print(f"{name}: input {count} of seed {seed} fails: {data!r}", file=sys.stderr)
            raise
    print(f"{name}: {count} inputs, seed {seed}: OK")

"""HPACK (RFC 7541): the examples of the RFC, and comparison with libnghttp2 and Python's hpack."""

import random
from collections.abc import Iterator

import hpack
import pytest
from harness.nghttp2 import Deflater, Head, Inflater

from ringway.engine.http2.hpack_decode import decode_blocks
from ringway.engine.http2.hpack_encode import encode_heads
from ringway.engine.http2.huffman import decode_huffman

NAMES = [
    b":method", b":path", b":scheme", b":authority", b"accept", b"accept-encoding", b"cookie", b"user-agent", b"x",
    b"content-type", b"etag", b"date", b"server", b"cache-control", b"vary", b"x-request-id", b"te", b"grpc-status",
    b"authorization", b"content-length", b"x-forwarded-proto", b"strict-transport-security", b"last-modified",
]  # fmt: skip
VALUES = [
    b"",
    b"GET",
    b"/",
    b"https",
    b"gzip, deflate, br",
    b"text/html; charset=utf-8",
    b"a",
    b"\xe9\x80",
    b"no-cache",
]


def fields(result: list | str) -> Head | str:
    """Returns the fields without ids and faults."""
    return result if isinstance(result, str) else [(name, value) for name, value, _, _ in result]


def random_head(rng: random.Random) -> Head:
    head = []
    for _ in range(rng.randrange(12)):
        name = (
            rng.choice(NAMES) if rng.random() < 0.8 else bytes(rng.choices(b"abcdefghij-_09", k=rng.randrange(1, 40)))
        )
        if rng.random() < 0.6:
            value = rng.choice(VALUES)
        else:
            value = bytes(rng.choices(range(256), k=rng.choice([1, 3, 10, 100, 130, 300, 1500])))
            if rng.random() < 0.7:
                value = bytes(32 + octet % 95 for octet in value)
        head.append((name, value))
    return head


# RFC 7541 Appendix C: consecutive blocks and their fields.
REQUESTS = [
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")],
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com"),
     (b"cache-control", b"no-cache")],
    [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"), (b":authority", b"www.example.com"),
     (b"custom-key", b"custom-value")],
]  # fmt: skip
EXAMPLES = {
    "C.2.1": (["400a637573746f6d2d6b65790d637573746f6d2d686561646572"], [[(b"custom-key", b"custom-header")]]),
    "C.2.2": (["040c2f73616d706c652f70617468"], [[(b":path", b"/sample/path")]]),
    "C.2.3": (["100870617373776f726406736563726574"], [[(b"password", b"secret")]]),
    "C.2.4": (["82"], [[(b":method", b"GET")]]),
    "C.3": (
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
        REQUESTS,
    ),
    "C.4": (
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
        REQUESTS,
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_rfc7541_appendix_c(name: str) -> None:
    blocks, heads = EXAMPLES[name]
    assert [fields(one) for one in decode_blocks([bytes.fromhex(block) for block in blocks])] == heads


def test_rfc7541_5_2_huffman_code_of_every_octet() -> None:
    coder = hpack.huffman.HuffmanEncoder(
        hpack.huffman_constants.REQUEST_CODES, hpack.huffman_constants.REQUEST_CODES_LENGTH
    )
    for first in range(256):
        for rest in (b"", b"a", b"\xff", b"aaa\0"):
            text = bytes([first]) + rest
            assert decode_huffman(coder.encode(text)) == text
            assert decode_huffman(coder.encode(rest + text)) == rest + text
    text = bytes(range(256))
    assert decode_huffman(coder.encode(text), len(text)) == text
    for room in range(len(text)):
        with pytest.raises(ValueError, match="no room"):
            decode_huffman(coder.encode(text), room)


@pytest.mark.parametrize(
    "data",
    [
        b"\x1f\xff\xff",  # "a" and more than seven bits of padding
        b"\xff",  # eight bits of padding alone
        b"\x18",  # padding with a bit that is not 1
        b"\xff\xff\xff\xff",  # EOS
        b"\x1f\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xfe",  # an incomplete code
    ],
)
def test_rfc7541_5_2_what_is_no_padding(data: bytes) -> None:
    with pytest.raises(ValueError, match="broken"):
        decode_huffman(data)


def test_huffman_agrees_with_nghttp2_on_any_octets() -> None:
    rng = random.Random(1)
    for _ in range(20_000):
        data = bytes(rng.choices(range(256), k=rng.randrange(1, 9)))
        other = Inflater().decode(b"\x00\x01a" + bytes([0x80 | len(data)]) + data)
        try:
            found: bytes | None = decode_huffman(data)
        except ValueError:
            found = None
        assert (found is None) == (other is None)
        if other is not None:
            assert other == [(b"a", found)]


def blocks_of(rng: random.Random, encoder: Deflater) -> Iterator[tuple[bytes, Head]]:
    for _ in range(rng.randrange(1, 12)):
        if rng.random() < 0.2:
            encoder.resize(rng.choice([0, 40, 100, 500, 4096]))
        head = random_head(rng)
        yield encoder.encode(head, rng.random() < 0.2), head


def test_what_nghttp2_encodes_is_decoded() -> None:
    rng = random.Random(2)
    for _ in range(1500):
        pairs = list(blocks_of(rng, Deflater()))
        assert [fields(one) for one in decode_blocks([block for block, _ in pairs])] == [head for _, head in pairs]


def test_tables_that_turn_over_many_times() -> None:
    rng = random.Random(8)
    for short in (True, False):
        deflater, heads = Deflater(), []
        for _ in range(2000):
            head = random_head(rng)
            heads.append([(name[:2], value[:2]) for name, value in head] if short else head)
        blocks = [deflater.encode(head) for head in heads]
        assert [fields(one) for one in decode_blocks(blocks)] == heads
        inflater = Inflater()
        assert [inflater.decode(block) for block in encode_heads(heads)] == heads


def test_blocks_with_errors_are_judged_as_nghttp2_judges_them() -> None:
    """Changes one octet of valid blocks, or truncates one: both decode the same, or both reject it."""
    rng = random.Random(3)
    for _ in range(2500):
        blocks = [bytearray(block) for block, _ in blocks_of(rng, Deflater())]
        wrong = rng.choice(blocks)
        if wrong and rng.random() < 0.8:
            wrong[rng.randrange(len(wrong))] = rng.randrange(256)
        else:
            del wrong[rng.randrange(len(wrong) + 1) :]
        other: list[Head | str] = []
        inflater = Inflater()
        for block in blocks:
            head = inflater.decode(bytes(block))
            other.append("broken" if head is None else head)
            if head is None:
                break
        assert [fields(one) for one in decode_blocks([bytes(block) for block in blocks])] == other


def test_what_we_encode_both_others_decode() -> None:
    rng = random.Random(4)
    for _ in range(1500):
        heads: list[Head | int] = []
        for _ in range(rng.randrange(1, 12)):
            if rng.random() < 0.2:
                heads.append(rng.choice([0, 40, 100, 500, 2000, 4096, 65536]))
            heads.append(random_head(rng))
        inflater, decoder = Inflater(), hpack.Decoder()
        wanted = [head for head in heads if not isinstance(head, int)]
        for block, head in zip(encode_heads(heads), wanted, strict=True):
            assert inflater.decode(block) == head
            assert decoder.decode(block, raw=True) == head


def test_rfc7541_7_1_3_what_is_not_on_the_list_is_never_indexed() -> None:
    (block,) = encode_heads([[(b"X-Secret", b"abc"), (b"etag", b'"1"'), (b"cookie", b"a=b"), (b"Server", b"r")]])
    indexable = [type(one) is hpack.struct.HeaderTuple for one in hpack.Decoder().decode(block, raw=True)]
    assert indexable == [False, False, False, True]


def test_statuses() -> None:
    statuses = [b"%d" % status for status in range(100, 600)]
    for block, status in zip(encode_heads([[(b":status", status)] for status in statuses]), statuses, strict=True):
        assert (
            len(block) == (1 if status in (b"200", b"204", b"206", b"304", b"400", b"404", b"500") else 5)
            or block[0] == 0x3F
        )
        assert hpack.Decoder().decode(block, raw=True) == [(b":status", status)]


def test_a_field_without_room_leaves_the_tables_in_step() -> None:
    rng = random.Random(5)
    for _ in range(500):
        encoder = Deflater()
        heads = [random_head(rng) for _ in range(8)]
        decoded = decode_blocks([encoder.encode(head) for head in heads], room=60)
        for head, found in zip(heads, decoded, strict=True):
            assert [None if len(name) + len(value) + 4 > 60 else (name, value) for name, value in head] == [
                field and field[:2] for field in found
            ]


def test_a_literal_longer_than_the_table_empties_it() -> None:
    encoder = Deflater()
    blocks = [encoder.encode([(b"a", b"b")]), b"\x40\x01x" + b"\x7f\xc1\x3d" + b"y" * 8000, b"\xbe"]
    first, second, third = decode_blocks(blocks, room=100)
    assert (fields(first), second, third) == ([(b"a", b"b")], [None], "broken")


@pytest.mark.parametrize(
    ("name", "value", "faults"),
    [
        (b"a", b"b", 0), (b"A", b"b", 1), (b"a b", b"b", 1), (b"", b"b", 1), (b":", b"b", 1), (b"a:", b"", 1),
        (b"::a", b"", 1),
        (b"a", b"\0", 2), (b"a", b"\r", 2), (b"a", b"x\ny", 2), (b"a", b" b", 2), (b"a", b"b\t", 2), (b"a", b"\x7f", 2),
        (b"a", b"x\ty", 0), (b"a", b"\xff", 0), (b"a", b"", 0), (b"A", b"\n", 3), (b"\xe9", b"", 1), (b"a\0", b"", 1),
    ],
)  # fmt: skip
def test_rfc9113_8_2_1_faults_are_stored_with_the_entry(name: bytes, value: bytes, faults: int) -> None:
    literal = b"\x40" + bytes([len(name)]) + name + bytes([len(value)]) + value
    (first,), (second,), (third,) = decode_blocks([literal, b"\xbe", b"\x7e\x01z"])
    assert first == second
    assert (first[:2], first[3]) == ((name, value), faults)
    assert third[3] == faults & 1  # only the name's fault


def test_rfc7541_4_2_updates_of_the_size() -> None:
    assert decode_blocks([b"\x20\x3f\xe1\x1f\x82"]) != ["broken"]  # 0, then 4096
    assert decode_blocks([b"\x82\x20"]) == ["broken"]
    assert decode_blocks([b"\x3f\xe2\x1f"]) == ["broken"]  # 4097
    entry = b"\x40\x01a\x01b"
    assert decode_blocks([entry, b"\x20", b"\xbe"])[2] == "broken"


@pytest.mark.parametrize(
    "block", [b"\x80", b"\xbe", b"\xff" * 8, b"\x7f", b"\x40", b"\x40\x01", b"\x00\x01a", b"\x00\x81\xff\x00"]
)
def test_rfc7541_broken_blocks(block: bytes) -> None:
    assert decode_blocks([block]) == ["broken"]

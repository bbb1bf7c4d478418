"""HTTP/2 requests as lines: each accepted request is one valid HTTP/1.1 head with the same fields."""

import random

from mutate import run

from ringway.engine.http.request_head import parse_request
from ringway.engine.http2.hpack_decode import decode_blocks
from ringway.engine.http2.messages import read_requests

HOP = (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings")


def check(data: bytes, rng: random.Random) -> None:
    end = rng.random() < 0.5
    (found,) = read_requests([(data, end)])
    (fields,) = decode_blocks([data])
    assert (found == "broken") == (fields == "broken")
    if isinstance(found, str):
        return
    parsed = parse_request(found["lines"])
    assert parsed["reason"] == "none"
    assert found["lines"].count(b"\r\n\r\n") == 1
    assert (parsed["method"], parsed["path"], parsed["host"]) == (found["method"], found["path"], found["host"])
    given = [(name, value) for name, value, _, faults in fields if not faults]
    assert len(given) == len(fields)
    assert dict(given)[b":path"] == found["path"] + found["query"]
    others = [pair for pair in given if pair[0][:1] != b":" and pair[0] not in (b"cookie", b"host")]
    assert [pair[0] for pair in others if pair[0] in HOP] == []
    lines = [(name, value) for name, value, _ in found["fields"] if name not in (b"Host", b"host", b"Cookie")]
    assert lines == others
    crumbs = [value for name, value in given if name == b"cookie" and value]
    assert [value for name, value, _ in found["fields"] if name == b"Cookie"] == (
        [b"; ".join(crumbs)] if crumbs else []
    )


if __name__ == "__main__":
    run("messages", check)

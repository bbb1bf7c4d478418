"""Fuzzes the response head: the result does not depend on splits, and the framing follows RFC 9112 6.3."""

import random
import re

from mutate import run, scan_pieces, splits

from ringway.engine.http.response_head import parse_response, scan_response

HEAD = re.compile(
    rb"HTTP/1\.[0-9] [1-9][0-9][0-9](?: [\t -~\x80-\xff]*)?\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n"
)


def check_meaning(head: bytes, found: dict, method: str) -> None:
    assert HEAD.fullmatch(head)
    names = [name.lower() for name, _, _, _ in found["fields"]]
    lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
    assert lengths + codings <= 1
    status = found["status"]
    if method == "HEAD" or status < 200 or status in (204, 304) or (method == "CONNECT" and status < 300):
        assert found["framing"] == "none"
    elif codings:
        assert found["framing"] == "chunked"
        assert found["minor"] == 1
    elif lengths:
        assert found["framing"] == ("length" if found["content_length"] else "none")
    else:
        assert found["framing"] == "close"
        assert not found["keep_alive"]


def check(data: bytes, rng: random.Random) -> None:
    results = {scan_pieces(scan_response, pieces) for pieces in splits(data, rng)}
    assert len(results) == 1, results
    end = results.pop()
    method = rng.choice(["GET", "HEAD", "CONNECT"])
    if end > 0:
        found = parse_response(data[:end], method)
        if found["reason"] == "none":
            check_meaning(data[:end], found, method)
    elif parse_response(data, method)["reason"] == "none":
        raise AssertionError("the parser accepts a head that the scan rejects")


if __name__ == "__main__":
    run("response_head", check)

"""Fuzzes the request head: the result does not depend on splits, and accepted heads are unambiguous."""

import random
import re

from mutate import run, scan_pieces, splits

from ringway.engine.http.request_head import parse_request, scan_request

# A second implementation of the grammar: RFC 9112 3 and 5.
HEAD = re.compile(
    rb"(?:\r\n){0,2}[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!\"$-~]+ HTTP/1\.[0-9]\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n"
)


def check_meaning(head: bytes, found: dict) -> None:
    assert HEAD.fullmatch(head)
    names = [name.lower() for name, _, _, _ in found["fields"]]
    assert len(names) <= 1000
    lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
    assert lengths + codings <= 1
    assert names.count(b"host") <= 1
    assert found["minor"] == 0 or (found["host"] and names.count(b"host") == 1)
    assert not codings or (found["framing"] == "chunked" and found["minor"] == 1)
    assert found["has_length"] == (lengths == 1)
    assert not (found["upgrade"] and found["framing"] != "none")
    if found["form"] in ("origin", "absolute"):
        assert found["target"].endswith(found["path"] + found["query"])
    assert b"@" not in found["host"]
    assert b"," not in found["host"]


def check(data: bytes, rng: random.Random) -> None:
    results = {scan_pieces(scan_request, pieces) for pieces in splits(data, rng)}
    assert len(results) == 1, results
    end = results.pop()
    if end > 0:
        head = data[:end]
        found = parse_request(head)
        assert found == parse_request(bytes(bytearray(head)))
        if found["reason"] == "none":
            check_meaning(head, found)
    elif parse_request(data)["reason"] == "none":
        raise AssertionError("the parser accepts a head that the scan rejects")


if __name__ == "__main__":
    run("request_head", check)

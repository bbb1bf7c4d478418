"""The block that the supervisor builds and everyone else only reads."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import LIMITS, plan, redirect

from ringway.engine.plan.router import find
from ringway.engine.plan.snapshot import build, describe, media_type, valid

FILE = {
    "kind": "file",
    "name": 'path_routes."example.com"."/static/"',
    "prefix": "/static",
    "strip_prefix": True,
    "folder": 1,
    "single": True,
    "base": "index.html",
    "mode": "memory",
    "follow_links": True,
    "dot_files": False,
}
PROXY = {
    "kind": "proxy",
    "name": "é",
    "prefix": "",
    "strip_prefix": False,
    "upstream": 1,
    "base": "/v2",
    "half_close": True,
    "upgrade": ["websocket", "foo/2"],
}
FULL = plan(
    access_log=True,
    media_types={"html": "text/html; charset=utf-8", "css": "text/css", "7z": "application/x-7z-compressed"},
    folders=["/var/www", "/srv/one.html"],
    upstreams=[
        {"name": "http://h:8080", "host": "h", "port": 8080, "tls": False, "proxy_protocol": 0},
        {"name": "https://[::1]:1", "host": "::1", "port": 65535, "tls": True, "proxy_protocol": 2},
    ],
    routes=[FILE, PROXY, redirect("to https")],
    hosts=[
        {
            "host": "w.example.com",
            "route": None,
            "paths": [{"prefix": "/a", "route": 0}, {"prefix": "/a/b", "route": 1}],
        },
        {"host": "*.Example.COM", "route": 2, "paths": []},
        {"host": "*", "route": 1, "paths": [{"prefix": "/static", "route": 0}]},
        {"host": "[::1]", "route": 0, "paths": []},
    ],
    doors=[
        {"host": "*", "policy": 1, "auth": "optional"},
        {"host": "*.example.com", "policy": 2, "auth": "require"},
        {"host": "open.example.com", "policy": 0, "auth": "off"},
    ],
)


def test_what_was_planned_is_described() -> None:
    told = describe(build(FULL))
    assert told.pop("hosts") == [
        {"host": "*", "route": 1, "paths": [{"prefix": "/static", "route": 0}]},
        {"host": "*.example.com", "route": 2, "paths": []},
        {"host": "[::1]", "route": 0, "paths": []},
        {
            "host": "w.example.com",
            "route": None,
            "paths": [{"prefix": "/a/b", "route": 1}, {"prefix": "/a", "route": 0}],
        },
    ]
    assert list(told["media_types"]) == ["7z", "css", "html"]
    assert told == {key: value for key, value in FULL.items() if key not in ("hosts", "upstream_tls")}


names = st.from_regex(r"[a-z][a-z0-9-]{0,9}(\.[a-z]{1,5}){0,3}", fullmatch=True)
prefixes = st.from_regex(r"(/[a-z]{1,4}){0,3}", fullmatch=True)
number = st.integers(min_value=0, max_value=2**32 - 1)
route = st.integers(min_value=0, max_value=2)


@st.composite
def plans(draw) -> dict:
    hosts = draw(st.dictionaries(names | names.map("*.{}".format) | st.just("*"), st.dictionaries(prefixes, route)))
    return FULL | {
        "limits": {name: draw(number) for name in LIMITS},
        "hosts": [
            {
                "host": host,
                "route": draw(st.none() | route),
                "paths": [{"prefix": prefix, "route": index} for prefix, index in paths.items()],
            }
            for host, paths in hosts.items()
        ],
    }


@given(plans())
def test_any_plan_makes_a_round_trip(planned: dict) -> None:
    block = build(planned)
    told = describe(block)
    assert valid(block)
    assert len(block) % 8 == 0
    assert told["limits"] == planned["limits"]
    stored = [host["host"].removeprefix("*") if host["host"] != "*" else "*" for host in told["hosts"]]
    assert stored == sorted(stored, key=str.encode)
    by_name = {host["host"]: host for host in planned["hosts"]}
    for host in told["hosts"]:
        expected = by_name.pop(host["host"])
        assert host["route"] == expected["route"]
        assert host["paths"] == sorted(expected["paths"], key=lambda path: (-len(path["prefix"]), path["prefix"]))
    assert not by_name


def test_equal_plans_make_equal_blocks() -> None:
    assert len({build(FULL) for _ in range(50)}) == 1
    assert build(FULL | {"hosts": FULL["hosts"][::-1]}) == build(FULL)


def test_numbers_keep_their_full_width() -> None:
    limits = FULL["limits"] | {"request_body_bytes": 2**64 - 1, "head_bytes": 2**32 - 1}
    told = describe(build(FULL | {"limits": limits}))
    assert told["limits"] == limits


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"limits": FULL["limits"] | {"wheels": 4}}, "wheels"),
        ({"limits": {"head_bytes": 1}}, "client_connections"),
        ({"timeouts": {}}, "handshake_ms"),
        ({"hosts": [{"host": "a", "route": 3, "paths": []}]}, "does not exist"),
        ({"hosts": [{"host": "a", "route": -2, "paths": []}]}, "does not exist"),
        ({"hosts": [{"host": "a", "route": None, "paths": [{"prefix": "/", "route": 3}]}]}, "does not exist"),
        ({"hosts": [{"host": "a", "route": None, "paths": [{"prefix": "/", "route": -1}]}]}, "does not exist"),
        ({"folders": ["/one"]}, "does not exist"),
        ({"doors": [{"host": "a", "policy": 0, "auth": "require"}]}, "does not exist"),
        ({"doors": [{"host": "a", "policy": 1, "auth": "off"}]}, "does not exist"),
        ({"doors": [{"host": "a", "policy": 1, "auth": "require"}] * 2}, "duplicate"),
        ({"upstreams": []}, "does not exist"),
        ({"hosts": [{"host": "a", "route": 0, "paths": []}, {"host": "A.", "route": 0, "paths": []}]}, "duplicate"),
        ({"hosts": [{"host": "a", "route": 0, "paths": [{"prefix": "/", "route": 0}] * 2}]}, "duplicate"),
        ({"hosts": [{"host": "", "route": 0, "paths": []}]}, "not a host name"),
        ({"hosts": [{"host": "a.*.b", "route": 0, "paths": []}]}, "not a host name"),
        ({"hosts": [{"host": "*a", "route": 0, "paths": []}]}, "not a host name"),
        ({"hosts": [{"host": ".a", "route": 0, "paths": []}]}, "not a host name"),
        ({"hosts": [{"host": "a" * 257, "route": 0, "paths": []}]}, "not a host name"),
        ({"hosts": [{"host": "é", "route": 0, "paths": []}]}, "ascii"),
        ({"media_types": {"tar.gz": "application/gzip"}}, "not a suffix"),
        ({"media_types": {"": "text/plain"}}, "not a suffix"),
    ],
)
def test_a_plan_that_the_engine_cannot_hold_is_refused(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(FULL | change)


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OverflowError):
        build(FULL | {"limits": FULL["limits"] | {"head_bytes": 2**32}})
    with pytest.raises(OverflowError):
        build(FULL | {"upstreams": [{"name": "", "host": "", "port": 65536}] * 2})


def test_a_block_of_another_kind_version_or_length_is_refused() -> None:
    block = build(FULL)
    assert valid(block)
    assert valid(block + b"\0" * 4096)  # a mapping ends with its page
    for broken in (b"", block[:8], block[:-8], b"\1" + block[1:], block[:4] + b"\x63" + block[5:]):
        assert not valid(broken)
    with pytest.raises(ValueError, match="not a snapshot"):
        describe(block[:-8])
    with pytest.raises(ValueError, match="not a snapshot"):
        media_type(block[:-8], b"/x")


@pytest.mark.parametrize(("key", "most"), [("base", 1024), ("to", 2048), ("hsts", 227), ("upgrade", 790)])
def test_long_texts_of_routes(key: str, most: int) -> None:
    """What a route brings into a head: the engine's room for heads counts on these bounds. HSTS: the line has 256."""
    route = PROXY if key in ("base", "upgrade") else redirect("a")
    for length in (most, most + 1):
        text: str | list[str] = ["a" * length] if key == "upgrade" else "/" * length
        changed = plan(upstreams=FULL["upstreams"], routes=[route | {key: text}])
        try:
            block = build(changed)
        except ValueError:
            assert length > most
        else:
            assert valid(block) == (length <= most)


def test_a_table_out_of_order_is_refused() -> None:
    block = build(FULL)
    swapped = block.replace(b".example.com", b"~example.com", 1)
    assert swapped != block
    assert not valid(swapped)
    assert not valid(block.replace(b"css", b"zss", 1))


def test_no_damaged_block_that_is_called_valid_can_lead_astray() -> None:
    # Run under the address sanitizer this is the proof; here it only has to survive.
    block = build(FULL)
    dice = random.Random(1)
    survived = 0
    for _ in range(20_000):
        damaged = bytearray(block)
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(0, len(block) // 4) * 4
            value = dice.choice([0, 1, 4, 8, len(block), 2**31, 2**32 - 1, dice.randrange(2**32), dice.randrange(1000)])
            struct.pack_into("<I", damaged, at, value)
        damaged = bytes(damaged)
        if valid(damaged):
            survived += 1
            find(damaged, "w.example.com", "/static/x")
            media_type(damaged, b"/x.css")
    assert survived > 1000


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/a/b.html", "text/html; charset=utf-8"),
        (b"/a/b.HtMl", "text/html; charset=utf-8"),
        (b"x.min.css", "text/css"),
        (b"/x.7z", "application/x-7z-compressed"),
        (b"/.css", "text/css"),
        (b"/a.css/b", None),
        (b"/css", None),
        (b"css", None),
        (b"/a.", None),
        (b"/a.cs", None),
        (b"/a.csss", None),
        (b"/a.zz", None),
        (b"/a." + b"c" * 1000, None),
        (b"", None),
        (b"/", None),
        (b".", None),
    ],
)
def test_media_types_go_by_the_suffix_without_case(path: bytes, expected: str | None) -> None:
    assert media_type(build(FULL), path) == expected


@given(st.dictionaries(st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True), st.text(min_size=1, max_size=9), max_size=40))
def test_every_media_type_is_found(types: dict[str, str]) -> None:
    block = build(plan(media_types=types))
    for suffix, value in types.items():
        assert media_type(block, b"/x." + suffix.upper().encode()) == value

"""Host and path to a route."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import plan, table

from ringway.engine.plan.router import door, find
from ringway.engine.plan.snapshot import build

NONE = -1


def test_the_order_of_a_search() -> None:
    hosts = {
        "a.b.example.com": {"/p": 0, "": 1},
        "*.b.example.com": {"/p": 2, "": 3},
        "*.example.com": {"/p": 4, "": 5},
        "*": {"/p": 6, "": 7},
    }
    # Take the answers away one after the other: the next one must step in.
    for path, order in ((b"/p/x", range(8)), (b"/q", range(1, 8, 2))):
        left = {host: dict(paths) for host, paths in hosts.items()}
        for expected in order:
            assert find(build(table(left)), "a.b.example.com", path) == expected
            for paths in left.values():
                for prefix in [prefix for prefix, route in paths.items() if route <= expected]:
                    del paths[prefix]
        assert find(build(table(left)), "a.b.example.com", path) == NONE


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "EXAMPLE.com",
        "Example.Com:8443",
        "example.com.",
        "example.com.:443",
        "example.com:",
        "eXample.com.",
    ],
)
def test_hosts_compare_without_case_port_and_root_dot_rfc9110_4_2_3(host: str) -> None:
    assert find(build(table({"example.com": {"": 0}, "*": {"": 1}})), host, "/") == 0


@pytest.mark.parametrize(
    "host",
    ["example.com..", "xexample.com", "example.co", "example.comm", ".example.com", "", ".", ":80", "example com"],
)
def test_other_hosts_are_others(host: str) -> None:
    assert find(build(table({"example.com": {"": 0}})), host, "/") == NONE
    assert find(build(table({"example.com": {"": 0}, "*": {"": 1}})), host, "/") == 1


def test_ip_literals_keep_their_brackets_rfc3986_3_2_2() -> None:
    block = build(table({"[::1]": {"": 0}, "[2001:DB8::a]": {"": 1}, "127.0.0.1": {"": 2}}))
    assert [find(block, host, "/") for host in ("[::1]", "[::1]:80", "[::1]:")] == [0, 0, 0]
    assert [find(block, host, "/") for host in ("[2001:db8::A]", "[2001:db8::a]:8443")] == [1, 1]
    assert [find(block, host, "/") for host in ("127.0.0.1", "127.0.0.1:80")] == [2, 2]
    assert [find(block, host, "/") for host in ("[::2]", "::1", "[::1", "[", "[]")] == [NONE] * 5


def test_a_wildcard_matches_any_depth_but_not_the_name_itself() -> None:
    block = build(table({"*.example.com": {"": 0}}))
    assert find(block, "a.example.com", "/") == 0
    assert find(block, "A.b.C.example.COM.:1", "/") == 0
    for host in ("example.com", ".example.com", "aexample.com", "a.example.org", "com", "a.example.com.x"):
        assert find(block, host, "/") == NONE


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api", 0),
        ("/api/", 0),
        ("/api/x", 0),
        ("/apix", 3),
        ("/ap", 3),
        ("/", 3),
        ("", 3),
        ("/api/v2", 1),
        ("/api/v2/x", 1),
        ("/api/v22", 0),
        ("/b", 2),
        ("/API", 3),
        ("/x/api", 3),
    ],
)
def test_prefixes_end_with_a_segment_and_the_longest_wins(path: str, route: int) -> None:
    assert find(build(table({"h": {"/api": 0, "/api/v2": 1, "/b": 2, "": 3}})), "h", path) == route


def test_the_empty_prefix_is_the_whole_host() -> None:
    block = build(
        table({"h": {"": 0}}) | {"hosts": [{"host": "h", "route": None, "paths": [{"prefix": "", "route": 0}]}]}
    )
    assert [find(block, "h", path) for path in ("/", "/x", "")] == [0, 0, 0]


def test_names_longer_than_any_host_belong_to_the_rest() -> None:
    block = build(table({"*.example.com": {"": 0}, "*": {"": 1}}))
    longest = "a" * (256 - len(".example.com")) + ".example.com"
    assert find(block, longest, "/") == 0
    assert find(block, longest + ".:65535", "/") == 0
    assert find(block, "a" + longest, "/") == 1
    assert find(block, "a" * 100_000, "/") == 1


def test_an_empty_table_finds_nothing() -> None:
    assert find(build(plan()), "example.com", "/") == NONE


def test_a_broken_block_is_refused() -> None:
    with pytest.raises(ValueError, match="not a snapshot"):
        find(b"\0" * 400, "h", "/")


# Against the words of router.pxd, taken literally


def reference(hosts: dict[str, dict[str, int]], host: str, path: str) -> int:
    host = host.lower()
    host = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    host = host.removesuffix(".")
    labels = host.split(".")
    names = [host] + ["*." + ".".join(labels[i:]) for i in range(1, len(labels))] if labels[0] else []
    for name in [*names, "*"]:
        paths = hosts.get(name, {})
        for prefix in sorted(paths, key=len, reverse=True):
            if path == prefix or path.startswith(prefix + "/") or not prefix:
                return paths[prefix]
    return NONE


label = st.sampled_from(["a", "b", "c-d", "aa", "x1"])
name = st.lists(label, min_size=1, max_size=4).map(".".join)
literal = st.sampled_from(["[::1]", "[::2]", "127.0.0.1"])
configured = name | name.map("*.{}".format) | st.just("*") | literal
path = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4).map(
    lambda parts: "".join("/" + part for part in parts)
)
prefix = path.filter(lambda text: not text.endswith("/"))
route = st.integers(min_value=0, max_value=50)
tables = st.dictionaries(configured, st.dictionaries(prefix, route, max_size=5), max_size=12)
decorate = st.sampled_from([str, str.upper, "{}.".format, "{}:8443".format, "{}.:80".format, str.title])


@given(tables, (name | literal), decorate, path)
def test_the_router_agrees_with_a_simple_implementation(hosts, host, decorated, path) -> None:
    block = build(table(hosts))
    received = decorated(host) if not host.startswith("[") else host + ":80"
    assert find(block, received, path) == reference(hosts, received, path)


@given(tables, st.binary(max_size=300), st.binary(max_size=50))
def test_no_bytes_are_too_strange(hosts, host, path) -> None:
    assert -1 <= find(build(table(hosts)), host, path) <= 50


def test_many_hosts() -> None:
    hosts = {f"h{i}.example.com": {"": i} for i in range(2000)}
    block = build(table(hosts))
    assert [find(block, host, "/") for host in hosts] == list(range(2000))


def test_the_door_of_a_host() -> None:
    """Its own, its nearest wildcard's, that of every other host: by the name that routes are found by."""
    said = {"*": 1, "*.example.com": 2, "a.example.com": 3, "open.a.example.com": 0}
    doors = [{"host": host, "policy": number, "auth": "require" if number else "off"} for host, number in said.items()]
    block = build(plan(doors=doors))
    for host, expected in [
        ("a.example.com", 3),
        ("A.Example.COM.:443", 3),
        ("b.example.com", 2),
        ("b.a.example.com", 2),
        ("open.a.example.com", 0),
        ("example.com", 1),
        (".example.com", 1),
        ("xa.example.org", 1),
        ("[::1]:443", 1),
        ("", 1),
        ("x" * 300 + ".example.com", 1),
    ]:
        assert door(block, host) == expected
    assert door(build(plan()), "a.example.com") == 0

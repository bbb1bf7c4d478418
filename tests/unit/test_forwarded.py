"""Who the client is: addresses, trusted networks, the walk from the right."""

import ipaddress

import plans
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringway.engine.http import forwarded
from ringway.engine.plan import ips, snapshot

TRUSTED = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8:1::/48", "fd00::/9"]
BLOCK = snapshot.build(plans.plan(trusted_proxies=TRUSTED))
ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)


def said(*fields: str) -> dict[str, str]:
    return forwarded.said(BLOCK, "\r\n".join(["GET / HTTP/1.1", "Host: h", *fields, "", ""]).encode())


def client(*fields: str) -> str:
    return said(*fields)["client"]


# Addresses


@given(ADDRESSES)
def test_an_address_is_read_as_it_is_written(ip) -> None:
    mapped = getattr(ip, "ipv4_mapped", None)
    assert ipaddress.ip_address(ips.node(str(ip).encode())) == (mapped or ip)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_entry(text: str, found: str) -> None:
    assert ips.node(text.encode()) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4 ",
        "[1.2.3.4]",
        "[::1",
        "::1]",
        "[::1]x",
        "[]",
        ":80",
        "::1%lo",
        "1.2.3.4\x00",
        "a" * 45,
        "a" * 46,
        "a" * 500,
        "localhost",
        "unix:",
    ],
)
def test_no_address(text: str) -> None:
    assert ips.node(text.encode()) is None


@given(
    st.lists(st.ip_addresses(v=4).flatmap(lambda ip: st.integers(0, 32).map(lambda n: (ip, n))), max_size=4)
    | st.lists(st.ip_addresses(v=6).flatmap(lambda ip: st.integers(0, 128).map(lambda n: (ip, n))), max_size=4),
    ADDRESSES,
)
def test_trusted_as_ipaddress_says(prefixes, ip) -> None:
    networks = [ipaddress.ip_network((ip, bits), strict=False) for ip, bits in prefixes]
    block = snapshot.build(plans.plan(trusted_proxies=[str(network) for network in networks]))
    for one in [ip, *(network.network_address for network in networks), *(n.broadcast_address for n in networks)]:
        one = getattr(one, "ipv4_mapped", None) or one
        known = [n for n in networks if n.version == one.version and one in n]
        # An IPv6 network that holds ::ffff:0:0/96 holds IPv4.
        wide = [
            n for n in networks if n.version == 6 and one.version == 4 and ipaddress.ip_address(f"::ffff:{one}") in n
        ]
        assert ips.trusted(block, str(one).encode()) == bool(known or wide)


def test_nobody_is_trusted_unless_said() -> None:
    block = snapshot.build(plans.plan())
    assert not ips.trusted(block, b"127.0.0.1")
    assert not ips.trusted(block, b"::1")


# The walk


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("1.1.1.1,203.0.113.9,10.1.2.3 ,\t2001:db8:1::5", "203.0.113.9"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("1.1.1.1, nobody, 10.0.0.2", "10.0.0.2"),
        ("1.1.1.1, nobody", ""),
        ("nobody, 203.0.113.9", "203.0.113.9"),
        (", 203.0.113.9,, ,10.0.0.1,", "203.0.113.9"),
        ("203.0.113.9:5555, [2001:db8:1::5]:80", "203.0.113.9"),
        (", ,", ""),
        ("", ""),
    ],
)
def test_from_the_right_to_the_first_that_is_not_trusted(value: str, found: str) -> None:
    assert client(f"X-Forwarded-For: {value}") == found


def test_lines_are_one_list() -> None:
    assert (
        client("X-Forwarded-For: 1.1.1.1, 203.0.113.9", "A: b", "x-forwarded-for: 10.0.0.1, 10.0.0.2") == "203.0.113.9"
    )
    assert client("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: nobody", "X-Forwarded-For: 10.0.0.2") == "10.0.0.2"


@given(
    st.lists(ADDRESSES, max_size=8), st.lists(st.sampled_from([", ", ",", " , ", "\r\nX-Forwarded-For: "]), min_size=8)
)
def test_as_a_simple_walk(chain, joints) -> None:
    text = "X-Forwarded-For: "
    for ip, joint in zip(chain, joints, strict=False):
        text += f"{ip}{joint}"
    found = ""
    for ip in reversed(chain):
        found = str(getattr(ip, "ipv4_mapped", None) or ip)
        if not ips.trusted(BLOCK, found.encode()):
            break
    assert ips.node(client(text).encode()) == (ips.node(found.encode()) if found else None)


@pytest.mark.parametrize(
    ("value", "found", "proto", "host"),
    [
        ("for=203.0.113.9", "203.0.113.9", "", ""),
        ('For="203.0.113.9:4711";Proto=https;HOST=a.example', "203.0.113.9", "https", "a.example"),
        ('for="[2001:db8::9]:4711"', "2001:db8::9", "", ""),
        ('for="[2001:db8::9]", for=10.0.0.1;proto=http', "2001:db8::9", "", ""),
        ("for=1.1.1.1;proto=gopher, proto=https ; for=203.0.113.9 ;, for=10.0.0.1", "203.0.113.9", "https", ""),
        ('for=203.0.113.9;host="a.example:8443"', "203.0.113.9", "", "a.example:8443"),
        ("for=unknown, for=10.0.0.1", "10.0.0.1", "", ""),
        ("for=_hidden", "", "", ""),
        ("proto=https", "", "", ""),
        ("for", "", "", ""),
        ("for=", "", "", ""),
        ('for=""', "", "", ""),
        ('for="', "", "", ""),
        ('for="203.0.113.\\9"', "", "", ""),
        # A client that opens a quote does not swallow what the proxies write behind it.
        ('for="1.1.1.1, for=203.0.113.9, for=10.0.0.1', "203.0.113.9", "", ""),
    ],
)
def test_forwarded(value: str, found: str, proto: str, host: str) -> None:
    assert said(f"Forwarded: {value}") == {"client": found, "proto": proto, "host": host}


def test_forwarded_counts_only_without_x_forwarded_for() -> None:
    fields = ["Forwarded: for=1.1.1.1;proto=https;host=evil"]
    assert said(*fields, "X-Forwarded-For: 203.0.113.9") == {"client": "203.0.113.9", "proto": "", "host": ""}
    assert said(*fields, "X-Forwarded-For: nobody") == {"client": "", "proto": "", "host": ""}
    assert client(*fields, "X-Forwarded-For:") == "1.1.1.1"


def test_proto_and_host_of_their_own_fields() -> None:
    fields = ["X-Forwarded-Proto: http", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example"]
    assert said(*fields) == {"client": "", "proto": "https", "host": "a.example"}
    assert said(*fields, "Forwarded: for=203.0.113.9;proto=http;host=b")["proto"] == "https"


@pytest.mark.parametrize(
    ("chain", "proto", "found"),
    [
        # The nearest proxy writes it anew, or adds to it; the client's entry is as far from the right as its address.
        ("203.0.113.9", "https", "https"),
        ("203.0.113.9", "https, https", "https"),
        ("203.0.113.9", "https, http", "http"),
        ("203.0.113.9, 10.0.0.1", "https, http", "https"),
        ("203.0.113.9, 10.0.0.1", "gopher, https, http", "https"),
        ("203.0.113.9, 10.0.0.1, 10.0.0.2", "wss", "wss"),
        ("203.0.113.9, 10.0.0.1", "http,\r\nX-Forwarded-Proto: https , ", "http"),
        ("1.1.1.1, nobody, 10.0.0.1", "https, http", "http"),
    ],
)
def test_proto_and_host_may_be_lists(chain: str, proto: str, found: str) -> None:
    lines = [f"X-Forwarded-For: {chain}", *f"X-Forwarded-Proto: {proto}".split("\r\n")]
    assert said(*lines)["proto"] == found
    assert said(*(line.replace("-Proto", "-Host") for line in lines))["host"] == found


def test_a_field_in_disguise_says_nothing() -> None:
    assert client("X_Forwarded_For: 203.0.113.9") == ""

"""IPv6 and dual stack: listeners, upstreams by address and by a name with both families, client addresses."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest
from harness.authority import Authority
from harness.curl import curl
from harness.raw import Client, message
from harness.upstream import HELLO, Upstream


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def files(tmp_path, listen, **more):
    (tmp_path / "a.txt").write_text("a")
    return {"server": {"listen": listen}, "host_routes": {"*": {"type": "File", "path": tmp_path}}, **more}


@pytest.mark.parametrize("tls", [False, True])
def test_both_families(ringway, tmp_path, certificate, tls):
    config = files(tmp_path, ["0.0.0.0:0", "[::]:0"], **({"tls": certificate} if tls else {}))
    server = ringway(config)
    four, six = server.listeners
    assert (four.host, six.host) == ("0.0.0.0", "::")
    scheme = "https" if tls else "http"
    assert curl(f"{scheme}://127.0.0.1:{four.port}/a.txt?4").body == b"a"
    assert curl(f"{scheme}://[::1]:{six.port}/a.txt?6").body == b"a"
    assert server.record("/a.txt?4")["client"] == "127.0.0.1"
    assert server.record("/a.txt?6")["client"] == "::1"


@pytest.mark.parametrize("listen", [":0", 0, "localhost:0"])
def test_one_free_port_for_both_families(ringway, tmp_path, listen):
    """Whoever writes `":0"` wants one port; a reload keeps it."""
    server = ringway(files(tmp_path, listen))
    four, six = server.listeners
    assert four.port == six.port
    server.reload(files(tmp_path, listen, limits={"head_fields": 50}))
    for host in ("127.0.0.1", "::1"):
        with Client((host, four.port)) as link:
            assert link.get("/a.txt").body == b"a"


def test_both_families_at_one_port(ringway, tmp_path):
    """[::] is only IPv6, so that 0.0.0.0 can be open as well. Several workers, with steering."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
    config = files(tmp_path, [f"0.0.0.0:{port}", f"[::]:{port}"])
    config["server"]["threads"] = 2
    ringway({**config, "performance": {"reuseport_balancing": "cbpf"}})
    for address in (("127.0.0.1", port), ("::1", port)):
        with Client(address) as link:
            assert link.get("/a.txt").body == b"a"


def test_a_host_that_is_an_address(ringway, tmp_path):
    server = ringway(files(tmp_path, "[::1]:0"))
    with server.connect() as link:
        for host in ("[::1]", f"[::1]:{server.address[1]}", "[2001:db8::1]:80"):
            assert link.get("/a.txt", host=host).body == b"a"
        link.send(message("GET /a.txt HTTP/1.1", "Host: ::1"))
        assert link.response().status == 400


def test_what_upstreams_are_told(ringway, upstream):
    origin = upstream()
    server = ringway(
        {
            "server": {"listen": "[::1]:0", "trusted_proxies": ["::1", "2001:db8::/32"]},
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }
    )
    chain = "2001:db9::7, [2001:db8::1]:443"
    told = []
    for fields in ([], [f"X-Forwarded-For: {chain}"], ['Forwarded: for="[2001:db9::7]:80", for="[2001:db8::1]"']):
        target = origin.on(HELLO)
        with server.connect() as link:
            link.get(target, *fields)
        told.append((origin.request(target).one("x-forwarded-for"), server.record(target)["client"]))
    assert told == [("::1", "::1"), (f"{chain}, ::1", "2001:db9::7"), ("2001:db9::7, ::1", "2001:db9::7")]


def test_an_upstream_by_its_address(ringway):
    with Upstream(host="::1") as origin:
        server = ringway({"host_routes": {"*": {"type": "Proxy", "url": f"{origin.url}/base"}}})
        with server.connect() as link:
            assert link.get("/x").body == b"hello"
            link.send(b"GET /old HTTP/1.0\r\n\r\n")
            assert link.response().status == 200
        assert [(r.target, r.one("host")) for r in origin.requests] == [
            ("/base/x", "localhost"),
            ("/base/old", origin.authority),
        ]
        assert server.record("/x")["upstream"] == origin.url


def test_a_tls_upstream_by_its_address(ringway, tmp_path):
    authority = Authority(tmp_path)
    with Upstream(host="::1", context=authority.serves("::1")) as origin:
        server = ringway({"host_routes": {"*": {"type": "Proxy", "url": origin.url, "ca_path": authority.path}}})
        with server.connect() as link:
            assert link.get("/").body == b"hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("order", ["127.0.0.1 ::1", "::1 127.0.0.1"])
def test_a_name_of_both_families(ringway, names, host, order):
    """One of them refuses connections. Each request uses the next one."""
    names.set(app=order)
    with Upstream(host=host) as origin:
        server = ringway(
            {
                "limits": {"upstream_idle": 0},
                "host_routes": {"*": {"type": "Proxy", "url": f"http://app:{origin.port}"}},
            },
            env=names.env,
        )
        with server.connect() as link:
            for _ in range(4):
                assert link.get("/").body == b"hello"
        server.wait_line(r"cannot connect to one address.*: http://app:\d+ at \S+ \(Connection refused\)")


def test_the_proxy_protocol_over_ipv6(ringway, upstream):
    lines = []

    def serve(link):
        lines.append(link.line())
        link.request()
        link.send(HELLO)

    server = ringway(
        {
            "server": {"listen": "[::1]:0"},
            "host_routes": {"*": {"type": "Proxy", "url": upstream(serve).url, "proxy_protocol": "v1"}},
        }
    )
    with server.connect() as link:
        assert link.get("/").body == b"hello"
        assert lines == [b"PROXY TCP6 ::1 ::1 %d %d" % (link.own_address[1], server.address[1])]


LINK_LOCAL = """
set -e
ip link set lo up
ip -6 address add fe80::7/64 dev lo nodad
exec "$@"
"""


def in_a_network(script):
    """A command that becomes Ringway in a network namespace of its own."""
    command = ["unshare", "--net", "sh", "-c", script, "sh"]
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no such network can be made here: {done.stderr.strip()[-200:]}")
    return command


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace as root")
@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("ip") is None, reason="no unshare or ip here")
@pytest.mark.parametrize("driver", ["auto", "epoll"])
def test_link_local_addresses(ringway, tmp_path, driver):
    """To listen on and to forward to: here both at once. The zone is of this machine alone, so no field tells it."""
    (tmp_path / "a.txt").write_text("a")
    inside, outside = "[fe80::7%lo]:8080", f"unix:{tmp_path}/r.sock"
    server = ringway(
        {
            "server": {"listen": [outside, inside]},
            "performance": {"io_driver": driver},
            "path_routes": {
                "*": {
                    "/up": {"type": "Proxy", "url": "http://[fe80::7%25lo]:8080"},
                    "/": {"type": "File", "path": tmp_path},
                }
            },
        },
        through=in_a_network(LINK_LOCAL),
    )
    server.wait_line(re.escape(f" listening on http://{inside}"))
    server.wait_line(re.escape(f"http://[fe80::7%25lo]:8080 is the address of this Ringway, which listens on {inside}"))
    for options in ((), ("--http1.0", "--header", "Host:")):
        got = curl("http://localhost/up/a.txt", "--unix-socket", f"{tmp_path}/r.sock", *options)
        assert (got.status, got.body) == (200, b"a")
    assert server.record("/a.txt")["client"] == "fe80::7"
    assert {record["host"] for record in server.records if record["target"] == "/a.txt"} >= {"localhost"}


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace as root")
@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("ip") is None, reason="no unshare or ip here")
def test_a_zone_that_is_no_interface(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[server]\nlisten = "[fe80::7%d9]:8080"\n')
    run = [sys.executable, "-P", "-m", "ringway", "run", "--config", str(file)]
    done = subprocess.run([*in_a_network(LINK_LOCAL), *run], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot listen on [fe80::7%d9]:8080: this machine has no interface d9; see `ip link`" in done.stderr

"""`[server] trusted_proxies`: the client that the access log and upstreams get."""

import pytest
from harness.raw import message

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def origin(upstream):
    return upstream()


@pytest.fixture
def server(ringway, origin, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    return ringway(
        {
            "server": {"trusted_proxies": ["127.0.0.0/31", "10.0.0.0/8", "2001:db8::/32"]},
            "host_routes": {"app": {"type": "Proxy", "url": origin.url}, "*": {"type": "File", "path": tmp_path}},
        }
    )


def forwarded(server, origin, *fields, source="127.0.0.1", version="HTTP/1.1"):
    """Returns what the upstream and the access log got: X-Forwarded-For, -Proto, -Host, and the client."""
    target = origin.on(OK)
    with server.connect(source=source) as client:
        client.send(message(f"GET {target} {version}", "Host: app", *fields))
        assert client.response().status == 200
    request = origin.request(target)
    assert "forwarded" not in request
    names = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
    return *(request.one(name) for name in names), server.record(target)["client"]


def test_nothing_said(server, origin):
    assert forwarded(server, origin) == ("127.0.0.1", "http", "app", "127.0.0.1")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (["X-Forwarded-For: 203.0.113.9"], ("203.0.113.9, 127.0.0.1", "http", "app", "203.0.113.9")),
        (
            ["X-Forwarded-For: 1.1.1.1, 203.0.113.9", "A: b", "X-Forwarded-For:10.0.0.1,  2001:db8::1"],
            ("1.1.1.1, 203.0.113.9, 10.0.0.1,  2001:db8::1, 127.0.0.1", "http", "app", "203.0.113.9"),
        ),
        (["X-Forwarded-For: 2001:DB9::A"], ("2001:DB9::A, 127.0.0.1", "http", "app", "2001:db9::a")),
        (["X-Forwarded-For: who, 10.0.0.1"], ("who, 10.0.0.1, 127.0.0.1", "http", "app", "10.0.0.1")),
        (["X-Forwarded-For: who"], ("who, 127.0.0.1", "http", "app", "127.0.0.1")),
        (["X-Forwarded-For:"], ("127.0.0.1", "http", "app", "127.0.0.1")),
        (
            ["X-Forwarded-Proto: https", "X-Forwarded-Host: www.example"],
            ("127.0.0.1", "https", "www.example", "127.0.0.1"),
        ),
        (
            ['Forwarded: for=1.1.1.1, for="[2001:db9::a]:80";proto=https;host=www.example, for=10.0.0.1'],
            ("2001:db9::a, 127.0.0.1", "https", "www.example", "2001:db9::a"),
        ),
        (
            ["Forwarded: for=1.1.1.1;proto=https;host=evil", "X-Forwarded-For: 203.0.113.9"],
            ("203.0.113.9, 127.0.0.1", "http", "app", "203.0.113.9"),
        ),
        (["X_Forwarded_For: 203.0.113.9", "X-Real-IP: 203.0.113.9"], ("127.0.0.1", "http", "app", "127.0.0.1")),
    ],
)
def test_a_trusted_peer_is_believed(server, origin, fields, told):
    assert forwarded(server, origin, *fields) == told


@pytest.mark.parametrize(
    "field",
    [
        "X-Forwarded-For: 1.1.1.1",
        "Forwarded: for=1.1.1.1;proto=https;host=x",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: x",
    ],
)
def test_nobody_else_is(server, origin, field):
    """127.0.0.2 is the first address after 127.0.0.0/31."""
    assert forwarded(server, origin, field, source="127.0.0.2") == ("127.0.0.2", "http", "app", "127.0.0.2")


SAYS = ["X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-By", "Front-End-Https", "X-Scheme"]
SAYS += ["X-Forwarded-User", "X-Original-URL"]


def test_what_else_a_trusted_peer_says_passes(server, origin):
    """Ringway still removes fields that no proxy can set, and names that become such a field in CGI."""
    target = origin.on(OK)
    with server.connect() as client:
        client.get(target, *(f"{name}: y" for name in SAYS), "Proxy: z", "X_Forwarded_Ssl: z", host="app")
    request = origin.request(target)
    assert [request.one(name) for name in SAYS] == ["y"] * len(SAYS)
    assert b": z" not in request.head


@pytest.mark.parametrize(
    ("fields", "port"),
    [
        ([], "80"),
        (["X-Forwarded-Proto: https"], "443"),
        (["X-Forwarded-Proto: wss"], "443"),
        (["X-Forwarded-Proto: https", "X-Forwarded-Host: a.example:8443"], "8443"),
        (["X-Forwarded-Host: [::1]"], "80"),
        (["X-Forwarded-Host: [::1]:81"], "81"),
        (["X-Forwarded-Host: a.example:"], "80"),
        (["X-Forwarded-Host: a.example:123456"], "80"),
        (["X-Forwarded-Host: 8080"], "80"),
        (["X-Forwarded-Host: a.example:81", "X-Forwarded-Port: 82"], "82"),
        (["X-Forwarded-Port: 1, 2"], "2"),
    ],
)
def test_the_port_is_told(server, origin, fields, port):
    target = origin.on(OK)
    with server.connect() as client:
        client.get(target, *fields, host="app")
        assert origin.request(target).one("x-forwarded-port") == port


@pytest.mark.parametrize(
    ("strip", "fields", "told"),
    [
        (True, [], ["/api"]),
        (True, ["X-Forwarded-Prefix: /outer/"], ["/outer/api"]),
        (False, ["X-Forwarded-Prefix: /outer/"], ["/outer/"]),
        (False, [], []),
    ],
)
def test_prefixes_are_one_behind_the_other(ringway, origin, strip, fields, told):
    server = ringway(
        {
            "server": {"trusted_proxies": "127.0.0.1"},
            "path_routes": {"*": {"/api/": {"type": "Proxy", "url": origin.url, "strip_prefix": strip}}},
        }
    )
    with server.connect() as client:
        assert client.get("/api/x", *fields).status == 200
    assert origin.request("/x" if strip else "/api/x").all("x-forwarded-prefix") == told


def test_nobody_at_all_unless_said(ringway, origin):
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": origin.url}}})
    told = forwarded(server, origin, "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https")
    assert told == ("127.0.0.1", "http", "app", "127.0.0.1")


def test_each_request_for_itself(server, origin):
    target = origin.on(OK)
    with server.connect() as client:
        client.get(target, "X-Forwarded-For: 203.0.113.1", host="app")
        client.get("/a.txt", "X-Forwarded-For: 203.0.113.2")
        client.get("/a.txt?", host="none")
        client.get("/missing", "Forwarded: for=203.0.113.3")
        client.send(b"GET /bad HTTP/1.1\r\nX-Forwarded-For: 203.0.113.4\r\n\r\n")
        assert client.response().status == 400
    clients = [server.record(t)["client"] for t in (target, "/a.txt", "/a.txt?", "/missing", "/bad")]
    # A rejected request was not parsed completely, so its fields do not count.
    assert clients == ["203.0.113.1", "203.0.113.2", "127.0.0.1", "203.0.113.3", "127.0.0.1"]


def test_a_chain_as_long_as_a_head(server, origin):
    """The field is in the head already, so the rewritten head is hardly longer, whatever the bound of a head is."""
    chain = ", ".join(["10.1.1.1"] * 700)
    told = forwarded(server, origin, f"X-Forwarded-For: 203.0.113.9, {chain}")
    assert told[0] == f"203.0.113.9, {chain}, 127.0.0.1"
    assert told[3] == "10.1.1.1", "the walk ends after 64 entries"


def test_https_at_the_proxy_is_no_reason_for_a_redirect(ringway, certificate, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    server = ringway(
        {
            "server": {
                "listen": "127.0.0.1:0",
                "plain_listen": "127.0.0.1:0",
                "redirect_https": True,
                "trusted_proxies": "127.0.0.1",
            },
            "tls": certificate,
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    cases = [("127.0.0.1", "HTTPS", 200), ("127.0.0.1", "http", 308), ("127.0.0.2", "https", 308)]
    # Several proxies in a row, each of which adds its own entry. WebSockets are forwarded with these fields, too.
    cases += [("127.0.0.1", "https, https", 200), ("127.0.0.1", "wss", 200), ("127.0.0.1", "ws", 308)]
    cases += [("127.0.0.1", "https, http", 308)]
    for source, proto, status in cases:
        with server.connect(source=source) as client:
            assert client.get("/a.txt", f"X-Forwarded-Proto: {proto}").status == status

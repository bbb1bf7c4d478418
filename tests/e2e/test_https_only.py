"""HTTPS only: `redirect_https`, and Strict-Transport-Security by host."""

import pytest
from harness.raw import message


@pytest.fixture
def server(ringway, upstream, certificate, tmp_path):
    (tmp_path / ".well-known/acme-challenge").mkdir(parents=True)
    (tmp_path / ".well-known/acme-challenge/token").write_text("proof")
    (tmp_path / "index.html").write_text("x")
    origin = upstream(
        lambda link: [
            (
                link.request(3600),
                link.send(
                    b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nX: y\r\nContent-Length: 2\r\n\r\nhi"
                ),
            )
            for _ in range(100)
        ]
    )
    to_folder = {"type": "File", "path": tmp_path}
    return ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0", "redirect_https": True},
            "tls": {
                **certificate,
                "hosts": {
                    "strict.example": {"hsts": "max-age=600; includeSubDomains"},
                    "any.example": {"hsts": "max-age=60"},
                    "app.example": {"hsts": "max-age=6"},
                    "below.wild.example": {"hsts": "max-age=7"},
                },
            },
            "host_routes": {
                "*": to_folder,
                "strict.example": to_folder,
                "app.example": {"type": "Proxy", "url": origin.url},
                "*.wild.example": {"type": "Redirect", "to": "/elsewhere", "status": 307},
            },
            "path_routes": {
                "*": {"/moved/": {"type": "Redirect", "to": "https://elsewhere.example{path}"}},
                "strict.example": {"/more/": to_folder},
                "*.wild.example": {"/down/": {"type": "Redirect", "to": "/wild"}},
            },
        }
    )


@pytest.mark.parametrize(
    ("host", "target", "location"),
    [
        ("a.example", "/", "https://a.example:PORT/"),
        ("a.example:80", "/x/y?q=1&r=%20", "https://a.example:PORT/x/y?q=1&r=%20"),
        ("[::1]", "/x", "https://[::1]:PORT/x"),
        ("[::1]:8080", "/x", "https://[::1]:PORT/x"),
        ("10.0.0.1", "/", "https://10.0.0.1:PORT/"),
        ("a.example", "http://a.example?x", "https://a.example:PORT/?x"),
        (
            "a.example",
            "/.well-known/acme-challenge/../../x",
            "https://a.example:PORT/.well-known/acme-challenge/../../x",
        ),
        ("a.example", "/.well-known/acme-challenge/", "https://a.example:PORT/.well-known/acme-challenge/"),
    ],
)
def test_plain_requests_are_sent_on(server, host, target, location):
    port = str(server.listener(tls=True).port)
    with server.connect() as client:
        response = client.get(target, host=host)
        assert (response.status, response.one("location")) == (308, location.replace("PORT", port))
        assert "strict-transport-security" not in response
        assert client.get("/", "Content-Length: 3", method="POST", body=b"abc", host=host).status == 308


@pytest.mark.parametrize("target", ["/x?y=1", "/.well-known/acme-challenge/token"])
def test_plain_requests_to_the_port_of_https_are_sent_on(server, target):
    """A client that uses `http://host:443` by mistake."""
    port = server.listener(tls=True).port
    with server.connect_raw(tls=True) as client:
        client.send(message(f"GET {target} HTTP/1.1", f"Host: a.example:{port}"))
        response = client.response()
        assert (response.status, response.one("location")) == (308, f"https://a.example:{port}{target}")
        assert "strict-transport-security" not in response
    with server.connect_raw(tls=True) as client:
        client.send(message("GET / HTTP/1.0"))
        assert client.response().status == 400
    with server.connect(tls=True) as client:
        assert client.get("/", host="a.example").status == 200


def test_a_target_that_is_too_long(server):
    """The bound applies to the complete Location, with host and port."""
    for length in (2900, 3000, 3060, 3100, 7000):
        with server.connect() as client:
            response = client.get("/" + "x" * length, host="a.example")
        if response.status == 414:
            assert length > 3000
            assert response.reason == "target_too_long"
        else:
            assert response.one("location").endswith("/" + "x" * length)
            assert length < 3060


def test_a_challenge_is_answered(server):
    """RFC 8555 8.3: the authority uses plain HTTP."""
    with server.connect() as client:
        assert client.get("/.well-known/acme-challenge/token", host="a.example").body == b"proof"
        assert client.get("/.well-known/acme-challenge/none", host="a.example").status == 404


def test_without_a_host_there_is_nowhere_to_send_it(server):
    with server.connect() as client:
        client.send(message("GET / HTTP/1.0"))
        assert client.response().status == 400


@pytest.mark.parametrize(
    ("host", "target", "status", "value"),
    [
        ("strict.example", "/", 200, "max-age=600; includeSubDomains"),
        ("strict.example", "/more/", 200, "max-age=600; includeSubDomains"),
        ("strict.example", "/none", 404, "max-age=600; includeSubDomains"),
        ("STRICT.example:443", "/", 200, "max-age=600; includeSubDomains"),
        ("any.example", "/", 200, "max-age=60"),
        ("any.example", "/moved/x", 308, "max-age=60"),
        # The host answers every path itself, but the paths of "*" apply to it, too.
        ("strict.example", "/moved/x", 308, "max-age=600; includeSubDomains"),
        # It keeps what it inherits from a wildcard, before that of "*".
        ("below.wild.example", "/down/x", 308, "max-age=7"),
        ("below.wild.example", "/moved/x", 308, "max-age=7"),
        ("below.wild.example", "/x", 307, "max-age=7"),
        ("beside.wild.example", "/x", 307, None),
        ("other.example", "/", 200, None),
        ("other.example", "/moved/x", 308, None),
    ],
)
def test_strict_transport_security(server, host, target, status, value):
    """RFC 6797 7.2: only over TLS, also with redirects and errors, also for a host that only `"*"` matches."""
    with server.connect(tls=True) as client:
        for method in ("GET", "HEAD"):
            response = client.get(target, method=method, host=host)
            assert response.status == status
            assert (response.one("strict-transport-security") if value else None) == value
            assert ("strict-transport-security" in response) == (value is not None)


def test_the_upstreams_own_comes_second(server):
    """RFC 6797 8.1: a browser uses the first field."""
    with server.connect(tls=True) as client:
        response = client.get("/", host="app.example")
        assert response.body == b"hi"
        values = [
            line for line in response.head.split(b"\r\n") if line.lower().startswith(b"strict-transport-security")
        ]
        assert values == [b"Strict-Transport-Security: max-age=6", b"Strict-Transport-Security: max-age=1"]

"""TLS to upstreams up to the first request: trust, names, client certificates, and failures."""

import ssl

import pytest
from harness.memory import total
from harness.raw import message
from harness.tls import VERSION, of_version
from harness.upstream_tls import config, refused, to
from harness.waiting import wait

NO_AUTHORITIES = {"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent"}


def sees_names(context):
    """Returns the list of names that clients send by SNI."""
    asked = []
    context.sni_callback = lambda sock, name, context: asked.append(name)
    return asked


# Trusted upstreams


@VERSION
def test_trusted(ringway, upstream, authority, version):
    context = of_version(authority.serves("localhost"), version)
    context.set_alpn_protocols(["http/1.1"])
    asked = sees_names(context)
    origin = upstream(context=context)
    server = ringway(config(f"https://localhost:{origin.port}/v2", authority))
    with server.connect() as client:
        for number in range(3):
            assert client.get(f"/{number}", host="shop.example").body == b"hello"
    (link,) = origin.links
    assert asked == ["localhost"]
    assert link.tls.selected_alpn_protocol() == "http/1.1"
    assert link.tls.version() == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
    request = origin.requests[0]
    assert request.target == "/v2/0"
    assert request.one("host") == "shop.example"
    assert request.one("x-forwarded-proto") == "http"
    assert request.one("x-forwarded-host") == "shop.example"
    assert server.record("/0")["upstream"] == f"https://localhost:{origin.port}"
    assert total(server, "upstream_handshakes") == 1
    assert total(server, "upstream_tls_errors") == 0


def test_the_upstreams_own_name_is_the_host_of_http_1_0(ringway, upstream, authority):
    """RFC 9110 7.2"""
    origin = upstream(context=authority.serves("127.0.0.1"))
    server = ringway(config(origin.url, authority))
    with server.connect() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.response().status == 200
    assert origin.requests[0].one("host") == origin.authority


def test_tls_on_both_sides(ringway, upstream, authority, certificate):
    origin = upstream(context=authority.serves("127.0.0.1"))
    server = ringway({"tls": certificate, **config(origin.url, authority)})
    with server.connect(tls=True) as client:
        for _ in range(3):
            assert client.get().body == b"hello"
    assert origin.requests[0].one("x-forwarded-proto") == "https"
    assert len(origin.links) == 1


def test_the_authorities_of_the_system(ringway, upstream, authority):
    origin = upstream(context=authority.serves("127.0.0.1"))
    server = ringway(config(origin.url), env={"SSL_CERT_FILE": str(authority.path)})
    with server.connect() as client:
        assert client.get().body == b"hello"


def test_a_folder_of_authorities_of_the_system(ringway, upstream, authority, tmp_path):
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "0a1b2c3d.0").write_bytes(authority.path.read_bytes())
    (folder / "README").write_text("no certificate\n")
    origin = upstream(context=authority.serves("127.0.0.1"))
    server = ringway(config(origin.url), env={**NO_AUTHORITIES, "SSL_CERT_DIR": str(folder)})
    with server.connect() as client:
        assert client.get().body == b"hello"


def test_the_very_certificate_is_trusted(ringway, upstream, authority):
    """Pinned: its authority is unknown."""
    pair = authority.issue(["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    origin = upstream(context=context)
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": origin.url, "ca_path": pair[0]}}})
    with server.connect() as client:
        assert client.get().body == b"hello"


def test_the_address_in_the_url_is_checked_and_not_sent(ringway, upstream, authority):
    """RFC 6066 3: an address is not a host name."""
    context = authority.serves("127.0.0.1")
    asked = sees_names(context)
    origin = upstream(context=context)
    server = ringway(config(origin.url, authority))
    with server.connect() as client:
        assert client.get().body == b"hello"
    assert asked == [None]


def test_server_name(ringway, upstream, authority):
    context = authority.serves("app.example")
    asked = sees_names(context)
    origin = upstream(context=context)
    server = ringway(config(origin.url, authority, server_name="APP.example"))
    with server.connect() as client:
        assert client.get(host="shop.example").body == b"hello"
    assert asked == ["app.example"]
    assert origin.requests[0].one("host") == "shop.example"


def test_a_wildcard_is_for_one_label(ringway, upstream, authority):
    origin = upstream(context=authority.serves("*.app.example"))
    server = ringway(
        {
            "host_routes": {
                "one": to(origin.url, authority, server_name="a.app.example"),
                "two": to(origin.url, authority, server_name="a.b.app.example"),
            }
        }
    )
    with server.connect() as client:
        assert client.get(host="one").status == 200
        assert client.get(host="two").reason == "upstream_untrusted"


# Untrusted upstreams


@VERSION
def test_another_authority(ringway, upstream, authority, other, version):
    origin = upstream(context=of_version(other.serves("127.0.0.1"), version))
    server = ringway(config(origin.url, authority))
    refused(server, "upstream_untrusted")
    server.wait_line(rf" warning worker 0: rejected the certificate of {origin.url} \(.*issuer certificate\)$")
    # The upstream gets an alert with the reason, and no byte of the request.
    origin.journal.until(lambda: origin.failures, "failure of the handshake")
    assert "ALERT_UNKNOWN_CA" in origin.failures[0].upper().replace(" ", "_")
    assert not origin.requests
    assert total(server, "upstream_tls_errors") == 1


def test_not_of_the_system(ringway, upstream, authority, other):
    origin = upstream(context=other.serves("127.0.0.1"))
    server = ringway(config(origin.url), env={**NO_AUTHORITIES, "SSL_CERT_FILE": str(authority.path)})
    refused(server, "upstream_untrusted")


def test_expired(ringway, upstream, authority):
    origin = upstream(context=authority.serves("127.0.0.1", expired=True))
    server = ringway(config(origin.url, authority))
    refused(server, "upstream_untrusted")
    server.wait_line(rf"rejected the certificate of {origin.url} \(certificate has expired\)$")


@pytest.mark.parametrize(
    ("names", "more", "why"),
    [
        (["elsewhere.example"], {"server_name": "app.example"}, "hostname mismatch"),
        (["127.0.0.1"], {"server_name": "localhost"}, "hostname mismatch"),
        (["localhost"], {}, "IP address mismatch"),
        (["127.0.0.2"], {}, "IP address mismatch"),
        (["app.example"], {"server_name": "127.0.0.1"}, "IP address mismatch"),
    ],
)
def test_anothers_certificate(ringway, upstream, authority, names, more, why):
    origin = upstream(context=authority.serves(*names))
    server = ringway(config(origin.url, authority, **more))
    refused(server, "upstream_untrusted")
    assert why.lower() in server.wait_line(rf"rejected the certificate of {origin.url} ").lower()


def test_events_come_once_a_second_at_most(ringway, upstream, authority, other):
    origin = upstream(context=other.serves("127.0.0.1"))
    server = ringway(config(origin.url, authority))
    with server.connect() as client:
        for number in range(20):
            assert client.get(f"/{number}").reason == "upstream_untrusted"
    server.record("/19")
    assert total(server, "upstream_tls_errors") == 20
    assert len([line for line in server.lines if "not accepted" in line]) < 20


def test_not_verified(ringway, upstream, other):
    """Any certificate is accepted, and Ringway warns at each start."""
    origin = upstream(context=other.serves("elsewhere.example", expired=True))
    server = ringway(config(origin.url, verify=False))
    server.wait_line(rf' warning .*\.toml:\d+: host_routes."\*".verify: {origin.url} is not verified')
    with server.connect() as client:
        assert client.get().body == b"hello"


def test_what_differs_in_any_way_shares_no_connection(ringway, upstream, authority, other):
    """This also applies to TLS sessions: a route cannot reuse a connection or session that it would not trust."""
    origin = upstream(context=authority.serves("127.0.0.1", "localhost", "app.example"))
    pair = authority.issue(["client"], client=True)
    shown = {"cert_path": pair[0], "key_path": pair[1]}
    routes = {
        "same": to(origin.url, authority),
        "again": to(f"{origin.url}/", authority),
        "name": to(origin.url, authority, server_name="app.example"),
        "open": to(origin.url, verify=False),
        "shown": to(origin.url, authority, **shown),
        "other": to(origin.url, other),
    }
    server = ringway({"host_routes": routes})
    with server.connect() as client:
        for _ in range(2):
            for host in routes:
                response = client.get(host=host)
                assert response.status == (502 if host == "other" else 200), host
    assert len([link for link in origin.links if link.requests]) == 4
    assert total(server, "upstream_resumed") == 0


# Client certificates


@VERSION
def test_client_certificate(ringway, upstream, authority, version):
    pair = authority.issue(["ringway.example"], client=True)
    origin = upstream(context=of_version(authority.serves("127.0.0.1", clients=authority), version))
    server = ringway(config(origin.url, authority, cert_path=pair[0], key_path=pair[1]))
    with server.connect() as client:
        assert client.get().body == b"hello"
    certificate = origin.links[0].tls.getpeercert()
    assert certificate["subjectAltName"] == (("DNS", "ringway.example"),)


@VERSION
def test_client_certificate_is_missing(ringway, upstream, authority, version):
    """With TLS 1.3 the upstream rejects the client only after the handshake."""
    origin = upstream(context=of_version(authority.serves("127.0.0.1", clients=authority), version))
    server = ringway(config(origin.url, authority))
    refused(server, "upstream_tls_failed")
    server.wait_line(
        rf" warning worker 0: no TLS connection to {origin.url} \(.*(certificate required|handshake failure)"
    )
    wait(lambda: origin.failures, "the upstream's failure")
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in origin.failures[0].upper().replace(" ", "_")


def test_client_certificate_is_anothers(ringway, upstream, authority, other):
    pair = other.issue(["ringway.example"], client=True)
    origin = upstream(context=authority.serves("127.0.0.1", clients=authority))
    server = ringway(config(origin.url, authority, cert_path=pair[0], key_path=pair[1]))
    refused(server, "upstream_tls_failed")
    server.wait_line(rf"no TLS connection to {origin.url} \(.*unknown ca")


# Not TLS


def test_it_speaks_no_tls(ringway, upstream, authority):
    def serve(link):
        link.some(100)
        link.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    origin = upstream(serve)
    server = ringway(config(f"https://127.0.0.1:{origin.port}", authority))
    refused(server, "upstream_tls_failed")
    server.wait_line(r"no TLS connection to https://127.0.0.1:\d+ \(wrong version number\)$")


@pytest.mark.parametrize("end", ["finish", "reset"])
def test_it_ends_in_the_handshake(ringway, upstream, authority, end):
    def serve(link):
        link.some(100)
        getattr(link, end)()
        if end == "finish":
            link.to_end()

    origin = upstream(serve)
    server = ringway(config(f"https://127.0.0.1:{origin.port}", authority))
    refused(server, "upstream_tls_failed")
    server.wait_line(r"\(the connection ended during the handshake\)$")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_refused(ringway, upstream, authority):
    context = authority.serves("127.0.0.1")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    server = ringway(config(upstream(context=context).url, authority))
    refused(server, "upstream_tls_failed")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x03\x40\x00\x02"], ids=["nothing", "half a record"])
def test_the_handshake_never_ends(ringway, upstream, authority, said):
    """`connect` is one deadline for connecting and handshake."""

    def serve(link):
        link.some(100)
        if said:
            link.send(said)
        link.to_end()

    origin = upstream(serve)
    server = ringway({"timeouts": {"connect": 0.3}, **config(f"https://127.0.0.1:{origin.port}", authority)})
    refused(server, "upstream_connect_timeout", 504)


def test_the_client_leaves_in_the_handshake(ringway, upstream, authority):
    origin = upstream(lambda link: link.to_end())
    route = config(f"https://127.0.0.1:{origin.port}", authority)
    server = ringway({"timeouts": {"connect": 0.3}, **route})
    with server.connect() as client:
        client.send(message("GET /left HTTP/1.1", "Host: a"))
        origin.link(0)
        client.reset()
    server.record("/left")
    origin.journal.until(lambda: origin.links[0].closed, "end of the connection to the upstream")

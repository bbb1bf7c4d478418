"""Client certificates: which hosts accept a client, what their upstreams get, and that nothing bypasses the door."""

import datetime
import hashlib
import os
import re
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from harness.authority import Authority
from harness.certificates import make
from harness.curl import curl
from harness.memory import Rest, total, wait_for_total
from harness.raw import any_certificate, message
from harness.server import Server
from harness.upstream import Upstream
from harness.waiting import DEADLINE, wait

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BOTH = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
IDENTITY = ["verified", "subject", "issuer", "serial", "fingerprint"]


@dataclass
class Doors:
    """Hosts with one certificate. `a` and `b` demand a certificate of different authorities, `may` accepts one of a's
    authority, `*.wild` demands one of it, and every other host, `open`, demands none."""

    server: Server
    upstream: Upstream
    rest: Rest
    a: Authority
    b: Authority

    def connect(self, host, pair=None, version=None):
        return self.server.connect(tls=True, host=host, context=shows(pair, version))

    def forwarded(self, client, host, *lines, method="GET", body=b""):
        """Returns what the upstream got of an answered request."""
        target = self.upstream.on(OK)
        assert client.get(target, *lines, host=host, method=method, body=body).status == 200
        return self.upstream.request(target)


def shows(pair=None, version=None):
    context = any_certificate()
    if pair is not None:
        context.load_cert_chain(*pair)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doors")
    a, b = Authority(folder, "a"), Authority(folder, "b")
    with Upstream() as upstream:
        config = {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
            "tls": {
                **make(folder / "server.crt", folder / "server.key", ["*.example"]),
                "client_ca": str(a.path),
                "hosts": {
                    "a.example": {"client_auth": "require"},
                    "b.example": {"client_auth": "require", "client_ca": str(b.path)},
                    "may.example": {"client_auth": "optional"},
                    "*.wild.example": {"client_auth": "require"},
                    "strict.wild.example": {"hsts": "max-age=60"},
                    "open.wild.example": {"client_auth": "off"},
                },
            },
            "host_routes": {"*": {"type": "Proxy", "url": upstream.url}},
        }
        with Server(config, folder) as server:
            yield Doors(server, upstream, Rest(server), a, b)


@pytest.fixture
def doors(running):
    yield running
    running.server.assert_sound()
    running.rest.assert_back()
    running.upstream.assert_sound()


def answer(doors, host, pair=None, version=None, http_host=None):
    """Returns status and reason of the response, or the name of the alert if there is no connection."""
    try:
        with doors.connect(host, pair, version) as client:
            response = client.get("/x", method="OPTIONS", host=http_host or host)
            return response.status, response.reason if response.status != 200 else ""
    except ssl.SSLError as error:
        return error.reason


def own(pair):
    return x509.load_pem_x509_certificate(pair[0].read_bytes())


# Who is accepted


@BOTH
def test_required(doors, version):
    pair = doors.a.issue(["alice"], client=True)
    with doors.connect("a.example", pair, version) as client:
        request = doors.forwarded(client, "a.example")
    certificate = own(pair)
    assert request.one("x-client-verified") == "SUCCESS"
    assert request.one("x-client-subject") == "CN=alice"
    assert request.one("x-client-issuer") == "CN=authority of a"
    assert int(request.one("x-client-serial"), 16) == certificate.serial_number
    der = certificate.public_bytes(Encoding.DER)
    assert request.one("x-client-fingerprint") == hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize(
    ("version", "alert"),
    [(V12, r"HANDSHAKE_FAILURE"), (V13, r"CERTIFICATE_REQUIRED")],
    ids=["1.2", "1.3"],
)
def test_required_and_none_shown(doors, version, alert):
    before = total(doors.server, "client_certificate_errors")
    assert re.search(alert, answer(doors, "a.example", None, version))
    assert total(doors.server, "client_certificate_errors") == before + 1
    told(
        doors,
        r"no valid client certificate from 127\.0\.0\.1 \(peer did not return a certificate",
        "a.example",
        None,
        version,
    )


def told(doors, pattern, *how):
    """Waits for a line in the log. Each kind is logged at most once a second."""

    def look():
        answer(doors, *how)
        return any(re.search(pattern, line) for line in doors.server.lines)

    wait(look, "what it looks for", 2 * DEADLINE)


@BOTH
def test_required_and_another_authoritys_shown(doors, version):
    pair = doors.b.issue(["mallory"], client=True)
    assert re.search("UNKNOWN_CA", answer(doors, "a.example", pair, version))
    told(doors, r"no valid client certificate from 127\.0\.0\.1 \(.*issuer", "a.example", pair, version)


@BOTH
def test_required_and_expired(doors, version):
    pair = doors.a.issue(["late"], expired=True, client=True)
    assert re.search("EXPIRED", answer(doors, "a.example", pair, version))


def test_a_servers_certificate_is_no_clients(doors):
    pair = doors.a.issue(["server"])
    assert re.search("UNSUPPORTED_CERTIFICATE", answer(doors, "a.example", pair))


@BOTH
def test_optional(doors, version):
    with doors.connect("may.example", None, version) as client:
        request = doors.forwarded(client, "may.example")
        assert [name for name in IDENTITY if f"x-client-{name}" in request] == ["verified"]
        assert request.one("x-client-verified") == "NONE"
    with doors.connect("may.example", doors.a.issue(["alice"], client=True), version) as client:
        assert doors.forwarded(client, "may.example").one("x-client-subject") == "CN=alice"


@BOTH
@pytest.mark.parametrize("expired", [False, True])
def test_optional_and_not_accepted(doors, version, expired):
    """As with nginx, the handshake succeeds and the response is 400."""
    authority = doors.a if expired else doors.b
    pair = authority.issue(["mallory"], expired=expired, client=True)
    assert answer(doors, "may.example", pair, version) == (400, "client_certificate_refused")


def test_hosts_that_ask_for_none(doors):
    pair = doors.a.issue(["alice"], client=True)
    for host in ("open.example", "open.wild.example"):
        with doors.connect(host, pair) as client:
            request = doors.forwarded(client, host)
            assert not [name for name in IDENTITY if f"x-client-{name}" in request]


@pytest.mark.parametrize("host", ["x.wild.example", "x.y.wild.example", "strict.wild.example", "STRICT.wild.example"])
def test_a_wildcard_holds_for_all_below_it(doors, host):
    """This also applies to a host with a section that does not mention client certificates."""
    assert re.search("CERTIFICATE_REQUIRED", answer(doors, host))
    assert answer(doors, host, doors.a.issue(["alice"], client=True))[0] in (200, 404)


def test_an_intermediate_authority(ringway, upstream, tmp_path):
    """The client sends the intermediate certificate. The file can also name it alone; then the authority above it is
    not trusted."""
    root = Authority(tmp_path, "root")
    middle = Authority(tmp_path, "middle", issuer=root)
    origin = upstream()
    server = ringway(
        {
            "tls": {
                **make(tmp_path / "s.crt", tmp_path / "s.key", ["a.example"]),
                "client_auth": "require",
                "client_ca": str(root.path),
                "hosts": {"middle.example": {"client_ca": str(middle.path)}},
            },
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }
    )
    doors = Doors(server, origin, None, root, middle)
    below = middle.issue(["deep"], client=True)
    for host in ("root.example", "middle.example"):
        with doors.connect(host, below) as client:
            assert doors.forwarded(client, host).one("x-client-issuer") == "CN=authority of middle"
    assert re.search("UNKNOWN_CA", answer(doors, "middle.example", root.issue(["flat"], client=True)))


def test_curl(doors):
    """curl shows its certificate in other ways."""
    certificate, key = doors.a.issue(["curl"], client=True)
    port = doors.server.listener(tls=True).port
    where = ["--resolve", f"a.example:{port}:127.0.0.1"]
    target = doors.upstream.on(OK)
    found = curl(f"https://a.example:{port}{target}", *where, "--cert", str(certificate), "--key", str(key))
    assert (found.status, found.body) == (200, b"hi")
    assert curl(f"https://a.example:{port}{target}", *where).code != 0


# Nothing bypasses the door


@pytest.mark.parametrize(
    ("asked", "host", "status"),
    [
        ("open.example", "a.example", 421),
        ("open.example", "A.EXAMPLE:443", 421),
        ("open.example", "a.example.", 421),
        ("open.example", "may.example", 421),
        ("a.example", "b.example", 421),
        ("a.example", "open.example", 421),
        ("may.example", "a.example", 421),
        ("a.example", "x.wild.example", 200),
        ("open.example", "other.example", 200),
    ],
)
def test_another_host_than_the_handshakes(doors, asked, host, status):
    """RFC 9110 15.5.20. A connection is good for all hosts with equal demands."""
    pair = doors.a.issue(["alice"], client=True)
    target = doors.upstream.on(OK)
    with doors.connect(asked, pair) as client:
        response = client.get(target, host=host)
        assert response.status == status
        assert status == 200 or response.reason == "misdirected"
        if status == 421:
            # In absolute-form the target decides.
            client.send(message(f"GET http://{host}{target} HTTP/1.1", f"Host: {host}"))
            assert client.response().status == 421
            own_target = doors.upstream.on(OK)
            assert client.get(own_target, host=asked).status == 200


def test_another_hosts_after_a_reload(ringway, upstream, tmp_path):
    """The current demand of the host decides, whatever its number. A connection keeps the certificate of its
    handshake."""
    a, b = Authority(tmp_path, "a"), Authority(tmp_path, "b")
    alice = a.issue(["alice"], client=True)
    origin = upstream()

    def rules(hosts):
        doors = {host: {"client_auth": "require", "client_ca": str(ca.path)} for host, ca in hosts.items()}
        certificate = {"cert_path": str(tmp_path / "s.crt"), "key_path": str(tmp_path / "s.key")}
        return {"tls": {**certificate, "hosts": doors}, "host_routes": {"*": {"type": "Proxy", "url": origin.url}}}

    make(tmp_path / "s.crt", tmp_path / "s.key", ["*.example"])
    server = ringway(rules({"moves.example": a, "stays.example": a}))
    doors = Doors(server, origin, None, a, b)
    with (
        doors.connect("moves.example", alice) as moves,
        doors.connect("stays.example", alice) as stays,
        doors.connect("opens.example") as opens,
    ):
        for client, host in ((moves, "moves"), (stays, "stays"), (opens, "opens")):
            assert client.get("/", host=f"{host}.example").status == 200
        # There is now another demand before that of `a`, so all numbers are different.
        server.reload(rules({"b.example": b, "moves.example": b, "stays.example": a, "opens.example": b}))
        assert (moves.get("/", host="moves.example").status, stays.get("/", host="stays.example").status) == (421, 200)
        assert moves.get("/", host="stays.example").status == 200
        assert stays.get("/", host="b.example").status == 421
        assert opens.get("/", host="opens.example").status == 421
        assert opens.get("/", host="another.example").status == 200


def test_without_sni_it_is_every_other_host(doors):
    with doors.server.connect(tls=True, host=None) as client:
        assert client.get("/x", host="a.example").status == 421
        doors.forwarded(client, "127.0.0.1")


def test_plain_http(doors):
    target = doors.upstream.on(OK)
    with doors.server.connect() as client:
        for host in ("a.example", "x.wild.example"):
            for path in (target, "/.well-known/acme-challenge/token"):
                response = client.get(path, host=host)
                assert (response.status, response.reason) == (403, "client_certificate_missing")
        for host in ("may.example", "open.example"):
            assert "x-client-verified" not in doors.forwarded(client, host)


def test_plain_http_that_is_sent_on(ringway, tmp_path):
    """`redirect_https` redirects everything except challenges of authorities, which use plain HTTP (RFC 8555 8.3)."""
    (tmp_path / ".well-known/acme-challenge").mkdir(parents=True)
    (tmp_path / ".well-known/acme-challenge/token").write_text("proof")
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0", "redirect_https": True},
            "tls": {
                **make(tmp_path / "s.crt", tmp_path / "s.key", ["a.example"]),
                "client_auth": "require",
                "client_ca": str(Authority(tmp_path).path),
            },
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    with server.connect() as client:
        assert client.get("/s.key", host="a.example").status == 308
        assert client.get("/.well-known/acme-challenge/token", host="a.example").body == b"proof"
        for sly in ("..%2f..%2fs.key", "x/y", "%2e%2e%2fx"):
            response = client.get(f"/.well-known/acme-challenge/{sly}", host="a.example")
            assert response.status in (308, 403)


def test_plain_http_of_a_trusted_proxy(ringway, tmp_path):
    """A request that a trusted proxy got over HTTPS is not redirected, but its client has shown no certificate to
    Ringway."""
    (tmp_path / "f").write_text("secret")
    server = ringway(
        {
            "server": {
                "listen": "127.0.0.1:0",
                "plain_listen": "127.0.0.1:0",
                "redirect_https": True,
                "trusted_proxies": "127.0.0.1",
            },
            "tls": {
                **make(tmp_path / "s.crt", tmp_path / "s.key", ["a.example", "open.example"]),
                "client_ca": str(Authority(tmp_path).path),
                "hosts": {"a.example": {"client_auth": "require"}},
            },
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    with server.connect() as client:
        assert client.get("/f", host="a.example").status == 308
        assert client.get("/f", "X-Forwarded-Proto: https", host="open.example").body == b"secret"
        response = client.get("/f", "X-Forwarded-Proto: https", host="a.example")
        assert (response.status, response.reason) == (403, "client_certificate_missing")


def test_behind_the_proxy_protocol(ringway, upstream, tmp_path):
    authority, origin = Authority(tmp_path), upstream()
    server = ringway(
        {
            "server": {"listen": "127.0.0.1:0", "proxy_protocol": "127.0.0.1:0", "trusted_proxies": "127.0.0.1"},
            "tls": {
                **make(tmp_path / "s.crt", tmp_path / "s.key", ["a.example"]),
                "client_auth": "require",
                "client_ca": str(authority.path),
            },
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }
    )
    port = server.listener(True).port
    target = origin.on(OK)
    certificate, key = authority.issue(["alice"], client=True)
    url, where = f"https://a.example:{port}{target}", ("--haproxy-protocol", "--resolve", f"a.example:{port}:127.0.0.1")
    server.expected.append("no valid client certificate")
    assert curl(url, *where, "--cert", str(certificate), "--key", str(key)).status == 200
    assert origin.request(target).one("x-client-subject") == "CN=alice"
    assert curl(url, *where).code != 0


FORGED = [
    *(f"X-Client-{name.title()}" for name in IDENTITY),
    *("x_client_subject", "X_Client-Verified", "X-Client_Fingerprint", "X_CLIENT_SERIAL", "x-client_issuer"),
    *("Client-Cert", "Client-Cert-Chain", "client_cert", "CLIENT_CERT_CHAIN"),
]


@pytest.mark.parametrize("host", ["a.example", "may.example", "open.example", None])
def test_forged_fields(doors, host):
    """RFC 9440 4: identity fields from a client are never forwarded, on any route, nor in trailers."""
    forged = [f"{name}: forged" for name in FORGED]
    pair = doors.a.issue(["alice"], client=True) if host == "a.example" else None
    client = doors.connect(host, pair) if host else doors.server.connect()
    with client:
        request = doors.forwarded(client, host or "open.example", *forged, "X-Client-Data: kept")
        assert b"forged" not in request.head
        assert request.one("x-client-data") == "kept"
        assert ("x-client-subject" in request) == (host == "a.example")
        body = b"2\r\nab\r\n0\r\n" + b"".join(f"{line}\r\n".encode() for line in forged) + b"\r\n"
        request = doors.forwarded(
            client, host or "open.example", "Transfer-Encoding: chunked", method="POST", body=body
        )
        assert b"forged" not in doors.upstream.received


# Special characters in names


def named(*values):
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in values])


@pytest.mark.parametrize(
    ("subject", "written"),
    [
        (named((NameOID.ORGANIZATION_NAME, "O"), (NameOID.COMMON_NAME, "a")), "CN=a,O=O"),
        (named((NameOID.COMMON_NAME, 'a,b="c"+d')), r"CN=a\,b=\"c\"\+d"),
        (named((NameOID.COMMON_NAME, "a\r\nX-Admin: 1")), r"CN=a\0D\0AX-Admin: 1"),
        (named((NameOID.COMMON_NAME, "a\0b")), r"CN=a\00b"),
        (named((NameOID.COMMON_NAME, "é")), r"CN=\C3\A9"),
        (named((NameOID.COMMON_NAME, " a ")), "CN=\\ a\\ "),
    ],
)
def test_names_cannot_end_a_field(doors, subject, written):
    """RFC 4514 2.4."""
    with doors.connect("a.example", doors.a.issue(["x"], client=True, subject=subject)) as client:
        request = doors.forwarded(client, "a.example")
        assert request.one("x-client-subject") == written.strip(" ")
        assert "x-admin" not in request


def test_names_that_are_too_long_are_refused_and_not_shortened(doors):
    subject = named(*((NameOID.ORGANIZATIONAL_UNIT_NAME, f"{number:02}" + "u" * 60) for number in range(40)))
    pair = doors.a.issue(["x"], client=True, subject=subject)
    assert answer(doors, "a.example", pair) == (400, "client_certificate_refused")
    told(doors, "its names are too long", "a.example", pair)


@pytest.mark.parametrize("units", [10, 20])
@pytest.mark.parametrize("size", [0, 2000, 3500, 70000])
def test_long_names_fit_in_front_of_any_body(doors, units, size):
    """Identity fields that do not fit into the free space of a buffer (docs/decisions/0006)."""
    subject = named(*((NameOID.ORGANIZATIONAL_UNIT_NAME, f"{number:02}" + "u" * 60) for number in range(units)))
    with doors.connect("a.example", doors.a.issue(["x"], client=True, subject=subject)) as client:
        for framing in ("length", "chunked"):
            body = os.urandom(size)
            if framing == "length":
                lines, sent = [f"Content-Length: {size}"], body
            else:
                lines = ["Transfer-Encoding: chunked"]
                sent = (b"%x\r\n%b\r\n" % (size, body) if size else b"") + b"0\r\n\r\n"
            request = doors.forwarded(client, "a.example", *lines, method="POST", body=sent)
            assert len(request.one("x-client-subject")) > units * 60
            assert request.body == body


# Sessions


class Resuming:
    """A client that keeps its session."""

    def __init__(self, doors, version, pair=None):
        self.doors = doors
        self.context = shows(pair, version)
        self.session = None

    def ask(self, host):
        """Returns whether the session was resumed, and what the upstream got."""
        target = self.doors.upstream.on(OK)
        address = self.doors.server.listener(tls=True).address
        with (
            socket.create_connection(address, timeout=DEADLINE) as sock,
            self.context.wrap_socket(sock, server_hostname=host, session=self.session) as secure,
        ):
            secure.sendall(message(f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close"))
            assert secure.recv(65536).startswith(b"HTTP/1.1 200")
            self.session = secure.session
            return secure.session_reused, self.doors.upstream.request(target)


@BOTH
def test_a_resumed_session_keeps_the_identity(doors, version):
    client = Resuming(doors, version, doors.a.issue(["alice"], client=True))
    found = [client.ask("a.example") for _ in range(3)]
    assert [reused for reused, _ in found] == [False, True, True]
    for name in IDENTITY:
        assert len({request.one(f"x-client-{name}") for _, request in found}) == 1
    assert found[2][1].one("x-client-subject") == "CN=alice"


@BOTH
def test_a_session_without_a_certificate_has_none_when_it_is_resumed(doors, version):
    client = Resuming(doors, version)
    found = [client.ask("may.example") for _ in range(2)]
    assert [reused for reused, _ in found] == [False, True]
    assert found[1][1].one("x-client-verified") == "NONE"


@BOTH
@pytest.mark.parametrize("first", ["open.example", "may.example", "b.example"])
def test_no_ticket_opens_another_door(doors, version, first):
    """Ringway ignores such a session: there is a full handshake, and the missing certificate is an error."""
    client = Resuming(doors, version, doors.b.issue(["bob"], client=True) if first == "b.example" else None)
    assert client.ask(first)[0] is False
    assert client.ask(first)[0] is True
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure|certificate.required|unknown.ca"):
        client.ask("a.example")
    assert client.ask(first)[0] is True


@BOTH
def test_a_ticket_of_another_door_leads_to_a_full_handshake(doors, version):
    client = Resuming(doors, version, doors.a.issue(["alice"], client=True))
    assert client.ask("a.example")[0] is False
    for host in ("may.example", "open.example", "a.example"):
        reused, request = client.ask(host)
        assert reused is False
        assert ("x-client-subject" in request) == (host != "open.example")
    assert client.ask("x.wild.example")[0] is True  # which has the same demand


@BOTH
def test_a_ticket_does_not_outlive_the_certificate(doors, version):
    lasting = datetime.timedelta(seconds=4)
    client = Resuming(doors, version, doors.a.issue(["brief"], client=True, lasting=lasting))
    end = time.monotonic() + 4
    assert client.ask("a.example")[0] is False
    assert client.ask("a.example")[0] is True
    wait(lambda: time.monotonic() > end + 1.5, "end of its time", 10)  # there is no event for the expiry
    with pytest.raises(ssl.SSLError, match=r"(?i)expired"):
        client.ask("a.example")


def test_other_authorities_while_it_runs(ringway, upstream, tmp_path):
    """Ringway uses a changed file. Earlier tickets are then invalid. A broken file changes nothing."""
    a, b = Authority(tmp_path, "a"), Authority(tmp_path, "b")
    file = tmp_path / "clients.pem"
    file.write_bytes(a.path.read_bytes())
    origin = upstream()
    server = ringway(
        {
            "tls": {
                **make(tmp_path / "s.crt", tmp_path / "s.key", ["a.example"]),
                "client_auth": "require",
                "client_ca": str(file),
            },
            "host_routes": {"*": {"type": "Proxy", "url": origin.url}},
        }
    )
    doors = Doors(server, origin, None, a, b)
    alice, bob = a.issue(["alice"], client=True), b.issue(["bob"], client=True)
    client = Resuming(doors, V13, alice)
    assert [client.ask("a.example")[0], client.ask("a.example")[0]] == [False, True]
    expires = r' warning .*".*clients\.pem" \(CN=authority of {}\) expires on .*; renew it$'
    server.wait_line(expires.format("a"))
    assert re.search(expires.format("a"), server.command("check").stdout, re.M)
    with doors.connect("a.example", alice) as old:
        file.write_bytes(b.path.read_bytes())
        server.wait_line(r'client certificates are now verified with the new ".*clients\.pem"')
        server.wait_line(expires.format("b"))
        wait_for_total(server, "certificates", lambda count: count == 2)
        assert doors.forwarded(old, "a.example").one("x-client-subject") == "CN=alice"
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        client.ask("a.example")
    with doors.connect("a.example", bob) as new:
        assert doors.forwarded(new, "a.example").one("x-client-subject") == "CN=bob"
    file.write_text("nonsense")
    server.wait_line(r"certificates: tls\.client_ca: .* has no certificate in PEM form.*the old ones stay in use")
    with doors.connect("a.example", bob) as new:
        assert doors.forwarded(new, "a.example").one("x-client-subject") == "CN=bob"


def test_the_clients_are_told_whose_certificates_are_wanted(doors):
    """RFC 8446 4.2.4: Ringway sends the names of authorities, so that a browser can select a certificate."""
    port = doors.server.listener(tls=True).port
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "b.example"]
    found = subprocess.run(command, input=b"", capture_output=True, timeout=2 * DEADLINE, check=False)
    assert b"CN = authority of b" in found.stdout
    assert b"CN = authority of a" not in found.stdout

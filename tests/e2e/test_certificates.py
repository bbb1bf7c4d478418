"""Several certificates: which one a client gets by SNI, and what happens when files change at run time."""

import contextlib
import os
import signal
import socket
import ssl
import time

import pytest
from cryptography import x509
from harness.certificates import make
from harness.memory import counters_of, resident, total
from harness.raw import any_certificate
from harness.waiting import DEADLINE

ECDSA, RSA = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"


def pair(folder, name, hosts, **how):
    return make(folder / f"{name}.crt", folder / f"{name}.key", hosts, **how)


def site(folder, **tls):
    root = folder / "root"
    root.mkdir(exist_ok=True)
    (root / "index.html").write_text("x")
    return {
        "server": {"listen": "127.0.0.1:0", "threads": 1},
        "tls": tls,
        "host_routes": {"*": {"type": "File", "path": root}},
    }


def shown(server, host, cipher=None, context=None):
    """Returns serial number and names of the certificate for a client that asks for `host` (None: for no host)."""
    context = context or any_certificate()
    if cipher is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
    with (
        socket.create_connection(server.listener(tls=True).address, timeout=DEADLINE) as sock,
        context.wrap_socket(sock, server_hostname=host) as secure,
    ):
        found = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))
        secure.sendall(b"GET / HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in secure.recv(4096)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.serial_number, names.get_values_for_type(x509.DNSName)


@pytest.fixture
def many(ringway, tmp_path):
    certificates = [
        pair(tmp_path, "rsa", ["default.example"], kind="RSA"),
        pair(tmp_path, "wild", ["*.wild.example"]),
        pair(tmp_path, "exact", ["exact.wild.example"]),
    ]
    return ringway(site(tmp_path, **pair(tmp_path, "default", ["default.example"]), certificates=certificates))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("default.example", "default.example"),
        ("a.wild.example", "*.wild.example"),
        ("EXACT.wild.example", "exact.wild.example"),
        ("a.b.wild.example", "default.example"),
        ("unknown.example", "default.example"),
        (None, "default.example"),
    ],
)
def test_sni(many, host, name):
    """RFC 6066 3."""
    assert shown(many, host)[1] == [name]


def test_rsa_and_ecdsa_side_by_side(many):
    """The client's order of ciphers decides."""
    ecdsa, rsa = shown(many, "default.example", ECDSA), shown(many, "default.example", RSA)
    assert ecdsa[1] == rsa[1] == ["default.example"]
    assert ecdsa[0] != rsa[0]


def test_a_session_of_one_host_does_not_come_back_as_anothers(many):
    """A client that asks for another host on a resumed or new connection gets an answer. A TLS 1.3 session can be
    resumed."""
    context = any_certificate()
    address = many.listener(tls=True).address
    session = None
    for host in ("default.example", "default.example", "a.wild.example"):
        with (
            socket.create_connection(address, timeout=DEADLINE) as sock,
            context.wrap_socket(sock, server_hostname=host, session=session) as secure,
        ):
            secure.sendall(b"GET / HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in secure.recv(4096)
            session = secure.session


def until(look, what, seconds=2 * DEADLINE):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, what
    return found


def test_a_certificate_changes_without_a_restart(ringway, tmp_path):
    """Old connections continue, new ones get the new certificate, and sessions can still be resumed."""
    server = ringway(site(tmp_path, **pair(tmp_path, "a", ["a.example"])))
    before = shown(server, "a.example")
    assert total(server, "certificates") == 1
    with server.connect(tls=True) as old:
        assert old.get("/").body == b"x"
        pair(tmp_path, "a", ["a.example", "b.example"])
        server.wait_line(r'certificate ".*a\.crt" is in use, for a\.example, b\.example')
        until(lambda: total(server, "certificates") == 2, "the worker has no new certificates")
        after = shown(server, "b.example")
        assert after[0] != before[0]
        assert after[1] == ["a.example", "b.example"]
        assert old.get("/").body == b"x"
    assert len(server.worker_pids) == 1


def test_a_bad_new_certificate_is_told_and_the_old_one_stays(ringway, tmp_path):
    server = ringway(site(tmp_path, **pair(tmp_path, "a", ["a.example"])))
    before = shown(server, "a.example")
    (tmp_path / "a.crt").write_text("nonsense")
    line = server.wait_line("certificates: tls.cert_path: .*the old ones stay in use")
    assert "has no certificate in PEM form" in line
    assert shown(server, "a.example") == before
    assert total(server, "certificates") == 1


def test_a_folder_of_certificates(ringway, tmp_path):
    """New files are served, and removed files are not."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    pair(folder, "a", ["a.example"])
    server = ringway(site(tmp_path, certificates_path=str(folder)))
    assert shown(server, "b.example")[1] == ["a.example"]
    pair(folder, "b", ["b.example"])
    until(lambda: total(server, "certificates") == 2, "the worker has no new certificates")
    assert shown(server, "b.example")[1] == ["b.example"]
    os.unlink(folder / "b.crt")
    os.unlink(folder / "b.key")
    server.wait_line("was removed and is no longer in use")
    until(lambda: total(server, "certificates") == 3, "the worker has no new certificates")
    assert shown(server, "b.example")[1] == ["a.example"]


def test_an_expired_certificate_alone_is_served_and_told(ringway, tmp_path):
    """As in nginx, HAProxy and Caddy: clients that ignore the error are served, and reloads work."""
    server = ringway(site(tmp_path, **pair(tmp_path, "a", ["a.example"], days=-1, begins=-9)))
    server.wait_line(r'warning certificate ".*a\.crt" .*expired on')
    assert shown(server, "a.example")[1] == ["a.example"]
    server.reload()
    assert shown(server, "a.example")[1] == ["a.example"]
    checked = server.command("check")
    assert checked.returncode == 0
    assert "expired on" in checked.stdout + checked.stderr


def test_an_empty_folder_keeps_plain_http_running(ringway, tmp_path):
    """An ACME client can use plain HTTP to get the first certificate. Then Ringway serves TLS without a reload."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    config = site(tmp_path, certificates_path=str(folder))
    config["server"]["plain_listen"] = "127.0.0.1:0"
    server = ringway(config)
    server.wait_line("warning certificates: there is no certificate in .*every TLS handshake fails")
    with server.connect() as client:
        assert client.get("/").body == b"x"
    with pytest.raises(ssl.SSLError):
        shown(server, "a.example")
    pair(folder, "a", ["a.example"])
    server.wait_line(r'certificate ".*a\.crt" is in use')
    assert shown(server, "a.example")[1] == ["a.example"]


def test_a_renewal_counts_when_every_worker_has_taken_it(ringway, tmp_path):
    config = site(tmp_path, **pair(tmp_path, "a", ["a.example"]))
    config["server"]["threads"] = 2
    server = ringway(config)
    behind, other = server.workers.values()
    os.kill(behind, signal.SIGSTOP)
    try:
        pair(tmp_path, "a", ["b.example"])
        until(lambda: counters_of(other)["certificates"] == 2, "the worker has no new certificates")
        assert counters_of(behind)["certificates"] == 1
        assert "is in use" not in server.text
    finally:
        os.kill(behind, signal.SIGCONT)
    server.wait_line(r'certificate ".*a\.crt" is in use, for b\.example')
    assert counters_of(behind)["certificates"] == 2


def test_a_worker_that_dies_comes_back_with_the_newest(ringway, tmp_path):
    server = ringway(site(tmp_path, **pair(tmp_path, "a", ["a.example"])))
    server.expected += [r"worker 0 \(pid \d+\) died: signal SIGKILL"]
    pair(tmp_path, "a", ["new.example"])
    until(lambda: total(server, "certificates") == 2, "the worker has no new certificates")
    first = server.workers[0]
    os.kill(first, 9)
    server.wait_for(lambda: server.workers[0] != first, "a new worker")
    assert shown(server, "a.example")[1] == ["new.example"]


def test_thousands_of_certificates(ringway, tmp_path):
    """Unused certificates cost little: a worker opens one when a client first asks for it."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    count = 2000
    for number in range(count):
        pair(folder, f"{number:04}", [f"host{number}.example"], fresh_key=False)
    server = ringway(site(tmp_path, certificates_path=str(folder)))
    with contextlib.suppress(OSError):
        assert resident(server.workers[0]) < 150 << 20
    for number in (0, 1, count // 2, count - 1):
        assert shown(server, f"host{number}.example")[1] == [f"host{number}.example"]
    assert shown(server, "nobody.example")[1] == ["host0.example"]


# Negotiation


def test_min_version(ringway, tmp_path):
    server = ringway(site(tmp_path, **pair(tmp_path, "a", ["a.example"]), min_version="1.3"))
    old = any_certificate()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"):
        shown(server, "a.example", context=old)
    assert shown(server, "a.example")[1] == ["a.example"]


def test_ciphers(ringway, tmp_path):
    only = ["TLS_CHACHA20_POLY1305_SHA256", ECDSA]
    server = ringway(site(tmp_path, **pair(tmp_path, "a", ["a.example"]), ciphers=only))
    with server.connect(tls=True) as client:
        assert client.sock.cipher()[0] == only[0]
    older = any_certificate()
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with server.connect(tls=True, context=older) as client:
        assert client.sock.cipher()[0] == only[1]
    older.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        server.connect(tls=True, context=older)


def test_tls_1_3_alone_by_its_ciphers(ringway, tmp_path):
    server = ringway(site(tmp_path, **pair(tmp_path, "a", ["a.example"]), ciphers=["TLS_AES_128_GCM_SHA256"]))
    with server.connect(tls=True) as client:
        assert client.sock.cipher()[0] == "TLS_AES_128_GCM_SHA256"
    older = any_certificate()
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        server.connect(tls=True, context=older)


def test_curves(ringway, tmp_path):
    server = ringway(site(tmp_path, **pair(tmp_path, "a", ["a.example"]), curves=["P-384"]))
    context = any_certificate()
    context.set_ecdh_curve("prime256v1")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        server.connect(tls=True, context=context)
    context.set_ecdh_curve("secp384r1")
    with server.connect(tls=True, context=context) as client:
        assert client.get("/").body == b"x"


def test_a_host_name_that_is_none(many):
    """A ClientHello with a wrong length of server_name: Ringway rejects it or serves the default, and never reads
    beyond it."""
    hello = client_hello()
    at = hello.index(b"default.example")
    for change in (b"\xff\xff", b"\0\0", b"\0\x10"):
        broken = hello[: at - 2] + change + hello[at:]
        with socket.create_connection(many.listener(tls=True).address, timeout=DEADLINE) as sock:
            sock.sendall(broken)
            assert sock.recv(4096)[:1] in (b"\x15", b"\x16")
    assert shown(many, "default.example")[1] == ["default.example"]


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        any_certificate().wrap_bio(incoming, outgoing, server_hostname="default.example").do_handshake()
    return outgoing.read()

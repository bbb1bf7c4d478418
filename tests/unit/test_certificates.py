"""Making certificates, and finding what is wrong with them before anything starts."""

import datetime
import os
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from harness.certificates import make

from ringway.control.certificates import certificates
from ringway.control.certificates.certificates import check_pair, load_pair, self_signed, write_self_signed
from ringway.errors import RingwayError

DAY = datetime.timedelta(days=1)


def lines(folder: Path) -> list[str]:
    return [str(problem) for problem in check_pair(str(folder / "server.crt"), str(folder / "server.key"))]


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    write_self_signed(str(tmp_path), ["example.com"])
    return tmp_path


@pytest.mark.parametrize(("curve", "kind"), [("P-256", ec.SECP256R1), ("secp384r1", ec.SECP384R1)])
def test_what_it_makes_is_what_was_asked_for(tmp_path: Path, curve: str, kind: type) -> None:
    cert_path, key_path = write_self_signed(
        str(tmp_path / "new"), ["a.example", "*.b.example", "10.0.0.1", "::1"], curve, 30
    )
    certificate = x509.load_pem_x509_certificate(Path(cert_path).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example", "*.b.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1", "::1"]
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == 30 * DAY
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, kind)
    assert stat.S_IMODE(os.stat(key_path).st_mode) == 0o600
    assert lines(tmp_path / "new") == []


def names_of(*hosts: str) -> list[str]:
    certificate = x509.load_pem_x509_certificate(self_signed(hosts)[0])
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [f"{type(name).__name__} {name.value}" for name in found]


def test_names_are_written_as_clients_compare_them() -> None:
    assert names_of("Example.COM.", "*.B.example", "xn--tda.test") == [
        "DNSName example.com",
        "DNSName *.b.example",
        "DNSName xn--tda.test",
    ]
    assert names_of("[::1]", "::1", "127.0.0.1") == ["IPAddress ::1", "IPAddress ::1", "IPAddress 127.0.0.1"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("ü.test", '--host: "ü.test" is not ASCII; clients send the ASCII form; write "xn--tda.test"'),
        ("", '--host: "" is not a host name; write a name like "example.com", "*.example.com" for its subdomains, or'),
        ("a b", '--host: "a b" is not a host name; write'),
        (
            "localhost:8443",
            '--host: "localhost:8443" has a port; hosts are matched without the port; write "localhost"',
        ),
        ("*", '--host: "*" is not a host name; write a name like "example.com" or "*.example.com"'),
        ("[::g]", '--host: "[::g]" is not an IP address; write it like "2001:db8::1"'),
        ("[127.0.0.1", '--host: "[127.0.0.1" is not a host name; write'),
        ("x" * 64 + ".test", "is not a host name; write"),
        ("fe80::1%eth0", '--host: "fe80::1%eth0" is not an IP address; write it like "2001:db8::1", without a zone'),
    ],
)
def test_what_is_no_host_is_said_with_a_remedy(tmp_path: Path, host: str, expected: str) -> None:
    with pytest.raises(RingwayError) as caught:
        write_self_signed(str(tmp_path / "new"), ["localhost", host])
    assert expected in str(caught.value)
    assert '"*" for any other host' not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_files_that_exist_are_kept_unless_forced(pair: Path) -> None:
    before = (pair / "server.key").read_bytes()
    with pytest.raises(RingwayError, match=r'server.crt" exists; use --force to replace it'):
        write_self_signed(str(pair), ["example.com"])
    assert (pair / "server.key").read_bytes() == before
    write_self_signed(str(pair), ["example.com"], force=True)
    assert (pair / "server.key").read_bytes() != before
    assert sorted(os.listdir(pair)) == ["server.crt", "server.key"]


def test_a_folder_that_is_a_file(pair: Path) -> None:
    with pytest.raises(RingwayError, match="cannot be written"):
        write_self_signed(str(pair / "server.crt" / "x"), ["example.com"])


@pytest.mark.parametrize(
    ("file", "form", "remedy"),
    [
        ("server.key", "a private key", "name the certificate here, and this file in key_path"),
        ("public.pem", "a public key", "name the certificate here"),
        ("request.pem", "a certificate request", "name the certificate that the authority issued for it"),
        ("server.der", "in DER form", "convert it: openssl x509 -inform DER -in "),
        ("server.p12", "in PKCS #12 form", "convert it: openssl pkcs12 -in "),
    ],
)
def test_another_file_in_place_of_the_certificate(pair: Path, file: str, form: str, remedy: str) -> None:
    write_other_forms(pair)
    (problem,) = certificates.check_pair(str(pair / file), str(pair / "server.key"))
    assert problem.sentence == f'"{pair}/{file}" has no certificate in PEM form: it is {form}'
    assert problem.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("file", "form", "remedy"),
    [
        ("server.crt", "a certificate", "name the key here, and this file in cert_path"),
        ("public.pem", "a public key", "name the private key here"),
        ("request.pem", "a certificate request", "name the key that it was made with"),
        ("key.der", "in DER form", "convert it: openssl pkey -inform DER -in "),
        ("server.p12", "in PKCS #12 form", "convert it: openssl pkcs12 -in "),
    ],
)
def test_another_file_in_place_of_the_key(pair: Path, file: str, form: str, remedy: str) -> None:
    write_other_forms(pair)
    (problem,) = certificates.check_pair(str(pair / "server.crt"), str(pair / file))
    assert problem.sentence == f'"{pair}/{file}" has no private key in PEM form: it is {form}'
    assert problem.remedy.startswith(remedy)


def write_other_forms(folder: Path) -> None:
    """Writes the files that an authority or another program gives to a user beside a certificate and its key."""
    key: Any = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
    certificate = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    plain = serialization.NoEncryption()
    request = x509.CertificateSigningRequestBuilder().subject_name(certificate.subject).sign(key, hashes.SHA256())
    files = {
        "server.der": certificate.public_bytes(der),
        "key.der": key.private_bytes(der, serialization.PrivateFormat.PKCS8, plain),
        "public.pem": key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo),
        "request.pem": request.public_bytes(pem),
        "server.p12": pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, plain),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)


def test_missing(tmp_path: Path) -> None:
    found = lines(tmp_path)
    assert found[0].startswith(
        f'tls.cert_path: "{tmp_path}/server.crt" does not exist; make one with "ringway cert DIR"'
    )
    assert found[1].startswith(f'tls.key_path: "{tmp_path}/server.key" does not exist')


def test_unreadable(pair: Path) -> None:
    (pair / "server.crt").unlink()
    (pair / "server.crt").mkdir()
    assert "cannot be read (Is a directory)" in lines(pair)[0]


def test_a_key_of_another_certificate(pair: Path) -> None:
    _, key = self_signed(["example.com"])
    (pair / "server.key").write_bytes(key)
    assert lines(pair) == ["tls.key_path: the key does not belong to the certificate; name the two files of one pair"]


def test_no_pem(pair: Path) -> None:
    (pair / "server.crt").write_bytes(b"\x30\x82")
    (pair / "server.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    found = lines(pair)
    assert "has no certificate in PEM form" in found[0]
    assert "has no private key in PEM form" in found[1]


def test_a_key_with_a_passphrase(pair: Path) -> None:
    key = serialization.load_pem_private_key((pair / "server.key").read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    (pair / "server.key").write_bytes(key.private_bytes(*form))
    (line,) = lines(pair)
    assert "has a passphrase; remove it: openssl pkey" in line


def test_a_chain_in_the_wrong_order_is_served(pair: Path) -> None:
    """As by nginx, HAProxy and Caddy: most clients put it in order."""
    stranger, _ = self_signed(["other.example"])
    own = (pair / "server.crt").read_bytes()
    (pair / "server.crt").write_bytes(own + stranger)
    found, problems = load_pair(str(pair / "server.crt"), str(pair / "server.key"))
    assert problems == []
    assert found is not None
    assert not found.ordered
    assert "certificate 1 of the chain was not issued by the one after it" in found.warnings[0]
    # The server's certificate is the one of the key, wherever it lies.
    (pair / "server.crt").write_bytes(stranger + own)
    found, problems = load_pair(str(pair / "server.crt"), str(pair / "server.key"))
    assert problems == []
    assert found is not None
    assert (found.chain, found.names) == (own + stranger, ("example.com",))
    assert "the certificate of this key is number 2 in the file" in found.warnings[0]


def test_a_weak_rsa_key(tmp_path: Path) -> None:
    """What OpenSSL does not serve is found before anything starts, in its words."""
    made = make(tmp_path / "server.crt", tmp_path / "server.key", ["a.example"], kind="weak RSA")
    (line,) = lines(tmp_path)
    assert line.startswith("tls.cert_path: OpenSSL rejects ")
    assert "(ee key too small)" in line
    assert made["cert_path"] in line


BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: pem.rstrip() + pem,
        lambda pem: pem.replace(b"\n", b""),
        lambda pem: pem.replace(BEGIN, b" " + BEGIN),
        lambda pem: pem.replace(END, b" " + END),
        lambda pem: pem.replace(BEGIN + b"\n", BEGIN),
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: pem + pem[:200],
        lambda pem: pem + pem.replace(b"M", b"?", 1),
        lambda pem: b"text\n" + pem + b"text",
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: pem.rstrip(),
        lambda pem: pem.replace(b" CERTIFICATE", b" X509 CERTIFICATE"),
        lambda pem: pem.replace(b"\n", b"\n\n", 3),
    ],
)
def test_what_passes_is_what_workers_can_open(pair: Path, change) -> None:
    """The judge is the library that serves."""
    text = change((pair / "server.crt").read_bytes())
    (pair / "server.crt").write_bytes(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(pair / "server.crt", pair / "server.key")
        opens = True
    except ssl.SSLError:
        opens = False
    assert (lines(pair) == []) == opens, lines(pair)


def test_authorities_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the file, else from the folder: each once, and nothing that is no certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "file.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "folder"))
    assert certificates.system_authorities() == ""
    (problem,) = certificates.check_authorities("x.ca_path", None)
    assert str(problem).startswith("x.ca_path: this system has no trusted authorities; install")
    one, two = (self_signed([name])[0].decode() for name in ("one", "two"))
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in (("0a1b2c3d.0", one), ("0a1b2c3d.1", two), ("ffffffff.0", one), ("one.pem", one)):
        (folder / name).write_text(text)
    assert certificates.system_authorities() == one + two
    (tmp_path / "file.pem").write_text(f"a comment\n{two}and the rest\n")
    assert certificates.system_authorities() == two
    assert certificates.check_authorities("x.ca_path", None) == []


def test_authorities_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(self_signed(["one"])[0] * 2)
    assert certificates.check_authorities("k", str(file)) == []
    file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "has no certificate in PEM form" in str(certificates.check_authorities("k", str(file))[0])
    assert "cannot be read (Is a directory); correct the path" in str(
        certificates.check_authorities("k", str(tmp_path))[0]
    )

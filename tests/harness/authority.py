"""A certificate authority for tests, and contexts of Python's ssl for upstreams with TLS."""

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LONG = datetime.timedelta(days=2)
_OLD = datetime.timedelta(days=30)
"""Certificates are valid from so long ago. Those with two days left are therefore about to expire."""


class Authority:
    """A certificate authority. `path`: the file of its certificate. `issue(...)` makes certificates, each pair in new
    files. `issuer`: the authority that signs this one's certificate; issued files then contain that certificate too."""

    def __init__(
        self,
        folder: Path,
        name: str = "tests",
        issuer: "Authority | None" = None,
        lasting: datetime.timedelta = _LONG,
    ) -> None:
        self.folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {name}")])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._issued = 0
        above = issuer or self
        self._issuer = issuer
        builder = _builder(self._name, above._name, self.key, -_OLD, lasting)
        length = 1 if issuer is None else 0
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
        self.path = folder / f"{name}.pem"
        self.certificate = builder.sign(above.key, hashes.SHA256())
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        names: Sequence[str],
        expired: bool = False,
        client: bool = False,
        kind: str = "ECDSA",
        extensions: Sequence[x509.ExtensionType] = (),
        purposes: Sequence[x509.ObjectIdentifier] = (),
        subject: x509.Name | None = None,
        lasting: datetime.timedelta = _LONG,
    ) -> tuple[Path, Path]:
        """Issues a certificate for these host names and IP addresses, and returns its file and that of its key.
        `extensions`: further extensions. `purposes`: replaces the purpose of a server or client."""
        self._issued += 1
        key = rsa.generate_private_key(65537, 2048) if kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
        subject = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        until = -_LONG / 2 if expired else lasting
        alternatives = [x509.IPAddress(ip) if (ip := _address(name)) else x509.DNSName(name) for name in names]
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            _builder(subject, self._name, key, -_OLD, until)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes or [purpose]), critical=False)
            # RFC 5280 4.2.1.1 requires this, and strict verifiers check it.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        files = (
            self.folder / f"{self.path.stem}-{self._issued}.crt",
            self.folder / f"{self.path.stem}-{self._issued}.key",
        )
        files[0].write_bytes(certificate + (self.path.read_bytes() if self._issuer is not None else b""))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        files[1].chmod(0o600)
        return files

    def serves(self, *names: str, expired: bool = False, clients: "Authority | None" = None) -> ssl.SSLContext:
        """Returns a context for a server with these names. `clients`: the authority of the certificates that its
        clients must show."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(names, expired))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.path)
        return context


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    since: datetime.timedelta,
    until: datetime.timedelta,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
    )


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None

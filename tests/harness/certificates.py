"""Makes certificates for tests: of any kind, for any hosts, with any lifetime."""

import datetime
import functools
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


@functools.cache
def _key(kind: str, number: int) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    if kind == "ECDSA":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048 if kind == "RSA" else 1024)


_made = iter(range(1 << 30))


def make(
    cert_path: Path,
    key_path: Path,
    hosts: Sequence[str],
    kind: str = "ECDSA",
    days: float = 90,
    issuer: str | None = None,
    fresh_key: bool = True,
    begins: float = -1,
) -> dict[str, str]:
    """Writes a certificate and its key. Returns the two configuration keys. `begins`: the start of its validity, in
    days from now. `issuer`: the name of the issuer (the certificate is self-signed in any case). `fresh_key`: False
    uses one key for all certificates, which is faster."""
    key = _key(kind, next(_made) if fresh_key and kind == "ECDSA" else 0)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]) if issuer else name
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(other)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=begins))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    for path, data in (
        (key_path, _pem(key)),
        (cert_path, certificate.public_bytes(serialization.Encoding.PEM)),
    ):
        temporary = Path(f"{path}.new")
        temporary.write_bytes(data)
        temporary.chmod(0o600)
        os.replace(temporary, path)
    return {"cert_path": str(cert_path), "key_path": str(key_path)}


@functools.cache
def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form)

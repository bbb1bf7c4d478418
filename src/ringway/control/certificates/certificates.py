"""Certificates: checks a chain and its key before Ringway uses them, and makes self-signed certificates."""

import contextlib
import datetime
import functools
import hashlib
import ipaddress
import itertools
import os
import re
import ssl
import stat
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ringway.config.values import ANY_HOST, Flaw, host_name
from ringway.control.certificates import ocsp
from ringway.control.certificates.ocsp import Staple
from ringway.errors import Problem, RingwayError, reason_of

CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "secp384r1": ec.SECP384R1}
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_MAKE_ONE = 'make one with "ringway cert DIR" or correct the path'
_BLOCKS = "it needs -----BEGIN CERTIFICATE----- and -----END CERTIFICATE----- on lines of their own"
_PEM_FORMS = (
    (b"-----BEGIN CERTIFICATE-----", "a certificate"),
    (b"-----BEGIN TRUSTED CERTIFICATE-----", "a certificate"),
    (b"PRIVATE KEY-----", "a private key"),
    (b"PUBLIC KEY-----", "a public key"),
    (b"CERTIFICATE REQUEST-----", "a certificate request"),
    (b"-----BEGIN PKCS7-----", "in PKCS #7 form"),
)
_NO_CERTIFICATE = {
    "a private key": "name the certificate here, and this file in key_path",
    "a public key": "name the certificate here",
    "a certificate request": "name the certificate that the authority issued for it",
    "in DER form": 'convert it: openssl x509 -inform DER -in "{path}" -out server.crt',
    "in PKCS #7 form": 'convert it: openssl pkcs7 -print_certs -in "{path}" -out server.crt',
    "in PKCS #12 form": 'convert it: openssl pkcs12 -in "{path}" -nokeys -out server.crt',
}
"""Remedies by what a file is instead of a certificate."""
_NO_KEY = {
    "a certificate": "name the key here, and this file in cert_path",
    "a public key": "name the private key here",
    "a certificate request": "name the key that it was made with",
    "in DER form": 'convert it: openssl pkey -inform DER -in "{path}" -out server.key',
    "in PKCS #12 form": 'convert it: openssl pkcs12 -in "{path}" -nocerts -nodes -out server.key',
}
"""Remedies by what a file is instead of a private key."""
_NO_MATCH = ("key values mismatch", "key type mismatch")
"""OpenSSL's reasons if a key belongs to another certificate."""
_MOST_BYTES = 1 << 20
_NAMES_BYTES_MAX = 1 << 16
_KNOWN_MOST = 16384


@dataclass(frozen=True)
class Pair:
    """A certificate chain and its key."""

    cert_path: str
    key_path: str
    chain: bytes
    """PEM, the host's certificate first."""
    key: bytearray
    """PEM. Wiped when it is no longer needed."""
    names: tuple[str, ...]
    """Host names of the certificate, in lower case, including `*.` names."""
    kind: str
    """"ECDSA" or "RSA". OpenSSL serves one of each for a name."""
    since: datetime.datetime
    """The time from which all certificates of the chain are valid."""
    until: datetime.datetime
    """The time at which the first certificate of the chain expires."""
    warnings: tuple[str, ...]
    """Problems that do not keep the pair from serving."""
    ordered: bool = True
    """Each certificate of the chain was issued by the one after it."""
    ocsp_path: str | None = None
    staple: Staple | None = None
    """The response in that file, if it is usable."""
    must_staple: bool = False

    def valid(self, now: datetime.datetime) -> bool:
        return self.since <= now < self.until


def check_pair(cert_path: str, key_path: str, section: str = "tls") -> list[Problem]:
    """Returns every problem that keeps this chain and key from serving."""
    pair, problems = load_pair(cert_path, key_path, section)
    if pair is not None:
        wipe(pair.key)
    return problems


def load_pair(
    cert_path: str,
    key_path: str,
    section: str = "tls",
    ocsp_path: str | None = None,
) -> tuple[Pair | None, list[Problem]]:
    """Loads a pair. Returns it, or None and every problem that keeps it from serving. `section`: the section of the
    configuration that names the files. Wrong dates or a wrong order of the chain are no problem here: clients decide
    about them."""
    chain, problems = _load_chain(cert_path)
    key_pem, key_problems = _read("tls.key_path", key_path)
    problems += key_problems
    notes: list[str] = []
    if not key_problems:
        chain, wrong, notes = _tried(cert_path, chain, key_path, key_pem)
        problems += wrong
    if problems:
        wipe(key_pem)
        return None, [Problem(problem.key.replace("tls", section, 1), *_rest(problem)) for problem in problems]
    chain_pem = _pem_form(chain)
    kind = "RSA" if isinstance(chain[0].public_key(), rsa.RSAPublicKey) else "ECDSA"
    until = min(certificate.not_valid_after_utc for certificate in chain)
    since = max(certificate.not_valid_before_utc for certificate in chain)
    ordered = not (notes := notes + _order(cert_path, chain))
    notes += _completeness(cert_path, chain) + permissions(key_path)
    staple = None
    if ocsp_path is not None:
        try:
            staple = ocsp.read(ocsp_path, chain_pem)
        except ocsp.Unusable as why:
            notes.append(f'"{cert_path}" is not stapled with "{ocsp_path}": {why}')
    names, must = _names(chain[0]), ocsp.must_be_stapled(chain_pem)
    pair = Pair(cert_path, key_path, chain_pem, key_pem, names, kind, since, until, tuple(notes), ordered)
    return replace(pair, ocsp_path=ocsp_path, staple=staple, must_staple=must), []


def _tried(
    cert_path: str, chain: list[x509.Certificate], key_path: str, key: bytearray
) -> tuple[list[x509.Certificate], list[Problem], list[str]]:
    """Tries the pair with OpenSSL, the library that will serve it. Returns the chain in the order in which it is
    served, problems, and warnings."""
    failed, why = _judged(_pem_form(chain), key)
    if not failed:
        return chain, [], []
    if why in _NO_MATCH:
        for number in range(1, len(chain)):
            ordered = [chain[number], *chain[:number], *chain[number + 1 :]]
            if not _judged(_pem_form(ordered), key)[0]:
                line = f'"{cert_path}": the certificate of this key is number {number + 1} in the file; put it first'
                return ordered, [], [line]
        sentence = "the key does not belong to the certificate"
        return chain, [Problem("tls.key_path", sentence, "name the two files of one pair")], []
    if failed == "chain":
        return chain, [Problem("tls.cert_path", f'OpenSSL rejects "{cert_path}" ({why})', "renew it")], []
    if b"ENCRYPTED" in key:
        remedy = f'remove it: openssl pkey -in "{key_path}" -out plain.key'
        return chain, [Problem("tls.key_path", f'the key in "{key_path}" has a passphrase', remedy)], []
    sentence = f'"{key_path}" has no private key in PEM form'
    if (form := _form_of(key)) in _NO_KEY:
        return chain, [Problem("tls.key_path", f"{sentence}: it is {form}", _NO_KEY[form].format(path=key_path))], []
    sentence += f" that OpenSSL can use ({why})"
    return chain, [Problem("tls.key_path", sentence, _MAKE_ONE)], []


@functools.cache
def _judge() -> Any:
    from ringway.engine.tls.tls_context import Judge

    return Judge()


_known: dict[bytes, tuple[str, str]] = {}
"""Results of OpenSSL by a digest of chain and key. OpenSSL needs a millisecond for a pair, and a change of one file
makes Ringway read a folder of thousands again."""


def _judged(chain: bytes, key: bytearray) -> tuple[str, str]:
    digest = hashlib.sha256(hashlib.sha256(chain).digest() + hashlib.sha256(key).digest()).digest()
    if digest not in _known:
        if len(_known) >= _KNOWN_MOST:
            _known.clear()
        _known[digest] = _judge().pair(chain, key)
    return _known[digest]


def _rest(problem: Problem) -> tuple[str, str]:
    return problem.sentence, problem.remedy


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Returns the host names. RFC 6125 6.4.4: the common name counts only if there are no alternative names."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(name) for name in found.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [str(name.value) for name in common]
    return tuple(dict.fromkeys(name.lower().rstrip(".") for name in names if name.isascii() and 0 < len(name) < 256))


@functools.cache
def _known_authorities() -> frozenset[bytes]:
    """Returns the subjects of the authorities that this system trusts."""
    found = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # certificates of some old authorities violate the standard
        for data in ssl.create_default_context().get_ca_certs(binary_form=True):
            with contextlib.suppress(ValueError):
                found.add(x509.load_der_x509_certificate(data).subject.public_bytes())
    return frozenset(found)


def _completeness(path: str, chain: list[x509.Certificate]) -> list[str]:
    """Warns of a missing intermediate certificate. RFC 8446 4.4.2: clients need every certificate between that of the
    host and that of an authority that they trust."""
    last = chain[-1]
    if last.issuer == last.subject:
        return []
    known = _known_authorities()
    if not known or last.issuer.public_bytes() in known:
        return []
    return [
        f'"{path}": the chain ends with a certificate from {last.issuer.rfc4514_string()}, which this system does not '
        "trust; unless that is your own authority, add the intermediate certificate, which clients need"
    ]


def permissions(path: str) -> list[str]:
    """Warns if other users can read this key."""
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o077 == 0:
        return []
    return [f'"{path}": users other than its owner can read this key (mode {mode:o}); chmod 600 "{path}"']


def wipe(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))


def _read(name: str, path: str) -> tuple[bytearray, list[Problem]]:
    """Reads a file without intermediate copies, so that a key can be wiped in one place."""
    try:
        with open(path, "rb", buffering=0) as stream:
            data = bytearray(min(os.fstat(stream.fileno()).st_size, _MOST_BYTES))
            del data[stream.readinto(data) :]
            return data, []
    except FileNotFoundError:
        return bytearray(), [Problem(name, f'"{path}" does not exist', _MAKE_ONE)]
    except OSError as error:
        reason = reason_of(error)
        remedy = "correct the path or the file's permissions"
        return bytearray(), [Problem(name, f'"{path}" cannot be read ({reason})', remedy)]


def _load_chain(path: str) -> tuple[list[x509.Certificate], list[Problem]]:
    name = "tls.cert_path"
    data, problems = _read(name, path)
    if problems:
        return [], problems
    chain, why = certificates_of(bytes(data))
    return chain, [] if chain else [_no_certificate(name, path, data, why, _BLOCKS)]


def _no_certificate(name: str, path: str, data: bytearray, why: str, remedy: str) -> Problem:
    """Says what the file is instead, if that is known. `remedy`: for all other files."""
    sentence = f'"{path}" has no certificate in PEM form'
    if (form := _form_of(data)) in _NO_CERTIFICATE:
        return Problem(name, f"{sentence}: it is {form}", _NO_CERTIFICATE[form].format(path=path))
    return Problem(name, sentence + why, remedy)


def _form_of(data: bytearray) -> str:
    """Returns what a file contains. "": unknown."""
    for mark, form in _PEM_FORMS:
        if mark in data:
            return form
    # X.690 8.1: a SEQUENCE, and its length in one byte or in as many as the first one says.
    if data[:1] != b"\x30" or len(data) < 64:
        return ""
    begin = 2 + (data[1] & 0x7F if data[1] & 0x80 else 0)
    # RFC 7292 4: a PFX begins with its version, 3.
    return "in PKCS #12 form" if data[begin : begin + 3] == b"\x02\x01\x03" else "in DER form"


@functools.lru_cache(4096)
def certificates_of(pem: bytes) -> tuple[list[x509.Certificate], str]:
    """Returns all certificates of a PEM text as OpenSSL reads them, or an empty list and the reason."""
    from ringway.engine.tls.tls_context import read_certificates

    try:
        return [x509.load_der_x509_certificate(der) for der in read_certificates(pem)], ""
    except ValueError as why:
        return [], f" that OpenSSL can read ({why})"


def _pem_form(chain: Sequence[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)


def _order(path: str, chain: list[x509.Certificate]) -> list[str]:
    for number, (certificate, issuer) in enumerate(itertools.pairwise(chain), 1):
        try:
            certificate.verify_directly_issued_by(issuer)
        except UnsupportedAlgorithm:
            continue
        except (ValueError, TypeError, InvalidSignature):
            return [
                f'"{path}": certificate {number} of the chain was not issued by the one after it; some clients will '
                "reject it; put the server's certificate first, then each one's issuer"
            ]
    return []


def system_authorities() -> str:
    """Returns the authorities that this system trusts, in PEM form. "": there are none. Like OpenSSL it uses
    SSL_CERT_FILE, SSL_CERT_DIR and OpenSSL's built-in paths: first the file, else the folder."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile is not None and (text := _pem_of(paths.cafile)):
        return text
    if paths.capath is None:
        return ""
    # The folder also contains other files, and has each certificate under several names.
    names = sorted(name for name in os.listdir(paths.capath) if re.fullmatch(r"[0-9a-f]{8}\.[0-9]+", name))
    return "".join(dict.fromkeys(_pem_of(os.path.join(paths.capath, name)) for name in names))


def _pem_of(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return ""
    return "".join(f"{block}\n" for block in _PEM.findall(text))


def load_client_authorities(name: str, path: str) -> tuple[bytes, list[Problem]]:
    """Loads the authorities of client certificates. Returns only their certificates, in PEM form."""
    text, problems = load_authorities(name, path)
    if text is None:
        return b"", problems
    found = list(dict.fromkeys(certificates_of(text)[0]))
    # RFC 5246 7.4.4: the server sends their names in a list of at most 2^16-1 bytes.
    if sum(len(authority.subject.public_bytes()) + 2 for authority in found) >= _NAMES_BYTES_MAX:
        sentence = f'"{path}" has {len(found)} authorities, and TLS cannot carry all of their names'
        return b"", [Problem(name, sentence, "keep only the authorities of your clients")]
    return _pem_form(found), []


def check_authorities(name: str, path: str | None) -> list[Problem]:
    """Returns every problem of a file with authorities. None: the authorities of the system."""
    return load_authorities(name, path)[1]


def load_authorities(name: str, path: str | None) -> tuple[bytes | None, list[Problem]]:
    """Loads the authorities of a file, or of the system (None), in PEM form. Returns None and every problem if it
    cannot."""
    if path is None:
        if text := system_authorities():
            return text.encode(), []
        remedy = "install the package ca-certificates, or name a file of authorities"
        return None, [Problem(name, "this system has no trusted authorities", remedy)]
    data, problems = _read(name, path)
    if problems:
        return None, [replace(problem, remedy="correct the path or the file's permissions") for problem in problems]
    found, why = certificates_of(bytes(data))
    if not found:
        return None, [_no_certificate(name, path, data, why, "name a file with the authorities to trust")]
    return _pem_form(found), []


def self_signed(hosts: Sequence[str], curve: str = "P-256", days: int = 365) -> tuple[bytes, bytes]:
    """Makes a self-signed certificate and its key, both PEM. `hosts` are names and IP addresses; the first is the CN.
    Raises RingwayError for anything else."""
    names = [_general_name(host) for host in hosts]
    key = ec.generate_private_key(CURVES[curve]())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value)[:64])])
    # A little in the past, because clocks differ.
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA384() if curve == "secp384r1" else hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


def _general_name(host: str) -> x509.GeneralName:
    """Parses a host for RFC 5280 4.2.1.6. An IPv6 address can be in brackets as in a URL."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    with contextlib.suppress(ValueError):
        if "%" not in bare:  # a zone has a meaning only on one machine
            return x509.IPAddress(ipaddress.ip_address(bare))
    if bare.count(":") > 1:
        raise RingwayError(f'--host: "{host}" is not an IP address; write it like "2001:db8::1", without a zone')
    try:
        name = host_name(host)
    except Flaw as flaw:
        remedy = flaw.remedy.removesuffix(ANY_HOST) + (", or an IP address" if flaw.remedy.endswith(ANY_HOST) else "")
        raise RingwayError(f"--host: {flaw.sentence}; {remedy}") from None
    if name == "*":
        raise RingwayError(f'--host: "{host}" is not a host name; write a name like "example.com" or "*.example.com"')
    return x509.DNSName(name)


def write_self_signed(
    folder: str, hosts: Sequence[str], curve: str = "P-256", days: int = 365, force: bool = False
) -> tuple[str, str]:
    """Writes server.crt and server.key (readable only by its owner) into `folder`, and creates the folder if it is
    missing. Returns both paths. Raises RingwayError if files exist without `force`, a host is invalid, or the folder
    cannot be written."""
    cert_path, key_path = os.path.join(folder, "server.crt"), os.path.join(folder, "server.key")
    for path in (cert_path, key_path):
        if os.path.lexists(path) and not force:
            raise RingwayError(f'"{path}" exists; use --force to replace it')
    certificate, key = self_signed(hosts, curve, days)
    try:
        os.makedirs(folder, exist_ok=True)
        _replace(key_path, key, 0o600)
        _replace(cert_path, certificate, 0o644)
    except OSError as error:
        raise RingwayError(f'"{folder}" cannot be written ({reason_of(error)})') from None
    return cert_path, key_path


def _replace(path: str, data: bytes, mode: int) -> None:
    """Writes a new file, which has its final mode from the start, and renames it over the old one."""
    temporary = f"{path}.{os.getpid()}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise

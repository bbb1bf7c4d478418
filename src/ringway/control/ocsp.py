"""OCSP staples (RFC 6960): what an authority says about a certificate of ours, judged before a worker may show it, read
from a file or fetched from the responder that the certificate names.

    file ----> judge() ----> Staple, in the Pair      -> block of certificates -> worker, which only shows it
    responder -> judge() --> Staple, in the Stapler  /

A staple never keeps a certificate from serving: what is wrong with it is told, and it is not shown.
"""

import base64
import datetime
import hashlib
import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from ringway.control import logs

MOST_BYTES = 64 << 10
"""Of a response: it goes into each handshake, and a usual one has 300 to 2,500."""
_FETCH_WITHIN = 10.0
_THREADS = 4
"""A responder that hangs must not hold up the others."""
_LONGEST_PAUSE = 3600.0
_LONGEST_WAIT = 24 * 3600.0
"""Seconds. However long a response is good: a revocation is to be noticed within a day."""
_CLOCKS_DIFFER = datetime.timedelta(minutes=5)


class Unusable(Exception):
    """A response that is not shown; the text says why."""


class Revoked(Unusable):
    """The authority has taken the certificate back."""


@dataclass(frozen=True)
class Staple:
    """A response that says `good`."""

    der: bytes
    until: datetime.datetime
    """Its nextUpdate: from then on it is not shown any more."""


def judge(der: bytes, chain: bytes, now: datetime.datetime | None = None) -> Staple:
    """The response as a staple for the first certificate of the chain (PEM). Raises Unusable. `now` for tests."""
    now = now or datetime.datetime.now(datetime.UTC)
    leaf, issuer = _leaf_and_issuer(chain)
    if len(der) > MOST_BYTES:
        raise Unusable(f"the response has more than {MOST_BYTES} bytes")
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Unusable(f"the responder says {response.response_status.name.lower()}")
        single = next((one for one in response.responses if _is_about(one, leaf, issuer)), None)
        if single is None:
            raise Unusable("the response is about another certificate")
        _verify(response, issuer, now)
        return Staple(der, _good_until(single, now))
    except (ValueError, UnsupportedAlgorithm):  # parts of it are parsed when they are asked for
        raise Unusable("it is no OCSP response in DER form") from None


def _good_until(single: ocsp.OCSPSingleResponse, now: datetime.datetime) -> datetime.datetime:
    """RFC 6960 3.2, 5: in force, and not for longer than it says. Without nextUpdate nobody may keep it."""
    since, until = single.this_update_utc, single.next_update_utc
    if until is None:
        raise Unusable("the response does not say until when it is good")
    if since > now + _CLOCKS_DIFFER:
        raise Unusable(f"the response is not good before {since:%Y-%m-%d %H:%M} UTC")
    if until <= now:
        raise Unusable(f"the response expired on {until:%Y-%m-%d %H:%M} UTC")
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        raise Revoked(f"the certificate was revoked on {single.revocation_time_utc:%Y-%m-%d}")
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise Unusable("the responder does not know the certificate")
    return until


def _leaf_and_issuer(chain: bytes) -> tuple[x509.Certificate, x509.Certificate]:
    certificates = x509.load_pem_x509_certificates(chain)
    if len(certificates) < 2:
        raise Unusable("the issuer's certificate is missing behind the host's in the file, so it cannot be verified")
    return certificates[0], certificates[1]


def _is_about(single: ocsp.OCSPSingleResponse, leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    """RFC 6960 4.1.1: CertID. A serial number means something only together with the issuer."""
    if single.serial_number != leaf.serial_number:
        return False
    name, key = hashes.Hash(single.hash_algorithm), hashes.Hash(single.hash_algorithm)
    name.update(leaf.issuer.public_bytes())
    key.update(_key_bits(issuer))
    return name.finalize() == single.issuer_name_hash and key.finalize() == single.issuer_key_hash


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The value of the BIT STRING subjectPublicKey."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _verify(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime.datetime) -> None:
    """RFC 6960 4.2.2.2: signed by the issuer, or by whom the issuer has given a certificate for just that."""
    signer = next((one for one in [issuer, *response.certificates] if _is_responder(response, one)), None)
    if signer is None:
        raise Unusable("the response was signed by somebody else than the certificate's issuer")
    if signer is not issuer:
        _verify_delegate(signer, issuer, now)
    key, how = signer.public_key(), response.signature_hash_algorithm
    signature, data = response.signature, response.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey) and how is not None:
            key.verify(signature, data, padding.PKCS1v15(), how)
        elif isinstance(key, ec.EllipticCurvePublicKey) and how is not None:
            key.verify(signature, data, ec.ECDSA(how))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, data)
        else:
            raise Unusable("the response is signed in a way that cannot be verified")
    except (InvalidSignature, UnsupportedAlgorithm):
        raise Unusable("the signature of the response is wrong") from None


def _is_responder(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    # RFC 6960 4.2.1: KeyHash is SHA-1, by definition; the signature is what counts.
    return response.responder_key_hash == hashlib.sha1(_key_bits(certificate), usedforsecurity=False).digest()


def _verify_delegate(signer: x509.Certificate, issuer: x509.Certificate, now: datetime.datetime) -> None:
    try:
        signer.verify_directly_issued_by(issuer)
        purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise Unusable("the response was signed by somebody whom the certificate's issuer does not know") from None
    except x509.ExtensionNotFound:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    if ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
        raise Unusable("the response was signed by a certificate that is not meant for it")
    if not signer.not_valid_before_utc <= now <= signer.not_valid_after_utc:
        raise Unusable("the certificate of the responder is not valid now")


def read(path: str, chain: bytes) -> Staple:
    """From a file in DER form. Raises Unusable."""
    try:
        with open(path, "rb") as stream:
            der = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise Unusable(f"it cannot be read ({error.strerror})") from None
    return judge(der, chain)


# Fetching


def responder_of(chain: bytes) -> str | None:
    """The address that the first certificate of the chain names (RFC 5280 4.2.2.1)."""
    leaf = x509.load_pem_x509_certificates(chain)[0]
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    for entry in access:
        at = entry.access_location
        wanted = entry.access_method == AuthorityInformationAccessOID.OCSP
        if wanted and isinstance(at, x509.UniformResourceIdentifier) and at.value.startswith(("http://", "https://")):
            return at.value
    return None


def fetch(url: str, chain: bytes) -> Staple:
    """Asks the responder. Raises Unusable, after ten seconds at the latest if it only trickles."""
    # RFC 5019 2.1.1: SHA-1, no nonce: the same question from everybody, so that answers can be cached.
    builder = ocsp.OCSPRequestBuilder().add_certificate(*_leaf_and_issuer(chain), hashes.SHA1())
    asked = builder.build().public_bytes(serialization.Encoding.DER)
    # RFC 6960 A.1, RFC 5019 5: GET where the address stays short.
    address = f"{url.rstrip('/')}/{urllib.parse.quote(base64.b64encode(asked), safe='')}"
    if len(address) < 255:
        request = urllib.request.Request(address)
    else:
        request = urllib.request.Request(url, asked, {"Content-Type": "application/ocsp-request"})
    until = time.monotonic() + _FETCH_WITHIN
    der = b""
    try:
        with urllib.request.urlopen(request, timeout=_FETCH_WITHIN) as answer:
            while len(der) <= MOST_BYTES and (piece := answer.read1(4096)):
                der += piece
                if time.monotonic() > until:
                    raise TimeoutError("timed out")
    except urllib.error.HTTPError as error:
        raise Unusable(f"{url} does not answer ({error})") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unusable(f"{url} does not answer ({getattr(error, 'reason', error)})") from None
    return judge(der, chain)


@dataclass
class _Order:
    """A certificate for which a staple is kept."""

    path: str
    chain: bytes
    url: str
    staple: Staple | None = None
    due: float = 0.0
    """Monotonic time of the next question."""
    busy: bool = False
    failures: int = 0
    """In a row."""
    told: str = ""
    """What was said of the last failure: it is said once."""


class Stapler:
    """Keeps a fresh staple for each certificate that names a responder, in threads of its own."""

    def __init__(self) -> None:
        self._orders: dict[bytes, _Order] = {}
        self._wake = threading.Condition()
        self._ended = False
        self._news = False

    def start(self) -> None:
        for _ in range(_THREADS):
            threading.Thread(target=self._work, name="staples", daemon=True).start()

    def stop(self) -> None:
        """No more questions; one that hangs dies with the process."""
        with self._wake:
            self._ended = True
            self._wake.notify_all()

    def follow(self, pairs: Iterable[tuple[str, bytes]]) -> None:
        """These certificates from now on: path and chain."""
        with self._wake:
            old, self._orders = self._orders, {}
            for path, chain in pairs:
                url = responder_of(chain)
                if chain in old:
                    self._orders[chain] = old[chain]
                elif url is not None:
                    self._orders[chain] = _Order(path, chain, url)
            self._wake.notify_all()

    def of(self, chain: bytes) -> Staple | None:
        order = self._orders.get(chain)
        return order.staple if order is not None else None

    def news(self) -> bool:
        """Whether a staple has changed since this was asked last."""
        with self._wake:
            news, self._news = self._news, False
            return news

    def _work(self) -> None:
        while (order := self._next()) is not None:
            try:
                self._found(order, fetch(order.url, order.chain))
            except Unusable as why:
                self._not_found(order, why)
            with self._wake:
                order.busy = False
                self._wake.notify_all()

    def _next(self) -> _Order | None:
        """Waits for the next that is due. None: it is over."""
        with self._wake:
            while not self._ended:
                waiting = (order for order in self._orders.values() if not order.busy)
                order = min(waiting, key=lambda order: order.due, default=None)
                left = order.due - time.monotonic() if order is not None else None
                if order is not None and left is not None and left <= 0:
                    order.busy = True
                    return order
                self._wake.wait(left)
        return None

    def _found(self, order: _Order, staple: Staple) -> None:
        left = (staple.until - datetime.datetime.now(datetime.UTC)).total_seconds()
        if order.staple is None or order.told:
            logs.info(f'OCSP of "{order.path}": {order.url} says good until {staple.until:%Y-%m-%d %H:%M} UTC; stapled')
        with self._wake:
            self._news |= order.staple != staple
            order.staple = staple
            order.failures = 0
            order.told = ""
            # Half of what is left: also when a cache answers with what it already said.
            order.due = time.monotonic() + max(1.0, min(left / 2, _LONGEST_WAIT))

    def _not_found(self, order: _Order, why: Unusable) -> None:
        with self._wake:
            if isinstance(why, Revoked):
                # An old "good" would be a lie by now, and "revoked" helps no client that can be helped.
                self._news |= order.staple is not None
                order.staple = None
            order.failures += 1
            order.due = time.monotonic() + min(2.0 ** min(order.failures, 20), _LONGEST_PAUSE)
        if order.told != str(why):
            order.told = str(why)
            kept = order.staple
            effect = f"the last staple goes on until {kept.until:%F %H:%M} UTC" if kept else "not stapled"
            tell = logs.error if isinstance(why, Revoked) else logs.warning
            tell(f'OCSP of "{order.path}": {why}; {effect}')

"""OCSP responses (RFC 6960): verifies them before workers staple them.

    file ----> judge() ----> Staple, in the Pair      -> block of certificates -> worker, which only sends it
    responder -> judge() --> Staple, in the Stapler  /

A bad response never keeps a certificate from serving. Ringway logs the reason and does not staple the response.
"""

import datetime
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from ringway.errors import reason_of

MOST_BYTES = 64 << 10
"""Maximum size of a response. It is part of each handshake; most have 300 to 2,500 bytes."""
REFUSED = "it is must-staple, so some clients reject it"
"""The effect of a missing staple, for warnings."""
_CLOCKS_DIFFER = datetime.timedelta(minutes=5)


class Unusable(Exception):
    """The response cannot be stapled. The text says why."""


class Revoked(Unusable):
    """The authority has revoked the certificate."""


@dataclass(frozen=True)
class Staple:
    """A verified response with the status `good`."""

    der: bytes
    until: datetime.datetime
    """The nextUpdate of the response. Workers do not send it from then on."""


def judge(der: bytes, chain: bytes, now: datetime.datetime | None = None) -> Staple:
    """Verifies a response for the first certificate of the chain (PEM). Raises Unusable. Tests pass `now`."""
    now = now or datetime.datetime.now(datetime.UTC)
    leaf, issuer = leaf_and_issuer(chain)
    if len(der) > MOST_BYTES:
        raise Unusable(f"the response has more than {MOST_BYTES} bytes")
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Unusable(f"the responder says {response.response_status.name.lower()}")
        single = next((one for one in response.responses if _is_about(one, leaf, issuer)), None)
        if single is None:
            raise Unusable("the response is for another certificate")
        _verify(response, issuer, now)
        return Staple(der, _good_until(single, now))
    except (ValueError, UnsupportedAlgorithm):  # the library parses some parts only on access
        raise Unusable("it is not an OCSP response in DER form") from None


def _good_until(single: ocsp.OCSPSingleResponse, now: datetime.datetime) -> datetime.datetime:
    """Checks times and status (RFC 6960 3.2, 5). A response without nextUpdate must not be cached."""
    since, until = single.this_update_utc, single.next_update_utc
    if until is None:
        raise Unusable("the response has no expiry time (nextUpdate)")
    if since > now + _CLOCKS_DIFFER:
        raise Unusable(f"the response is not valid before {since:%Y-%m-%d %H:%M} UTC")
    if until <= now:
        raise Unusable(f"the response expired on {until:%Y-%m-%d %H:%M} UTC")
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        raise Revoked(f"the certificate was revoked on {single.revocation_time_utc:%Y-%m-%d}")
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise Unusable("the responder does not know the certificate")
    return until


def leaf_and_issuer(chain: bytes) -> tuple[x509.Certificate, x509.Certificate]:
    certificates = x509.load_pem_x509_certificates(chain)
    if len(certificates) < 2:
        raise Unusable(
            "the issuer's certificate is missing after the host's in the file, so the response cannot be verified"
        )
    return certificates[0], certificates[1]


def _is_about(single: ocsp.OCSPSingleResponse, leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Compares the CertID (RFC 6960 4.1.1). A serial number is unique only for one issuer."""
    if single.serial_number != leaf.serial_number:
        return False
    name, key = hashes.Hash(single.hash_algorithm), hashes.Hash(single.hash_algorithm)
    name.update(leaf.issuer.public_bytes())
    key.update(_key_bits(issuer))
    return name.finalize() == single.issuer_name_hash and key.finalize() == single.issuer_key_hash


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Returns the value of the BIT STRING subjectPublicKey."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _verify(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime.datetime) -> None:
    """Verifies the signature. RFC 6960 4.2.2.2: the signer is the issuer, or has a certificate of the issuer for this
    purpose."""
    signer = next((one for one in [issuer, *response.certificates] if _is_responder(response, one)), None)
    if signer is None:
        raise Unusable("the response was not signed by the certificate's issuer")
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
    # RFC 6960 4.2.1 defines KeyHash as SHA-1. It only finds the signer, the signature is verified separately.
    return response.responder_key_hash == hashlib.sha1(_key_bits(certificate), usedforsecurity=False).digest()


def _verify_delegate(signer: x509.Certificate, issuer: x509.Certificate, now: datetime.datetime) -> None:
    try:
        signer.verify_directly_issued_by(issuer)
        purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise Unusable("the response was signed with a certificate that the issuer did not issue") from None
    except x509.ExtensionNotFound:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    if ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
        raise Unusable("the response was signed by a certificate without the OCSP signing purpose")
    if not signer.not_valid_before_utc <= now <= signer.not_valid_after_utc:
        raise Unusable("the certificate of the responder is not valid now")


def read(path: str, chain: bytes) -> Staple:
    """Reads and verifies a response in DER form from a file. Raises Unusable."""
    try:
        with open(path, "rb") as stream:
            der = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise Unusable(f"it cannot be read ({reason_of(error)})") from None
    return judge(der, chain)


def responder_of(chain: bytes) -> str | None:
    """Returns the URL of the responder in the first certificate of the chain (RFC 5280 4.2.2.1)."""
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


def must_be_stapled(chain: bytes) -> bool:
    """Whether the certificate is must-staple. RFC 7633 4.2.2: clients that know this extension reject the certificate
    without a staple."""
    leaf = x509.load_pem_x509_certificates(chain)[0]
    try:
        features = leaf.extensions.get_extension_for_class(x509.TLSFeature).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return x509.TLSFeatureType.status_request in features

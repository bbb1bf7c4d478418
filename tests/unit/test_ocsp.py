"""Which OCSP responses may be shown (RFC 6960 3.2, 4.2.2.2), and when a responder is asked again."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from harness.authority import Authority
from harness.ocsp import issue, opened, say

from ringway.control.certificates.ocsp import MOST_BYTES, Revoked, Staple, Unusable, judge, read, responder_of
from ringway.control.certificates.stapler import Cache, question_in
from ringway.control.logs import logs


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> tuple[Path, Path]:
    return issue(authority, ["a.example"], "http://ocsp.example/a")


@pytest.mark.parametrize("by_hash", [False, True])
@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()], ids=["sha1", "sha256"])
def test_good(authority: Authority, pair: tuple[Path, Path], by_hash: bool, algorithm: hashes.HashAlgorithm) -> None:
    der = say(authority, pair[0], by_hash=by_hash, algorithm=algorithm)
    staple = judge(der, pair[0].read_bytes())
    assert staple.der == der
    assert staple.until > datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
@pytest.mark.parametrize("by_hash", [False, True])
def test_a_delegate(authority: Authority, pair: tuple[Path, Path], kind: str, by_hash: bool) -> None:
    """RFC 6960 4.2.2.2: whom the issuer has given a certificate for signing responses."""
    delegate = authority.issue(["responder"], kind=kind, purposes=[ExtendedKeyUsageOID.OCSP_SIGNING])
    der = say(authority, pair[0], signer=opened(delegate), by_hash=by_hash)
    assert judge(der, pair[0].read_bytes()).der == der


def refused(der: bytes, pair: tuple[Path, Path], why: str, now: datetime.datetime | None = None) -> None:
    with pytest.raises(Unusable, match=why):
        judge(der, pair[0].read_bytes(), now)


def test_a_certificate_for_something_else_is_no_delegate(authority: Authority, pair: tuple[Path, Path]) -> None:
    """Or every server of this authority could speak for it."""
    refused(say(authority, pair[0], signer=opened(authority.issue(["a"]))), pair, "without the OCSP signing purpose")


def test_a_delegate_of_another_authority(authority: Authority, pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = Authority(tmp_path, "other").issue(["responder"], purposes=[ExtendedKeyUsageOID.OCSP_SIGNING])
    refused(say(authority, pair[0], signer=opened(other)), pair, "did not issue")


def test_a_delegate_whose_time_is_over(authority: Authority, pair: tuple[Path, Path]) -> None:
    old = authority.issue(["responder"], expired=True, purposes=[ExtendedKeyUsageOID.OCSP_SIGNING])
    refused(say(authority, pair[0], signer=opened(old)), pair, "not valid now")


def test_a_changed_response(authority: Authority, pair: tuple[Path, Path]) -> None:
    """Whatever octet it is: never shown, and no other error."""
    der = say(authority, pair[0])
    for at in range(0, len(der), 7):
        broken = der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :]
        with pytest.raises(Unusable):
            judge(broken, pair[0].read_bytes())


def test_other_reasons(authority: Authority, pair: tuple[Path, Path], tmp_path: Path) -> None:
    def raw(certificate: Path) -> bytes:
        return x509.load_pem_x509_certificates(certificate.read_bytes())[0].public_bytes(Encoding.DER)

    good = say(authority, pair[0])
    refused(b"", pair, "not an OCSP response")
    refused(good + bytes(MOST_BYTES), pair, "more than")
    refused(raw(pair[0]), pair, "not an OCSP response")
    refused(say(authority, issue(authority, ["b"])[0]), pair, "another certificate")
    refused(say(Authority(tmp_path), pair[0]), pair, "another certificate")
    refused(
        ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER),
        pair,
        "try_later",
    )
    refused(good, pair, "expired on", datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2))
    refused(good, pair, "not valid before", datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2))
    refused(say(authority, pair[0], "unknown"), pair, "does not know")
    with pytest.raises(Revoked):
        judge(say(authority, pair[0], "revoked"), pair[0].read_bytes())
    with pytest.raises(Unusable, match="issuer's certificate is missing"):
        judge(good, authority.issue(["alone"])[0].read_bytes())
    with pytest.raises(Unusable, match="cannot be read"):
        read(str(tmp_path / "nothing"), pair[0].read_bytes())


@pytest.mark.parametrize(
    ("url", "found"), [("http://o/", "http://o/"), ("https://o/x", "https://o/x"), ("ldap://o/", None), (None, None)]
)
def test_the_responder_that_is_named(authority: Authority, url: str | None, found: str | None) -> None:
    assert responder_of(issue(authority, ["a"], url)[0].read_bytes()) == found


@pytest.mark.parametrize(
    ("asked", "left", "seconds"),
    [
        (0, 3600, 1800),
        (0, 7 * 24 * 3600, 24 * 3600),
        (-1800, 1800, 0),
        (-600, 3000, 1200),
        (-20 * 3600, 6 * 24 * 3600, 4 * 3600),
        (-30 * 3600, 6 * 24 * 3600, 0),
        (900, 3600, 1800),
    ],
    ids=["half", "a day", "half is over", "asked before", "a day, asked before", "the day is over", "in the future"],
)
def test_when_the_responder_is_asked_again(asked: float, left: float, seconds: float) -> None:
    """As if there had been no restart between."""
    now = datetime.datetime.now(datetime.UTC)
    staple = Staple(b"", now + datetime.timedelta(seconds=left))
    assert question_in(staple, now.timestamp() + asked) == pytest.approx(max(1, seconds), abs=5)


def test_the_cache(
    authority: Authority, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file for a certificate's path; what cannot be written leaves nothing behind, and is told once."""
    told: list[str] = []
    monkeypatch.setattr(logs, "_write", lambda level, message: told.append(message))
    path, chain = str(pair[0]), pair[0].read_bytes()
    cache = Cache(str(tmp_path))
    assert cache.read(path, chain) is None
    for _ in range(2):
        staple = judge(say(authority, pair[0]), chain)
        cache.write(path, staple)
        kept = cache.read(path, chain)
        assert kept is not None
        assert kept[0] == staple
        (file,) = tmp_path.iterdir()
    cache.forget(path)
    assert list(tmp_path.iterdir()) == []
    file.mkdir()
    for _ in range(2):
        cache.write(path, staple)
    assert list(tmp_path.iterdir()) == [file]
    assert ["cannot store OCSP responses in" in line for line in told] == [True]

"""Certificates that expire: lines for `ringway check` and the log, three weeks before, and once it is so."""

import datetime

from cryptography import x509

SOON = datetime.timedelta(days=21)


def told(what: str, until: datetime.datetime, now: datetime.datetime | None = None) -> list[str]:
    """One line about it, or none. `now` (with its zone) for tests."""
    left = until - (now or datetime.datetime.now(datetime.UTC))
    if left < datetime.timedelta(0):
        return [f"{what} expired on {until:%Y-%m-%d %H:%M} UTC; renew it"]
    if left < SOON:
        return [f"{what} expires on {until:%Y-%m-%d %H:%M} UTC, in {left.days} days; renew it"]
    return []


def of_each(path: str, pem: bytes, now: datetime.datetime | None = None) -> list[str]:
    """Certificates of a file that stand for themselves."""
    return [
        line
        for one in x509.load_pem_x509_certificates(pem)
        for line in told(f'"{path}" ({one.subject.rfc4514_string()})', one.not_valid_after_utc, now)
    ]


def of_chain(path: str, pem: bytes, now: datetime.datetime | None = None) -> list[str]:
    """One that is good for nothing when any of its certificates is not."""
    first = min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(pem))
    return told(f'"{path}"', first, now)


def of_last(path: str, pem: bytes, now: datetime.datetime | None = None) -> list[str]:
    """A file that is good as long as any of its certificates is."""
    last = max(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(pem))
    return told(f'"{path}" (the last of its authorities)', last, now)

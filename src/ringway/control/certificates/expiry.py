"""Warnings of certificates that expire soon, have expired, or are not valid yet, for `ringway check` and the log."""

import datetime
import re
import time
from collections.abc import Callable, Iterable

from cryptography import x509

from ringway.control.machine import watching

SOON = datetime.timedelta(days=21)
_PART = 4
"""Ringway warns of a certificate with a short lifetime (six days, for example) when a quarter of it is left. ACME
clients renew earlier."""
_DAYS = datetime.timedelta(days=2)
_HOUR = datetime.timedelta(hours=1)


def soon(since: datetime.datetime, until: datetime.datetime) -> datetime.timedelta:
    """Returns how long before the expiry the warnings start."""
    return min(SOON, (until - since) / _PART)


def dated(since: datetime.datetime, until: datetime.datetime, now: datetime.datetime) -> str:
    """Says why a certificate with these dates is not valid at `now`. "": it is valid."""
    if now >= until:
        return f"expired on {until:%Y-%m-%d %H:%M} UTC"
    if now < since:
        return f"is not valid before {since:%Y-%m-%d %H:%M} UTC"
    return ""


def told(
    what: str, since: datetime.datetime, until: datetime.datetime, now: datetime.datetime | None = None
) -> list[str]:
    """Returns one warning, or none. Tests pass `now`, with a time zone."""
    now = now or datetime.datetime.now(datetime.UTC)
    if wrong := dated(since, until, now):
        return [f"{what} {wrong}; {'renew it' if now >= until else 'wait, or correct the clock of this machine'}"]
    left = until - now
    if left < soon(since, until):
        amount = f"{left.days} days" if left >= _DAYS else f"{left // _HOUR} hours"
        return [f"{what} expires on {until:%Y-%m-%d %H:%M} UTC, in {amount}; renew it"]
    return []


def of_each(path: str, pem: bytes, now: datetime.datetime | None = None) -> list[str]:
    """Returns warnings for a file whose certificates are independent of each other."""
    return [
        line
        for one in x509.load_pem_x509_certificates(pem)
        for line in told(
            f'"{path}" ({one.subject.rfc4514_string()})', one.not_valid_before_utc, one.not_valid_after_utc, now
        )
    ]


def of_chain(path: str, pem: bytes, now: datetime.datetime | None = None) -> list[str]:
    """Returns warnings for a chain, which is valid only if all of its certificates are valid."""
    every = x509.load_pem_x509_certificates(pem)
    since, until = max(one.not_valid_before_utc for one in every), min(one.not_valid_after_utc for one in every)
    return told(f'"{path}"', since, until, now)


def of_last(path: str, pem: bytes, now: datetime.datetime | None = None) -> list[str]:
    """Returns warnings for a file that is usable until the last of its certificates expires."""
    last = max(x509.load_pem_x509_certificates(pem), key=lambda one: one.not_valid_after_utc)
    what = f'"{path}" (the last of its authorities)'
    return told(what, last.not_valid_before_utc, last.not_valid_after_utc, now)


class Reminder:
    """Returns each warning when it is due, and again every day. Looks often enough for short lifetimes."""

    LOOK_EVERY = 60.0
    """Seconds."""

    def __init__(self, lines: list[str]) -> None:
        """`lines`: warnings that were logged already."""
        self._told: dict[str, float] = {}
        self._looked = time.monotonic()
        self.anew(lines)

    def anew(self, lines: list[str], same: Iterable[str] = ()) -> list[str]:
        """Replaces the warnings. Returns them without those of `same` that were logged before."""
        before = {about: self._told[about] for about in map(_without_amount, same) if about in self._told}
        now = time.monotonic()
        self._told = {about: before.get(about, now) for about in map(_without_amount, lines)}
        return [line for line in lines if _without_amount(line) not in before]

    def due(self, expiring: Callable[[], list[str]]) -> list[str]:
        """Returns the lines that the caller must log now."""
        now = time.monotonic()
        if now - self._looked < min(self.LOOK_EVERY, watching.DAY):
            return []
        self._looked = now
        lines = {_without_amount(line): line for line in expiring()}
        due = [about for about in lines if now - self._told.get(about, -watching.DAY) >= watching.DAY]
        self._told = {about: now if about in due else self._told[about] for about in lines}
        return [lines[about] for about in due]


def _without_amount(line: str) -> str:
    """Removes the remaining time, which changes between two warnings."""
    return re.sub(r", in \d+ \w+;", "", line)

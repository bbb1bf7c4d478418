"""Who keeps staples fresh: the responders that certificates name are asked, in threads of the supervisor's own, and
what they say is judged (ocsp.py) before anybody is shown it.

    responder --fetch()--> Stapler, which a reload makes anew with all that the one before has
                             |  ^
                             v  | judged as if it had just come
                           Cache: files, for a restart and an upgrade
"""

import base64
import contextlib
import datetime
import hashlib
import http.client
import os
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from ringway.control.certificates.ocsp import (
    MOST_BYTES,
    REFUSED,
    Revoked,
    Staple,
    Unusable,
    judge,
    leaf_and_issuer,
    must_be_stapled,
    read,
    responder_of,
)
from ringway.control.logs import logs
from ringway.errors import reason_of

_FETCH_WITHIN = 10.0
_THREADS = 4
"""A responder that hangs must not hold up the others."""
_LONGEST_PAUSE = 3600.0
_LONGEST_WAIT = 24 * 3600.0
"""Seconds. However long a response is good: a revocation is to be noticed within a day."""


def fetch(url: str, chain: bytes) -> Staple:
    """Asks the responder. Raises Unusable, after ten seconds at the latest if it only trickles."""
    # RFC 5019 2.1.1: SHA-1, no nonce: the same question from everybody, so that answers can be cached.
    builder = ocsp.OCSPRequestBuilder().add_certificate(*leaf_and_issuer(chain), hashes.SHA1())
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
        raise Unusable(f"{url} does not answer ({reason_of(getattr(error, 'reason', error))})") from None
    return judge(der, chain)


def question_in(staple: Staple, asked: float) -> float:
    """Seconds until its responder is asked again; `asked`: when it said this, in Unix time. Half of what was left then:
    also when a cache answers with what it already said."""
    now = time.time()
    asked = min(asked, now)  # clocks are put back
    return max(1.0, asked + min((staple.until.timestamp() - asked) / 2, _LONGEST_WAIT) - now)


class Cache:
    """Responses as files of a folder, one for each certificate."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._told = False

    def _place(self, path: str) -> str:
        """By the certificate's path, so that the response about a renewed one takes the place of the old one's."""
        return os.path.join(self._folder, hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:32] + ".ocsp")

    def read(self, path: str, chain: bytes) -> tuple[Staple, float] | None:
        """What can still be shown, and since when it is there."""
        try:
            return read(self._place(path), chain), os.stat(self._place(path)).st_mtime
        except (Unusable, OSError):
            return None

    def write(self, path: str, staple: Staple) -> None:
        """As a new file, renamed over what is there."""
        new = ""
        try:
            descriptor, new = tempfile.mkstemp(dir=self._folder)
            with open(descriptor, "wb") as stream:
                stream.write(staple.der)
            os.replace(new, self._place(path))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(new)
            if not self._told:
                effect = "Ringway fetches them again after a restart"
                logs.warning(f'cannot store OCSP responses in "{self._folder}" ({reason_of(error)}): {effect}')
            self._told = True

    def forget(self, path: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._place(path))


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

    def __init__(self, cache: Cache | None = None, before: "Stapler | None" = None) -> None:
        """`before`: the one whose place this one takes, or does not: it goes on by itself."""
        self._cache = cache
        self._wake = threading.Condition()
        self._ended = False
        self._news = False
        self._orders = before.orders() if before is not None else {}

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
                    self._orders[chain] = self._new(path, chain, url)
            self._wake.notify_all()

    def _new(self, path: str, chain: bytes, url: str) -> _Order:
        kept = self._cache.read(path, chain) if self._cache is not None else None
        if kept is None:
            return _Order(path, chain, url)
        return _Order(path, chain, url, kept[0], time.monotonic() + question_in(*kept))

    def orders(self) -> dict[bytes, _Order]:
        """As they are now, for another one."""
        with self._wake:
            return {chain: replace(order, busy=False) for chain, order in self._orders.items()}

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
        if self._cache is not None:
            self._cache.write(order.path, staple)
        if order.staple is None or order.told:
            logs.info(f'OCSP of "{order.path}": {order.url} says good until {staple.until:%Y-%m-%d %H:%M} UTC; stapled')
        with self._wake:
            self._news |= order.staple != staple
            order.staple = staple
            order.failures = 0
            order.told = ""
            order.due = time.monotonic() + question_in(staple, time.time())

    def _not_found(self, order: _Order, why: Unusable) -> None:
        if isinstance(why, Revoked) and self._cache is not None:
            self._cache.forget(order.path)
        with self._wake:
            if isinstance(why, Revoked):
                # An old "good" would be a lie by now, and "revoked" helps no client that can be helped.
                self._news |= order.staple is not None
                order.staple = None
            order.failures += 1
            order.due = time.monotonic() + min(2.0 ** min(order.failures, 20), _LONGEST_PAUSE)
        text = f"{why}; {_effect(order)}"
        if order.told != text:
            order.told = text
            tell = logs.error if isinstance(why, Revoked) else logs.warning
            tell(f'OCSP of "{order.path}": {text}')


def _effect(order: _Order) -> str:
    """What comes of it that there is no new response."""
    kept = order.staple
    if kept is not None and kept.until > datetime.datetime.now(datetime.UTC):
        return f"the last staple stays in use until {kept.until:%F %H:%M} UTC"
    return f"not stapled; {REFUSED}" if must_be_stapled(order.chain) else "not stapled"

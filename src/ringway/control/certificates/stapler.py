"""Keeps staples fresh. Threads of the supervisor fetch responses from the responders that certificates name. ocsp.py
verifies each response before a worker gets it.

    responder --fetch()--> Stapler; a reload makes a new one with the state of the old one
                             |  ^
                             v  | verified like a fetched response
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
"""Several, so that a responder that hangs does not delay the others."""
_LONGEST_PAUSE = 3600.0
_LONGEST_WAIT = 24 * 3600.0
"""Seconds. Ringway must notice a revocation within a day, however long a response is valid."""


def fetch(url: str, chain: bytes) -> Staple:
    """Fetches a response. Raises Unusable if the responder fails or needs more than ten seconds."""
    # RFC 5019 2.1.1: SHA-1 and no nonce. Requests of all clients are then equal, and responses can be cached.
    builder = ocsp.OCSPRequestBuilder().add_certificate(*leaf_and_issuer(chain), hashes.SHA1())
    asked = builder.build().public_bytes(serialization.Encoding.DER)
    # RFC 6960 A.1, RFC 5019 5: GET if the URL is short.
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
    """Returns the seconds until the next fetch. `asked`: when the staple was fetched, in Unix time. The next fetch is
    when half of the lifetime that was left then has passed. So Ringway does not fetch too often when a cache answers
    with the same response."""
    now = time.time()
    asked = min(asked, now)  # a clock can be set back
    return max(1.0, asked + min((staple.until.timestamp() - asked) / 2, _LONGEST_WAIT) - now)


class Cache:
    """Responses as files of a folder, one for each certificate."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._told = False

    def _place(self, path: str) -> str:
        """Returns the path of the response. It depends on the certificate's path, so that the response for a renewed
        certificate replaces the old one."""
        return os.path.join(self._folder, hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:32] + ".ocsp")

    def read(self, path: str, chain: bytes) -> tuple[Staple, float] | None:
        """Returns a response that is still usable, and the time of its file."""
        try:
            return read(self._place(path), chain), os.stat(self._place(path)).st_mtime
        except (Unusable, OSError):
            return None

    def write(self, path: str, staple: Staple) -> None:
        """Writes a new file and renames it over the old one."""
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
    """A certificate that needs a staple."""

    path: str
    chain: bytes
    url: str
    staple: Staple | None = None
    due: float = 0.0
    """Monotonic time of the next fetch."""
    busy: bool = False
    failures: int = 0
    """In a row."""
    told: str = ""
    """The logged line of the last failure. The same line is not logged again."""


class Stapler:
    """Keeps a fresh staple for each certificate that names a responder, in threads of its own."""

    def __init__(self, cache: Cache | None = None, before: "Stapler | None" = None) -> None:
        """`before`: the stapler whose state this one copies. It keeps running, in case the reload fails."""
        self._cache = cache
        self._wake = threading.Condition()
        self._ended = False
        self._news = False
        self._orders = before.orders() if before is not None else {}

    def start(self) -> None:
        for _ in range(_THREADS):
            threading.Thread(target=self._work, name="staples", daemon=True).start()

    def stop(self) -> None:
        """Starts no more fetches. A fetch that hangs ends with the process."""
        with self._wake:
            self._ended = True
            self._wake.notify_all()

    def follow(self, pairs: Iterable[tuple[str, bytes]]) -> None:
        """Sets the certificates that need staples: path and chain of each."""
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
        """Returns copies, for another stapler."""
        with self._wake:
            return {chain: replace(order, busy=False) for chain, order in self._orders.items()}

    def of(self, chain: bytes) -> Staple | None:
        order = self._orders.get(chain)
        return order.staple if order is not None else None

    def news(self) -> bool:
        """Whether a staple has changed since the last call."""
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
        """Waits for the next certificate that is due. None: the stapler was stopped."""
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
                # The old "good" is no longer true, and clients gain nothing from a "revoked" staple.
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
    """Describes the effect of a failed fetch."""
    kept = order.staple
    if kept is not None and kept.until > datetime.datetime.now(datetime.UTC):
        return f"the last staple stays in use until {kept.until:%F %H:%M} UTC"
    return f"not stapled; {REFUSED}" if must_be_stapled(order.chain) else "not stapled"

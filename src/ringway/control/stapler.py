"""Who keeps staples fresh: the responders that certificates name are asked, in threads of the supervisor's own, and
what they say is judged (ocsp.py) before anybody is shown it.
"""

import base64
import datetime
import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from ringway.control import logs
from ringway.control.ocsp import MOST_BYTES, Revoked, Staple, Unusable, judge, leaf_and_issuer, responder_of

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

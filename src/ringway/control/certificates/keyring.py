"""All certificates together: which client gets which, and what the workers are handed.

    files --load()--> Keyring --block()--> memfd --"c"--> every worker
      ^ looked at every second by a Watch

A worker gets keys in shared memory that only it and the supervisor have, never by a path, a command line or an
environment: key files need be readable by the supervisor alone.
"""

import datetime
import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ringway.config.doors import Policy, place_of, policies
from ringway.config.model import Tls
from ringway.control.certificates import certificates, expiry, ocsp
from ringway.control.certificates.certificates import Pair, load_client_authorities, load_pair
from ringway.control.certificates.stapler import Cache, Stapler
from ringway.control.logs import logs
from ringway.control.machine import watching
from ringway.control.machine.watching import Settled, Signature, Ticking, signature_of
from ringway.errors import Problem

NEW_TICKET_KEY = 12 * 3600.0
"""Seconds after which tickets are sealed with a new key; the last three open them, which is longer than a ticket lives
(two hours in OpenSSL)."""
TICKET_KEYS = 3

_CHAINS = (".crt", ".pem", ".cer")


@dataclass(frozen=True)
class Source:
    """Where a pair is read."""

    cert_path: str
    key_path: str
    section: str
    """Where it stands in the configuration: `tls`, `tls.certificates[0]`, `tls.certificates_path`."""
    ocsp_path: str | None = field(default=None, compare=False)
    """In a folder it may come and go; the source is the same."""


def sources_of(tls: Tls) -> tuple[list[Source], list[Problem]]:
    """In the order of their weight: the default first. Problems: of the folder."""
    found = []
    if tls.cert_path is not None and tls.key_path is not None:
        found.append(Source(tls.cert_path, tls.key_path, "tls", tls.ocsp_path))
    for number, entry in enumerate(tls.certificates):
        section = f"tls.certificates[{number}]"
        found.append(Source(entry.cert_path, entry.key_path, section, entry.ocsp_path))
    if tls.certificates_path is None:
        return found, []
    try:
        names = sorted(os.listdir(tls.certificates_path))
    except OSError as error:
        sentence = f'"{tls.certificates_path}" cannot be listed ({os.strerror(error.errno or 0)})'
        return found, [Problem("tls.certificates_path", sentence, "name a folder of certificates")]
    problems = []
    for name in names:
        path = os.path.join(tls.certificates_path, name)
        stem, suffix = os.path.splitext(path)
        if os.path.isdir(path):
            chain, key = os.path.join(path, "fullchain.pem"), os.path.join(path, "privkey.pem")
            if os.path.exists(chain):
                found.append(_beside(chain, key))
        elif suffix in _CHAINS and os.path.exists(f"{stem}.key"):
            found.append(_beside(path, f"{stem}.key"))
        elif suffix in _CHAINS:
            sentence = f'"{path}" has no key beside it'
            problems.append(Problem("tls.certificates_path", sentence, f'put it into "{stem}.key"'))
    if not found and not problems:
        sentence = f'there is no certificate in "{tls.certificates_path}"'
        problems.append(Problem("tls.certificates_path", sentence, "put NAME.crt and NAME.key there"))
    return found, problems


def _staple_beside(cert_path: str) -> str:
    return os.path.splitext(cert_path)[0] + ".ocsp"


def _beside(cert_path: str, key_path: str) -> Source:
    """Of a folder."""
    ocsp_path = _staple_beside(cert_path)
    return Source(cert_path, key_path, "tls.certificates_path", ocsp_path if os.path.exists(ocsp_path) else None)


@dataclass(frozen=True)
class Keyring:
    """Pairs by their source, in the order of their weight; at least one."""

    pairs: dict[Source, Pair]
    policies: list[Policy] = field(default_factory=list)
    """What hosts want of their clients."""
    authorities: dict[str, bytes] = field(default_factory=dict)
    """PEM by path: whose client certificates are accepted."""
    stapling: bool = False
    """Responders are asked."""

    @functools.cached_property
    def _by_name(self) -> dict[str, dict[str, int]]:
        """For each name and kind the pair that lasts longest."""
        best: dict[str, dict[str, int]] = {}
        every = list(self.pairs.values())
        for index, pair in enumerate(every):
            for name in pair.names:
                kinds = best.setdefault(name, {})
                if pair.kind not in kinds or every[kinds[pair.kind]].until < pair.until:
                    kinds[pair.kind] = index
        return best

    @property
    def names(self) -> list[str]:
        return sorted(self._by_name)

    def contexts(self) -> tuple[list[tuple[int, ...]], dict[str, int]]:
        """Which pairs serve together, as indices; the first is the default. And which of them a name gets."""
        every = list(self.pairs.values())
        # The default pair, and one of the other kind for the same host.
        first = {every[0].kind: 0}
        for name in every[0].names[:1]:
            first = {**self._by_name[name], **first}
        contexts: dict[tuple[int, ...], int] = {tuple(sorted(first.values())): 0}
        names = {}
        for name, kinds in self._by_name.items():
            names[name] = contexts.setdefault(tuple(sorted(kinds.values())), len(contexts))
        return list(contexts), names

    def block(self, ticket_keys: list[bytes], stapler: Stapler | None = None) -> bytearray:
        """For the workers: engine/tls/certificates.pxd has its form."""
        from ringway.engine.tls.certificates import build

        pairs = []
        for pair in self.pairs.values():
            staple = pair.staple or (stapler.of(pair.chain) if stapler is not None else None)
            shown = (staple.der, int(staple.until.timestamp())) if staple is not None else (b"", 0)
            pairs.append((pair.chain, pair.key, *shown))
        texts = [self.authorities[policy.ca_path] for policy in self.policies]
        trusted = [(text, policy.ticket_context(text)) for policy, text in zip(self.policies, texts, strict=True)]
        return build(pairs, *self.contexts(), 0, ticket_keys, trusted)  # type: ignore[no-any-return]

    def wipe(self, but: "Keyring | None" = None) -> None:
        """Its keys, those excepted that the other one has too."""
        kept = {id(pair.key) for pair in but.pairs.values()} if but is not None else ()
        for pair in self.pairs.values():
            if id(pair.key) not in kept:
                certificates.wipe(pair.key)

    def warnings(self) -> list[str]:
        lines = []
        for source, pair in self.pairs.items():
            lines += [*pair.warnings, *self._must_staple(source, pair)]
        return lines

    def _must_staple(self, source: Source, pair: Pair) -> list[str]:
        """Where no response will be there; of a responder that fails the Stapler tells."""
        asked = pair.ocsp_path is None and ocsp.responder_of(pair.chain) is not None
        if not pair.must_staple or pair.staple is not None or (asked and self.stapling):
            return []
        if pair.ocsp_path is not None:
            remedy = f'renew "{pair.ocsp_path}"'
        elif asked:
            remedy = "set ocsp_stapling = true"
        elif source.section == "tls.certificates_path":
            remedy = f'put a response into "{_staple_beside(pair.cert_path)}"'
        else:
            remedy = "name a file with a response: ocsp_path"
        return [f'"{pair.cert_path}" is not stapled; {ocsp.REFUSED}; {remedy}']

    def expiring(self, now: datetime.datetime | None = None) -> list[str]:
        """A line for each pair, and each authority for clients, that expires within three weeks."""
        lines = []
        for pair in self.pairs.values():
            lines += expiry.told(f'"{pair.cert_path}" (for {shortened(pair.names)})', pair.until, now)
        for path, text in self.authorities.items():
            lines += expiry.of_each(path, text, now)
        return lines


def shortened(names: Iterable[str], most: int = 3) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "no host") + more


def load(tls: Tls, old: Keyring | None = None) -> tuple[Keyring | None, list[Problem]]:
    """Every pair that can serve, and everything that is wrong. A source that is wrong now keeps its pair of `old`.
    None: there is not one."""
    found, problems = sources_of(tls)
    pairs = {}
    for source in found:
        pair, wrong = load_pair(source.cert_path, source.key_path, None, source.section, source.ocsp_path)
        if source.section == "tls.certificates_path":
            wrong = [_of_folder(source, problem) for problem in wrong]
        problems += wrong
        if pair is None and old is not None:
            pair = old.pairs.get(source)
        if pair is not None:
            pairs[source] = pair
    wanted = policies(tls)
    authorities = {}
    for path in dict.fromkeys(policy.ca_path for policy in wanted):
        text, wrong = load_client_authorities(place_of(tls, path), path)
        problems += wrong
        if wrong and old is not None:
            text = old.authorities[path]
        authorities[path] = text
    return (Keyring(pairs, wanted, authorities, tls.ocsp_stapling) if pairs else None), problems


def _of_folder(source: Source, problem: Problem) -> Problem:
    """In a folder no key of the configuration says which file it is."""
    path = source.key_path if problem.key.endswith("key_path") else source.cert_path
    sentence = problem.sentence if path in problem.sentence else f'"{path}": {problem.sentence}'
    return Problem("tls.certificates_path", sentence, problem.remedy)


def signature(tls: Tls) -> Signature:
    """What changes whenever one of the files does."""
    found, _ = sources_of(tls)
    paths = [path for source in found for path in (source.cert_path, source.key_path, source.ocsp_path)]
    paths += [policy.ca_path for policy in policies(tls)]
    return signature_of(path for path in paths if path is not None)


def to_be_fetched(ring: Keyring) -> list[tuple[str, bytes]]:
    """Path and chain of those that have no file of their own for it."""
    return [(pair.cert_path, pair.chain) for pair in ring.pairs.values() if pair.ocsp_path is None]


class Watch:
    """Looks at the files in a thread of its own, and renews ticket keys. `changed` is called there with a new block."""

    def __init__(
        self,
        tls: Tls,
        ring: Keyring,
        changed: Callable[[bytearray], None],
        ticket_keys: list[bytes] | None = None,
        stapler: Stapler | None = None,
    ) -> None:
        """`ticket_keys`: newest first, of before a reload or an upgrade, so that sessions go on. `stapler`: of before a
        reload, so that staples do."""
        self._tls = tls
        self._ring = ring
        self._changed = changed
        self._files = Settled(lambda: signature(tls))
        self.ticket_keys = ticket_keys or [os.urandom(80)]
        self._waited_tickets = self._waited_day = 0.0
        self.stapler: Stapler | None = None
        if tls.ocsp_stapling:
            self.stapler = Stapler(Cache(tls.ocsp_cache) if tls.ocsp_cache is not None else None, stapler)
            self.stapler.follow(to_be_fetched(ring))
        self._lapsed: set[bytes] = set()
        self._thread = Ticking("certificates", watching.LOOK_EVERY, self._look)

    def block(self) -> bytearray:
        return self._ring.block(self.ticket_keys, self.stapler)

    def start(self) -> None:
        self._thread.start()
        if self.stapler is not None:
            self.stapler.start()

    def stop(self) -> None:
        self._thread.stop()
        if self.stapler is not None:
            self.stapler.stop()

    def _look(self) -> None:
        self._waited_tickets += watching.LOOK_EVERY
        self._waited_day += watching.LOOK_EVERY
        if self._files.changed():
            self._read_again()
        if self.stapler is not None and self.stapler.news():
            self._changed(self.block())
        self._tell_lapsed()
        if self._waited_tickets >= NEW_TICKET_KEY:
            self._waited_tickets = 0.0
            self.ticket_keys = [os.urandom(80), *self.ticket_keys][:TICKET_KEYS]
            self._changed(self.block())
        if self._waited_day >= watching.DAY:
            self._waited_day = 0.0
            for line in self._ring.expiring():
                logs.warning(f"certificate {line}")

    def _read_again(self) -> None:
        ring, problems = load(self._tls, self._ring)
        for problem in problems:
            logs.warning(f"certificates: {problem}; what is in use stays")
        if ring is None:
            return
        if ring == self._ring:
            ring.wipe(but=self._ring)
            return
        old, self._ring = self._ring, ring
        if self.stapler is not None:
            self.stapler.follow(to_be_fetched(ring))
        for source, pair in ring.pairs.items():
            if old.pairs.get(source) != pair:
                logs.info(
                    f'certificate "{pair.cert_path}" is in use, for {shortened(pair.names)}, until {pair.until:%F}'
                )
        for source in old.pairs.keys() - ring.pairs.keys():
            logs.info(f'certificate "{source.cert_path}" is gone and in use no more')
        for path, text in ring.authorities.items():
            if old.authorities.get(path) != text:
                logs.info(f'client certificates are accepted by the new "{path}"')
        for line in [*ring.warnings(), *ring.expiring()]:
            logs.warning(f"certificate {line}")
        self._changed(self.block())
        old.wipe(but=ring)

    def _tell_lapsed(self) -> None:
        """Files of staples that nobody renewed in time; workers look at the time by themselves."""
        now = datetime.datetime.now(datetime.UTC)
        for pair in self._ring.pairs.values():
            if pair.staple is not None and pair.staple.until <= now and pair.staple.der not in self._lapsed:
                self._lapsed.add(pair.staple.der)
                line = f'certificate "{pair.cert_path}" is stapled no more: "{pair.ocsp_path}" has expired'
                logs.warning(f"{line}; {ocsp.REFUSED}" if pair.must_staple else line)

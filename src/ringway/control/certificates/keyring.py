"""All certificates for clients: selects the certificates of each name, and publishes them to the workers.

    files --load()--> Keyring --block()--> memfd --"c"--> every worker
      ^ a Watch looks at them every second

Workers get keys in shared memory that only they and the supervisor have, never by a path, a command line or an
environment. Only the supervisor needs permission to read key files.
"""

import datetime
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ringway.config.doors import Policy, place_of, policies
from ringway.config.model import Tls
from ringway.control.certificates import certificates, expiry, folders, ocsp
from ringway.control.certificates.certificates import Pair, load_client_authorities, load_pair
from ringway.control.certificates.stapler import Cache, Stapler
from ringway.control.logs import logs
from ringway.control.machine import watching
from ringway.control.machine.watching import Settled, Signature, Ticking, signature_of
from ringway.errors import Problem, reason_of

NEW_TICKET_KEY = 12 * 3600.0
"""Seconds after which a new key encrypts session tickets. The last three keys decrypt them, which is longer than the
lifetime of a ticket (two hours in OpenSSL)."""
TICKET_KEYS = 3

_ASIDE_MOST = 5
"""The number of ignored files that the log names."""
_TAKE_LOOKS = 20
"""Looks, one a second, after which a worker that has not loaded new certificates counts as failed."""
_EMPTY = "until there is one, every TLS handshake fails"


@dataclass(frozen=True)
class Source:
    """The files of a pair."""

    cert_path: str
    key_path: str
    section: str
    """The key of the configuration that names it: `tls`, `tls.certificates[0]`, `tls.certificates_path`."""
    ocsp_path: str | None = field(default=None, compare=False)
    """Not compared: in a folder this file can appear and disappear."""


def sources_of(tls: Tls) -> tuple[list[Source], list[Problem], list[str]]:
    """Returns the sources by priority (the default first), problems of the folder, and notes about ignored files."""
    found = []
    if tls.cert_path is not None and tls.key_path is not None:
        found.append(Source(tls.cert_path, tls.key_path, "tls", tls.ocsp_path))
    for number, entry in enumerate(tls.certificates):
        section = f"tls.certificates[{number}]"
        found.append(Source(entry.cert_path, entry.key_path, section, entry.ocsp_path))
    if tls.certificates_path is None:
        return found, [], []
    try:
        folder = folders.look(tls.certificates_path)
    except OSError as error:
        sentence = f'"{tls.certificates_path}" cannot be listed ({reason_of(error)})'
        return found, [Problem("tls.certificates_path", sentence, "name a folder of certificates")], []
    notes = [f"ignored: {shortened(folder.aside, _ASIDE_MOST)}"] if folder.aside else []
    if not folder.pairs:
        notes.insert(0, f'there is no certificate in "{tls.certificates_path}"')
    return [*found, *(_beside(chain, key) for chain, key in folder.pairs)], [], notes


def _staple_beside(cert_path: str) -> str:
    return os.path.splitext(cert_path)[0] + ".ocsp"


def _beside(cert_path: str, key_path: str) -> Source:
    """Returns the source of a pair in a folder."""
    ocsp_path = _staple_beside(cert_path)
    return Source(cert_path, key_path, "tls.certificates_path", ocsp_path if os.path.exists(ocsp_path) else None)


@dataclass(frozen=True)
class Keyring:
    """Pairs by their source, in order of priority. It is empty only if Ringway also serves plain HTTP."""

    pairs: dict[Source, Pair]
    policies: list[Policy] = field(default_factory=list)
    """Demands of hosts for client certificates."""
    authorities: dict[str, bytes] = field(default_factory=dict)
    """Authorities of client certificates, PEM by path."""
    stapling: bool = False
    """Whether Ringway fetches OCSP responses."""
    notes: tuple[str, ...] = ()
    """Notes about the folder, for the log."""
    turns: tuple[datetime.datetime, ...] = field(default=(), compare=False)
    """Future times at which a certificate becomes valid or expires."""

    def _by_name(self, now: datetime.datetime) -> dict[str, dict[str, int]]:
        """Returns the best pair for each name and kind."""
        best: dict[str, dict[str, int]] = {}
        every = list(self.pairs.values())
        for index, pair in enumerate(every):
            for name in pair.names:
                kinds = best.setdefault(name, {})
                if pair.kind not in kinds or _worth(every[kinds[pair.kind]], now) < _worth(pair, now):
                    kinds[pair.kind] = index
        return best

    @property
    def names(self) -> list[str]:
        return sorted({name for pair in self.pairs.values() for name in pair.names})

    def contexts(self, now: datetime.datetime | None = None) -> tuple[list[tuple[int, ...]], dict[str, int]]:
        """Returns the contexts, and for each name the index of its context. A context is the pairs that serve together,
        as indices; the first context is the default. Tests pass `now`, with a time zone."""
        now = now or datetime.datetime.now(datetime.UTC)
        every = list(self.pairs.values())
        by_name = self._by_name(now)
        # The default pair, and a pair of the other kind for the same host. A better pair replaces an expired one.
        first = {every[0].kind: 0} if every else {}
        for name in every[0].names[:1] if every else ():
            first = {**by_name[name], **(first if every[0].valid(now) else {})}
        contexts: dict[tuple[int, ...], int] = {tuple(sorted(first.values())): 0}
        names = {}
        for name, kinds in by_name.items():
            names[name] = contexts.setdefault(tuple(sorted(kinds.values())), len(contexts))
        return list(contexts), names

    def block(
        self, ticket_keys: list[bytes], stapler: Stapler | None = None, old: "Keyring | None" = None
    ) -> bytearray:
        """Returns the block for the workers, in the format of engine/tls/certificates.pxd. `old`: the keyring that the
        workers have now."""
        from ringway.engine.tls.certificates import build

        pairs = []
        for pair in self.pairs.values():
            staple = pair.staple or (stapler.of(pair.chain) if stapler is not None else None)
            shown = (staple.der, int(staple.until.timestamp())) if staple is not None else (b"", 0)
            pairs.append((pair.chain, pair.key, *shown))
        texts = [self.authorities[policy.ca_path] for policy in self.policies]
        trusted = [(text, policy.ticket_context(text)) for policy, text in zip(self.policies, texts, strict=True)]
        before = old.pairs if old is not None else self.pairs
        fresh = frozenset(n for n, (source, pair) in enumerate(self.pairs.items()) if before.get(source) != pair)
        return build(pairs, *self.contexts(), 0, ticket_keys, trusted, fresh)  # type: ignore[no-any-return]

    def wipe(self, but: "Keyring | None" = None) -> None:
        """Wipes the keys, except those that the keyring `but` also has."""
        kept = {id(pair.key) for pair in but.pairs.values()} if but is not None else ()
        for pair in self.pairs.values():
            if id(pair.key) not in kept:
                certificates.wipe(pair.key)

    def unchanged(self, old: "Keyring") -> "Keyring":
        """Returns a keyring with the parts that are equal in the old one."""
        pairs = {source: pair for source, pair in self.pairs.items() if old.pairs.get(source) == pair}
        authorities = {path: text for path, text in self.authorities.items() if old.authorities.get(path) == text}
        return replace(self, pairs=pairs, authorities=authorities)

    def warnings(self) -> list[str]:
        lines = list(self.notes)
        for source, pair in self.pairs.items():
            lines += [*pair.warnings, *self._must_staple(source, pair)]
        return lines

    def _must_staple(self, source: Source, pair: Pair) -> list[str]:
        """Warns if a pair is must-staple and has no source of responses. The Stapler warns if a responder fails."""
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
        """Returns a warning for each pair, and each authority of client certificates, that expires soon, has expired,
        or is not valid yet."""
        lines = []
        for pair in self.pairs.values():
            lines += expiry.told(f'"{pair.cert_path}" (for {shortened(pair.names)})', pair.since, pair.until, now)
        for path, text in self.authorities.items():
            lines += expiry.of_each(path, text, now)
        return lines


def logged(line: str) -> str:
    """Returns a warning as the log has it: about a certificate, which it begins with, or about a folder of them."""
    return f"certificate {line}" if line.startswith('"') else f"certificates: {line}"


def shortened(names: Iterable[str], most: int = 3) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "no host") + more


def _worth(pair: Pair, now: datetime.datetime) -> tuple[bool, bool, datetime.datetime]:
    """Returns a key for comparison. Of two pairs of the same name and kind, the greater one serves."""
    return pair.valid(now), pair.ordered, pair.until


def load(tls: Tls, old: Keyring | None = None, plain: bool = False) -> tuple[Keyring | None, list[Problem]]:
    """Loads every pair that can serve, and returns every problem. If a source has a problem, or if its certificate is
    not valid and that of `old` is, the source keeps its pair of `old`. `plain`: Ringway also serves plain HTTP, so that
    there can be no pair at all. Returns None if there are problems and no pair."""
    found, problems, notes = sources_of(tls)
    now = datetime.datetime.now(datetime.UTC)
    pairs = {}
    turns = []
    for source in found:
        pair, wrong = load_pair(source.cert_path, source.key_path, source.section, source.ocsp_path)
        if source.section == "tls.certificates_path":
            wrong = [_of_folder(source, problem) for problem in wrong]
        problems += wrong
        before = old.pairs.get(source) if old is not None else None
        if pair is not None:
            turns += [pair.since, pair.until]
        if pair is not None and before is not None and before.valid(now) and not pair.valid(now):
            sentence = f'"{source.cert_path}": {expiry.dated(pair.since, pair.until, now)}'
            problems.append(
                Problem(f"{source.section}.cert_path", sentence, "renew it, or correct this machine's clock")
            )
            certificates.wipe(pair.key)
            pair = None
        pair = pair or before
        if pair is not None:
            pairs[source] = pair
    if not pairs and not problems:
        if plain and not (old is not None and old.pairs):
            notes[0] += f"; {_EMPTY}"
        else:
            problems.append(Problem("tls.certificates_path", notes.pop(0), "put NAME.crt and NAME.key there"))
    wanted = policies(tls)
    authorities = {}
    for path in dict.fromkeys(policy.ca_path for policy in wanted):
        text, wrong = load_client_authorities(place_of(tls, path), path)
        problems += wrong
        if wrong and old is not None:
            text = old.authorities[path]
        authorities[path] = text
    if not pairs and problems:
        return None, problems
    later = tuple(sorted(turn for turn in turns if turn > now))
    return Keyring(pairs, wanted, authorities, tls.ocsp_stapling, tuple(notes), later), problems


def _of_folder(source: Source, problem: Problem) -> Problem:
    """Adds the path to a problem of a pair in a folder, because no key of the configuration names the file."""
    path = source.key_path if problem.key.endswith("key_path") else source.cert_path
    sentence = problem.sentence if path in problem.sentence else f'"{path}": {problem.sentence}'
    return Problem("tls.certificates_path", sentence, problem.remedy)


def signature(tls: Tls) -> Signature:
    """Returns a signature that changes when one of the files changes."""
    found, _, _ = sources_of(tls)
    paths = [path for source in found for path in (source.cert_path, source.key_path, source.ocsp_path)]
    paths += [policy.ca_path for policy in policies(tls)]
    return signature_of(path for path in paths if path is not None)


def to_be_fetched(ring: Keyring) -> list[tuple[str, bytes]]:
    """Returns path and chain of each pair without an OCSP file."""
    return [(pair.cert_path, pair.chain) for pair in ring.pairs.values() if pair.ocsp_path is None]


class Watch:
    """Watches the files, and renews ticket keys, in a thread of its own. The thread calls `changed` with new blocks."""

    def __init__(
        self,
        tls: Tls,
        ring: Keyring,
        changed: Callable[[bytearray], None],
        ticket_keys: list[bytes] | None = None,
        stapler: Stapler | None = None,
        plain: bool = False,
        taken: Callable[[], dict[object, int]] = dict,
    ) -> None:
        """`plain`: see load(). `ticket_keys`: the keys from before a reload or an upgrade, newest first, so that
        sessions can be resumed. `stapler`: the one from before a reload, which keeps its staples. `taken`: returns how
        many blocks each worker has loaded, by a key for each worker."""
        self._tls = tls
        self._plain = plain
        self._ring = ring
        self._contexts = ring.contexts()
        self._changed = changed
        self._taken = taken
        self._due: list[str] = []
        """Lines to log when every worker of `_due_from` has loaded more blocks than the number there."""
        self._due_from: dict[object, int] = {}
        self._due_looks = 0
        self._files = Settled(lambda: signature(tls))
        self.ticket_keys = ticket_keys or [os.urandom(80)]
        self._waited_tickets = 0.0
        self._expiring = expiry.Reminder(self._ring.expiring())
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
        now = datetime.datetime.now(datetime.UTC)
        if self._files.changed() or (self._ring.turns and self._ring.turns[0] <= now):
            self._read_again()
        if self.stapler is not None and self.stapler.news():
            self._changed(self.block())
        self._tell_lapsed()
        self._tell_taken()
        if self._waited_tickets >= NEW_TICKET_KEY:
            self._waited_tickets = 0.0
            self.ticket_keys = [os.urandom(80), *self.ticket_keys][:TICKET_KEYS]
            self._changed(self.block())
        for line in self._expiring.due(self._ring.expiring):
            logs.warning(logged(line))

    def _read_again(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        ring, problems = load(self._tls, self._ring, self._plain)
        for problem in problems:
            logs.warning(f"certificates: {problem}; the old ones stay in use")
        if ring is None:
            self._ring = replace(self._ring, turns=tuple(turn for turn in self._ring.turns if turn > now))
            return
        contexts = ring.contexts()
        if ring == self._ring and contexts == self._contexts:
            ring.wipe(but=self._ring)
            self._ring = replace(self._ring, turns=ring.turns)
            return
        self._contexts = contexts
        old, self._ring = self._ring, ring
        if self.stapler is not None:
            self.stapler.follow(to_be_fetched(ring))
        for source, pair in ring.pairs.items():
            if old.pairs.get(source) != pair:
                about = f"for {shortened(pair.names)}, until {pair.until:%F}"
                self._due.append(f'certificate "{pair.cert_path}" is in use, {about}')
        for source in old.pairs.keys() - ring.pairs.keys():
            self._due.append(f'certificate "{source.cert_path}" was removed and is no longer in use')
        for path, text in ring.authorities.items():
            if old.authorities.get(path) != text:
                self._due.append(f'client certificates are now verified with the new "{path}"')
        self._due_from, self._due_looks = self._taken(), _TAKE_LOOKS
        self._changed(ring.block(self.ticket_keys, self.stapler, old))
        same = ring.unchanged(old)  # before wipe(), which changes the old keys
        old.wipe(but=ring)
        self._tell_taken()
        known = {*old.warnings()} & {*same.warnings()}
        new = [line for line in ring.warnings() if line not in known]
        for line in [*new, *self._expiring.anew(ring.expiring(), same.expiring())]:
            logs.warning(logged(line))

    def _tell_taken(self) -> None:
        """Logs a renewal when every worker has loaded it."""
        if not self._due:
            return
        now = self._taken()
        missing = [worker for worker, count in self._due_from.items() if now.get(worker, count + 1) <= count]
        if not missing:
            for line in self._due:
                logs.info(line)
        elif self._due_looks > 0:
            self._due_looks -= 1
            return
        else:
            who = "1 worker has" if len(missing) == 1 else f"{len(missing)} workers have"
            logs.error(f"{who} not loaded the new certificates; the old ones stay in use")
        self._due = []

    def _tell_lapsed(self) -> None:
        """Logs OCSP files that have expired. Workers check the expiry on their own."""
        now = datetime.datetime.now(datetime.UTC)
        for pair in self._ring.pairs.values():
            if pair.staple is not None and pair.staple.until <= now and pair.staple.der not in self._lapsed:
                self._lapsed.add(pair.staple.der)
                line = f'certificate "{pair.cert_path}" is no longer stapled: "{pair.ocsp_path}" has expired'
                logs.warning(f"{line}; {ocsp.REFUSED}" if pair.must_staple else line)

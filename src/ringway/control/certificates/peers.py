"""Upstreams with TLS: their names, the authorities that Ringway trusts, and the certificates that it shows to them.

    files --load()--> Peers --block()--> memfd --"u"--> every worker
      ^ a Watch looks at them every second

Keys reach the workers as those of the certificates for clients do (keyring.py): in memory that only the supervisor and
the workers have.
"""

import datetime
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ringway.control.certificates import certificates, expiry
from ringway.control.logs import logs
from ringway.control.machine import watching
from ringway.control.machine.watching import Settled, Signature, Ticking, signature_of
from ringway.errors import Problem

Plan = Sequence[dict[str, Any] | None]
"""`upstream_tls` of the plan: docs/architecture.md."""


@dataclass(frozen=True)
class Peer:
    """One upstream. Certificates and keys are in PEM form."""

    name: str
    address: bool
    verify: bool
    authorities: bytes | None
    certificate: bytes | None
    key: bytearray | None


def load(plan: Plan, old: Sequence[Peer | None] = ()) -> tuple[list[Peer | None], list[Problem]]:
    """Returns the peers in the order of the plan, and every problem. A peer is None if the upstream does not use TLS.
    A peer with a problem keeps its `old` one, or is None if there is none."""
    found: list[Peer | None] = []
    problems = []
    texts: dict[str | None, tuple[bytes | None, list[Problem]]] = {}
    for number, tls in enumerate(plan):
        if tls is None:
            found.append(None)
            continue
        authorities: bytes | None = None
        wrong: list[Problem] = []
        if tls["verify"]:
            path = tls["authorities"]
            if path not in texts:
                texts[path] = certificates.load_authorities("ca_path", path)
            authorities, wrong = texts[path]
        certificate: bytes | None = None
        key: bytearray | None = None
        if tls["certificate"] is not None:
            pair, more = certificates.load_pair(tls["certificate"], tls["key"], section="")
            wrong = wrong + [Problem(problem.key.lstrip("."), problem.sentence, problem.remedy) for problem in more]
            if pair is not None:
                certificate, key = pair.chain, pair.key
        problems += [_of(tls, problem) for problem in wrong]
        new = Peer(tls["name"], tls["address"], tls["verify"], authorities, certificate, key)
        found.append(new if not wrong else old[number] if old else None)
    return found, list(dict.fromkeys(problems))


def _of(tls: dict[str, Any], problem: Problem) -> Problem:
    """Adds the path of the file to the problem, because its full configuration key is not known here."""
    path = {"ca_path": tls["authorities"], "cert_path": tls["certificate"], "key_path": tls["key"]}[problem.key]
    sentence = problem.sentence if path is None or path in problem.sentence else f'"{path}": {problem.sentence}'
    return Problem(problem.key, sentence, problem.remedy)


def expiring(plan: Plan, peers: Sequence[Peer | None], now: datetime.datetime | None = None) -> list[str]:
    """Returns a warning for each client certificate and each file of authorities that expires soon. The authorities of
    the system are not checked."""
    lines = []
    for tls, peer in zip(plan, peers, strict=True):
        if tls is None or peer is None:
            continue
        found = []
        if peer.certificate is not None:
            found += expiry.of_chain(tls["certificate"], peer.certificate, now)
        if peer.authorities is not None and tls["authorities"] is not None:
            found += expiry.of_last(tls["authorities"], peer.authorities, now)
        lines += [f"upstream {tls['name']}: {line}" for line in found]
    return list(dict.fromkeys(lines))


def signature(plan: Plan) -> Signature:
    paths: dict[str, None] = {}
    for tls in plan:
        if tls is None:
            continue
        for path in (tls["authorities"], tls["certificate"], tls["key"]):
            if path is not None:
                paths[path] = None
        if tls["verify"] and tls["authorities"] is None:
            system = ssl.get_default_verify_paths()
            paths |= dict.fromkeys(path for path in (system.cafile, system.capath) if path is not None)
    return signature_of(paths)


class Watch:
    """Watches the files in a thread of its own. The thread calls `changed` with a new block."""

    def __init__(self, plan: Plan, peers: Sequence[Peer | None], changed: Callable[[bytearray], None]) -> None:
        self._plan = plan
        self._peers = list(peers)
        self._editions = [0 if peer is None else 1 for peer in peers]
        self._changed = changed
        self._files = Settled(lambda: signature(plan))
        self._expiring = expiry.Reminder(expiring(plan, peers))
        self._thread = Ticking("upstream files", watching.LOOK_EVERY, self._look)
        self.start, self.stop = self._thread.start, self._thread.stop

    def block(self) -> bytearray:
        """Returns the block for the workers, in the format of engine/tls/peers.pxd. It contains equal authorities
        once."""
        from ringway.engine.tls import peers

        authorities: dict[bytes, int] = {}
        told: list[tuple[Any, ...] | None] = []
        for edition, peer in zip(self._editions, self._peers, strict=True):
            if peer is None:
                told.append(None)
                continue
            text = peer.authorities
            trusted = None if text is None else authorities.setdefault(text, len(authorities))
            about = (edition, trusted, peer.address, peer.verify)
            told.append((*about, peer.name, peer.certificate, peer.key))
        return peers.build(told, list(authorities))  # type: ignore[no-any-return]

    def _look(self) -> None:
        if self._files.changed():
            self._read_again()
        for line in self._expiring.due(lambda: expiring(self._plan, self._peers)):
            logs.warning(line)

    def _read_again(self) -> None:
        peers, problems = load(self._plan, self._peers)
        for problem in problems:
            logs.warning(f"files for upstreams: {problem}; the old ones stay in use")
        new = [number for number, peer in enumerate(peers) if peer != self._peers[number]]
        if not new:
            _wipe(peers, but=self._peers)
            return
        old, self._peers = self._peers, peers
        for number in new:
            self._editions[number] += 1
            tls = self._plan[number]
            assert tls is not None
            logs.info(f"upstream {tls['name']}: new files are in use, {described(tls)}")
            if tls["key"] is not None:
                for line in certificates.permissions(tls["key"]):
                    logs.warning(f"upstream {tls['name']}: {line}")
        same = expiring(self._plan, [None if number in new else peer for number, peer in enumerate(peers)])
        for line in self._expiring.anew(expiring(self._plan, peers), same):
            logs.warning(line)
        self._changed(self.block())
        _wipe(old, but=peers)


def _wipe(peers: Sequence[Peer | None], but: Sequence[Peer | None]) -> None:
    """Wipes the keys of `peers` that `but` does not use."""
    for peer, kept in zip(peers, but, strict=True):
        if peer is not None and peer.key is not None and (kept is None or kept.key is not peer.key):
            certificates.wipe(peer.key)


def described(tls: dict[str, Any]) -> str:
    """Describes how Ringway verifies the upstream, and which certificate it shows."""
    shown = f", with client certificate {tls['certificate']}" if tls["certificate"] is not None else ""
    if not tls["verify"]:
        return f"NOT verified{shown}"
    return f"verified as {tls['name']} with {tls['authorities'] or 'the authorities of this system'}{shown}"

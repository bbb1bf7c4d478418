"""What a configuration says, in the form in which workers take it: the snapshot, addresses, certificates, and upstreams
with TLS. A reload makes a second one beside the first, and closes the first when every worker has taken the second.

    Config --compile_plan()--> plan --> memfds (snapshot, addresses, certificates, peers) + a brief that names them
"""

import contextlib
import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ringway.config.compile import compile_plan
from ringway.config.model import Config, Tls
from ringway.control.logs import logs
from ringway.control.machine import kernel_tls, memory
from ringway.control.sockets.resolver import Addresses, Resolver
from ringway.errors import RingwayError

if TYPE_CHECKING:
    from ringway.control.certificates import keyring, peers
    from ringway.control.certificates.stapler import Stapler

CERTIFICATES = b"\x80"
PEERS = b"\x81"
RESOLVED = b"\x83"
"""What is new (certificates, files for upstreams, every name looked up), as it is told to the supervisor's loop, where
signals arrive by their numbers."""
DESCRIPTORS = ("snapshot", "addresses", "certificates", "peers")
"""Keys of the brief whose values are descriptors, if they are there."""


class Rules:
    """Everything that all workers share and that a reload replaces."""

    def __init__(
        self,
        config: Config,
        changed: Callable[[bytes], None],
        ticket_keys: list[bytes] | None = None,
        stapler: "Stapler | None" = None,
    ) -> None:
        """`changed` is called in other threads when something new was published, or names were resolved.
        `ticket_keys` and `stapler`: of before, so that sessions and staples go on. Raises RingwayError, with nothing
        left open."""
        self.config = config
        self._changed = changed
        self._kept: list[memory.Shared | memory.Published] = []
        self._table: memory.Shared | None = None
        self._snapshot = -1
        self._resolver: Resolver | None = None
        self._watches: list[keyring.Watch | peers.Watch] = []
        self._keyring: keyring.Watch | None = None
        try:
            self.brief = self._build(ticket_keys, stapler)
        except BaseException:
            self.close()
            raise

    def _build(self, ticket_keys: list[bytes] | None, stapler: "Stapler | None") -> dict[str, Any]:
        try:
            from ringway.engine.plan import addresses, snapshot
        except ImportError as error:
            raise RingwayError(f"the engine is not built ({error}); install Ringway with `pip install .`") from None

        plan = compile_plan(self.config)
        upstreams = [(upstream["host"], upstream["port"]) for upstream in plan["upstreams"]]
        table = memory.Shared("ringway addresses", addresses.size(len(upstreams)))
        self._kept.append(table)
        self._table = table
        self._snapshot = memory.sealed("ringway snapshot", snapshot.build(plan))

        def write(index: int, found: Addresses) -> None:
            with contextlib.suppress(ValueError):  # a name that took so long that these rules are gone
                addresses.write(table.map, index, found)

        tell = functools.partial(self._changed, RESOLVED)
        self._resolver = Resolver(upstreams, write, self.config.server.dns_refresh, resolved=tell)
        self._resolver.start()
        brief = {
            "folders": plan["folders"],
            "tls": tls_brief(self.config.tls),
            "snapshot": self._snapshot,
            "addresses": table.descriptor,
            "peers": None,
        }
        if self.config.tls is not None:
            brief["certificates"] = self._open_certificates(self.config.tls, ticket_keys, stapler)
        if any(plan["upstream_tls"]):
            brief["peers"] = self._open_peers(plan["upstream_tls"])
        return brief

    def _open_certificates(self, tls: Tls, ticket_keys: list[bytes] | None, stapler: "Stapler | None") -> int:
        # Imported here, as below: cryptography is a quarter of our memory, and plain HTTP needs none of it.
        from ringway.control.certificates import keyring

        ring, problems = keyring.load(tls)
        if ring is None or problems:
            raise RingwayError("; ".join(map(str, problems)))
        for line in [*ring.warnings(), *ring.expiring()]:
            logs.warning(f"certificate {line}")
        published = memory.Published("ringway certificates")
        self._kept.append(published)
        publish = functools.partial(self._publish, published, CERTIFICATES)
        self._keyring = keyring.Watch(tls, ring, publish, ticket_keys, stapler)
        self._follow(self._keyring, published)
        return published.descriptor

    def _open_peers(self, plan: "peers.Plan") -> int:
        from ringway.control.certificates import peers

        found, problems = peers.load(plan)
        if problems:
            raise RingwayError("; ".join(map(str, problems)))
        for line in peers.expiring(plan, found):
            logs.warning(line)
        published = memory.Published("ringway peers")
        self._kept.append(published)
        self._follow(peers.Watch(plan, found, functools.partial(self._publish, published, PEERS)), published)
        return published.descriptor

    def _follow(self, watch: "keyring.Watch | peers.Watch", published: memory.Published) -> None:
        self._watches.append(watch)
        self._publish(published, b"", watch.block())
        watch.start()

    def _publish(self, published: memory.Published, kind: bytes, block: bytearray) -> None:
        """In the thread of the watch: the loop then tells the workers. There are keys in it."""
        published.publish(block)
        block[:] = bytes(len(block))
        if kind:
            self._changed(kind)

    @property
    def resolver(self) -> Resolver:
        """Whose first answers a start and a reload wait for."""
        assert self._resolver is not None
        return self._resolver

    @property
    def descriptors(self) -> list[int]:
        return [self.brief[name] for name in DESCRIPTORS if self.brief.get(name) is not None]

    @property
    def ticket_keys(self) -> list[bytes]:
        return self._keyring.ticket_keys if self._keyring is not None else []

    @property
    def stapler(self) -> "Stapler | None":
        return self._keyring.stapler if self._keyring is not None else None

    def close(self) -> None:
        """Workers keep what they have mapped."""
        if self._resolver is not None:
            self._resolver.stop()
        for watch in self._watches:
            watch.stop()
        if self._snapshot >= 0:
            os.close(self._snapshot)
            self._snapshot = -1
        for kept in self._kept:
            kept.close()
        if self._table is not None:
            with contextlib.suppress(BufferError):  # it is being written this very moment
                self._table.map.close()


def tls_brief(tls: Tls | None) -> dict[str, Any] | None:
    """What workers agree to, see docs/architecture.md; certificates and keys come in shared memory."""
    if tls is None:
        return None
    suites = [name for name in tls.ciphers if name.startswith("TLS_")]
    older = [name for name in tls.ciphers if not name.startswith("TLS_")]
    return {
        "min_version": tls.min_version if older else "1.3",
        # OpenSSL takes no empty list: one that is not offered, because the version is not.
        "ciphers": ":".join(older or ["ECDHE-ECDSA-AES128-GCM-SHA256"]),
        "suites": ":".join(suites),
        "groups": ":".join(tls.curves),
        "ktls": kernel_tls.brief(tls),
    }

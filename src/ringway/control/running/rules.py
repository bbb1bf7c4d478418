"""A configuration in the form for the workers: snapshot, addresses, certificates, and upstreams with TLS. A reload
makes new rules and closes the old ones when every worker has answered.

    Config --compile_plan()--> plan --> memfds (snapshot, addresses, certificates, peers) + a brief that names them
"""

import contextlib
import functools
import itertools
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ringway.config.compile import compile_plan
from ringway.config.model import Config, Tls
from ringway.control.logs import logs
from ringway.control.machine import kernel_tls, memory
from ringway.control.machine.account import account_for
from ringway.control.running.folders import Folders
from ringway.control.running.signals import CERTIFICATES, FOLDERS, PEERS, RESOLVED
from ringway.control.sockets.resolver import Addresses, Resolver
from ringway.errors import RingwayError, reason_of

if TYPE_CHECKING:
    from ringway.control.certificates import keyring, peers
    from ringway.control.certificates.stapler import Stapler

_AGAIN = 1.0
"""Seconds until the next try to allocate memory for a block."""
_numbers = itertools.count()
DESCRIPTORS = ("snapshot", "addresses", "certificates", "peers")
"""Keys of the brief whose values are descriptors or None."""


class Rules:
    """Everything that the workers share and that a reload replaces."""

    def __init__(
        self,
        config: Config,
        changed: Callable[[bytes], None],
        ticket_keys: list[bytes] | None = None,
        stapler: "Stapler | None" = None,
        taken: Callable[[], dict[object, int]] = dict,
    ) -> None:
        """Other threads call `changed` when something new was published or names were resolved. `ticket_keys` and
        `stapler`: those of the old rules, to keep sessions and staples. `taken`: returns how many blocks of
        certificates each worker has loaded. Raises RingwayError and leaves nothing open if it fails."""
        self.config = config
        self.account, problems = account_for(config.server)
        """The account of workers that start with these rules."""
        if problems:
            raise RingwayError("; ".join(map(str, problems)))
        self._changed = changed
        self._taken = taken
        self._table: memory.ReadOnly | None = None
        self._published: dict[str, memory.Published] = {}
        """By the key of the brief with its descriptor."""
        self._full: list[memory.Published] = []
        """Full memories that were replaced. The loop closes them."""
        self._memories = itertools.count(1)
        self._closed = threading.Event()
        self._snapshot = -1
        self._folders: Folders | None = None
        self._resolver: Resolver | None = None
        self._watches: list[keyring.Watch | peers.Watch] = []
        self._keyring: keyring.Watch | None = None
        try:
            self.brief: dict[str, Any] = {"rules": next(_numbers), "memory": 0, "peers": None}
            """The part of the brief for these rules. `memory` grows when a descriptor refers to something else."""
            self._build(ticket_keys, stapler)
        except BaseException:
            self.close()
            raise

    def _build(self, ticket_keys: list[bytes] | None, stapler: "Stapler | None") -> None:
        try:
            from ringway.engine.plan import addresses, snapshot
        except ImportError as error:
            raise RingwayError(f"the engine is not built ({error}); install Ringway with `pip install .`") from None

        plan = compile_plan(self.config)
        upstreams = [(upstream["host"], upstream["port"]) for upstream in plan["upstreams"]]
        table = self._table = memory.ReadOnly("ringway addresses", addresses.size(len(upstreams)))
        self._snapshot = memory.sealed("ringway snapshot", snapshot.build(plan))

        def write(index: int, found: Addresses) -> None:
            with contextlib.suppress(ValueError):  # these rules were closed before the name was resolved
                addresses.write(table.map, index, found)

        tell = functools.partial(self._changed, RESOLVED)
        self._resolver = Resolver(upstreams, write, self.config.server.dns_refresh, resolved=tell)
        self._resolver.start()
        self._folders = Folders(plan["folders"], functools.partial(self._changed, FOLDERS))
        self.brief["folders"] = self._folders.descriptors
        self.brief["tls"] = tls_brief(self.config.tls, self.config.server.http2)
        self.brief["snapshot"] = self._snapshot
        self.brief["addresses"] = table.descriptor
        if self.config.tls is not None:
            self._open_certificates(self.config.tls, ticket_keys, stapler)
        if any(plan["upstream_tls"]):
            self._open_peers(plan["upstream_tls"])

    def _open_certificates(self, tls: Tls, ticket_keys: list[bytes] | None, stapler: "Stapler | None") -> None:
        # Imported here, as below: cryptography uses a quarter of the supervisor's memory, and plain HTTP does not need
        # it.
        from ringway.control.certificates import keyring

        plain = bool(self.config.server.plain_listen)
        ring, problems = keyring.load(tls, plain=plain)
        if ring is None or problems:
            raise RingwayError("; ".join(map(str, problems)))
        if tls.certificates_path is not None:
            count = sum(source.section == "tls.certificates_path" for source in ring.pairs)
            logs.info(f'certificates in "{tls.certificates_path}": {count}')
        for line in [*ring.warnings(), *ring.expiring()]:
            logs.warning(keyring.logged(line))
        publish = functools.partial(self._publish_news, "certificates", CERTIFICATES)
        self._keyring = keyring.Watch(tls, ring, publish, ticket_keys, stapler, plain, self._taken)
        self._follow("certificates", self._keyring)

    def _open_peers(self, plan: "peers.Plan") -> None:
        from ringway.control.certificates import peers

        found, problems = peers.load(plan)
        if problems:
            raise RingwayError("; ".join(map(str, problems)))
        for line in peers.expiring(plan, found):
            logs.warning(line)
        self._follow("peers", peers.Watch(plan, found, functools.partial(self._publish_news, "peers", PEERS)))

    def _follow(self, name: str, watch: "keyring.Watch | peers.Watch") -> None:
        self._watches.append(watch)
        self._publish(name, watch.block())
        watch.start()

    def _publish(self, name: str, block: bytearray) -> None:
        """Publishes a block and wipes it, because it can contain keys. Raises OSError."""
        published = self._published.get(name)
        if published is None or not published.has_room(block):
            following = memory.Published(f"ringway {name}", len(block))
            following.publish(block)
            self._published[name] = following
            self.brief[name] = following.descriptor
            if published is not None:
                self.brief["memory"] = next(self._memories)
                self._full.append(published)
        else:
            published.publish(block)
        block[:] = bytes(len(block))

    def _publish_news(self, name: str, news: bytes, block: bytearray) -> None:
        """Publishes a block and notifies the loop, which notifies the workers. Runs in the thread of the watch."""
        warned = False
        while not self._closed.is_set():
            try:
                self._publish(name, block)
            except OSError as error:
                if not warned:
                    logs.error(f"cannot publish new {name} yet ({reason_of(error)})")
                warned = True
                self._closed.wait(_AGAIN)
            else:
                self._changed(news)
                return

    def close_full(self) -> None:
        """Closes replaced memories. Only the loop calls this, because it can have their descriptors in a brief."""
        while self._full:
            self._full.pop().close()

    def follow_folders(self) -> None:
        """Opens folders again whose paths lead to another folder. The loop then sends a brief to the workers."""
        if self._folders is not None and self._folders.follow():
            self.brief["memory"] = next(self._memories)

    @property
    def resolver(self) -> Resolver:
        """The resolver. A start and a reload wait for its first results."""
        assert self._resolver is not None
        return self._resolver

    @property
    def descriptors(self) -> list[int]:
        named = [self.brief[name] for name in DESCRIPTORS if self.brief.get(name) is not None]
        return named + [folder for folder in self.brief["folders"] if folder >= 0]

    @property
    def ticket_keys(self) -> list[bytes]:
        return self._keyring.ticket_keys if self._keyring is not None else []

    @property
    def stapler(self) -> "Stapler | None":
        return self._keyring.stapler if self._keyring is not None else None

    def close(self) -> None:
        """Closes everything. The mappings of workers stay valid."""
        self._closed.set()
        if self._resolver is not None:
            self._resolver.stop()
        for watch in self._watches:
            watch.stop()
        if self._snapshot >= 0:
            os.close(self._snapshot)
            self._snapshot = -1
        if self._folders is not None:
            self._folders.close()
        self.close_full()
        for published in self._published.values():
            published.close()
        if self._table is not None:
            self._table.close()


def tls_brief(tls: Tls | None, http2: bool) -> dict[str, Any] | None:
    """Returns the TLS settings for the brief, see docs/architecture.md. Certificates and keys are in shared memory."""
    if tls is None:
        return None
    suites = [name for name in tls.ciphers if name.startswith("TLS_")]
    older = [name for name in tls.ciphers if not name.startswith("TLS_")]
    return {
        "http2": http2,
        "min_version": tls.min_version if older else "1.3",
        # OpenSSL rejects an empty list. This cipher is not used, because TLS 1.2 is off then.
        "ciphers": ":".join(older or ["ECDHE-ECDSA-AES128-GCM-SHA256"]),
        "suites": ":".join(suites),
        "groups": ":".join(tls.curves),
        "ktls": kernel_tls.brief(tls),
    }

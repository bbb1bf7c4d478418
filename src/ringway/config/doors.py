"""Which hosts want client certificates: `client_ca` and `client_auth` of `[tls]` and of its hosts, brought together."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from ringway.config.document import key_path
from ringway.config.model import Tls, TlsHost
from ringway.errors import Problem

_KEYS = ("client_auth", "client_ca")


@dataclass(frozen=True)
class Policy:
    """Hosts with equal ones want the same of their clients."""

    auth: str
    """"optional" or "require"."""
    ca_path: str

    def ticket_context(self, authorities: bytes) -> bytes:
        """A session ticket opens where this is equal: under the same demand, with the same authorities in the file."""
        return hashlib.sha256(self.auth.encode() + b"\0" + authorities).digest()


def doors(tls: Tls) -> dict[str, Policy | None]:
    """What each host wants that says so, and `"*"`: every other. None: no certificate."""
    names = [name for name, host in tls.hosts.items() if host.client_auth is not None or host.client_ca is not None]
    return {name: _policy(tls, name) for name in dict.fromkeys(["*", *names])}


def policies(tls: Tls) -> list[Policy]:
    """In the order of the numbers, from 1, by which the engine knows them."""
    return list(dict.fromkeys(policy for policy in doors(tls).values() if policy is not None))


def planned(tls: Tls) -> list[dict[str, Any]]:
    """For the plan. Hosts that want nothing are in it as well: they are no less than what stands above them."""
    numbers = {policy: number for number, policy in enumerate(policies(tls), 1)}
    return [
        {"host": name, "policy": numbers[policy] if policy else 0, "auth": policy.auth if policy else "off"}
        for name, policy in doors(tls).items()
        if numbers
    ]


def place_of(tls: Tls, path: str) -> str:
    """The key of the file that names these authorities, as one would write it."""
    for name, host in tls.hosts.items():
        if host.client_ca is not None and os.path.abspath(host.client_ca) == path:
            return key_path(("tls", "hosts", name, "client_ca"))
    return "tls.client_ca"


def check_doors(tls: Tls) -> list[Problem]:
    """Where one of the two keys has nothing to go with."""
    problems = []
    places: list[tuple[str | None, Tls | TlsHost]] = [(None, tls), *tls.hosts.items()]
    for name, said in places:
        auth, path = (_inherited(tls, name or "*", key) for key in _KEYS)
        place = "tls" if name is None else key_path(("tls", "hosts", name))
        if said.client_auth in ("optional", "require") and path is None:
            sentence = f'client_auth = "{said.client_auth}" needs the authorities of the client certificates'
            remedy = 'add client_ca = "/etc/ringway/clients-ca.pem"'
            problems.append(Problem(f"{place}.client_ca", sentence, remedy))
        unused = auth is None if name is not None else not policies(tls) and tls.client_auth is None
        if said.client_ca is not None and unused:
            sentence = "client_ca is set, but client_auth is not"
            remedy = 'add client_auth = "require" or "optional"'
            problems.append(Problem(f"{place}.client_auth", sentence, remedy))
    return problems


def without_challenges(tls: Tls) -> list[Problem]:
    """For `plain_listen` without `redirect_https`. A warning if hosts require certificates."""
    names = [name for name, policy in doors(tls).items() if policy is not None and policy.auth == "require"]
    if not names:
        return []
    place = ("tls",) if names[0] == "*" and "*" not in tls.hosts else ("tls", "hosts", names[0])
    sentence = "plain HTTP gets 403 from a host that requires client certificates, also the check of an ACME challenge"
    return [Problem(key_path((*place, "client_auth")), sentence, "set redirect_https = true in [server]")]


def _policy(tls: Tls, name: str) -> Policy | None:
    auth, path = (_inherited(tls, name, key) for key in _KEYS)
    return None if auth in (None, "off") or path is None else Policy(auth, os.path.abspath(path))


def _inherited(tls: Tls, name: str, key: str) -> str | None:
    """What the host says, or the nearest wildcard above it that says anything, or `"*"`, or `[tls]`."""
    labels = name.split(".")
    above = ["*." + ".".join(labels[count:]) for count in range(1, len(labels))]
    for place in (name, *above, "*"):
        host = tls.hosts.get(place)
        if host is not None and (said := getattr(host, key)) is not None:
            return str(said)
    said = getattr(tls, key)
    return None if said is None else str(said)

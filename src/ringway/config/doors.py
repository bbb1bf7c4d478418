"""Which hosts demand client certificates: merges `client_ca` and `client_auth` of `[tls]` and of its hosts."""

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
    """A demand for client certificates. Hosts with equal policies demand the same."""

    auth: str
    """"optional" or "require"."""
    ca_path: str

    def ticket_context(self, authorities: bytes) -> bytes:
        """A worker accepts a session ticket only under an equal context: the same demand, with the same content of the
        file with authorities."""
        return hashlib.sha256(self.auth.encode() + b"\0" + authorities).digest()


def doors(tls: Tls) -> dict[str, Policy | None]:
    """Returns the policy of each host that has one of the two keys, and of `"*"`, all other hosts. None: the host
    demands no certificate."""
    names = [name for name, host in tls.hosts.items() if host.client_auth is not None or host.client_ca is not None]
    return {name: _policy(tls, name) for name in dict.fromkeys(["*", *names])}


def policies(tls: Tls) -> list[Policy]:
    """Returns the policies in the order of their numbers in the engine, which start at 1."""
    return list(dict.fromkeys(policy for policy in doors(tls).values() if policy is not None))


def planned(tls: Tls) -> list[dict[str, Any]]:
    """Returns the doors for the plan. A host that demands nothing is in it as well, because it overrides the demand of
    the wildcard above it."""
    numbers = {policy: number for number, policy in enumerate(policies(tls), 1)}
    return [
        {"host": name, "policy": numbers[policy] if policy else 0, "auth": policy.auth if policy else "off"}
        for name, policy in doors(tls).items()
        if numbers
    ]


def place_of(tls: Tls, path: str) -> str:
    """Returns the configuration key whose value is this path of a file with authorities."""
    for name, host in tls.hosts.items():
        if host.client_ca is not None and os.path.abspath(host.client_ca) == path:
            return key_path(("tls", "hosts", name, "client_ca"))
    return "tls.client_ca"


def check_doors(tls: Tls) -> list[Problem]:
    """Finds `client_auth` without `client_ca`, and the reverse."""
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
    """Returns the value of the host, or else of the nearest wildcard above it that has one, of `"*"`, or of `[tls]`."""
    labels = name.split(".")
    above = ["*." + ".".join(labels[count:]) for count in range(1, len(labels))]
    for place in (name, *above, "*"):
        host = tls.hosts.get(place)
        if host is not None and (said := getattr(host, key)) is not None:
            return str(said)
    said = getattr(tls, key)
    return None if said is None else str(said)

"""Finds certificates and their keys in `certificates_path`, in the layouts of ACME clients and other tools.

    NAME.crt, NAME.key              lego (NAME.issuer.crt beside it), Caddy, by hand; .pem and .cer too
    NAME.pem, NAME-key.pem          mkcert, cfssl
    fullchain.pem, privkey.pem      certbot's live/NAME, dehydrated
    fullchain.cer, NAME.key         acme.sh's NAME_ecc
    tls.crt, tls.key                Kubernetes (ca.crt beside it)
    NAME.pem                        HAProxy: the certificate and its key in one file

The files are in the folder itself or in its subfolders. Names that begin with a dot are ignored.
"""

import os
from dataclasses import dataclass, field

from ringway.errors import reason_of

_CHAINS = (".crt", ".pem", ".cer")
_KEYS = (".key", "-key.pem")
_COMPANIONS = ("ca", "chain", "cert", "issuer", "rootCA")
"""Stems of files that belong to a pair or to an authority, but are not a pair themselves."""
_MOST_BYTES = 1 << 20


@dataclass
class Found:
    """The content of a folder."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    """Paths of a certificate and its key. Both can be the same file."""
    aside: list[str] = field(default_factory=list)
    """Files that look like a certificate but are not used, each with the reason."""


def look(path: str) -> Found:
    """Lists a folder. Raises OSError if that fails."""
    found = Found()
    folders = [path]
    for name in sorted(os.listdir(path)):
        inner = os.path.join(path, name)
        if not name.startswith(".") and os.path.isdir(inner):
            folders.append(inner)
    for folder in folders:
        try:
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except OSError as error:
            found.aside.append(f"{folder} ({reason_of(error)})")
            continue
        names = [name for name in names if not os.path.isdir(os.path.join(folder, name))]
        pairs, aside = _pairs(folder, names)
        found.pairs += [(os.path.join(folder, chain), os.path.join(folder, key)) for chain, key in pairs]
        found.aside += [f"{os.path.join(folder, name)} ({why})" for name, why in aside]
        if not pairs and not aside and folder != path:
            found.aside.append(f"{folder} (no certificate with its key)")
    return found


def _pairs(folder: str, names: list[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns the pairs, and the files that are not used, each with the reason."""
    keys = [name for name in names if name.endswith(_KEYS) or name == "privkey.pem"]
    for suffix in (".pem", ".cer", ".crt"):
        whole = f"fullchain{suffix}"
        if whole in names:
            # The other certificates are parts of this file.
            base = os.path.basename(folder).removesuffix("_ecc")
            key = next((name for name in ("privkey.pem", "fullchain.key", f"{base}.key") if name in names), None)
            key = key or (keys[0] if len(keys) == 1 else None)
            return ([(whole, key)], []) if key is not None else ([], [(whole, "no key beside it")])
    pairs: dict[str, str] = {}
    aside = []
    for suffix in _CHAINS:  # NAME.crt before NAME.pem, because lego writes both
        for name in names:
            stem, its = os.path.splitext(name)
            if its != suffix or name in keys:
                continue
            key = next((stem + end for end in _KEYS if stem + end in names), None)
            if stem in _COMPANIONS or stem.endswith((".issuer", ".ca", ".chain")):
                continue
            if key is None and _holds_key(os.path.join(folder, name)):
                key = name
            if key is None:
                aside.append((name, "no key beside it"))
            elif key not in pairs.values():
                pairs[name] = key
    return sorted(pairs.items()), aside


def _holds_key(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return b"PRIVATE KEY-----" in stream.read(_MOST_BYTES)
    except OSError:
        return False

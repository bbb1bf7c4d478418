"""The JSON Schema takes what `ringway check` takes: an editor marks nothing that works."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from configs import SEED
from hypothesis import given
from hypothesis import strategies as st

from ringway.config import docs
from ringway.config.environment import expand_all
from ringway.config.load import validate
from ringway.config.model import ROUTE_TYPES, SECTIONS, Certificate, Config, Section, TlsHost

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(docs.json_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
PAIR = {"cert_path": "a.crt", "key_path": "a.key"}
SERVER = {"listen": "127.0.0.1:1", "trusted_proxies": "10.0.0.0/8"}


def marked(document: dict[str, Any]) -> list[str]:
    """What an editor says."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def wrong(document: dict[str, Any], **environment: str) -> list[str]:
    """What check says, without a look at files."""
    unset: list[str] = []
    expanded = expand_all(document, environment, lambda path, flaw: unset.append(str(flaw)))
    return unset + [str(problem) for problem in validate(expanded)[1]]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def documented() -> Iterator[Any]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "packaging").rglob("*.md"))]
    for page in pages:
        for number, block in enumerate(
            re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL), 1
        ):
            yield pytest.param(block, id=f"{page.name}-{number}")
    yield pytest.param((ROOT / "packaging/config.toml").read_text(encoding="utf-8"), id="packaging")
    yield pytest.param(SEED.format(folder="/x"), id="seed")


@pytest.mark.parametrize("text", list(documented()))
def test_documented_configurations(text: str) -> None:
    document = {"server": SERVER, **tomllib.loads(text)}
    if "tls" in document and not {"cert_path", "certificates_path"} & document["tls"].keys():
        document["tls"] |= PAIR
    assert wrong(document, PORT="8080") == []
    assert marked(document) == []


def with_key(section: type[Section], key: str, value: Any) -> dict[str, Any]:
    """A configuration with this key of a section, and what it needs beside it."""
    tls: dict[str, Any] = PAIR | {"ocsp_stapling": True}
    document: dict[str, Any] = {"server": SERVER}
    if section in ROUTE_TYPES.values():
        (kind,) = (name for name, route in ROUTE_TYPES.items() if route is section)
        needs = {"File": {"path": "/"}, "Proxy": {"url": "https://h"}, "Redirect": {"to": "/"}}[kind]
        if key in ("cert_path", "key_path"):
            needs = needs | PAIR
        return document | {"host_routes": {"x": {"type": kind, **needs, key: value}}}
    if section is Certificate:
        return document | {"tls": tls | {"certificates": [PAIR | {key: value}]}}
    if section is TlsHost:
        return document | {"tls": tls | {"hosts": {"a.example": {key: value}}}}
    if section is Config:
        return document | {key: value}
    (name,) = (name for name, other in SECTIONS.items() if other is section)
    needs = {"server": SERVER, "tls": tls}.get(name, {})
    if key == "proxy_protocol" and value:
        needs = needs | {"listen": value}
    return document | {name: needs | {key: value}}


def values() -> Iterator[Any]:
    for section in (*SECTIONS.values(), *ROUTE_TYPES.values(), Certificate, TlsHost, Config):
        for key, about in section.model_fields.items():
            examples = [*(about.examples or []), about.default]
            for value in examples:
                if isinstance(value, (str, int, float, list)):
                    yield pytest.param(section, key, value, id=f"{section.__name__}.{key}={value}")


@pytest.mark.parametrize(("section", "key", "value"), list(values()))
def test_examples_and_defaults(section: type[Section], key: str, value: Any) -> None:
    """As they are, and from the environment."""
    document = with_key(section, key, value)
    assert wrong(document) == []
    assert marked(document) == []
    values, listed = (value, True) if isinstance(value, list) else ([value], False)
    variables = {f"V{number}": json.dumps(entry).strip('"') for number, entry in enumerate(values)}
    texts = [f"${{{name}}}" for name in variables]
    document = with_key(section, key, texts if listed else texts[0])
    assert wrong(document, **variables) == []
    assert marked(document) == []


@pytest.mark.parametrize("value", ["50M", "64 K", "10MiB", "20000", " 1.5m ", "${N}", "${N}k", "${N:-64}K", 20000])
def test_sizes(value: Any) -> None:
    document: dict[str, Any] = {"server": SERVER, "limits": {"request_body_bytes": value}}
    assert wrong(document, N="20000") == []
    assert marked(document) == []


@pytest.mark.parametrize("value", ["60s", "500ms", "5m", "1h30m", " 1 H 1.5 M", "1d", "${N}", "${N}s", 2.5, 60])
def test_times(value: Any) -> None:
    document: dict[str, Any] = {"server": SERVER, "timeouts": {"head": value}}
    assert wrong(document, N="20") == []
    assert marked(document) == []


TEXTS = st.lists(st.sampled_from([*"0159.- $", *"kmgtibshd", *"KMGTIBSHD", "ms", "MiB"]), max_size=6).map("".join)


@given(TEXTS)
def test_texts_that_are_sizes_or_times(text: str) -> None:
    """The pattern is that of the parser. Bounds and whole numbers are beyond a pattern."""
    for section, key, unit in (("limits", "request_body_bytes", "size"), ("timeouts", "tunnel", "time")):
        document: dict[str, Any] = {"server": SERVER, section: {key: text}}
        refused = any(f"is not a {unit}" in problem for problem in wrong(document))
        assert bool(marked(document)) == refused


@pytest.mark.parametrize(
    "more",
    [
        {"server": {"lisen": 80}},
        {"server": {"listen": True}},
        {"server": SERVER | {"threads": "4"}},
        {"server": SERVER | {"threads": -1}},
        {"server": SERVER | {"redirect_https": "yes"}},
        {"limits": {"head_bytes": "8X"}},
        {"limits": {"head_bytes": 1.5}},
        {"limits": {"head_fields": "50"}},
        {"timeouts": {"head": "60"}},
        {"timeouts": {"head": "1 hour"}},
        {"host_routes": {"x": {"type": "file", "path": "/"}}},
        {"host_routes": {"x": {"type": "File"}}},
        {"host_routes": {"x": {"type": "File", "path": "/", "mode": "send"}}},
        {"host_routes": {"x": {"type": "Redirect", "to": "/", "status": 300}}},
        {"tls": {"cert_path": "a", "key_path": "b", "ciphers": ["RC4"]}},
        {"performance": {"io_driver": "uring"}},
    ],
)
def test_what_both_refuse(more: dict[str, Any]) -> None:
    document = {"server": SERVER} | more
    assert wrong(document)
    assert marked(document)

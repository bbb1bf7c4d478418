"""Generates docs/configuration.md and docs/config.schema.json from the model.

`python -m ringway.config.docs DIR` writes both files. tools/check_docs.py checks that the committed files are fresh.
"""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

from ringway.config.model import ROUTE_TYPES, SECTIONS, Certificate, Config, Section, TlsHost

_TITLES = {
    "server": "[server]",
    "performance": "[performance]",
    "tls": "[tls]",
    "limits": "[limits]",
    "timeouts": "[timeouts]",
    "access_log": "[access_log]",
}

_HEAD = """\
# Configuration

<!-- Generated from src/ringway/config/model.py and sections by `python -m ringway.config.docs docs`. Do not edit. -->

`ringway run --config FILE` reads a TOML file, by default `config.toml`. `ringway check --config FILE` prints all errors
in it, or what Ringway would run. Unknown keys are errors. `ringway schema` prints the JSON Schema, which is also in
[config.schema.json](config.schema.json). Editors with a TOML language server use the schema when the first line of the
file is `#:schema ./config.schema.json`.

```toml
[server]
listen = "0.0.0.0:443"
plain_listen = "0.0.0.0:80"

[performance]
reuseport_balancing = "cbpf"

[tls]
cert_path = "/path/to/cert.pem"
key_path = "/path/to/key.pem"

[host_routes]
"example.com" = { type = "File", path = "/var/www/example", mode = "sendfile" }
"api.example.com" = { type = "Proxy", url = "http://localhost:8080" }
"*" = { type = "Redirect", to = "https://example.com{path}" }

[path_routes."example.com"]
"/api/" = { type = "Proxy", url = "http://localhost:8080" }
"/static/" = { type = "File", path = "/var/www/static", mode = "sendfile" }

[access_log]
path = "/var/log/ringway/access.log"
```

A file needs `[server]` with `listen`. Everything else has a default.

## Values

| value | format |
| --- | --- |
| sizes | a number of bytes, or a string: `"64K"`, `"50M"`, `"10MiB"` (powers of 1024), `"10MB"` (powers of 1000) |
| times | a number of seconds (fractions allowed), or a string: `"500ms"`, `"60s"`, `"5m"`, `"1h30m"`, `"1d"` |
| addresses | `443` or `":443"` (all addresses), `"localhost:8443"`, `"192.0.2.1:443"`, `"[2001:db8::1]:443"` |
| paths | absolute, or relative to the folder of the file that contains the path |

Ringway replaces environment variables in strings and in keys. `"${PORT}"` is the value of the variable `PORT`, which
must be set. `"${PORT:-8080}"` has a default, for a variable that is not set or is empty. `"$${"` is a literal `${`.
If a key needs a number or a boolean, Ringway converts the value: `threads = "${THREADS:-0}"`. Ringway uses the
environment of the process at its start. A reload does not change it.

Errors name the file and the line: `config.toml:12: limits.head_bytes: ...`.
"""

_BOUND_NOTES = """\
If a limit is per worker, all workers together can use that much times the number of workers.
"""


_VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""A reference to an environment variable, whose value the schema cannot know."""
_ANNOTATIONS = ("title", "description", "examples", "default", "unit")


def json_schema() -> str:
    """Returns the JSON Schema of the file."""
    schema = _with_variables(Config.model_json_schema())
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Ringway's config.toml"
    return json.dumps(schema, indent=2) + "\n"


def _with_variables(node: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema, with `"${NAME}"` valid in place of every number, boolean and enumerated value."""
    node = dict(node)
    for name in ("properties", "$defs"):
        if name in node:
            node[name] = {key: _with_variables(entry) for key, entry in node[name].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            node[name] = _with_variables(node[name])
    for name in ("oneOf", "anyOf"):
        if name in node:
            node[name] = [entry if _is_narrow(entry) else _with_variables(entry) for entry in node[name]]
            if any(map(_is_narrow, node[name])) and {"type": "string"} not in node[name]:
                node[name] = [*node[name], _VARIABLE]
    if not _is_narrow(node):
        return node
    kept = {key: node.pop(key) for key in _ANNOTATIONS if key in node}
    return {**kept, "anyOf": [node, _VARIABLE]}


def _is_narrow(node: dict[str, Any]) -> bool:
    """Whether the schema rejects some strings."""
    return bool({"enum", "const", "pattern"} & node.keys()) or node.get("type") in ("integer", "number", "boolean")


def markdown() -> str:
    """Returns the text of docs/configuration.md."""
    parts = [_HEAD, _include()]
    for name in ("server", "performance", "tls"):
        parts.append(_section(name))
    parts.append(f'## `[tls.hosts."host"]`\n\n{_text(TlsHost)}\n\n{_table(TlsHost)}')
    parts.append(f"## `[[tls.certificates]]`\n\n{_text(Certificate)}\n\n{_table(Certificate)}")
    parts.append(_routes())
    parts += [_section("limits", _BOUND_NOTES), _section("timeouts"), _section("access_log")]
    return "\n".join(parts)


def _include() -> str:
    about = Config.model_fields["include"]
    examples = " ".join(f"`{json.dumps(example)}`" for example in about.examples or [])
    return f"## `include`\n\n{about.description} Example: {examples}\n"


def _section(name: str, note: str = "") -> str:
    model = SECTIONS[name]
    return f"## `{_TITLES[name]}`\n\n{_text(model)}\n\n{note + chr(10) if note else ''}{_table(model)}"


def _text(model: type[Section]) -> str:
    """Returns the docstring of a section without its indentation."""
    return inspect.cleandoc(model.__doc__ or "")


def _routes() -> str:
    fields = Config.model_fields
    parts = [
        "## `[host_routes]`\n",
        f"{fields['host_routes'].description}\n",
        '## `[path_routes."host"]`\n',
        f"{fields['path_routes'].description}\n",
        "## Routes\n",
        "A route is a table with a `type`. It has the same keys in both sections above.\n",
    ]
    for name, model in ROUTE_TYPES.items():
        parts += [f'### `type = "{name}"`\n', f"{_text(model)}\n", _table(model)]
    return "\n".join(parts)


def _table(model: type[Section]) -> str:
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        if name == "type":
            continue
        entry = schema["properties"][name]
        default = "required" if field.is_required() else _default(field.default)
        rows.append(f"| `{name}` | {_kind(entry)} | {default} | {_meaning(entry)} |")
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    return "absent" if value in (None, []) else f"`{json.dumps(value)}`"


def _kind(entry: dict[str, Any]) -> str:
    """Describes the allowed values: `"kernel"` or `"cbpf"`; whole number, 1 to 65535; bytes, 1024 to 65535."""
    if "unit" in entry:
        number = entry["anyOf"][0]
        example = {"bytes": "50M", "seconds": "5m"}[entry["unit"]]
        return f'{entry["unit"]}, {number["minimum"]} to {number["maximum"]} (or a string, `"{example}"`)'
    if "enum" in entry:
        return " or ".join(f"`{json.dumps(value)}`" for value in entry["enum"])
    if "anyOf" in entry:
        *kinds, last = [_kind(choice) for choice in entry["anyOf"] if choice.get("type") != "null"]
        if len(kinds) > 1 and "anyOf" in entry["anyOf"][-1].get("items", {}):
            return f"{' or '.join(kinds)}, or a list of them"
        return " or ".join([*kinds, last])
    if entry["type"] == "array":
        return "list of tables" if "$ref" in entry["items"] else "list of strings"
    if entry["type"] == "integer" and "minimum" not in entry:
        return "whole number"
    names = {"string": "string", "object": "table", "boolean": "`true` or `false`"}
    if entry["type"] in names:
        return names[entry["type"]]
    kind = "whole number" if entry["type"] == "integer" else "number"
    return f"{kind}, {entry['minimum']} to {entry['maximum']}"


def _meaning(entry: dict[str, Any]) -> str:
    examples = " ".join(f"`{json.dumps(example)}`" for example in entry.get("examples", []))
    text = str(entry["description"]).replace("|", "\\|")
    return f"{text} Example: {examples}" if examples else text


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "configuration.md").write_text(markdown(), encoding="utf-8")
    (folder / "config.schema.json").write_text(json_schema(), encoding="utf-8")

"""docs/configuration.md and docs/config.schema.json, made from the model. `python -m ringway.config.docs DIR` writes
both; a test checks that what is committed is fresh."""

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

<!-- Made from src/ringway/config/model.py by `python -m ringway.config.docs docs`. Do not edit. -->

`ringway run --config FILE` reads one TOML file, `config.toml` unless told otherwise. `ringway check --config FILE` says
everything that is wrong with it at once, or what would run. Unknown keys are errors. `ringway schema` prints the JSON
Schema (also in [config.schema.json](config.schema.json)); editors with a TOML language server use it when the first
line of the file is `#:schema ./config.schema.json`.

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

A file needs `[server]` with `listen`; everything else has a default.
"""

_BOUND_NOTES = """\
Where a bound is said to be per worker, the whole of Ringway may use that much times the number of workers.
"""


def json_schema() -> str:
    """The JSON Schema of the file."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Ringway's config.toml"
    return json.dumps(schema, indent=2) + "\n"


def markdown() -> str:
    """docs/configuration.md."""
    parts = [_HEAD]
    for name in ("server", "performance", "tls"):
        parts.append(_section(name))
    parts.append(f'## `[tls.hosts."host"]`\n\n{TlsHost.__doc__}\n\n{_table(TlsHost)}')
    parts.append(f"## `[[tls.certificates]]`\n\n{Certificate.__doc__}\n\n{_table(Certificate)}")
    parts.append(_routes())
    parts += [_section("limits", _BOUND_NOTES), _section("timeouts"), _section("access_log")]
    return "\n".join(parts)


def _section(name: str, note: str = "") -> str:
    model = SECTIONS[name]
    return f"## `{_TITLES[name]}`\n\n{model.__doc__}\n\n{note + chr(10) if note else ''}{_table(model)}"


def _routes() -> str:
    fields = Config.model_fields
    parts = [
        "## `[host_routes]`\n",
        f"{fields['host_routes'].description}\n",
        '## `[path_routes."host"]`\n',
        f"{fields['path_routes'].description}\n",
        "## Routes\n",
        "A route is a table with a `type`, in both of the sections above.\n",
    ]
    for name, model in ROUTE_TYPES.items():
        parts += [f'### `type = "{name}"`\n', f"{model.__doc__}\n", _table(model)]
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
    """What may be written, in words: `"kernel"` or `"cbpf"`, a number 1 to 65535 (bytes)."""
    if "enum" in entry:
        return " or ".join(f"`{json.dumps(value)}`" for value in entry["enum"])
    if "anyOf" in entry:
        kinds = [_kind(choice) for choice in entry["anyOf"] if choice.get("type") != "null"]
        return " or ".join(kinds)
    names = {"string": "string", "array": "list of strings", "object": "table", "boolean": "`true` or `false`"}
    if entry["type"] in names:
        return names[entry["type"]]
    kind = "whole number" if entry["type"] == "integer" else "number"
    unit = f" of {entry['unit']}" if "unit" in entry else ""
    return f"{kind}{unit}, {entry['minimum']} to {entry['maximum']}"


def _meaning(entry: dict[str, Any]) -> str:
    examples = " ".join(f"`{json.dumps(example)}`" for example in entry.get("examples", []))
    text = str(entry["description"]).replace("|", "\\|")
    return f"{text} Example: {examples}" if examples else text


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "configuration.md").write_text(markdown(), encoding="utf-8")
    (folder / "config.schema.json").write_text(json_schema(), encoding="utf-8")

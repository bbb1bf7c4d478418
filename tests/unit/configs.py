"""Configurations for tests."""

from pathlib import Path

import pytest

from ringway.config.load import load
from ringway.errors import ConfigError

SEED = """
[server]
listen = "0.0.0.0:443"
threads = 4

[performance]
reuseport_balancing = "cbpf"

[tls]
cert_path = "{folder}/server.crt"
key_path = "{folder}/server.key"
ktls_enabled = true
ktls_fallback_enabled = true

[host_routes]
"example.com" = {{ type = "File", path = "{folder}", mode = "sendfile" }}
"api.example.com" = {{ type = "Proxy", url = "http://localhost:8080" }}

[path_routes."example.com"]
"/api/" = {{ type = "Proxy", url = "http://localhost:8080" }}
"/static/" = {{ type = "File", path = "{folder}", mode = "sendfile" }}
"""
LEAST = '[server]\nlisten = "127.0.0.1:0"\n'


def write(folder: Path, text: str, name: str = "config.toml") -> str:
    """The path of a new file."""
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return str(file)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    return [str(problem) for problem in caught.value.problems]


def errors(folder: Path, text: str) -> list[str]:
    """As they are printed, without the folder."""
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    return [line.replace(f"{folder}/", "") for line in str(caught.value).splitlines()]

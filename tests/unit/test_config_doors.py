"""Client certificates: what hosts demand."""

import tomllib
from pathlib import Path

import pytest
from configs import problems

from ringway.config import doors
from ringway.config.checks import warnings_of
from ringway.config.load import validate
from ringway.config.model import Config
from ringway.control.certificates.certificates import write_self_signed
from ringway.control.commands import report


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ('[tls]\nclient_auth = "require"', ["tls.client_ca: client_auth"]),
        ('[tls]\nclient_ca = "CA"', ["tls.client_auth: client_ca is set, but client_auth is not"]),
        ('[tls]\nclient_ca = "none"\nclient_auth = "optional"', ["tls.client_ca: ", '/none" does not exist']),
        ('[tls]\nclient_ca = "KEY"\nclient_auth = "optional"', ["tls.client_ca:", "has no certificate in PEM form"]),
        ('[tls]\nclient_auth = "yes"', ['tls.client_auth: "yes" is not allowed here']),
        ('[tls.hosts."a.b"]\nclient_auth = "require"', ['tls.hosts."a.b".client_ca: client_auth = "require" needs']),
        ('[tls.hosts."a.b"]\nclient_ca = "CA"', ['tls.hosts."a.b".client_auth: client_ca is set']),
        (
            '[tls.hosts."a.b"]\nclient_auth = "require"\nclient_ca = "none"',
            ['tls.hosts."a.b".client_ca: ', '/none" does not exist'],
        ),
        ('[tls.hosts."a.b"]\nhsts = "max-age=1"\n[tls.hosts."A.b"]\nhsts = "max-age=1"', ["is the same as"]),
    ],
)
def test_client_certificates_that_cannot_be_asked_for(tmp_path: Path, keys: str, expected: list[str]) -> None:
    found = problems(tmp_path, client_auth_file(tmp_path, keys))
    assert len(found) == 1
    assert all(part in found[0] for part in expected)


def client_auth_file(folder: Path, keys: str) -> str:
    write_self_signed(str(folder), ["localhost"], force=True)
    certificate = f'cert_path = "{folder}/server.crt"\nkey_path = "{folder}/server.key"\n'
    keys = keys.replace('"CA"', f'"{folder}/server.crt"').replace('"KEY"', f'"{folder}/server.key"')
    head = "" if keys.startswith("[tls]\n") else f"[tls]\n{certificate}"
    return '[server]\nlisten = "127.0.0.1:0"\n' + head + keys.replace("[tls]\n", f"[tls]\n{certificate}", 1)


def test_what_hosts_want_of_their_clients(tmp_path: Path) -> None:
    """What a host does not say it has from the nearest wildcard above it that does, from `"*"`, from `[tls]`."""
    keys = """[tls]
client_ca = "CA"
[tls.hosts."*.a.b"]
client_auth = "require"
[tls.hosts."x.a.b"]
hsts = "max-age=1"
[tls.hosts."y.a.b"]
client_auth = "optional"
[tls.hosts."z.y.a.b"]
client_ca = "KEY"
[tls.hosts."open.a.b"]
client_auth = "off"
"""
    config, _ = validate(tomllib.loads(client_auth_file(tmp_path, keys)))
    assert config is not None
    assert config.tls is not None
    ca, key = str(tmp_path / "server.crt"), str(tmp_path / "server.key")
    assert doors.doors(config.tls) == {
        "*": None,
        "*.a.b": doors.Policy("require", ca),
        "y.a.b": doors.Policy("optional", ca),
        "z.y.a.b": doors.Policy("require", key),
        "open.a.b": None,
    }
    assert [entry["policy"] for entry in doors.planned(config.tls)] == [0, 1, 2, 3, 0]
    lines = report_lines(config)
    assert f"  *.a.b             required, verified with {ca}" in lines
    assert f"  y.a.b             optional, verified with {ca}" in lines
    assert "  every other host  not requested" in lines


@pytest.mark.parametrize(
    ("server", "keys", "key"),
    [
        ('plain_listen = "127.0.0.1:0"', '[tls]\nclient_ca = "CA"\nclient_auth = "require"', "tls.client_auth"),
        (
            'plain_listen = "127.0.0.1:0"',
            '[tls]\nclient_ca = "CA"\n[tls.hosts."a.b"]\nclient_auth = "require"',
            'tls.hosts."a.b".client_auth',
        ),
        ('plain_listen = "127.0.0.1:0"', '[tls]\nclient_ca = "CA"\nclient_auth = "optional"', None),
        ("", '[tls]\nclient_ca = "CA"\nclient_auth = "require"', None),
        (
            'plain_listen = "127.0.0.1:0"\nredirect_https = true',
            '[tls]\nclient_ca = "CA"\nclient_auth = "require"',
            None,
        ),
    ],
)
def test_hosts_that_reject_acme_challenges(tmp_path: Path, server: str, keys: str, key: str | None) -> None:
    text = client_auth_file(tmp_path, keys).replace("[tls]\n", f"{server}\n[tls]\n", 1)
    config, _ = validate(tomllib.loads(text + '\n[host_routes]\n"*" = { type = "Redirect", to = "/" }\n'))
    assert config is not None
    found = [problem.key for problem in warnings_of(config) if "ACME" in problem.sentence]
    assert found == ([key] if key else [])


def report_lines(config: Config) -> list[str]:
    assert config.tls is not None
    return report._section("Client certificates", report._doors(config.tls))

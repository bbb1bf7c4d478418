"""Loading: the seed's file works, and whatever is wrong is told at once, with its place and a remedy."""

import os
import re
from pathlib import Path

import pytest
from configs import LEAST, SEED, problems, write

from ringway.config.load import load
from ringway.config.model import ROUTE_TYPES, SECTIONS, Certificate, Config
from ringway.control.certificates.certificates import write_self_signed
from ringway.control.machine import kernel_tls
from ringway.errors import ConfigError


def test_the_seeds_file_is_taken_as_it_is(tmp_path: Path) -> None:
    write_self_signed(str(tmp_path), ["localhost"])
    loaded = load(write(tmp_path, SEED.format(folder=tmp_path)))
    assert loaded.config.server.threads == 4
    assert loaded.config.performance.reuseport_balancing == "cbpf"
    assert list(loaded.config.path_routes["example.com"]) == ["/api/", "/static/"]
    assert [warning for warning in loaded.warnings if "kernel TLS" in warning] == loaded.warnings
    assert len(loaded.warnings) == 1


def test_everything_wrong_is_told_at_once_with_place_and_remedy(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
[server]
lisen = "0.0.0.0:443"
threads = "4"
[tls]
cert_pth = "./server.crt"
key_path = "./server.key"
[host_routes]
"good.example" = { type = "File", path = "/does/not/exist" }
[path_routes."example.com"]
"/api/" = { type = "Proxy", url = "localhost:8080" }
[timeouts]
head = -1
""",
    )
    assert found == [
        'server.listen: this key is missing; add it, like listen = "0.0.0.0:443"',
        "server.lisen: there is no such key; did you mean `listen`?",
        "server.threads: must be a whole number, not a string; write threads = 4, without quotes",
        "tls.cert_pth: there is no such key; did you mean `cert_path`?",
        'host_routes."good.example".path: "/does/not/exist" does not exist; create it or correct the path',
        'path_routes."example.com"."/api/".url: "localhost:8080" is not an http:// or https:// URL; '
        'write "http://localhost:8080"',
        "timeouts.head: -1 is out of bounds; write a number from 0.1 to 86400 (seconds)",
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("[perfomance]\n", "perfomance: there is no such section; did you mean `performance`?"),
        ("[zzz]\n", "zzz: there is no such section; there are: include, server, performance, tls"),
        (
            '[performance]\nreuseport_balancing = "ebpf"',
            'reuseport_balancing: "ebpf" is not allowed here; write "kernel"',
        ),
        (
            "[limits]\nhead_bytes = 100",
            "limits.head_bytes: 100 is out of bounds; write a number from 1024 to 65535 (bytes)",
        ),
        (
            "[limits]\nhead_bytes = 20000\nbody_buffer_bytes = 16384",
            "a head of 20000 bytes does not fit into it; write more than 20000, or less `head_bytes`",
        ),
        (
            "[limits]\nbuffer_bytes = 1048576\nbody_buffer_bytes = 65537",
            "`buffer_bytes` holds fewer than 16 of them (1048576 bytes); write at most 65536",
        ),
        ("[limits]\nopen_files = 1.5", "limits.open_files: must be a whole number, not a number with a fraction"),
        ("[timeouts]\nbody = nan", "timeouts.body: NaN is out of bounds"),
        ("[timeouts]\nbody = true", "timeouts.body: must be a number, not a boolean"),
        ("[host_routes]\nx = 3", "host_routes.x: must be a table, not a number"),
        ("[host_routes]\nx = {}", 'host_routes.x.type: this key is missing; write "File", "Proxy" or "Redirect"'),
        ('[host_routes]\nx = { type = "file" }', 'host_routes.x.type: "file" is not a type of route'),
        ('[host_routes]\nx = { type = "File" }', "host_routes.x.path: this key is missing"),
        ('[host_routes]\nx = { type = "File", path = "" }', "host_routes.x.path: the path is empty"),
        ('[host_routes]\nx = { type = "File", path = "/", mod = "memory" }', "did you mean `mode`?"),
        ('[host_routes]\nx = { type = "Redirect", to = "/", status = 300 }', "status: 300 is not allowed here"),
        ('[host_routes]\n"a b" = { type = "Redirect", to = "/" }', 'host_routes."a b": "a b" is not a host name'),
        (
            '[host_routes]\n"Q.com" = { type = "Redirect", to = "/" }\n"q.com" = { type = "Redirect", to = "/" }',
            'host_routes."q.com": is the same as host_routes."Q.com"; keep one of them',
        ),
        (
            '[path_routes.x]\n"/a" = { type = "Redirect", to = "/" }\n"/a/" = { type = "Redirect", to = "/" }',
            'path_routes.x."/a/": is the same as path_routes.x."/a"',
        ),
        ('[path_routes.x]\n"a" = { type = "Redirect", to = "/" }', 'path_routes.x.a: "a" does not begin with a slash'),
        (
            '[host_routes]\nx = { type = "Proxy", url = "http://h", verify = false }',
            "x.verify: this key is for TLS, and http://h does not use TLS; write https:// in `url`, or remove `verify`",
        ),
        (
            '[host_routes]\nx = { type = "Proxy", url = "http://h", ca_path = "a" }',
            "host_routes.x.ca_path: this key is for TLS, and http://h does not use TLS",
        ),
        (
            '[host_routes]\nx = { type = "Proxy", url = "https://h", verify = false, ca_path = "a" }',
            "host_routes.x.ca_path: `ca_path` has no effect with `verify = false`; remove one of them",
        ),
        (
            '[host_routes]\nx = { type = "Proxy", url = "https://h", cert_path = "a" }',
            "host_routes.x.key_path: a certificate and its key belong together",
        ),
        (
            '[host_routes]\nx = { type = "Proxy", url = "https://h", key_path = "a" }',
            "host_routes.x.key_path: a certificate and its key belong together",
        ),
        (
            '[host_routes]\nx = { type = "Proxy", url = "https://h", server_name = "*.h" }',
            'host_routes.x.server_name: "*.h" does not name a single host; write a name like',
        ),
        (
            '[host_routes]\nx = { type = "Proxy", url = "https://h", ca_path = "/does/not/exist" }',
            'host_routes.x.ca_path: "/does/not/exist" does not exist; correct the path',
        ),
        (
            '[host_routes]\nx = { type = "Proxy", url = "https://h", ca_path = "/dev/null" }',
            'host_routes.x.ca_path: "/dev/null" has no certificate in PEM form; name a file',
        ),
        (
            '[path_routes.x]\n"/a" = { type = "Proxy", url = "https://h", cert_path = "/no", key_path = "/none" }',
            'path_routes.x."/a".key_path: "/none" does not exist',
        ),
        (
            '[access_log]\npath = "/does/not/exist/a.log"',
            'the folder "/does/not/exist" does not exist; create it: mkdir',
        ),
        (
            '[tls]\ncert_path = "/no.crt"\nkey_path = "/no.key"',
            'tls.cert_path: "/no.crt" does not exist; make one with',
        ),
        ('[tls]\ncert_path = "/no.crt"\nkey_path = "/no.key"', 'tls.key_path: "/no.key" does not exist'),
        (
            '[tls]\ncertificates_path = "/no"\nocsp_stapling = true\nocsp_cache = "/no"',
            'tls.ocsp_cache: the folder "/no" does not exist; create it: mkdir -p "/no"',
        ),
    ],
)
def test_each_mistake_has_a_line(tmp_path: Path, more: str, expected: str) -> None:
    found = problems(tmp_path, LEAST + more)
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ('"65536"', "65536 is not a port; write a number from 1 to 65535"),
        ("70000", "70000 is not a port"),
        ("true", "server.listen: must be a string or a list of strings, not a boolean"),
        ('"0.0.0.0:http"', '"http" is not a port'),
        ('"0.0.0.0:65536"', '"65536" is not a port'),
        ('"myhost:443"', '"myhost" is a name; Ringway listens on IP addresses; write ":443" for all'),
        ('"[::ffff:127.0.0.1]:443"', 'is an IPv4 address written as an IPv6 one; write "127.0.0.1:443"'),
        ('"[fe80::1]:443"', "fe80::1 is a link-local address, which needs the name of its interface"),
        ('"::1:443"', 'brackets are only for IPv6 addresses; write "[::1]:443"'),
        ("[]", "server.listen: the list is empty"),
        ('["127.0.0.1:1", "x"]', 'server.listen[1]: "x" is not an address with a port'),
        ('["127.0.0.1:1", "127.0.0.1:1"]', "server.listen: 127.0.0.1:1 is listed twice"),
        ('"127.0.0.1:1"\nplain_listen = "127.0.0.1:1"', "server.plain_listen: 127.0.0.1:1 is listed twice"),
        ("1.5", "server.listen: must be a string or a list of strings, not a number with a fraction"),
    ],
)
def test_addresses_to_listen_on(tmp_path: Path, listen: str, expected: str) -> None:
    assert any(expected in line for line in problems(tmp_path, f"[server]\nlisten = {listen}"))


def test_an_access_log_needs_no_reader(tmp_path: Path) -> None:
    """A FIFO would wait for one, and hold up the start."""
    os.mkfifo(tmp_path / "fifo")
    assert problems(tmp_path, f'{LEAST}[access_log]\npath = "{tmp_path}/fifo"') == [
        f'access_log.path: "{tmp_path}/fifo" is neither a file nor a device; '
        'name a file, or write "stdout" and pipe the output'
    ]
    assert load(write(tmp_path, f'{LEAST}[access_log]\npath = "/dev/null"'))


def test_kernel_tls_without_fallback_refuses_to_start(tmp_path: Path) -> None:
    write_self_signed(str(tmp_path), ["localhost"])
    text = SEED.format(folder=tmp_path).replace("ktls_fallback_enabled = true", "ktls_fallback_enabled = false")
    found = problems(tmp_path, text)
    if kernel_tls.found().usable("both"):
        assert not found
    else:
        assert len(found) == 1
        assert found[0].startswith("tls.ktls_fallback_enabled: kernel TLS is required here, but not available (")
        assert "set ktls_fallback_enabled = true" in found[0]


def test_a_syntax_error_has_line_and_column(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "[server]\nlisten = \n")
    assert line.startswith("not TOML: listen has no value (column 10)")


@pytest.mark.parametrize(("data", "expected"), [(b"\xff = 1", "byte 0 is not UTF-8"), (None, "there is no such file")])
def test_a_file_that_cannot_be_read(tmp_path: Path, data: bytes | None, expected: str) -> None:
    file = tmp_path / "config.toml"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigError, match=expected):
        load(str(file))


def test_a_key_for_upstreams_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    certificate, key = write_self_signed(str(tmp_path), ["client"])
    text = (
        f'[host_routes]\nx = {{ type = "Proxy", url = "https://h", cert_path = "{certificate}", key_path = "{key}" }}'
    )
    assert load(write(tmp_path, LEAST + text)).warnings == []
    Path(key).chmod(0o640)
    (line,) = load(write(tmp_path, LEAST + text)).warnings
    assert line.startswith(f"{tmp_path}/config.toml:4: host_routes.x.key_path:")
    assert "users other than its owner can read this key (mode 640)" in line


def test_an_upstream_that_is_not_verified_is_warned_about(tmp_path: Path) -> None:
    text = '[path_routes.X]\n"/a" = { type = "Proxy", url = "https://h", verify = false }\n'
    (warning,) = load(write(tmp_path, LEAST + text)).warnings
    assert warning.startswith(f'{tmp_path}/config.toml:4: path_routes.X."/a".verify: https://h:443 is not verified')


@pytest.mark.parametrize(
    "value", ['"h2c"', '["websocket", "H2C"]', '"HTTP/2.0"', '"h2"', '"a b"', '""', '"a,b"', '["a/b/c"]']
)
def test_what_may_be_upgraded_to_are_names_of_protocols_but_not_http(tmp_path: Path, value: str) -> None:
    text = f'[host_routes]\nx = {{ type = "Proxy", url = "http://h", upgrade = {value} }}\n'
    (found,) = problems(tmp_path, LEAST + text)
    assert "host_routes.x.upgrade" in found


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            '[access_log]\npath = "/nope/x"\nformat = "xml"',
            [
                'access_log.path: the folder "/nope" does not exist; create it: mkdir -p "/nope"',
                'access_log.format: "xml" is not allowed here; write "combined" or "json"',
            ],
        ),
        (
            '[tls]\ncert_path = "/no.crt"\nkey_path = "/no.key"\nktls_enable = true\nmin_version = 1.2',
            ['tls.cert_path: "/no', 'tls.key_path: "/no', "tls.ktls_enable: there is no", "tls.min_version: 1.2"],
        ),
        (
            '[host_routes]\nx = { type = "File", path = "/nope", mod = "memory", strip_prefix = 1 }',
            [
                "host_routes.x.strip_prefix: must be true or false, not a number; write true or false, without quotes",
                "host_routes.x.mod: there is no such key; did you mean `mode`?",
                'host_routes.x.path: "/nope" does not exist; create it or correct the path',
            ],
        ),
        (
            '[path_routes."a b"]\n"/x" = { type = "File", path = "/nope", mod = 1 }',
            [
                'path_routes."a b": "a b" is not a host name',
                'path_routes."a b"."/x".mod: there is no such key',
                'path_routes."a b"."/x".path: "/nope" does not exist',
            ],
        ),
        # Wrong, missing, or half a pair: the other certificates are looked at, by their own numbers.
        (
            '[tls]\nkey_path = 5\ncert_path = "/no.crt"\n[[tls.certificates]]\nkey_path = "/no.0"\n'
            '[[tls.certificates]]\ncert_path = "/no.1"\nkey_path = "/no.1.key"\nother = 1',
            [
                'tls.key_path: must be a string, not a number; write it like key_path = "./server.key"',
                "tls.certificates[0].cert_path: this key is missing",
                'tls.certificates[1].cert_path: "/no.1" does not exist',
                'tls.certificates[1].key_path: "/no.1.key" does not exist',
                "tls.certificates[1].other: there is no such key",
            ],
        ),
        ("[tls]\nktls_enable = true", ["tls: there is no cert", "tls.ktls_enable: there is no such key; did you"]),
        ('[tls]\ncert_pth = "/no"', ["tls.cert_pth: there is no such key; did you mean `cert_path`?"]),
        # What is wrong is no reason to say that it is missing.
        (
            'plain_listen = "x"\nredirect_https = true\n[tls]\ncert_path = 1\nkey_path = 2',
            ["server.plain_listen:", "tls.cert_path: must be a string", "tls.key_path: must be a string"],
        ),
    ],
)
def test_what_is_right_is_checked_beside_what_is_wrong(tmp_path: Path, more: str, expected: list[str]) -> None:
    found = problems(tmp_path, LEAST + more)
    assert len(found) == len(expected), found
    for line, beginning in zip(found, expected, strict=True):
        assert line.startswith(beginning), found


def wrong_types() -> list[str]:
    """A document for each key and each table, with a value of another type."""
    lines = [f"{name} = 1979-05-27" for name in Config.model_fields]
    for name, section in SECTIONS.items():
        lines += [f"{name}.{key} = 1979-05-27" for key in section.model_fields]
    for kind, route in ROUTE_TYPES.items():
        keys = [key for key in route.model_fields if key != "type"]
        lines += [f'host_routes.x = {{ type = "{kind}", {key} = 1979-05-27 }}' for key in keys]
        lines += [f'path_routes.x."/" = {{ type = "{kind}", {key} = 1979-05-27 }}' for key in keys]
    lines += [f"tls.certificates = [{{ {key} = 1979-05-27 }}]" for key in Certificate.model_fields]
    lines += ["tls.certificates = [1979-05-27]", "tls.hosts.x = 1979-05-27", "tls.hosts.x.hsts = 1979-05-27"]
    return [*lines, "server.listen = [1979-05-27]", "host_routes.x = 1979-05-27", "path_routes.x = 1979-05-27"]


@pytest.mark.parametrize("text", wrong_types())
def test_a_wrong_type_has_a_remedy(tmp_path: Path, text: str) -> None:
    for line in problems(tmp_path, text):
        assert "; " in line, line
    assert any(
        re.search("must be .*, not a date; write |is not allowed here; write ", line)
        for line in problems(tmp_path, text)
    )


def test_redirect_https_needs_tls(tmp_path: Path) -> None:
    text = '[server]\nlisten = "127.0.0.1:0"\nredirect_https = true\nplain_listen = "127.0.0.1:0"\n'
    assert [line for line in problems(tmp_path, text) if line.startswith("server.redirect_https: there is no [tls]")]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            'proxy_protocol = "127.0.0.1:2"',
            "server.proxy_protocol: Ringway does not listen on 127.0.0.1:2; write an addr",
        ),
        (
            'proxy_protocol = "127.0.0.1:1"',
            "server.proxy_protocol: no client can connect there without `trusted",
        ),
        (
            'trusted_proxies = ["::1", "10.0.0.1/8"]',
            'server.trusted_proxies[1]: "10.0.0.1/8" has bits set after its',
        ),
        ('trusted_proxies = "x"', 'server.trusted_proxies: "x" is neither an address nor a network; write it like'),
    ],
)
def test_trust_that_makes_no_sense(tmp_path: Path, keys: str, problem: str) -> None:
    (found,) = problems(tmp_path, f'[server]\nlisten = "127.0.0.1:1"\n{keys}\n')
    assert found.startswith(problem)


def test_keys_of_certificates_and_hosts_have_their_place(tmp_path: Path) -> None:
    text = '[server]\nlisten = "127.0.0.1:0"\n[tls]\n[[tls.certificates]]\ncert_pth = "x"\n'
    text += '[tls.hosts."a.example"]\nhst = "x"\n'
    found = problems(tmp_path, text)
    assert "tls.certificates[0].cert_pth: there is no such key; did you mean `cert_path`?" in found
    assert 'tls.hosts."a.example".hst: there is no such key; did you mean `hsts`?' in found

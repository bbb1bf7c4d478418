"""The configuration as people write it: units, ports, variables, several files; and what slips are meant to say."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from configs import LEAST, errors, write
from hypothesis import given
from hypothesis import strategies as st

from ringway.config import values
from ringway.config.environment import expanded
from ringway.config.load import load, validate
from ringway.config.places import places_of
from ringway.config.quantities import seconds, size
from ringway.config.values import Flaw, host_name, parse_addresses, parse_url, path_prefix, server_name, trusted_proxy
from ringway.errors import ConfigError

# ------------------------------------------------------------------------------------------------ numbers with units


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("50M", 50 << 20),
        ("50m", 50 << 20),
        ("10MiB", 10 << 20),
        ("10MB", 10_000_000),
        ("64 K", 65536),
        ("1.5k", 1536),
        ("1T", 1 << 40),
        ("4611686018427387904", 2**62),
        ("7B", 7),
        (5, 5),
    ],
)
def test_a_size(text: Any, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "M", "5X", "-1M", "1,5M", "5Mi B", "1.5", "0.1k", "5iB", "5i"])
def test_no_size(text: str) -> None:
    with pytest.raises(Flaw):
        size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60s", 60),
        ("5m", 300),
        ("500ms", 0.5),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("1d", 86400),
        (3, 3),
    ],
)
def test_a_time(text: Any, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "60", "s", "5 minutes", "-5s", "5m3", "1y"])
def test_no_time(text: str) -> None:
    with pytest.raises(Flaw):
        seconds(text)


def test_units_in_a_file(tmp_path: Path) -> None:
    text = LEAST + 'dns_refresh = "1m"\n[limits]\nrequest_body_bytes = "50M"\n[timeouts]\nbody = "2m"\nwrite = 7\n'
    config = load(write(tmp_path, text)).config
    assert config.limits.request_body_bytes == 50 << 20
    assert (config.server.dns_refresh, config.timeouts.body, config.timeouts.write) == (60, 120, 7)
    assert errors(tmp_path, LEAST + '[limits]\nhead_bytes = "1M"\n[timeouts]\nhead = "5 min"\nbody = "2d"\n') == [
        'config.toml:4: limits.head_bytes: "1M" is out of bounds; write a number from 1024 to 65535 (bytes)',
        'config.toml:6: timeouts.head: "5 min" is not a time; write a number of seconds, or a string like '
        '"500ms", "60s", "5m" or "1h30m"',
        'config.toml:7: timeouts.body: "2d" is out of bounds; write a number from 0.1 to 86400 (seconds)',
    ]


# --------------------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", ["0.0.0.0:8080", "[::]:8080"]),
        (":8080", ["0.0.0.0:8080", "[::]:8080"]),
        ("*:8080", ["0.0.0.0:8080", "[::]:8080"]),
        ("localhost:8080", ["127.0.0.1:8080", "[::1]:8080"]),
        ("127.0.0.1:8080", ["127.0.0.1:8080"]),
    ],
)
def test_a_port_alone_is_every_address(text: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_has_ipv6", lambda ip: True)
    assert [str(address) for address in parse_addresses(text)] == expected
    monkeypatch.setattr(values, "_has_ipv6", lambda ip: False)
    assert [str(address) for address in parse_addresses(text)] == expected[:1]


def test_ports_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_has_ipv6", lambda ip: True)
    text = '[server]\nlisten = [8080, ":8081"]\nproxy_protocol = 8081\ntrusted_proxies = "10.0.0.0/8"\n'
    config = load(write(tmp_path, text)).config
    assert config.server.listen == ["0.0.0.0:8080", "[::]:8080", "0.0.0.0:8081", "[::]:8081"]
    assert config.server.proxy_protocol == ["0.0.0.0:8081", "[::]:8081"]
    assert errors(tmp_path, '[server]\nlisten = [8080, "0.0.0.0:8080"]\n') == [
        "config.toml:2: server.listen: 0.0.0.0:8080 is listed twice; keep one of them"
    ]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("https://0.0.0.0:443", 'write "0.0.0.0:443"'),
        ("https://0.0.0.0/", 'write "0.0.0.0:443"'),
        ("0.0.0.0", 'write "0.0.0.0:443", or another port'),
        ("::", 'write "[::]:443", or another port'),
        ("[::1]", 'write "[::1]:443", or another port'),
        ("/run/x.sock", 'write "unix:/run/x.sock" for a Unix socket'),
    ],
)
def test_an_address_in_another_form(text: str, remedy: str) -> None:
    with pytest.raises(Flaw) as caught:
        parse_addresses(text)
    assert caught.value.remedy == remedy


# ---------------------------------------------------------------------------------------------- remedies that are right


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("https://example.com", 'write "example.com"'),
        ("http://user@Example.com:8080/x", 'write "example.com"'),
        ("https://[2001:db8::1]:443/", 'write "[2001:db8::1]"'),
        ("::1", 'write "[::1]"'),
        ("[::1]:80", 'write "[::1]"'),
        ("[fe80::1%eth0]", 'write "[fe80::1]"'),
        ("example.com:443", 'write "example.com"'),
        ("/api/", 'write [path_routes."example.com"] and below it "/api/" = ...'),
        ("example.com/api", 'write [path_routes."example.com"] and below it "/api" = ...'),
        (".example.com", 'write "*.example.com" for its subdomains and "example.com" for itself'),
        ("_", 'write "*" for any other host'),
        ("~^www\\.", 'write names, or "*.example.com"'),
        ("a.example b.example", "write a line for each of them"),
        ("straße.example", 'write "xn--strae-oqa.example"'),
        ("Bücher.example", 'write "xn--bcher-kva.example"'),
        ("https://bücher.example/", 'write "xn--bcher-kva.example"'),
        ("例え.jp", 'write "xn--r8jz45g.jp"'),
    ],
)
def test_a_host_in_another_form(text: str, remedy: str) -> None:
    with pytest.raises(Flaw) as caught:
        host_name(text)
    assert caught.value.remedy == remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("/api/*", 'write "/api/"'),
        ("/*", 'write "/"'),
        ("~ \\.php$", 'write a path like "/api/"'),
        ("~ ^/api/", 'write "/api/"'),
        ("^~ /static/", 'write "/static/"'),
        ("= /health", 'write "/health"'),
    ],
)
def test_a_prefix_that_is_a_pattern(text: str, remedy: str) -> None:
    with pytest.raises(Flaw) as caught:
        path_prefix(text)
    assert caught.value.remedy == remedy


@pytest.mark.parametrize(
    ("parse", "text", "remedy"),
    [
        (parse_addresses, "[::ffff:127.0.0.1]:80", 'write "127.0.0.1:80"'),
        (trusted_proxy, "::ffff:10.0.0.1", 'write "10.0.0.1"'),
        (trusted_proxy, "::ffff:10.0.0.0/104", 'write "10.0.0.0/8"'),
        (server_name, "fe80::1%eth0", 'write "fe80::1"'),
        (parse_addresses, "[2001:db8::1%eth0]:80", 'write "2001:db8::1"'),
        (parse_url, "http://[2001:db8::1%25eth0]:80", 'write "2001:db8::1"'),
        (parse_addresses, "[fe80::1]:80", 'write "fe80::1%eth0" in the brackets'),
        (parse_url, "http://[fe80::1]:80", 'write "fe80::1%eth0" in the brackets'),
    ],
)
def test_zones_and_mapped_addresses_are_refused(parse: Any, text: str, remedy: str) -> None:
    with pytest.raises(Flaw) as caught:
        parse(text)
    assert remedy in caught.value.remedy


def test_link_local_addresses_have_a_zone() -> None:
    (address,) = parse_addresses("[FE80::1%Eth0]:80")
    assert str(address) == "[fe80::1%Eth0]:80"
    for text in ("http://[FE80::1%Eth0]:80", "http://[FE80::1%25Eth0]"):
        assert parse_url(text).name == "http://[fe80::1%Eth0]:80"


def test_an_upstream_by_a_mapped_address_is_that_ipv4_address() -> None:
    assert parse_url("http://[::ffff:127.0.0.1]:8080").name == "http://127.0.0.1:8080"


FILE = '{ type = "File", path = "/" }'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[host_routes]\na.com = {FILE}", '4: host_routes.a.com: the host a.com needs quotes; write "a.com"'),
        (f"[host_routes]\na.b.com = {FILE}", '4: host_routes.a.b.com: the host a.b.com needs quotes; write "a.b.com"'),
        ('[host_routes.a.com]\ntype = "File"\npath = "/"', "3: host_routes.a.com: the host a.com needs quotes"),
        (f'[path_routes.a.com]\n"/x" = {FILE}', "3: path_routes.a.com: the host a.com needs quotes"),
        (
            '[tls]\ncertificates = [{}]\n[tls.hosts.a.com]\nhsts = "max-age=1"',
            "5: tls.hosts.a.com: the host a.com needs quotes",
        ),
        (
            f'[path_routes]\n"/api/" = {FILE}',
            '4: path_routes."/api/": "/api/" is a path; a host name is expected here; write',
        ),
        (f"[host_routes]\n*.a.com = {FILE}", '4: not TOML: the key *.a.com needs quotes (column 1); write "*.a.com" ='),
        (f"[path_routes.x]\n/api/ = {FILE}", "4: not TOML: the key /api/ needs quotes"),
        (f"[path_routes.*]\n/api/ = {FILE}", '3: not TOML: * needs quotes (column 14); write [path_routes."*"]'),
        (
            '[host_routes]\n"a" = {\n  type = "File",\n  path = "/"\n}',
            "4: not TOML: an inline table, from { to }, must",
        ),
        (
            '[host_routes]\n"a" = { type = "File",\n  path = "/" }',
            "4: not TOML: an inline table, from { to }, must stand",
        ),
        (
            "[access_log]\npath = /var/log/x",
            '4: not TOML: /var/log/x needs quotes (column 8); write path = "/var/log/x"',
        ),
        ("[limits]\nhead_bytes = 8K # as nginx", '4: not TOML: 8K needs quotes (column 15); write head_bytes = "8K"'),
        ("[tls]\nktls_enabled = yes", "4: not TOML: yes is not a value (column 16); write ktls_enabled = true"),
        ("[access_log]\npath = “x”", "4: not TOML: typographic quotes (column 8); write plain ones"),
        ("server {\n  listen 80;\n}", "3: not TOML: this looks like nginx's configuration"),
        ('[host_routes]\ninclude = "a"', "4: host_routes.include: `include` cannot be in a section; write it above"),
        ('include = "sites/*.toml"', "3: server.include: `include` cannot be in a section; write it above"),
        ('[access_log]\npath = "x', "4: not TOML:"),
        (LEAST, "3: not TOML: [server] is defined twice, first in line 1; put all of its keys below one of them"),
        (f'[host_routes]\n"a" = {FILE}\n"a" = {FILE}', "5: not TOML: host_routes.a is defined twice, first in line 4"),
        ('[access_log]\npath = "C:\\w"', "4: not TOML: a \\ within double quotes (column 13); write"),
        ('[host_routes]\n"a": { type = "File" }', "4: not TOML: there is no = after the key (column 4); write key ="),
        ('[host_routes]\n"a" { type = "File" }', "4: not TOML: there is no = after the key (column 5); write key ="),
        ('[host_routes]\n"a" = { type = "File", }', "4: not TOML: a comma before } (column 24); remove it"),
        (
            '[host_routes]\n"a" = "http://h"',
            '4: host_routes.a: must be a table, not a string; write { type = "Proxy", u',
        ),
        (
            '[host_routes]\n"a" = { type = "proxy", url = "http://h" }',
            '4: host_routes.a.type: "proxy" is not a type of route; write type = "Proxy"',
        ),
        (
            '[host_routes]\n"a" = { url = "http://h" }',
            '4: host_routes.a.type: this key is missing; write type = "Proxy"',
        ),
        (
            '[host_routes]\n"a" = { type = "Proxy", url = "h:80" }',
            '4: host_routes.a.url: "h:80" is not an http:// or https:// URL; write "http://h:80"',
        ),
        (
            '[host_routes]\n"a" = { type = "Proxy", url = "ws://h" }',
            '4: host_routes.a.url: "ws://h" is not an http:// or https:// URL; write "http://h"',
        ),
        (
            '[host_routes]\n"a" = { type = "Redirect", to = "b.c" }',
            '4: host_routes.a.to: "b.c" is neither a URL nor a path; write it like "https://b.c{path}"',
        ),
        (
            '[host_routes]\n"a" = { type = "Redirect", to = "https://b$request_uri" }',
            '4: host_routes.a.to: "https://b$request_uri" has an nginx variable, $request_uri; {path} is',
        ),
        (
            '[path_routes.a]\n"https://a/x" = { type = "File", path = "/" }',
            '4: path_routes.a."https://a/x": "https://a/x" is a URL; a path is expected here; write "/x"',
        ),
        ("workers = 3", "3: server.workers: there is no such key; did you mean `threads`?"),
        (
            'access_log = "x"',
            "3: server.access_log: there is no such key in [server]; [access_log] is a section of its own",
        ),
        (
            '[tls]\ncertificates = [{}]\n[tls.hosts]\nhsts = "x"',
            '6: tls.hosts.hsts: must be a table, not a string; write it below [tls.hosts."example.com"]',
        ),
        ("[access_log", "3: not TOML:"),
    ],
)
def test_a_slip_says_what_was_meant(tmp_path: Path, text: str, expected: str) -> None:
    found = errors(tmp_path, LEAST + text)
    assert any(line.startswith(f"config.toml:{expected}") for line in found), found
    assert len(found) == 1 or "certificates" in text, found


def test_other_encodings(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf" + LEAST.replace("\n", "\r\n").encode())
    assert load(str(file)).config.server.listen == ["127.0.0.1:0"]
    file.write_bytes(LEAST.encode("utf-16"))
    with pytest.raises(ConfigError, match="the file is UTF-16; save it as UTF-8"):
        load(str(file))
    file.write_bytes(LEAST.encode() + b"# \xe4")
    with pytest.raises(ConfigError, match=r"config\.toml:3: byte 34 is not UTF-8"):
        load(str(file))


# --------------------------------------------------------------------------------------------- environment variables


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        (":${A}${B}", ":12"),
        ("${NONE:-x}", "x"),
        ("${NONE:-}", ""),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("$${A}", "${A}"),
        ("$A ${B:-:-} $", "$A 2 $"),
        ("${HOSTILE}", "${A}"),  # what it says is not read again
    ],
)
def test_variables(text: str, expected: str) -> None:
    assert expanded(text, {"A": "1", "B": "2", "EMPTY": "", "HOSTILE": "${A}"}) == expected


@pytest.mark.parametrize("text", ["${NONE}", "${}", "${A", "${A-x}", "${1}", "${path}"])
def test_no_variable(text: str) -> None:
    with pytest.raises(Flaw):
        expanded(text, {"A": "1"})


def test_variables_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PORT": "8080", "THREADS": "3", "SITE": "A.example", "ON": "true", "STATUS": "302"}.items():
        monkeypatch.setenv(name, value)
    text = """
[server]
listen = "127.0.0.1:${PORT}"
threads = "${THREADS}"
reload_on_change = "${ON}"
[host_routes]
"${SITE}" = { type = "${KIND:-Redirect}", to = "https://${SITE}/x", status = "${STATUS}" }
[timeouts]
head = "${HEAD:-2.5}"
body = "${BODY:-1m}"
"""
    config = load(write(tmp_path, text)).config
    assert (config.server.listen, config.server.threads, config.server.reload_on_change) == (
        ["127.0.0.1:8080"],
        3,
        True,
    )
    assert config.host_routes["a.example"].model_dump() == {
        "type": "Redirect",
        "to": "https://A.example/x",
        "status": 302,
    }
    assert (config.timeouts.head, config.timeouts.body) == (2.5, 60)
    monkeypatch.setenv("THREADS", "many")
    monkeypatch.delenv("PORT")
    assert errors(tmp_path, text + '[host_routes."${NO}"]\ntype = "Redirect"\nto = "/"\n') == [
        "config.toml:3: server.listen: the environment variable PORT is not set; set it, or write a default: "
        '"${PORT:-value}"',
        'config.toml:4: server.threads: must be a whole number, not "many" (from "${THREADS}"); write a '
        "number, or remove the key for one worker per CPU",
        'config.toml:11: host_routes."${NO}": the environment variable NO is not set; set it, or write a default: '
        '"${NO:-value}"',
    ]


# ------------------------------------------------------------------------------------------------ where each key is


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Every place in a document."""
    found = {path} - {()}
    steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for step in steps:
        found |= paths_of(value[step], (*path, step))
    return found


PLACES = """\
# a comment with [brackets] and = "quotes"
top."a.b".c = 1
text = \"\"\"
[no]
x = \\"\"\"\"\"\"
'raw # text' = '''
y = 1''' # behind
list = [ # here
  1, 2.5, [ "a]", 'b,' ],
  { x = 1, y.z = [ { } ] },
]

[server]
when = 1979-05-27 07:32:00
[[tls.certificates]]
a = 1
[tls.certificates.inner]
b = 2
  [[tls.certificates]]
a = { b = { "c" = 0x1f } }
[path_routes."example.com"]
"/api/" = { type = "Proxy" }
"""


def test_places() -> None:
    found = places_of(PLACES)
    assert set(found) == paths_of(tomllib.loads(PLACES))
    assert found["top", "a.b", "c"] == 2
    assert found["text",] == 3
    assert found["raw # text",] == 6
    assert found["list",] == 8
    assert found["list", 2, 1] == 9
    assert found["list", 3, "y", "z"] == 10
    assert found["server", "when"] == 14
    assert found["tls", "certificates", 0, "inner", "b"] == 18
    assert found["tls", "certificates", 1] == 19
    assert found["tls", "certificates", 1, "a", "b", "c"] == 20
    assert found["path_routes", "example.com", "/api/", "type"] == 22


def written(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)} = {written(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + ",\n# x ]\n".join(map(written, value)) + "\n]"
    if isinstance(value, bool):
        return str(value).lower()
    return (
        str(value) if isinstance(value, (int, float)) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )


TEXTS = st.text(alphabet="ab.[]{}=,#'\"\\ ", max_size=5)
VALUES = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.floats(-2, 2, allow_nan=False).map(lambda x: round(x, 3)) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=3), max_size=3))
def test_places_are_those_of_the_parser(document: dict[str, dict[str, Any]]) -> None:
    lines = []
    for table, entries in document.items():
        lines += [f"[{written(table)}]", *(f"{written(key)} = {written(entry)}" for key, entry in entries.items())]
    text = "\n".join(lines)
    assert tomllib.loads(text) == document
    found = places_of(text)
    assert set(found) == paths_of(document)
    split = text.split("\n")
    for path, line in found.items():
        if len(path) == 2:
            assert split[line - 1].startswith(written(path[1]))


# --------------------------------------------------------------------------------------------------------- ourselves


def warnings(folder: Path, routes: str, listen: str = '"127.0.0.1:8080"') -> list[str]:
    """As they are printed, without the folder."""
    found = load(write(folder, f"[server]\nlisten = {listen}\n{routes}")).warnings
    return [line.removeprefix(f"{folder}/") for line in found]


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        (
            '[host_routes]\n"*" = { type = "Redirect", to = "/x" }',
            'host_routes."*".to: redirects to itself: "/x" matches this route again',
        ),
        (
            '[host_routes]\n"A" = { type = "Redirect", to = "http://a:8080{path}" }',
            'host_routes.A.to: redirects to itself: "http://a:8080{path}" matches this route again',
        ),
        (
            '[host_routes]\n"a" = { type = "Redirect", to = "/new{path}" }',
            'host_routes.a.to: redirects to itself: "/new{path}" matches this route again',
        ),
        (
            '[path_routes."*"]\n"/a" = { type = "Redirect", to = "/a/b" }',
            'path_routes."*"."/a".to: redirects to itself: "/a/b" matches this route again',
        ),
        (
            '[host_routes]\n"a" = { type = "Redirect", to = "http://b:8080/" }\n'
            '"b" = { type = "Redirect", to = "http://a:8080/" }',
            'host_routes.a.to: redirects in a loop: to "http://b:8080/", then "http://a:8080/", which matches this '
            "route again",
        ),
        (
            '[host_routes]\n"a" = { type = "Redirect", to = "http://x.b:8080/" }\n'
            '"*.b" = { type = "Redirect", to = "http://a:8080/" }',
            'host_routes.a.to: redirects in a loop: to "http://x.b:8080/", then "http://a:8080/", which matches this '
            "route again",
        ),
    ],
)
def test_redirects_in_a_circle_are_found(tmp_path: Path, routes: str, said: str) -> None:
    found = warnings(tmp_path, routes)
    assert found[0] == f"config.toml:4: {said}; redirect to another host or path"


def test_warnings_stand_in_the_order_of_the_files_with_their_lines(tmp_path: Path) -> None:
    write(tmp_path, '[path_routes."*"]\n\n"/b" = { type = "Redirect", to = "/b/c" }\n', "sites/1.toml")
    text = 'include = "sites/*"\n[server]\nlisten = "127.0.0.1:8080"\n'
    text += '[path_routes."*"]\n"/P" = { type = "Proxy", url = "http://127.0.0.1:8080" }\n'
    found = [line.removeprefix(f"{tmp_path}/").split(": ")[:2] for line in load(write(tmp_path, text)).warnings]
    assert found == [
        ["config.toml:5", 'path_routes."*"."/P".url'],
        ["sites/1.toml:3", 'path_routes."*"."/b".to'],
    ]


@pytest.mark.parametrize(
    "routes",
    [
        '[host_routes]\n"*" = { type = "Redirect", to = "https://example.com{path}" }',
        '[host_routes]\n"*" = { type = "Redirect", to = "http://example.com:8080{path}" }',
        '[host_routes]\n"a" = { type = "Redirect", to = "https://a{path}" }',  # TLS ends in front of us
        '[host_routes]\n"a" = { type = "Redirect", to = "http://a:9{path}" }',
        '[host_routes]\n"*" = { type = "Redirect", to = "//example.com{path}" }',
        '[host_routes]\n"a" = { type = "Redirect", to = "http://b:8080/" }\n"b" = { type = "File", path = "/" }',
        '[host_routes]\n"a" = { type = "File", path = "/" }\n[path_routes.a]\n"/x" = { type = "Redirect", to = "/y" }',
        '[path_routes."*"]\n"/x" = { type = "Redirect", to = "/xy" }',
    ],
)
def test_other_redirects_are_none(tmp_path: Path, routes: str) -> None:
    assert warnings(tmp_path, routes) == []


@pytest.mark.parametrize(
    ("listen", "url", "ours"),
    [
        ('"127.0.0.1:8080"', "http://127.0.0.1:8080", True),
        ('"127.0.0.1:8080"', "http://localhost:8080/x", True),
        ('"0.0.0.0:8080"', "http://localhost:8080", True),
        ('"0.0.0.0:8080"', "http://127.0.0.2:8080", True),
        ('"0.0.0.0:8080"', "http://192.0.2.1:8080", False),
        ('"127.0.0.1:8080"', "http://127.0.0.1:8081", False),
        ('"127.0.0.1:8080"', "http://127.0.0.2:8080", False),
        ('"127.0.0.1:8080"', "http://app:8080", False),
        ('"unix:/tmp/none.sock"', "http://unix:/tmp/none.sock", True),
        ('"unix:/tmp/none.sock"', "http://unix:/tmp/other.sock", False),
    ],
)
def test_an_upstream_that_is_ringway_itself_is_found(tmp_path: Path, listen: str, url: str, ours: bool) -> None:
    found = warnings(tmp_path, f'[host_routes]\n"*" = {{ type = "Proxy", url = "{url}" }}', listen)
    assert [
        line.startswith(f'config.toml:4: host_routes."*".url: {url} is the address of this Ringway, which listens')
        for line in found
    ] == [True] * ours


def test_validate_takes_a_document_as_it_is() -> None:
    config, found = validate(tomllib.loads(LEAST))
    assert config is not None
    assert found == []

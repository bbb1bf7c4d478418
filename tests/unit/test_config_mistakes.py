"""Mistakes of new users, and what Ringway says: what is wrong, and what to write."""

from pathlib import Path

import pytest
from configs import LEAST, errors, write

from ringway.config.load import load
from ringway.control.certificates.certificates import write_self_signed

TLS = '[tls]\ncert_path = "server.crt"\nkey_path = "server.key"'
PROXY = '{ type = "Proxy", url = "http://localhost:3000" }'
PLACELESS = f"[host_routes]\nx = {PROXY}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("listen = 8080", "1: listen: this key belongs in a section, but is above all of them; write [server]"),
        ('[server]\nlisten = "example.com:443"', 'is a name; Ringway listens on IP addresses; write ":443" for all'),
        ('[server]\nlisten = "443 ssl"', '"443 ssl" has more than an address; write "443"; [tls] turns HTTPS on'),
        (
            '[server]\nlisten = "127.0.0.1:80, [::1]:80"',
            'is more than one address; write ["127.0.0.1:80", "[::1]:80"]',
        ),
        ('[server]\nlisten = "$PORT"', '"$PORT" has a variable without braces; write "${PORT}"'),
        (
            '[server]\nlisten = 80\nthreads = "4"',
            "3: server.threads: must be a whole number, not a string; write threads = 4,",
        ),
        ('[server]\nlisten = 80\nthreads = "auto"', "write a number, or remove the key for one worker per CPU"),
        ('[server]\nlisten = 80\nuser = "app:web"', 'write user = "app" and group = "web"'),
        ('[server]\nlisten = 80\nuser = "a b"', '"a b" is not the name of a user or group; write a name or a number'),
        ('[server]\nlisten = 80\ntrusted_proxies = "*"', 'write the addresses of your proxies; ["0.0.0.0/0", "::/0"]'),
        ('[server]\nlisten = 80\ntrusted_proxies = "private"', 'write ["10.0.0.0/8", "172.16.0.0/12", '),
        ('[server]\nlisten = 80\ntrusted_proxies = "10.0.0.1 ::1"', 'more than one network; write ["10.0.0.1", "::1"]'),
        (LEAST + '[tls]\nciphers = "HIGH"', 'write it like ciphers = ["TLS_AES_128_GCM_SHA256", ...]'),
        (LEAST + '[[tls.hosts]]\nhsts = ""', 'write [tls.hosts."example.com"] and its keys below it'),
        (LEAST + '[[host_routes]]\ntype = "File"', 'write [host_routes] and below it "example.com" = { type = ... }'),
        (LEAST + f"[routes]\nx = {PROXY}", "did you mean `host_routes`?"),
        (
            LEAST + f'[host_routes.x]\n"/api" = {PROXY}',
            '4: host_routes.x."/api": [host_routes] has no paths; write [path_routes."x"] and below it "/api" = ...',
        ),
        (
            LEAST + '[path_routes."a.b"]\ntype = "Proxy"\nurl = "http://h"',
            '3: path_routes."a.b": this is a route, but it has no path; write [host_routes."a.b"] for the whole host',
        ),
        (LEAST + '[host_routes]\n"www.*" = ' + PROXY, 'has a "*" in a place other than its beginning'),
        (LEAST + '[host_routes]\nx = { type = "Proxy", url = ["http://a"] }', "a route has one upstream; write one;"),
        (LEAST + '[host_routes]\nx = { type = "Proxy", url = "unix:/a.sock" }', 'write "http://unix:/a.sock"'),
        (LEAST + '[host_routes]\nx = { type = "Proxy", url = "http://unix:a.sock" }', "begin it with a slash"),
        (LEAST + '[host_routes]\nx = { type = "Proxy", url = "http://a:$P/$b" }', 'write "http://a:${P}/$b"'),
        (LEAST + f"[host_routes]\nx = {PROXY[:-2]}, timeout = 5 }}", "[timeouts] is a section of its own"),
        (
            LEAST + '[host_routes]\nx = { type = "Redirect", to = "https://{host}/" }',
            "has the placeholder {host}; {path} is",
        ),
        (LEAST + '[host_routes]\nx = { type = "Redirect", to = "/", status = "301" }', "write 301, without quotes"),
        (LEAST + '[host_routes]\nx = { type = "File", path = "~/www" }', 'write "${HOME}/www"'),
        (LEAST + '[host_routes]\nx = { type = "File", path = "/"; }', "a ; in an inline table"),
        (LEAST + '[host_routes]\nx = { type = "File" path = "/" }', "there is no comma between two keys"),
        (LEAST + "[timeouts]\nread = 5", "timeouts.read: there is no such key; there are: handshake, head"),
        ('[server]\nlisten = "localhost"', '"localhost" has no port; write "localhost:443"'),
        (LEAST + '[host_routes]\nx = { type = "Redirect", to = "https://a/$1" }', "has an nginx variable, $1"),
        (LEAST + '[host_routes]\nx = { type = "Proxy", url = "http://u:p@h" }', "Ringway sends no credentials"),
        (
            LEAST + '[path_routes."a.b/x"]\ntype = "Proxy"\nurl = "http://h"',
            '"a.b/x" has a path; a host name has none; write [path_routes."a.b"."/x"]',
        ),
        ("include = 5\n" + LEAST, 'write it like include = "sites/*.toml"'),
        (LEAST + "[tls]\nacme = true", "get certificates with an ACME client"),
        (LEAST + '[tls."a.b"]\ncert_path = "x"', "write its certificate below [[tls.certificates]]"),
        (LEAST + 'log_level = "debug"', "Ringway logs its events to stderr"),
        (LEAST + '[access_log]\npath = "stderr"', '4: access_log.path: "stderr" is not a file; write "stdout"'),
        (LEAST + '[host_routes]\n"a.b" = # none', "4: not TOML: there is no value after the ="),
        (LEAST + '[access_log]\npath = "C:\\Users\\x"', "write \\\\, or single quotes"),
        (
            '[server]\nlisten = 80\nthreads = "${WORD}"',
            '3: server.threads: must be a whole number, not "many" (from "${WORD}"); write a number',
        ),
        ('[server]\nlisten = ":${WORD}"', '2: server.listen: ":many" is not an address with a port (from ":${WORD}");'),
        ('[server]\nlisten = 80\nthreads = "$N"', 'must be a whole number, not a string; write "${N}"'),
        ('[server]\nlisten = 80\nuser = "$N"', '"$N" has a variable without braces; write "${N}"'),
        (LEAST + '[timeouts]\nhead = "$N"', '"$N" is not a time; write "${N}"'),
        (LEAST + f'[host_routes]\n"$N" = {PROXY}', '"$N" is not a host name; write "${N}"'),
        (LEAST + '[host_routes]\nx = { type = "File", path = "$N/www" }', '"$N/www" has a variable without braces;'),
        (LEAST + '[host_routes]\nx = { type = "File", path = "~bob/www" }', 'write "/home/bob/www"'),
        (LEAST + '[access_log]\npath = "-"', '4: access_log.path: "-" is not a file; write "stdout"'),
        (
            LEAST + '[access_log]\npath = "off"',
            '"off" is not a file; remove this key: without it there is no access log',
        ),
        (LEAST + '[access_log]\npath = "none"', '4: access_log.path: "none" is not a file; remove this key'),
        ('[server]\nlisten = "abc"', '2: server.listen: "abc" is not an address with a port'),
        ('[server]\nlisten = [80, "abc"]', '2: server.listen[1]: "abc" is not an address with a port'),
        (
            LEAST + '[host_routes.x]\ntype = "File"\npath = "/"\nthreads = 2',
            "6: host_routes.x.threads: there is no such key in [host_routes.x]; it is a key of [server]; move it below",
        ),
        (LEAST + f"[host_routes]\nx = {PROXY}\nthreads = 2", "a table, not a number; it is a key of [server]; move it"),
        (LEAST + "[limits]\nhead = 5", "there is no such key in [limits]; it is a key of [timeouts]; add [timeouts]"),
        (
            LEAST + '[host_routes]\nx = { type = "Proxy", path = "http://localhost:3000" }',
            'there is no such key in [host_routes.x]; write url = "http://localhost:3000"',
        ),
        (LEAST + '[host_routes]\nx = { type = "Proxy", path = "/a" }', 'url for a Proxy route, or type = "File"'),
        (LEAST + '[host_routes]\nx = { type = "File", url = "http://a" }', 'path for a File route, or type = "Proxy"'),
        (LEAST + f'[host_routes]\nx = {PROXY[:-2]}, path = "/" }}', "remove it, or write a route of its own with type"),
        (LEAST + '[host_routes]\nx = { type = "Proxy", url = "http://a, http://b" }', 'one; write "http://a"'),
        (PLACELESS, 'server: this section is missing; add [server] with listen = "0.0.0.0:80"'),
        (f"{TLS}\n{PLACELESS}", 'server: this section is missing; add [server] with listen = "0.0.0.0:443"'),
        (LEAST + '[host_routes]\nx = { type = "Proxy", url = 3000 }', 'write url = "http://localhost:3000"'),
        (LEAST + '[host_routes]\nx = { type = "Proxy", url = "3000" }', 'write "http://localhost:3000"'),
        (
            LEAST + '[host_routes]\nx = { type = "File", path = /var/www }',
            '4: not TOML: /var/www needs quotes (column 29); write path = "/var/www"',
        ),
        (LEAST + '[host_routes]\nx = { type = File, path = "/" }', 'needs quotes (column 14); write type = "File"'),
        (LEAST + "[host_routes.x]\ntype = File", '4: not TOML: File needs quotes (column 8); write type = "File"'),
        ("[server]\nlisten = [80, localhost]", '2: not TOML: localhost needs quotes (column 15); write "localhost"'),
        ("[server]\nlisten = 80\nthreads = 010", "3: not TOML: 010 begins with a 0 (column 12); write threads = 10"),
        (
            "[server]\nlisten = 80, 443",
            "2: not TOML: 80, 443 is more than one value (column 12); write listen = [80, 443]",
        ),
        ('[server]\nlisten = ["80"\n"443"]', "3: not TOML: there is no comma between two entries of a list"),
        (LEAST + "[limits]\nranges = 1,000", "4: not TOML: 1,000 is not a number (column 11); write ranges = 1000"),
        (LEAST + f"[host_routes]\nx = {PROXY};", "4: not TOML: a ; at the end of the line (column"),
        ("---\nserver:\n  listen: 80", "1: not TOML: this looks like YAML"),
        ("[server]\nlisten = [080, 443]", "2: not TOML: 080 begins with a 0 (column 12); write 80"),
        ("// mine\n[server]", "1: not TOML: a comment begins with #, not with // (column 1); write # mine"),
        ("; mine\n[server]", "1: not TOML: a comment begins with #, not with ; (column 1); write # mine"),
        ("-- mine\n[server]", "1: not TOML: a comment begins with #, not with -- (column 4); write # mine"),
        ("/* mine */\n[server]", "1: not TOML: a comment begins with #, not with /* (column 1); write # mine"),
        ("[server]\nlisten = 80 // all", "2: not TOML: a comment begins with #, not with // (column 13); write # all"),
        ('[server]\nlisten = "80" ; all', "2: not TOML: a comment begins with #, not with ; (column 15); write # all"),
        ("[server] // mine", "1: not TOML: a comment begins with #, not with // (column 10); write # mine"),
        (
            LEAST + '[host_routes]\nx = { type = "File", path = "/"\ny = { type = "File", path = "/" }\n[tls]',
            "4: not TOML: the table of x has no } at its end; add it",
        ),
        (
            LEAST + '[host_routes]\nx = { type = "File", path = "/"',
            "4: not TOML: the table of x has no } at its end; add it",
        ),
        ("[server]\nlisten = [80, 443\n[tls]", "2: not TOML: the list of listen has no ] at its end; add it"),
        ("[server]\nlisten = [80, 443\nthreads = 5", "2: not TOML: the list of listen has no ] at its end; add it"),
        ("[server]\nlisten = [80,\n[tls]", "2: not TOML: the list of listen has no ] at its end; add it"),
        (LEAST + "threads = 2\nlisten = 80", "4: not TOML: server.listen is defined twice, first in line 2; keep one"),
        (LEAST + "[limits]\n" + LEAST, "4: not TOML: [server] is defined twice, first in line 1; put all of its keys"),
        (
            LEAST + '[path_routes."a.b"."/"]\ntype = "File"\n[path_routes."a.b"."/"]',
            '5: not TOML: [path_routes."a.b"."/"] is defined twice, first in line 3;',
        ),
        (LEAST + f"[host_routes]\nx = {PROXY}\n[host_routes.x]", "5: not TOML: [host_routes.x] is defined twice,"),
        (
            LEAST + '[host_routes]\nx = { type = "File", type = "Proxy" }',
            "4: not TOML: type is twice in this table (column",
        ),
        ("[server\nlisten = 80", "1: not TOML: the name of the section has no ] at its end"),
        ("server:\n  listen: 80", "1: not TOML: this looks like YAML"),
        ('{ "server": { "listen": 80 } }', "1: not TOML: this looks like JSON"),
    ],
)
def test_a_mistake_has_a_remedy(tmp_path: Path, text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "many")
    found = errors(tmp_path, text)
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[server]\nlisten = [80, 443]",
            "2: server.listen: plain HTTP on port 443, where clients speak HTTPS; add [tls]",
        ),
        (
            f"[server]\nlisten = [80, 443]\n{TLS}",
            "2: server.listen: HTTPS on port 80, where clients speak plain HTTP: with [tls] every port of listen has "
            "HTTPS; move port 80 to plain_listen",
        ),
        (
            f'[server]\nlisten = 8443\nplain_listen = "127.0.0.1:443"\n{TLS}',
            "3: server.plain_listen: plain HTTP on port 443, where clients speak HTTPS; move it to listen",
        ),
        (
            LEAST + '[access_log]\nformat = "json"',
            '3: access_log: there is no access log without a path; add path = "stdout", or the name of a file',
        ),
    ],
)
def test_a_likely_mistake_has_a_warning(tmp_path: Path, text: str, expected: str) -> None:
    write_self_signed(str(tmp_path), ["localhost"])
    found = load(write(tmp_path, text)).warnings
    assert any(expected in line for line in found), found


def test_usual_ports_have_no_warning(tmp_path: Path) -> None:
    write_self_signed(str(tmp_path), ["localhost"])
    routes = '[host_routes]\nx = { type = "Redirect", to = "https://example.com/" }'
    text = f'[server]\nlisten = 443\nplain_listen = 80\n{TLS}\n[access_log]\npath = "stdout"\n{routes}\n'
    assert load(write(tmp_path, text)).warnings == []


def test_a_path_of_an_upstream_may_have_a_dollar(tmp_path: Path) -> None:
    found = errors(tmp_path, LEAST + '[host_routes]\nx = { type = "Proxy", url = "http://h/$metadata", verify = true }')
    assert len(found) == 1
    assert "verify" in found[0]

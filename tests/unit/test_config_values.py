"""The small grammars: addresses, host names, prefixes, URLs, redirects."""

import pytest

from ringway.config.values import (
    Flaw,
    host_name,
    hsts,
    parse_address,
    parse_url,
    path_prefix,
    redirect_target,
    server_name,
    trusted_proxy,
)


@pytest.mark.parametrize("text", ["0.0.0.0:443", "[::1]:8443", "[::]:0", "127.0.0.1:65535", "unix:/run/a.sock"])
def test_address(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["unix:", "unix:a", "unix:a/b", "unix:/", "unix:/a/", "unix:/a b", "unix:/a:1", f"unix:/{'x' * 107}"]
)
def test_no_path_of_a_unix_socket(text: str) -> None:
    for parse, url in ((parse_address, text), (parse_url, f"http://{text.replace(':1', ' ')}")):
        with pytest.raises(Flaw):
            parse(url)


@pytest.mark.parametrize(
    ("text", "host", "base"),
    [
        ("http://unix:/run/a.sock", "/run/a.sock", ""),
        ("http://unix:/run/a.sock:", "/run/a.sock", ""),
        ("http://unix:/run/a.sock:/", "/run/a.sock", ""),
        ("http://unix:/run/a.sock:/v2/x", "/run/a.sock", "/v2/x"),
    ],
)
def test_url_of_a_unix_socket(text: str, host: str, base: str) -> None:
    url = parse_url(text)
    assert (url.host, url.port, url.base, url.tls, url.name) == (host, 0, base, False, f"http://unix:{host}")


@pytest.mark.parametrize("text", ["https://unix:/run/a.sock", "http://unix:/run/a.sock:v2", "http://unix:/a:/b?c"])
def test_no_url_of_a_unix_socket(text: str) -> None:
    with pytest.raises(Flaw):
        parse_url(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("unix", "unix"),
    ],
)
def test_trusted_proxy(text: str, expected: str) -> None:
    assert trusted_proxy(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/33", "10.0.0.1/8", "2001:db8::1/32", "[::1]", "localhost", "unix:", "::1/"]
)
def test_no_trusted_proxy(text: str) -> None:
    with pytest.raises(Flaw):
        trusted_proxy(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("*", "*"),
        ("*.Example.com", "*.example.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("[2001:DB8:0::1]", "[2001:db8::1]"),
        ("a_b.x", "a_b.x"),
    ],
)
def test_host_name(text: str, expected: str) -> None:
    assert host_name(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        "-a.b",
        "a-.b",
        "a b",
        "*.*",
        "a.*.b",
        "**",
        "example.com:443",
        "x" * 64,
        "a/b",
        "[::zz]",
        "bücher.de",
    ],
)
def test_no_host_name(text: str) -> None:
    with pytest.raises(Flaw):
        host_name(text)


def test_the_remedy_for_a_name_with_umlauts_is_its_ascii_form() -> None:
    with pytest.raises(Flaw, match=r"xn--bcher-kva\.de"):
        host_name("bücher.de")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/", ""),
        ("/api/", "/api"),
        ("/api", "/api"),
        ("/a%7Eb/", "/a~b"),
        ("/a%2fb", "/a%2Fb"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
    ],
)
def test_path_prefix(text: str, expected: str) -> None:
    assert path_prefix(text) == expected


@pytest.mark.parametrize(
    "text", ["", "api/", "/a?b", "/a#b", "/a b", "/a\nb", "/a%2", "/a%zz", "/../a", "/a/./b", "/%2e%2e/"]
)
def test_no_path_prefix(text: str) -> None:
    with pytest.raises(Flaw):
        path_prefix(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:8080", ("localhost", 8080, "")),
        ("http://Example.com", ("example.com", 80, "")),
        ("http://h:8080/v2/", ("h", 8080, "/v2")),
        ("http://[::1]:9000/", ("::1", 9000, "")),
        ("HTTP://10.0.0.5", ("10.0.0.5", 80, "")),
        ("https://h", ("h", 443, "")),
        ("https://[::1]:8443/v2", ("::1", 8443, "/v2")),
    ],
)
def test_url(text: str, expected: tuple[str, int, str]) -> None:
    url = parse_url(text)
    assert (url.host, url.port, url.base) == expected
    assert url.tls == text.startswith("https")
    assert url.name.startswith("https://" if url.tls else "http://")


@pytest.mark.parametrize(
    ("text", "expected"), [("App.example.", "app.example"), ("10.0.0.5", "10.0.0.5"), ("::1", "::1"), ("h", "h")]
)
def test_server_name(text: str, expected: str) -> None:
    assert server_name(text) == expected


@pytest.mark.parametrize("text", ["", "*", "*.example", "[::1]", "h:443", "a b", "https://h"])
def test_no_server_name(text: str) -> None:
    with pytest.raises(Flaw):
        server_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:8080",
        "ftp://h",
        "https://",
        "http://",
        "http://h:0",
        "http://h:99999",
        "http://h:x",
        "http://h:",
        "http://u@h",
        "http://h?x",
        "http://h#x",
        "http://h/a?b",
        "http://a b",
        "http://[::1",
        "http://*.x",
        "http://h/../x",
        "http://h:8080\n",
    ],
)
def test_no_url(text: str) -> None:
    with pytest.raises(Flaw):
        parse_url(text)


@pytest.mark.parametrize("text", ["https://example.com{path}", "/new{path}", "http://h:8080/x?a=b", "/"])
def test_redirect(text: str) -> None:
    assert redirect_target(text) == text


def test_a_long_redirect() -> None:
    assert redirect_target("/" * 2048) == "/" * 2048
    with pytest.raises(Flaw, match="longer than 2048"):
        redirect_target("/" * 2049)


@pytest.mark.parametrize(
    "text", ["", "example.com", "https://", "/{query}", "/a b", "/a\r\nSet-Cookie: x", "javascript:x", "{path}"]
)
def test_no_redirect(text: str) -> None:
    with pytest.raises(Flaw):
        redirect_target(text)


@pytest.mark.parametrize("text", ["max-age=0", "max-age=31536000; includeSubDomains; preload", "Max-Age=1;preload"])
def test_hsts(text: str) -> None:
    assert hsts(text).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "includeSubDomains",
        "max-age=",
        "max-age=x",
        "max-age=1; max-age=2",
        "max-age=1; x",
        "max-age=1\r\nX: y",
        "max-age=1; preload; includeSubDomains; Preload",
        "max-age=1" + "; preload" * 400,
    ],
)
def test_no_hsts(text: str) -> None:
    with pytest.raises(Flaw, match="Strict-Transport-Security"):
        hsts(text)

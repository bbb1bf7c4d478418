"""The small grammars inside the configuration: addresses, host names, path prefixes and URLs.

Every function takes the text as written and returns it in one canonical form, or raises Flaw: a sentence about
what is wrong and a remedy. None of them touches the system.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"
_UNIX = "unix:"
_UNIX_PATH_MOST = 107
"""Bytes: sockaddr_un has 108, with a terminating zero."""
_ADDRESS_REMEDY = 'write an address and a port, like "0.0.0.0:443", "127.0.0.1:8443" or "[::1]:8443"'
_URL_REMEDY = 'write it like "http://localhost:8080" or "https://10.0.0.5/v2"'


ANY_HOST = ', or "*" for any other host'


class Flaw(ValueError):
    """A value that cannot be used; `sentence` says why, `remedy` what to write instead."""

    def __init__(self, sentence: str, remedy: str) -> None:
        self.sentence = sentence
        self.remedy = remedy
        super().__init__(f"{sentence}; {remedy}")


@dataclass(frozen=True)
class Address:
    """Where a listener stands: an IP address and a port (0: any free one), or the path of a Unix socket."""

    ip: str
    port: int
    path: str = ""

    @property
    def ipv6(self) -> bool:
        return ":" in self.ip

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        return f"[{self.ip}]:{self.port}" if self.ipv6 else f"{self.ip}:{self.port}"


@dataclass(frozen=True)
class Url:
    """Where an upstream is: `http://host:port` and the path that replaces a matched prefix ("" or "/v2"). The host of a
    Unix socket is its path, which begins with a slash."""

    host: str
    port: int
    base: str
    tls: bool = False

    @property
    def name(self) -> str:
        """For logs; two upstreams with one name may still differ in how TLS is spoken with them."""
        if self.host.startswith("/"):
            return f"http://{_UNIX}{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def parse_port(text: str, lowest: int) -> int:
    """A port number from `lowest` to 65535, or -1."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return -1
    port = int(text)
    return port if lowest <= port <= 65535 else -1


def parse_address(text: str) -> Address:
    """`0.0.0.0:443`, `[::1]:443` or `unix:/run/ringway.sock`."""
    if text.startswith(_UNIX):
        return Address("", 0, unix_path(text.removeprefix(_UNIX)))
    host, colon, port_text = text.rpartition(":")
    if not colon or not host:
        raise Flaw(f'"{text}" is not an address with a port', _ADDRESS_REMEDY)
    port = parse_port(port_text, 0)
    if port < 0:
        raise Flaw(f'"{port_text}" is not a port', "write a number from 1 to 65535, or 0 for any free port")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        ip = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise Flaw(f'"{host}" is not an IP address', _ADDRESS_REMEDY) from None
    if bracketed != (ip.version == 6):
        wanted = f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
        raise Flaw("brackets go around IPv6 addresses and nothing else", f'write "{wanted}"')
    return Address(str(ip), port)


def unix_path(path: str) -> str:
    """Of a Unix socket."""
    if not path.startswith("/") or path.endswith("/"):
        raise Flaw(f'"{path}" is no whole path of a Unix socket', 'write it like "unix:/run/ringway.sock"')
    if len(path.encode()) > _UNIX_PATH_MOST:
        raise Flaw(f'the path "{path[:40]}..." is longer than {_UNIX_PATH_MOST} bytes', "choose a shorter one")
    if any(ord(mark) <= 32 or ord(mark) == 127 or mark in ":?#" for mark in path):
        raise Flaw(f'"{path}" has a space or one of ":?#"', "choose a path without")
    return path


def trusted_proxy(text: str) -> str:
    """`10.0.0.0/8`, `::1`, or `unix`."""
    if text == "unix":
        return text
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Flaw(
            f'"{text}" is neither an address nor a network',
            'write it like "10.0.0.0/8", "192.0.2.1" or "2001:db8::/32", or "unix" for whoever comes by a Unix socket',
        ) from None
    if ipaddress.ip_address(text.partition("/")[0]) != network.network_address:
        raise Flaw(f'"{text}" has bits behind its prefix', f'write "{network}"')
    return str(network)


def host_name(text: str) -> str:
    """A name without port, in lower case: `example.com`, `*.example.com`, `*`, an IP address."""
    name = text.lower().rstrip(".") if text != "." else ""
    if name == "*":
        return name
    if name.startswith("[") and name.endswith("]"):
        return _ipv6_literal(text, name)
    if not name.isascii():
        return _punycode(text, name)
    if ":" in name:
        raise Flaw(f'"{text}" has a port; hosts are compared without it', f'write "{name.partition(":")[0]}"')
    plain = name.removeprefix("*.")
    if not plain or len(plain) > 253 or not all(_LABEL.fullmatch(label) for label in plain.split(".")):
        raise Flaw(
            f'"{text}" is not a host name',
            f'write a name like "example.com", "*.example.com" for its subdomains{ANY_HOST}',
        )
    return name


def _ipv6_literal(text: str, name: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(name[1:-1])}]"
    except ValueError:
        raise Flaw(f'"{text}" is not an IPv6 address', 'write it like "[2001:db8::1]"') from None


def _punycode(text: str, name: str) -> str:
    """Browsers send such names in their ASCII form, which is what is written in the file."""
    try:
        ascii_name = name.encode("idna").decode("ascii")
    except UnicodeError:
        ascii_name = "xn--..."
    raise Flaw(f'"{text}" is not ASCII, and clients send the ASCII form', f'write "{ascii_name}"')


def path_prefix(text: str) -> str:
    """A path prefix in the form in which the router compares: escapes normalised, without the last slash."""
    if not text.startswith("/"):
        raise Flaw(f'"{text}" does not begin with a slash', f'write "/{text}"')
    if any(mark in text for mark in "?#") or any(ord(mark) <= 32 or ord(mark) == 127 for mark in text):
        raise Flaw(f'"{text}" has a character that no path has', 'write only the path, like "/api/"')
    normal = normal_path(text)
    if any(segment in (".", "..") for segment in normal.split("/")):
        raise Flaw(f'"{text}" has a "." or ".." segment', "write the path that is meant")
    return normal.rstrip("/")


def normal_path(text: str) -> str:
    """RFC 3986 6.2.2: unreserved characters decoded, other escapes in upper case, the rest encoded."""
    if "%" in _ESCAPE.sub("", text):
        raise Flaw(f'"{text}" has a "%" that is no escape', 'write "%25" for a per cent sign')

    def normal_escape(escape: re.Match[str]) -> str:
        char = chr(int(escape[1], 16))
        return char if char in _UNRESERVED else escape[0].upper()

    return _ESCAPE.sub(normal_escape, quote(text, safe=_PATH_SAFE))


# The engine writes a rewritten head into the room in front of the received one (buffers.pxd, HEADROOM).
_BASE_MOST = 400


def parse_url(text: str) -> Url:
    """`http://host[:port][/base]`, or https; `http://unix:/path[:/base]`."""
    if text.startswith(f"http://{_UNIX}"):
        path, _, base = text.removeprefix(f"http://{_UNIX}").partition(":")
        return Url(unix_path(path), 0, _base(text, base))
    if text.startswith(f"https://{_UNIX}"):
        raise Flaw("TLS is not spoken on Unix sockets", f'write "http{text.removeprefix("https")}"')
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").lower()
    except ValueError:
        raise Flaw(f'"{text}" is not a URL', _URL_REMEDY) from None
    if parts.scheme not in ("http", "https") or not host:
        raise Flaw(f'"{text}" is not an http:// or https:// URL', _URL_REMEDY)
    if parts.username is not None or "?" in text or "#" in text or any(ord(mark) <= 32 for mark in text):
        raise Flaw(f'"{text}" has more than host, port and path', _URL_REMEDY)
    tls = parts.scheme == "https"
    port_text = "443" if tls else "80"
    if re.search(r":[^:\]]*$", parts.netloc):
        port_text = parts.netloc.rpartition(":")[2]
    port = parse_port(port_text, 1)
    if port < 0:
        raise Flaw(f'"{port_text}" in "{text}" is not a port', "write a number from 1 to 65535")
    return Url(_upstream_host(text, host), port, _base(text, parts.path), tls)


def _base(text: str, path: str) -> str:
    base = path_prefix(path) if path else ""
    if len(base) > _BASE_MOST:
        raise Flaw(f'the path in "{text[:60]}..." is longer than {_BASE_MOST} bytes', "shorten it")
    return base


def _upstream_host(text: str, host: str) -> str:
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise Flaw(f'"{host}" in "{text}" is not an IPv6 address', _URL_REMEDY) from None
    name = host_name(host)
    if name.startswith("*"):
        raise Flaw(f'"{host}" in "{text}" names no single host', _URL_REMEDY)
    return name


def hsts(text: str) -> str:
    """The value of Strict-Transport-Security, RFC 6797 6.1."""
    parts = [part.strip() for part in text.split(";")]
    known = {"includesubdomains", "preload"}
    ages = [part for part in parts if re.fullmatch(r"max-age=\d{1,10}", part.lower())]
    others = [part.lower() for part in parts if part not in ages]
    # RFC 6797 6.1: no directive is there twice.
    if len(ages) != 1 or not known.issuperset(others) or len(others) != len(set(others)):
        raise Flaw(f'"{text}" is no value of Strict-Transport-Security', 'write "max-age=31536000; includeSubDomains"')
    return "; ".join(parts)


def server_name(text: str) -> str:
    """What an upstream's certificate must be for: one host name, or an IP address without brackets."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    name = host_name(text)
    if name.startswith(("*", "[")):
        raise Flaw(f'"{text}" names no single host', 'write a name like "app.example.com", or an IP address')
    return name


def is_address(host: str) -> bool:
    """An IP address, no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# A Location has 3072 bytes in all (heads.pxd, LOCATION_BYTES_MAX): leave some for the path.
_TARGET_MOST = 2048


def redirect_target(text: str) -> str:
    """A Location: an absolute URL or a path; `{path}` in it stands for the path and query of the request."""
    if any(ord(mark) <= 32 or ord(mark) >= 127 or mark in '"<>\\^`' for mark in text):
        raise Flaw(f'"{text}" has a character that no URL has', "write it percent-encoded")
    if not re.match(r"(https?://[^/?#{}]|/)", text):
        raise Flaw(
            f'"{text}" is neither a URL nor a path',
            'write it like "https://example.com{path}", where {path} is the path and query of the request',
        )
    if set("{}") & set(text.replace("{path}", "")):
        raise Flaw(f'"{text}" has a brace that is not "{{path}}"', "{path} is the only placeholder")
    if len(text) > _TARGET_MOST:
        raise Flaw(f'"{text[:60]}..." is longer than {_TARGET_MOST} bytes', "shorten it")
    return text

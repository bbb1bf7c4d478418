"""Parses the values of the configuration that have a grammar: addresses, host names, path prefixes and URLs.

Every function takes the text as written. It returns the canonical form, or raises Flaw with a sentence and a remedy.
Only two touch the system: parse_addresses() checks whether the machine has IPv6, and socket_address() looks up the
number of an interface.
"""

import ipaddress
import re
import socket
import unicodedata
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_PROTOCOL = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}(/[a-z0-9!#$%&'*+.^_`|~-]{1,32})?")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"
_UNIX = "unix:"
_UNIX_PATH_MOST = 107
"""Bytes. sockaddr_un has 108, including the terminating zero."""
_ADDRESS_REMEDY = 'write an address and a port, like "0.0.0.0:443", "[::1]:8443" or "localhost:8443", or a port alone'
_EVERYWHERE = ("0.0.0.0", "::")
_LOOPBACK = ("127.0.0.1", "::1")
_URL_REMEDY = 'write it like "http://localhost:8080" or "https://10.0.0.5/v2"'


ANY_HOST = ', or "*" for any other host'


class Flaw(ValueError):
    """An invalid value. `sentence` says why it is invalid, `remedy` what to write instead."""

    def __init__(self, sentence: str, remedy: str) -> None:
        self.sentence = sentence
        self.remedy = remedy
        super().__init__(f"{sentence}; {remedy}")


@dataclass(frozen=True)
class Address:
    """The address of a listener: an IP address and a port (0: any free port), or the path of a Unix socket."""

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
    """The URL of an upstream. `base` is the path that replaces a matched prefix ("" or "/v2"). If `host` begins with a
    slash, it is the path of a Unix socket."""

    host: str
    port: int
    base: str
    tls: bool = False

    @property
    def name(self) -> str:
        """The name for logs. Two upstreams with the same name can have different TLS settings."""
        if self.host.startswith("/"):
            return f"http://{_UNIX}{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def parse_port(text: str, lowest: int) -> int:
    """Returns a port number from `lowest` to 65535, or -1."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return -1
    port = int(text)
    return port if lowest <= port <= 65535 else -1


def parse_addresses(text: str) -> list[Address]:
    """Parses what parse_address() parses, and also `8080`, `:8080`, `*:8080` (all addresses) and `localhost:8080`.
    These give an address of each family, or only IPv4 when this machine has no IPv6."""
    if not text.startswith(_UNIX):
        _no_variable(text)
    host, colon, port_text = text.rpartition(":")
    port = parse_port(port_text, 0)
    if port >= 0 and (host.lower() in ("", "*", "localhost")):
        both = _LOOPBACK if host.lower() == "localhost" else _EVERYWHERE
        return [Address(ip, port) for ip in both if ":" not in ip or _has_ipv6(ip)]
    if not colon and text.isascii() and text.isdigit():
        raise Flaw(f"{text} is not a port", "write a number from 1 to 65535, or 0 for any free port")
    return [parse_address(text)]


def _has_ipv6(ip: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.bind((ip, 0))
    except OSError:
        return False
    return True


def parse_address(text: str) -> Address:
    """Parses `0.0.0.0:443`, `[::1]:443` or `unix:/run/ringway.sock`."""
    if text.startswith(_UNIX):
        return Address("", 0, unix_path(text.removeprefix(_UNIX)))
    _no_address(text)
    if len(several := text.replace(",", " ").split()) > 1:
        if all(":" in one or one.isdigit() for one in several):
            listed = ", ".join(f'"{one}"' for one in several)
            raise Flaw(f'"{text}" is more than one address', f"write [{listed}]")
        raise Flaw(f'"{text}" has more than an address', f'write "{several[0]}"; [tls] turns HTTPS on')
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
        if _is_name(host.lower()):
            remedy = f'write ":{port}" for all addresses; [host_routes] has the names of hosts'
            raise Flaw(f'"{host}" is a name; Ringway listens on IP addresses', remedy) from None
        raise Flaw(f'"{host}" is not an IP address', _ADDRESS_REMEDY) from None
    if plain := _mapped(ip):
        raise Flaw(f'"{host}" is an IPv4 address written as an IPv6 one', f'write "{plain}:{port}"')
    _check_zone(ip)
    if bracketed != (ip.version == 6):
        wanted = f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
        raise Flaw("brackets are only for IPv6 addresses", f'write "{wanted}"')
    return Address(str(ip), port)


def _no_variable(text: str) -> None:
    """Raises Flaw for `$NAME`, the form of shells."""
    if flaw := variable_without_braces(text):
        raise flaw


def variable_without_braces(text: str) -> Flaw | None:
    found = re.search(r"\$([A-Za-z_][A-Za-z0-9_]*)", text)
    if found is None:
        return None
    remedy = f'write "{text.replace(found[0], f"${{{found[1]}}}")}"'
    return Flaw(f'"{text}" has a variable without braces', remedy)


def form_of_shells(path: str) -> Flaw | None:
    """Finds what a shell would replace in the path of a file: `~`, and `$NAME` between slashes."""
    if found := re.match(r"~([a-z_][a-z0-9_-]*)?(/|$)", path):
        home = f'"/home/{found[1]}{path[found.end(1) :]}"' if found[1] else f'"${{HOME}}{path[1:]}"'
        # A file can have the name "~name".
        if not found[1] or found[2]:
            return Flaw(f'Ringway does not expand "~" in "{path}"', f"write {home}")
    return variable_without_braces(path) if re.search(r"(^|/)\$[A-Z_][A-Z0-9_]*(/|$)", path) else None


def _no_address(text: str) -> None:
    """Raises Flaw for common forms that are not an address with a port: URLs, paths, addresses without a port."""
    scheme, separator, rest = text.partition("://")
    if separator:
        port = "" if re.search(r":\d+$", rest.rstrip("/")) else {"http": ":80", "https": ":443"}.get(scheme.lower(), "")
        raise Flaw(
            f'"{text}" is a URL; write only the address, [tls] turns HTTPS on', f'write "{rest.rstrip("/")}{port}"'
        )
    if text.startswith("/"):
        raise Flaw(f'"{text}" is a path', f'write "{_UNIX}{text}" for a Unix socket')
    if text.lower() in ("*", "localhost"):
        raise Flaw(f'"{text}" has no port', f'write "{text}:443", or another port')
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    front, _, last = text.rpartition(":")
    # "::1:443" is a valid IPv6 address, but the user means ::1 with a port.
    if is_address(bare) and not (is_address(front) and parse_port(last, 0) >= 0):
        written = f"[{bare}]" if ":" in bare else bare
        raise Flaw(f'"{text}" has no port', f'write "{written}:443", or another port')


def socket_address(ip: str, port: int) -> Any:
    """Returns the address in the form of the socket module. Raises socket.gaierror if no interface has the name of the
    zone."""
    if "%" not in ip:
        return ip, port
    return socket.getaddrinfo(ip, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4]


def zone_of(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Returns the zone of a link-local address (RFC 4007 11), `eth0` for `fe80::1%eth0`. "": there is none."""
    return (ip.scope_id or "") if isinstance(ip, ipaddress.IPv6Address) else ""


def _check_zone(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Raises Flaw for a link-local address without a zone, and for another address with one (RFC 4007 6)."""
    zone = zone_of(ip)
    if ip.version == 6 and ip.is_link_local and not zone:
        raise Flaw(
            f"{ip} is a link-local address, which needs the name of its interface", f'write "{ip}%eth0" in the brackets'
        )
    if zone and not ip.is_link_local:
        raise Flaw(
            f"{ip} has a zone; only link-local addresses (fe80::) have one", f'write "{str(ip).partition("%")[0]}"'
        )


def _mapped(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Returns the IPv4 address of an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2). "": it is not mapped. Ringway's IPv6
    sockets carry only IPv6."""
    return str(ip.ipv4_mapped or "") if isinstance(ip, ipaddress.IPv6Address) else ""


def unix_path(path: str) -> str:
    """Checks the path of a Unix socket."""
    if not path.startswith("/") or path.endswith("/"):
        remedy = f"begin it with a slash, like {_UNIX}/run/ringway.sock"
        raise Flaw(f'"{path}" is not the absolute path of a Unix socket', remedy)
    if len(path.encode()) > _UNIX_PATH_MOST:
        raise Flaw(f'the path "{path[:40]}..." is longer than {_UNIX_PATH_MOST} bytes', "choose a shorter one")
    if any(ord(mark) <= 32 or ord(mark) == 127 or mark in ":?#" for mark in path):
        raise Flaw(f'"{path}" has a space or one of ":?#"', "choose a path without them")
    return path


_EVERYBODY = 'the addresses of your proxies; ["0.0.0.0/0", "::/0"] lets every client name any address as its own'
_PRIVATE = '"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"'
_GROUPS = {
    **dict.fromkeys(("*", "all", "any"), _EVERYBODY),
    **dict.fromkeys(("private", "private_ranges"), f"[{_PRIVATE}]"),
    **dict.fromkeys(("localhost", "loopback"), '["127.0.0.0/8", "::1"]'),
}
"""Names that other servers have for networks, each with a remedy."""


def trusted_proxy(text: str) -> str:
    """Parses `10.0.0.0/8`, `::1` or `unix`."""
    if text == "unix":
        return text
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        if text in _GROUPS:
            raise Flaw(f'"{text}" is not a network', f"write {_GROUPS[text]}") from None
        if len(several := text.replace(",", " ").split()) > 1:
            listed = ", ".join(f'"{one}"' for one in several)
            raise Flaw(f'"{text}" is more than one network', f"write [{listed}]") from None
        raise Flaw(
            f'"{text}" is neither an address nor a network',
            'write it like "10.0.0.0/8", "192.0.2.1" or "2001:db8::/32", or "unix" for clients on a Unix socket',
        ) from None
    first = ipaddress.ip_address(text.partition("/")[0])
    if zone_of(first):
        raise Flaw(
            f'"{text}" has a zone; client addresses have none', f'write "{text.replace(f"%{zone_of(first)}", "")}"'
        )
    if plain := _mapped(network.network_address):
        # RFC 4291 2.5.5.2: the last 32 bits are the IPv4 address.
        bits = f"/{network.prefixlen - 96}" if 96 <= network.prefixlen < 128 else ""
        raise Flaw(f'"{text}" is an IPv4 address written as an IPv6 one', f'write "{plain}{bits}"')
    if first != network.network_address:
        raise Flaw(f'"{text}" has bits set after its prefix', f'write "{network}"')
    return str(network)


def host_name(text: str) -> str:
    """Parses a host without a port: `example.com`, `*.example.com`, `*` or an IP address. Returns it in lower case."""
    name = text.lower().rstrip(".") if text != "." else ""
    if name == "*":
        return name
    if name.startswith("[") and name.endswith("]"):
        return _ipv6_literal(text, name)
    _other_forms(text, name)
    if not name.isascii():
        raise Flaw(f'"{text}" is not ASCII; clients send the ASCII form', f'write "{_punycode(name)}"')
    plain = name.removeprefix("*.")
    if "*" in plain:
        remedy = f'write "*.example.com" for all subdomains of a name{ANY_HOST}'
        raise Flaw(f'"{text}" has a "*" in a place other than its beginning', remedy)
    if not plain or len(plain) > 253 or not all(_LABEL.fullmatch(label) for label in plain.split(".")):
        raise Flaw(
            f'"{text}" is not a host name',
            f'write a name like "example.com", "*.example.com" for its subdomains{ANY_HOST}',
        )
    return name


def _other_forms(text: str, name: str) -> None:
    """Raises Flaw for common values that are not host names: URLs, paths, regular expressions, names with a port."""
    if "://" in name:
        raise Flaw(f'"{text}" is a URL, not a host name', f'write "{_host_of(name)}"')
    if name.startswith("/"):
        raise Flaw(f'"{text}" is a path; a host name is expected here', _PATH_REMEDY.format("example.com", text))
    if "/" in name:
        host, _, path = name.partition("/")
        raise Flaw(f'"{text}" has a path; a host name has none', _PATH_REMEDY.format(_host_of(host), f"/{path}"))
    if name.startswith("~"):
        raise Flaw(f'"{text}" is a regular expression; hosts must be names', 'write names, or "*.example.com"')
    if name in ("_", "default", "default_server"):
        raise Flaw(f'"{text}" is not a host name', 'write "*" for any other host')
    if name.startswith(".") and _is_name(name[1:]):
        raise Flaw(f'"{text}" begins with a dot', f'write "*{name}" for its subdomains and "{name[1:]}" for itself')
    if len(names := name.replace(",", " ").split()) > 1 and all("." in one and _is_name(one) for one in names):
        raise Flaw(f'"{text}" names several hosts', "write a line for each of them")
    if ":" in name:
        remedy = f'write "{_host_of(name)}"' if _host_of(name) else 'write a name like "example.com"'
        sentence = (
            "is an IPv6 address without brackets"
            if _is_ipv6(name)
            else "has a port; hosts are matched without the port"
        )
        raise Flaw(f'"{text}" {sentence}', remedy)


_PATH_REMEDY = 'write [path_routes."{}"] and below it "{}" = ...'


def _is_name(text: str) -> bool:
    return all(_LABEL.fullmatch(label) for label in text.removeprefix("*.").split("."))


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _host_of(name: str) -> str:
    """Returns the host of a URL or an authority (RFC 3986 3.2) in the form of a key. "": it has none."""
    authority = name.partition("://")[2] if "://" in name else name
    authority = authority.partition("/")[0].rpartition("@")[2]
    if _is_ipv6(authority):
        return f"[{ipaddress.IPv6Address(authority)}]"
    host = authority.partition("]")[0] + "]" if authority.startswith("[") else authority.partition(":")[0]
    return host if host.isascii() else _punycode(host)


def _ipv6_literal(text: str, name: str) -> str:
    try:
        ip = ipaddress.IPv6Address(name[1:-1])
    except ValueError:
        raise Flaw(f'"{text}" is not an IPv6 address', 'write it like "[2001:db8::1]"') from None
    if ip.scope_id:
        # RFC 6874 4: clients remove the zone before they send the address.
        raise Flaw(f'"{text}" has a zone; clients send none', f'write "[{name[1:-1].partition("%")[0]}]"')
    return f"[{ip}]"


def _punycode(name: str) -> str:
    """Returns a name as browsers send it: IDNA 2008 with the mapping of UTS 46, nontransitional. Python's own codec
    implements IDNA 2003, which maps a name with "ß" to a different name."""
    try:
        return ".".join(map(_ascii_label, unicodedata.normalize("NFKC", name).lower().split(".")))
    except UnicodeError:
        return "xn--..."


def _ascii_label(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


def upgrade(text: str) -> str:
    """Parses a protocol of RFC 9110 7.8: a name, with an optional version."""
    name = text.lower()
    if not _PROTOCOL.fullmatch(name):
        raise Flaw(f'"{text}" is not the name of a protocol', 'write a name like "websocket"')
    if name.partition("/")[0] in ("h2c", "h2", "h3", "http", "https"):
        raise Flaw(f'"{text}" would let requests bypass all routes', "remove it: Ringway speaks HTTP/1.1 there")
    return name


def path_prefix(text: str) -> str:
    """Parses a path prefix. Returns it in the router's form: escapes normalized, without the final slash."""
    pattern = re.match(r"(~\*?|\^~|=)\s*\^?(/.*)?", text)
    if pattern:
        raise Flaw(
            f'"{text}" has an nginx modifier; prefixes are plain text',
            f'write "{_plain(pattern[2])}"' if pattern[2] else 'write a path like "/api/"',
        )
    if "://" in text:
        path = text.partition("://")[2].partition("/")[2]
        raise Flaw(f'"{text}" is a URL; a path is expected here', f'write "/{path}"')
    if not text.startswith("/"):
        raise Flaw(f'"{text}" does not begin with a slash', f'write "/{text}"')
    if "*" in text:
        raise Flaw(f'"{text}" has a "*"; a prefix already matches everything below it', f'write "{_plain(text)}"')
    if any(mark in text for mark in "?#") or any(ord(mark) <= 32 or ord(mark) == 127 for mark in text):
        raise Flaw(f'"{text}" has a character that is not allowed in a path', 'write only the path, like "/api/"')
    normal = normal_path(text)
    if any(segment in (".", "..") for segment in normal.split("/")):
        raise Flaw(f'"{text}" has a "." or ".." segment', "write the path without that segment")
    return normal.rstrip("/")


def _plain(text: str) -> str:
    """Returns the text before the first special character of a pattern."""
    return re.split(r"[*({^$\\?+|]", text)[0].rstrip(".") or "/"


def normal_path(text: str) -> str:
    """Normalizes a path by RFC 3986 6.2.2: decodes unreserved characters, writes other escapes in upper case, and
    encodes all other characters."""
    if "%" in _ESCAPE.sub("", text):
        raise Flaw(f'"{text}" has a "%" that does not begin an escape', 'write "%25" for a per cent sign')

    def normal_escape(escape: re.Match[str]) -> str:
        char = chr(int(escape[1], 16))
        return char if char in _UNRESERVED else escape[0].upper()

    return _ESCAPE.sub(normal_escape, quote(text, safe=_PATH_SAFE))


# The engine writes a rewritten head into the free space before the received one (buffers.pxd, HEADROOM).
_BASE_MOST = 400


def parse_url(text: str) -> Url:
    """Parses `http://host[:port][/base]`, the same with https, or `http://unix:/path[:/base]`."""
    if text.startswith(f"http://{_UNIX}"):
        path, _, base = text.removeprefix(f"http://{_UNIX}").partition(":")
        return Url(unix_path(path), 0, _base(text, base))
    if text.startswith(f"https://{_UNIX}"):
        raise Flaw("Ringway does not use TLS on Unix sockets", f'write "http{text.removeprefix("https")}"')
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""  # in lower case, except for a zone
    except ValueError:
        raise Flaw(f'"{text}" is not a URL', _URL_REMEDY) from None
    if "$" in parts.netloc:
        _no_variable(text)
    if len(several := text.replace(",", " ").split()) > 1 and all("://" in one for one in several):
        raise Flaw(f'"{text}" is more than one upstream; a route has one', f'write "{several[0]}"')
    if parts.scheme not in ("http", "https") or not host:
        raise Flaw(f'"{text}" is not an http:// or https:// URL', _url_remedy(text))
    if parts.username is not None:
        raise Flaw(f'"{text}" has a user name; Ringway sends no credentials to upstreams', "remove it")
    if "?" in text or "#" in text or any(ord(mark) <= 32 for mark in text):
        raise Flaw(f'"{text}" has more than host, port and path', _URL_REMEDY)
    tls = parts.scheme == "https"
    port_text = "443" if tls else "80"
    if re.search(r":[^:\]]*$", parts.netloc):
        port_text = parts.netloc.rpartition(":")[2]
    port = parse_port(port_text, 1)
    if port < 0:
        raise Flaw(f'"{port_text}" in "{text}" is not a port', "write a number from 1 to 65535")
    return Url(_upstream_host(text, host), port, _base(text, parts.path), tls)


def _url_remedy(text: str) -> str:
    if found := re.fullmatch(r"(?:ws|wss|tcp|h2c)://(.+)", text):
        return f'write "{"https" if text.startswith("wss") else "http"}://{found[1]}"'
    if found := re.fullmatch(r"([a-zA-Z0-9.-]*)(:\d{1,5})(/\S*)?", text):
        return f'write "http://{found[1] or "localhost"}{found[2]}{found[3] or ""}"'
    if parse_port(text, 1) > 0:
        return f'write "http://localhost:{text}"'
    if text.startswith(f"{_UNIX}/"):
        return f'write "http://{text}"'
    return f'write "http://{_UNIX}{text}"' if text.startswith("/") and text.endswith(".sock") else _URL_REMEDY


def _base(text: str, path: str) -> str:
    base = path_prefix(path) if path else ""
    if len(base) > _BASE_MOST:
        raise Flaw(f'the path in "{text[:60]}..." is longer than {_BASE_MOST} bytes', "shorten it")
    return base


def _upstream_host(text: str, host: str) -> str:
    if ":" in host:
        try:
            # RFC 6874 2: in a URL the "%" of a zone is written "%25".
            ip = ipaddress.IPv6Address(host.replace("%25", "%", 1))
        except ValueError:
            raise Flaw(f'"{host}" in "{text}" is not an IPv6 address', _URL_REMEDY) from None
        _check_zone(ip)
        return _mapped(ip) or str(ip)
    name = host_name(host)
    if name.startswith("*"):
        raise Flaw(f'"{host}" in "{text}" does not name a single host', _URL_REMEDY)
    return name


def hsts(text: str) -> str:
    """Checks a value of Strict-Transport-Security (RFC 6797 6.1)."""
    parts = [part.strip() for part in text.split(";")]
    known = {"includesubdomains", "preload"}
    ages = [part for part in parts if re.fullmatch(r"max-age=\d{1,10}", part.lower())]
    others = [part.lower() for part in parts if part not in ages]
    # RFC 6797 6.1: no directive appears twice.
    if len(ages) != 1 or not known.issuperset(others) or len(others) != len(set(others)):
        raise Flaw(
            f'"{text}" is not a valid value of Strict-Transport-Security', 'write "max-age=31536000; includeSubDomains"'
        )
    return "; ".join(parts)


def server_name(text: str) -> str:
    """Parses the name that an upstream's certificate must have: a host name, or an IP address without brackets."""
    if is_address(text):
        ip = ipaddress.ip_address(text)
        if zone_of(ip):
            raise Flaw(f'"{text}" has a zone; certificates have none', f'write "{text.partition("%")[0]}"')
        return str(ip)
    name = host_name(text)
    if name.startswith(("*", "[")):
        raise Flaw(f'"{text}" does not name a single host', 'write a name like "app.example.com", or an IP address')
    return name


def is_address(host: str) -> bool:
    """Whether the host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# A Location has at most 3072 bytes (heads.pxd, LOCATION_BYTES_MAX). The rest is for the path of the request.
_TARGET_MOST = 2048


def redirect_target(text: str) -> str:
    """Checks a Location: an absolute URL or a path. `{path}` in it is the path and query of the request."""
    if any(ord(mark) <= 32 or ord(mark) >= 127 or mark in '"<>\\^`' for mark in text):
        raise Flaw(f'"{text}" has a character that is not allowed in a URL', "write it percent-encoded")
    if found := re.search(
        r"\$(\d|request_uri|uri|document_uri|host|http_host|server_name|scheme|is_args|args)\b", text
    ):
        remedy = "{path} is the path and query of the request, and the only placeholder"
        raise Flaw(f'"{text}" has an nginx variable, {found[0]}', remedy)
    if others := [found for found in re.findall(r"\{[^{}]*\}", text) if found != "{path}"]:
        raise Flaw(f'"{text}" has the placeholder {others[0]}', "{path} is the only placeholder")
    if not re.match(r"(https?://[^/?#{}]|/)", text):
        host = text.partition("/")[0].partition("{")[0]
        named = host if "." in host and _is_name(host.lower()) else "example.com"
        raise Flaw(
            f'"{text}" is neither a URL nor a path',
            f'write it like "https://{named}{{path}}", where {{path}} is the path and query of the request',
        )
    if set("{}") & set(text.replace("{path}", "")):
        raise Flaw(f'"{text}" has a brace that is not "{{path}}"', "{path} is the only placeholder")
    if len(text) > _TARGET_MOST:
        raise Flaw(f'"{text[:60]}..." is longer than {_TARGET_MOST} bytes', "shorten it")
    return text

"""Finds redirects that loop, and upstreams that are listeners of this Ringway. Both are valid configuration, but a
request to them never ends."""

import ipaddress
import os
import socket
from collections.abc import Iterator

from ringway.config.document import key_path
from ringway.config.model import Config, ProxyRoute, RedirectRoute, Route
from ringway.config.values import Address, is_address, parse_address, parse_url, socket_address
from ringway.errors import Problem

_SAMPLE = "a-path"
_STEPS = 20
"""Redirects in a row that are followed. Browsers give up after as many."""

Found = tuple[str, Route]
"""A route and its key path."""


def loops(config: Config) -> list[Problem]:
    """Returns warnings, not errors: a proxy in front of Ringway may rewrite the redirects or the requests."""
    found = []
    for host, prefix, (key, route) in _all_routes(config):
        if isinstance(route, RedirectRoute) and (way := _circle(config, host, prefix, (key, route))):
            found.append(Problem(f"{key}.to", _told(way), "redirect to another host or path"))
        if isinstance(route, ProxyRoute) and (address := _own_address(config, route)):
            sentence = f"{route.url} is the address of this Ringway, which listens on {address}"
            found.append(Problem(f"{key}.url", sentence, "write the address of the application"))
    return found


def _told(way: list[str]) -> str:
    targets = ", then ".join(f'"{target}"' for target in way)
    if len(way) == 1:
        return f"redirects to itself: {targets} matches this route again"
    return f"redirects in a loop: to {targets}, which matches this route again"


def _all_routes(config: Config) -> Iterator[tuple[str, str, Found]]:
    """Yields host and prefix ("/" for the whole host) of each route, and the route."""
    for host, route in config.host_routes.items():
        yield host, "/", (key_path(("host_routes", host)), route)
    for host, paths in config.path_routes.items():
        for prefix, route in paths.items():
            yield host, prefix, (key_path(("path_routes", host, prefix)), route)


def _circle(config: Config, host: str, prefix: str, first: Found) -> list[str]:
    """Follows the redirects of `first`. Returns their targets if they lead back to `first`, else []."""
    listeners = dict(_listeners(config))
    scheme, port = next(iter(listeners.items()), ("http", []))[0], ""
    path, current = prefix + _SAMPLE, first
    way: list[str] = []
    keys = [first[0]]
    for _ in range(_STEPS):
        route = current[1]
        if not isinstance(route, RedirectRoute):
            return []
        target = route.to.replace("{path}", path)
        if target.startswith("//"):  # RFC 3986 4.2: of the same scheme
            target = f"{scheme}:{target}"
        if not target.startswith("/"):
            scheme, _, rest = target.partition("://")
            authority, slash, path = rest.partition("/")
            name, port = _split(authority, scheme)
            path = slash + path or "/"
            # A host that only "*" matches may be another machine.
            ours = name == host or _own_name(config, name)
            if not ours or port not in listeners.get(scheme.lower(), []):
                return []
            host = name
        else:
            path = target
        following = _answering(config, host, path.partition("?")[0].partition("#")[0])
        way.append(route.to)
        if following is None:
            return []
        if following[0] in keys:
            # If the loop does not contain `first`, the routes in the loop report it.
            return way if following[0] == first[0] else []
        keys.append(following[0])
        current = following
    return []


def _listeners(config: Config) -> Iterator[tuple[str, list[str]]]:
    """Yields each scheme with its ports."""
    listened = {"https" if config.tls is not None else "http": config.server.listen}
    if config.tls is not None and config.server.plain_listen and not config.server.redirect_https:
        listened["http"] = config.server.plain_listen
    for scheme, addresses in listened.items():
        yield scheme, [str(parse_address(text).port) for text in addresses]


def _split(authority: str, scheme: str) -> tuple[str, str]:
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port:
        host, port = authority, ""
    return host.lower(), port or ("443" if scheme.lower() == "https" else "80")


def _own_name(config: Config, name: str) -> str:
    """Returns the key that matches a host: its name, or the nearest wildcard above it. "": only `"*"` can match."""
    labels = name.split(".")
    for key in (name, *("*." + ".".join(labels[count:]) for count in range(1, len(labels)))):
        if key in config.host_routes or key in config.path_routes:
            return key
    return ""


def _answering(config: Config, host: str, path: str) -> Found | None:
    """Returns the route that the router would select for a request."""
    for name in dict.fromkeys((_own_name(config, host) or "*", "*")):
        prefixes = [prefix for prefix in config.path_routes.get(name, {}) if f"{path}/".startswith(prefix)]
        if prefixes:
            prefix = max(prefixes, key=len)
            return key_path(("path_routes", name, prefix)), config.path_routes[name][prefix]
        if name in config.host_routes:
            return key_path(("host_routes", name)), config.host_routes[name]
    return None


def _own_address(config: Config, route: ProxyRoute) -> str:
    """Returns the listener that the upstream's URL leads to. "": none."""
    url = parse_url(route.url)
    for text in (*config.server.listen, *config.server.plain_listen):
        address = parse_address(text)
        if address.path or url.host.startswith("/"):
            if address.path and os.path.realpath(address.path) == os.path.realpath(url.host):
                return text
        elif address.port == url.port and _reaches(url.host, address):
            return text
    return ""


def _reaches(host: str, listener: Address) -> bool:
    ip = ipaddress.ip_address(listener.ip)
    if host == "localhost":
        return ip.is_loopback or ip.is_unspecified
    if not is_address(host):
        return False
    upstream = ipaddress.ip_address(host)
    # A connection to 0.0.0.0 or :: goes to this machine.
    own = upstream.is_unspecified or upstream.is_loopback or _is_of_this_machine(upstream)
    return upstream == ip or (ip.is_unspecified and ip.version == upstream.version and own)


def _is_of_this_machine(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.bind(socket_address(str(ip), 0))
    except OSError:
        return False
    return True

"""Compiles the model to the plan: plain dicts and lists, from which `engine.snapshot.build()` makes the flat block.

docs/architecture.md describes the plan.
"""

import os
from typing import Any

from ringway.config.document import key_path
from ringway.config.doors import planned
from ringway.config.media_types import MEDIA_TYPES
from ringway.config.model import Config, FileRoute, ProxyRoute, Route
from ringway.config.values import is_address, parse_url

Plan = dict[str, Any]


def compile_plan(config: Config) -> Plan:
    """Returns the plan of a configuration that loaded without errors."""
    return _Compiler().compile(config)


class _Compiler:
    """Numbers routes, folders and upstreams in the order of the configuration. Equal folders or upstreams share one
    number."""

    def __init__(self) -> None:
        self.folders: dict[str, int] = {}
        self.upstreams: dict[tuple[Any, ...], int] = {}
        self.upstream_entries: list[dict[str, Any]] = []
        self.upstream_tls: list[dict[str, Any] | None] = []
        self.routes: list[dict[str, Any]] = []

    def compile(self, config: Config) -> Plan:
        hosts = self._hosts(config)
        if config.tls is not None:
            for host, settings in config.tls.hosts.items():
                if settings.hsts is not None:
                    self._add_hsts(hosts, host, settings.hsts)
        return {
            "limits": config.limits.model_dump(),
            "timeouts": {f"{name}_ms": round(value * 1000) for name, value in config.timeouts},
            "access_log": config.access_log.path is not None,
            "media_types": MEDIA_TYPES,
            "trusted_proxies": config.server.trusted_proxies,
            "folders": list(self.folders),
            "upstreams": self.upstream_entries,
            "upstream_tls": self.upstream_tls,
            "routes": self.routes,
            "hosts": hosts,
            "doors": planned(config.tls) if config.tls is not None else [],
        }

    def _hosts(self, config: Config) -> list[dict[str, Any]]:
        hosts: dict[str, dict[str, Any]] = {}
        for host, route in config.host_routes.items():
            index = self._route(key_path(("host_routes", host)), "", route)
            hosts[host] = {"host": host, "route": index, "paths": []}
        for host, paths in config.path_routes.items():
            entry = hosts.setdefault(host, {"host": host, "route": None, "paths": []})
            for written, route in paths.items():
                prefix = written.rstrip("/")
                index = self._route(key_path(("path_routes", host, written)), prefix, route)
                entry["paths"].append({"prefix": prefix, "route": index})
        if "*" in hosts:
            for entry in hosts.values():
                # A host without an answer to every path needs no copy: the router falls back to "*" by itself.
                if entry is not hosts["*"] and _is_whole(entry):
                    _inherit_paths(entry, hosts["*"])
        return list(hosts.values())

    def _add_hsts(self, hosts: list[dict[str, Any]], host: str, value: str) -> None:
        """Gives the host its own copies of its routes, with the field. It first copies what the host inherits from
        wildcards and `"*"`."""
        entry = next((entry for entry in hosts if entry["host"] == host), None)
        if entry is None:
            entry = {"host": host, "route": None, "paths": []}
            hosts.append(entry)
        for above in _above(hosts, host):
            if _is_whole(entry):
                break
            _inherit_paths(entry, above)
            # A route of the empty prefix is a route of the whole host, too.
            whole = next((path["route"] for path in above["paths"] if not path["prefix"]), above["route"])
            entry["route"] = whole
        for place in [entry, *entry["paths"]]:
            if place["route"] is not None:
                self.routes.append({**self.routes[place["route"]], "hsts": value})
                place["route"] = len(self.routes) - 1

    def _route(self, name: str, prefix: str, route: Route) -> int:
        entry: dict[str, Any] = {"name": name, "prefix": prefix}
        if isinstance(route, FileRoute):
            path = os.path.abspath(route.path)
            name = "" if os.path.isdir(path) else os.path.basename(path)
            # Workers open a single file below its folder, so that they notice when another file replaces it.
            path = os.path.dirname(path) if name else path
            entry |= {
                "kind": "file",
                "strip_prefix": route.strip_prefix,
                "folder": self.folders.setdefault(path, len(self.folders)),
                "single": name != "",
                "base": name,
                "mode": route.mode,
                "follow_links": route.follow_links,
                "dot_files": route.dot_files,
            }
        elif isinstance(route, ProxyRoute):
            entry |= {"kind": "proxy", "strip_prefix": route.strip_prefix, "half_close": route.half_close}
            entry |= {"upgrade": route.upgrade, **self._upstream(route)}
        else:
            entry |= {"kind": "redirect", "to": route.to, "status": route.status}
        self.routes.append(entry)
        return len(self.routes) - 1

    def _upstream(self, route: ProxyRoute) -> dict[str, Any]:
        """Two routes share an upstream only if they agree in everything, because any request of an upstream can use
        any of its pooled connections and TLS sessions."""
        url = parse_url(route.url)
        tls = upstream_tls(route)
        version = {None: 0, "v1": 1, "v2": 2}[route.proxy_protocol]
        identity = (url.name, version, *(tls or {}).values())
        if identity not in self.upstreams:
            self.upstreams[identity] = len(self.upstream_entries)
            entry = {"name": url.name, "host": url.host, "port": url.port, "tls": url.tls, "proxy_protocol": version}
            self.upstream_entries.append(entry)
            self.upstream_tls.append(tls)
        return {"upstream": self.upstreams[identity], "base": url.base}


def _is_whole(entry: dict[str, Any]) -> bool:
    """Whether the host has an answer to every path."""
    return entry["route"] is not None or any(not path["prefix"] for path in entry["paths"])


def _inherit_paths(entry: dict[str, Any], above: dict[str, Any]) -> None:
    """Adds paths of `above` to a host. The router tries the host's own paths, then the paths of `above`, then the whole
    host. But within one host the longest path wins. This leaves out the paths that the host's own paths answer."""
    own = [path["prefix"] for path in entry["paths"] if path["prefix"]]
    for path in above["paths"]:
        prefix = path["prefix"]
        if prefix and not any(prefix == of or prefix.startswith(f"{of}/") for of in own):
            entry["paths"].append(dict(path))


def _above(hosts: list[dict[str, Any]], host: str) -> list[dict[str, Any]]:
    """Returns the hosts that answer for a host without an answer of its own: wildcards, nearest first, then `"*"`."""
    parts = host.removeprefix("*.").split(".")
    first = 0 if not host.startswith("*.") else 1
    names = [f"*.{'.'.join(parts[i:])}" for i in range(max(first, 1), len(parts))] + ["*"]
    by_name = {entry["host"]: entry for entry in hosts}
    return [by_name[name] for name in names if name in by_name and name != host]


def upstream_tls(route: ProxyRoute) -> dict[str, Any] | None:
    """Returns the TLS settings for the upstream of a route. None: the upstream does not use TLS."""
    url = parse_url(route.url)
    if not url.tls:
        return None
    name = route.server_name or url.host.partition("%")[0]  # certificates have no zones
    return {
        "name": name,
        "address": is_address(name),
        "verify": route.verify,
        "authorities": _absolute(route.ca_path),
        "certificate": _absolute(route.cert_path),
        "key": _absolute(route.key_path),
    }


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)

"""The output of `ringway check` for a valid configuration: what Ringway would run, and what the machine offers."""

import os
import platform
import resource
from typing import Any

from ringway.config import doors
from ringway.config.compile import Plan, compile_plan
from ringway.config.load import Loaded
from ringway.config.model import Config, Tls
from ringway.control.certificates import keyring, peers
from ringway.control.certificates.certificates import Pair
from ringway.control.certificates.ocsp import responder_of
from ringway.control.machine import account, cgroups, cpus, io_driver, kernel_tls, room
from ringway.control.running.briefs import wanted_listeners
from ringway.control.sockets import resolver
from ringway.errors import reason_of


def report(loaded: Loaded) -> list[str]:
    """Returns the lines of the output."""
    config = loaded.config
    plan = compile_plan(config)
    lines = [f"{loaded.file}: configuration OK"]
    lines += [f"warning: {warning}" for warning in [*loaded.warnings, *_lacking(config)]]
    if loaded.included:
        lines += _section("Included files", [(file, "") for file in loaded.included])
    lines += _section("Listeners", _listeners(config))
    if config.tls is not None:
        lines += _section("Certificates", _certificates(config.tls, bool(config.server.plain_listen)))
        if doors.policies(config.tls):
            lines += _section("Client certificates", _doors(config.tls))
    lines += _section("Workers", _workers(config))
    lines += _section("Routes", _routes(plan))
    lines += _section("Upstreams", _upstreams(plan))
    lines += _section("Machine", _machine(config))
    return lines


def _section(title: str, rows: list[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return ["", f"{title}:", *(f"  {name:<{width}}  {text}".rstrip() for name, text in rows or [("none", "")])]


def _lacking(config: Config) -> list[str]:
    count = cpus.worker_count(config.server.threads, cpus.allowed(), cpus.quota())
    return room.warnings(config, count, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _listeners(config: Config) -> list[tuple[str, str]]:
    rows = [
        (f"{'https' if tls else 'http'}://{address}", "behind the PROXY protocol" if proxied else "")
        for address, tls, proxied in wanted_listeners(config)
    ]
    return [*rows, ("balanced by", config.performance.reuseport_balancing)]


def _certificates(tls: Tls, plain: bool) -> list[tuple[str, str]]:
    ring, _ = keyring.load(tls, plain=plain)
    pairs = list(ring.pairs.values()) if ring is not None else []
    most = 20
    rows = []
    for pair in pairs:
        text = f"{pair.kind}, {keyring.shortened(pair.names)}, until {pair.until:%F}"
        rows.append((pair.cert_path, text + _staple_of(tls, pair)))
    rows = rows[:most] + ([(f"and {len(rows) - most} more", "")] if len(rows) > most else [])
    told = [*ring.warnings(), *ring.expiring()] if ring is not None else []
    return [*rows, *(("warning", line) for line in told)]


def _staple_of(tls: Tls, pair: Pair) -> str:
    if pair.staple is not None:
        return f"; OCSP good until {pair.staple.until:%F %H:%M} UTC"
    if pair.ocsp_path is not None:
        return "; OCSP: not stapled"
    if not tls.ocsp_stapling:
        return ""
    return f"; OCSP from {responder_of(pair.chain) or 'no responder: the certificate names none'}"


def _doors(tls: Tls) -> list[tuple[str, str]]:
    said = {"require": "required", "optional": "optional"}
    rows = []
    for name, policy in doors.doors(tls).items():
        host = "every other host" if name == "*" else name
        rows.append((host, f"{said[policy.auth]}, verified with {policy.ca_path}" if policy else "not requested"))
    return [*rows[1:], rows[0]]


def _workers(config: Config) -> list[tuple[str, str]]:
    usable, quota = cpus.allowed(), cpus.quota()
    count = cpus.worker_count(config.server.threads, usable, quota)
    rows = [(f"worker {index}", f"CPU {cpu}") for index, cpu in enumerate(cpus.pin(count, usable))]
    rows.append(("run as", account.described(config.server)))
    rows.append(("CPUs allowed", ", ".join(map(str, usable))))
    rows.append(("cgroup CPU quota", "none" if quota is None else f"{quota:g} CPUs"))
    return rows


def _routes(plan: Plan) -> list[tuple[str, str]]:
    rows = []
    for host in plan["hosts"]:
        for path in sorted(host["paths"], key=lambda path: -len(path["prefix"])):
            rows.append((f"{host['host']} {path['prefix']}/", _target(plan, plan["routes"][path["route"]])))
        if host["route"] is not None:
            rows.append((f"{host['host']} (other paths)", _target(plan, plan["routes"][host["route"]])))
    return rows


def _target(plan: Plan, route: dict[str, Any]) -> str:
    keeps = "" if route.get("strip_prefix", True) or not route["prefix"] else ", prefix kept"
    if route["kind"] == "file":
        what = "file" if route["single"] else "folder"
        path = os.path.join(plan["folders"][route["folder"]], route["base"]).rstrip("/") or "/"
        return f"File      {what} {path} ({route['mode']}{keeps}){_without_index(path, route['single'])}"
    if route["kind"] == "proxy":
        return f"Proxy     {plan['upstreams'][route['upstream']]['name']}{route['base']}{keeps}"
    return f"Redirect  {route['status']} to {route['to']}"


def _without_index(path: str, single: bool) -> str:
    """Says what a request for the folder itself gets, if it is not a page."""
    there = single or not os.access(path, os.X_OK) or os.path.exists(os.path.join(path, "index.html"))
    return "" if there else "; no index.html in it: 404 for the folder itself"


def _upstreams(plan: Plan) -> list[tuple[str, str]]:
    rows = []
    for upstream, tls in zip(plan["upstreams"], plan["upstream_tls"], strict=True):
        if upstream["host"].startswith("/"):
            there = os.path.exists(upstream["host"])
            rows.append((upstream["name"], "a Unix socket" if there else "does not exist: 502 until it does"))
            continue
        try:
            found = resolver.lookup(upstream["host"], upstream["port"])
            text = ", ".join(ip for ip, _ in found)
        except (OSError, UnicodeError) as error:
            text = f"does not resolve ({reason_of(error)}): 503 until it does"
        rows.append((upstream["name"], text + (f"; {peers.described(tls)}" if tls is not None else "")))
    with_tls, _ = peers.load(plan["upstream_tls"])
    return [*rows, *(("warning", line) for line in peers.expiring(plan["upstream_tls"], with_tls))]


def _machine(config: Config) -> list[tuple[str, str]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        ("kernel", platform.release()),
        ("I/O driver", io_driver.line(config)),
        *(("kernel TLS" if number == 0 else "", line) for number, line in enumerate(kernel_tls.found().lines())),
        ("open files", f"{soft}, raised to {hard} at start"),
        ("cgroup memory", "no limit" if (most := cgroups.memory_most()) is None else f"{most >> 20} MiB"),
        ("accept backlog", f"{_system_value('/proc/sys/net/core/somaxconn')} (net.core.somaxconn)"),
    ]


def _system_value(path: str) -> str:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return "unknown"

"""Checks of the configuration against the system: certificates, folders, and what this version cannot do yet."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from ringway.config.document import key_path
from ringway.config.doors import check_doors, without_challenges
from ringway.config.model import AccessLog, Config, FileRoute, Performance, ProxyRoute, Route, Server, Tls
from ringway.config.values import parse_address, parse_url
from ringway.control.logs.access_log import NO_LOG, NO_LOG_REMEDY, is_log
from ringway.control.machine import account
from ringway.control.machine.account import Account, account_for
from ringway.errors import Problem, reason_of


@dataclass
class Parts:
    """The valid parts of a file. Routes are by their key path."""

    server: Server | None = None
    performance: Performance | None = None
    tls: Tls | None = None
    certificates: list[int] = field(default_factory=list)
    """The index in the file of each entry of `tls.certificates`, from which invalid ones were removed."""
    tls_written: bool = False
    """Whether the file has a [tls] section, valid or not."""
    plain_written: bool = False
    access_log: AccessLog | None = None
    routes: dict[str, Route] = field(default_factory=dict)


def check_system(parts: Parts) -> list[Problem]:
    """Returns everything in the system that would keep these parts from working."""
    problems: list[Problem] = []
    if parts.server is not None:
        problems += _check_addresses(parts.server)
        problems += account_for(parts.server)[1]
        if parts.server.redirect_https and not parts.tls_written:
            remedy = "add [tls], or remove redirect_https"
            problems.append(
                Problem("server.redirect_https", "there is no [tls], so there is no HTTPS to redirect to", remedy)
            )
        elif parts.server.redirect_https and all(parse_address(text).path for text in parts.server.listen):
            remedy = "add an address with a port to listen, or remove redirect_https"
            problems.append(Problem("server.redirect_https", "a Unix socket has no port to redirect to", remedy))
    if parts.performance is not None:
        problems += _check_driver(parts.performance)
    if parts.tls is not None:
        found = _check_tls(parts.tls, parts.plain_written)
        problems += [_in_place(problem, parts.certificates) for problem in found]
    for key, route in parts.routes.items():
        if isinstance(route, FileRoute):
            problems += _check_path(f"{key}.path", route.path)
        elif isinstance(route, ProxyRoute) and parse_url(route.url).tls:
            problems += _check_upstream_tls(key, route)
    if parts.access_log is not None and parts.access_log.path not in (None, "stdout"):
        problems += _check_log(parts.access_log.path or "")
    return problems


def _in_place(problem: Problem, numbers: list[int]) -> Problem:
    """Replaces the index of a certificate with its index in the file."""
    key = re.sub(r"(?<=^tls\.certificates\[)\d+", lambda found: str(numbers[int(found[0])]), problem.key)
    return Problem(key, problem.sentence, problem.remedy)


def warnings_of(config: Config) -> list[Problem]:
    """Returns warnings about a valid configuration."""
    warnings: list[Problem] = []
    if config.tls is not None and config.tls.ktls_enabled:
        from ringway.control.machine.kernel_tls import found

        kernel = found()
        if not kernel.usable(config.tls.ktls_directions):
            sentence = f"kernel TLS is not available here ({kernel.why}), TLS runs in user space"
            warnings.append(Problem("tls.ktls_enabled", sentence))
    for key, route in _routes(config):
        if not isinstance(route, ProxyRoute):
            continue
        if not route.verify:
            name = parse_url(route.url).name
            sentence = f"{name} is not verified, anyone on the network path can read and change the traffic"
            warnings.append(Problem(f"{key}.verify", sentence))
        if route.key_path is not None:
            from ringway.control.certificates.certificates import permissions

            warnings += [Problem(f"{key}.key_path", line) for line in permissions(route.key_path)]
    warnings += account.warnings(config.server)
    if config.tls is not None and config.server.plain_listen and not config.server.redirect_https:
        warnings += without_challenges(config.tls)
    worker, _ = account_for(config.server)
    if worker is not None and worker.uid != 0:
        warnings += _out_of_reach(config, worker)
    warnings += _unusual_ports(config)
    if config.access_log.path is None and "access_log" in config.model_fields_set:
        sentence = "there is no access log without a path"
        warnings.append(Problem("access_log", sentence, 'add path = "stdout", or the name of a file'))
    if not config.host_routes and not any(config.path_routes.values()):
        warnings.append(Problem("", "there are no routes, Ringway answers every request with 404", "add [host_routes]"))
    return warnings


def _unusual_ports(config: Config) -> list[Problem]:
    """Warns of plain HTTP on port 443, and of HTTPS on port 80. Clients speak the other one there."""
    warnings = []
    plain = {"plain_listen": config.server.plain_listen, **({} if config.tls else {"listen": config.server.listen})}
    for key, addresses in plain.items():
        if any(parse_address(text).port == 443 for text in addresses):
            sentence = "plain HTTP on port 443, where clients speak HTTPS"
            remedy = "move it to listen" if config.tls else "add [tls] for HTTPS, or remove this port"
            warnings.append(Problem(f"server.{key}", sentence, remedy))
    if config.tls and any(parse_address(text).port == 80 for text in config.server.listen):
        sentence = "HTTPS on port 80, where clients speak plain HTTP: with [tls] every port of listen has HTTPS"
        warnings.append(Problem("server.listen", sentence, "move port 80 to plain_listen"))
    return warnings


def _out_of_reach(config: Config, worker: Account) -> list[Problem]:
    """Returns warnings about files and sockets that the user of the workers cannot use, by their modes."""
    warnings = []
    for key, route in _routes(config):
        with contextlib.suppress(OSError):  # other checks report missing files
            if isinstance(route, FileRoute):
                about = os.stat(route.path)
                right, verb = (1, "enter") if stat.S_ISDIR(about.st_mode) else (4, "read")
                if not worker.may(about, right):
                    sentence = f'workers run as {worker.user}, which cannot {verb} "{route.path}"'
                    mode = "rx" if right == 1 else "r"
                    remedy = f'allow it: chmod o+{mode} "{route.path}", or name another user in [server]'
                    warnings.append(Problem(f"{key}.path", sentence, remedy))
            elif isinstance(route, ProxyRoute) and not _may_connect(worker, parse_url(route.url).host):
                sentence = f"workers run as {worker.user}, which cannot connect to that socket"
                remedy = "give that user write permission on it, for example with [server] group"
                warnings.append(Problem(f"{key}.url", sentence, remedy))
    return warnings


def _may_connect(worker: Account, host: str) -> bool:
    """Whether the worker can connect to a Unix socket. Every user can connect to a port."""
    if not host.startswith("/"):
        return True
    folders = [os.path.dirname(host)]
    while folders[-1] not in ("/", ""):
        folders.append(os.path.dirname(folders[-1]))
    return worker.may(os.stat(host), 2) and all(worker.may(os.stat(folder), 1) for folder in folders)


def _routes(config: Config) -> Iterator[tuple[str, Route]]:
    """Yields all routes with their key paths."""
    routes: list[tuple[tuple[str, ...], Route]] = [
        (("host_routes", host), route) for host, route in config.host_routes.items()
    ]
    for host, paths in config.path_routes.items():
        routes += [(("path_routes", host, prefix), route) for prefix, route in paths.items()]
    for path, route in routes:
        yield key_path(path), route


def _check_upstream_tls(key: str, route: ProxyRoute) -> list[Problem]:
    from ringway.control.certificates.certificates import check_authorities, check_pair

    problems = []
    if route.verify:
        problems += check_authorities(f"{key}.ca_path", route.ca_path)
    if route.cert_path is not None and route.key_path is not None:
        problems += check_pair(route.cert_path, route.key_path, section=key)
    return problems


def _check_addresses(server: Server) -> list[Problem]:
    problems = []
    seen: dict[str, str] = {}
    for section, addresses in (("listen", server.listen), ("plain_listen", server.plain_listen)):
        for address in addresses:
            other = seen.setdefault(address, section)
            parsed = parse_address(address)
            if parsed.path:
                problems += _check_socket(f"server.{section}", parsed.path)
            if (parsed.port or parsed.path) and (other != section or addresses.count(address) > 1):
                problems.append(Problem(f"server.{section}", f"{address} is listed twice", "keep one of them"))
    return list(dict.fromkeys(problems))


def _check_driver(performance: Performance) -> list[Problem]:
    if performance.io_driver != "io_uring":
        return []
    from ringway.control.machine.io_driver import io_uring

    tried = io_uring()
    if not tried.why:
        return []
    remedy = f'{tried.remedy}, or set io_driver = "auto" or "epoll"'
    return [Problem("performance.io_driver", f"io_uring cannot be used here ({tried.why})", remedy)]


def _check_socket(key: str, path: str) -> list[Problem]:
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        return [Problem(key, f'"{path}" exists and is not a socket', "choose another path, or remove it")]
    return _check_folder(key, os.path.dirname(path))


def _check_tls(tls: Tls, plain: bool) -> list[Problem]:
    # Imported here, because importing cryptography takes a while, and plain HTTP does not need it.
    from ringway.control.certificates.keyring import load

    problems = check_doors(tls)
    if tls.ktls_enabled and not tls.ktls_fallback_enabled:
        from ringway.control.machine.kernel_tls import found

        kernel = found()
        if not kernel.usable(tls.ktls_directions):
            problems.append(
                Problem(
                    "tls.ktls_fallback_enabled",
                    f"kernel TLS is required here, but not available ({kernel.why})",
                    "set ktls_fallback_enabled = true (TLS in user space) or ktls_enabled = false",
                )
            )
    ring, wrong = load(tls, plain=plain)
    if ring is not None:
        ring.wipe()
    if tls.ocsp_cache is not None:
        problems += _check_folder("tls.ocsp_cache", tls.ocsp_cache)
    return problems + wrong


def _check_folder(key: str, path: str) -> list[Problem]:
    """Checks a folder in which Ringway writes files."""
    if not os.path.isdir(path):
        return [Problem(key, f'the folder "{path}" does not exist', f'create it: mkdir -p "{path}"')]
    if not os.access(path, os.W_OK | os.X_OK):
        return [Problem(key, f'"{path}" is not writable by this user', "correct its permissions")]
    return []


def _check_path(key: str, path: str) -> list[Problem]:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return [Problem(key, f'"{path}" does not exist', "create it or correct the path")]
    except OSError as error:
        return [
            Problem(
                key,
                f'"{path}" cannot be reached ({reason_of(error)})',
                "correct the path or its permissions",
            )
        ]
    if stat.S_ISDIR(mode):
        if not os.access(path, os.X_OK):
            return [Problem(key, f'"{path}" cannot be entered by this user', f'allow it: chmod +rx "{path}"')]
    elif not stat.S_ISREG(mode):
        return [Problem(key, f'"{path}" is neither a folder nor a file', "correct the path")]
    elif not os.access(path, os.R_OK):
        return [Problem(key, f'"{path}" is not readable by this user', f'allow it: chmod +r "{path}"')]
    return []


def _check_log(path: str) -> list[Problem]:
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        return [Problem("access_log.path", f'"{path}" is a folder', "name a file")]
    if os.path.exists(path) and not is_log(os.stat(path).st_mode):
        return [Problem("access_log.path", f'"{path}" {NO_LOG}', NO_LOG_REMEDY)]
    if not os.path.isdir(folder):
        return [Problem("access_log.path", f'the folder "{folder}" does not exist', f'create it: mkdir -p "{folder}"')]
    device = os.path.exists(path) and not os.path.isfile(path)  # /dev/null is writable on any file system
    if not device and os.statvfs(folder).f_flag & os.ST_RDONLY:
        remedy = 'mount a writable one there, or write "stdout"'
        return [Problem("access_log.path", f'"{path}" is on a read-only file system', remedy)]
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        return [Problem("access_log.path", f'"{path}" is not writable by this user', "correct its permissions")]
    return []

"""Loads a file into a Config, or reports all of its problems at once."""

import contextlib
import copy
import difflib
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ringway.config import checks, model
from ringway.config.document import Path, key_path, read_document
from ringway.config.ourselves import loops
from ringway.config.values import Flaw, host_name, path_prefix
from ringway.errors import ConfigError, Problem

_ROUTE_DEPTH = {"host_routes": 2, "path_routes": 3}
_WANTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list of strings",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
}
_PAIR = ("cert_path", "key_path", "certificates", "certificates_path")
_LISTS = {
    "include": "a string or a list of strings",
    "listen": "a string or a list of strings",
    "plain_listen": "a string or a list of strings",
    "certificates": "a list of tables",
}


@dataclass(frozen=True)
class Loaded:
    """A valid configuration."""

    config: model.Config
    file: str
    warnings: list[str] = field(default_factory=list)
    """Warnings, to be logged once at the start."""


def load(file: str) -> Loaded:
    """Reads and checks `file` and the files that it includes, and what they need in the system (certificates, folders).
    Raises ConfigError with all problems."""
    document = read_document(file)
    config, found = validate(document.data)
    # Skip further problems of keys that could not be read.
    unread = tuple(problem.key for problem in document.problems)
    problems = [*document.problems, *(problem for problem in found if not _below(problem.key, unread))]
    told = {problem.key for problem in problems}
    problems += [problem for problem in checks.check_system(sound_parts(document.data)) if problem.key not in told]
    if config is None or problems:
        raise ConfigError(file, document.placed(problems))
    warnings = document.placed(loops(config))
    return Loaded(config, file, [*checks.warnings_of(config), *map(str, warnings)])


def validate(document: dict[str, Any]) -> tuple[model.Config | None, list[Problem]]:
    """Checks the document itself, and nothing in the system."""
    problems = _duplicates(document)
    try:
        return model.Config.model_validate(document), problems
    except ValidationError as error:
        every = error.errors(include_url=False, include_input=False)
        meant = _all_meant(document, every)
        found = [
            _problem(document, details)
            for details in every
            if not any(details["loc"][: len(place)] == place for place in meant)
        ]
        return None, list(meant.values()) + found + _tls_as_a_whole(document, every) + problems


def _below(key: str, others: tuple[str, ...]) -> bool:
    """Whether the key is one of the others, or is inside of one."""
    return any(key == other or key.startswith((f"{other}.", f"{other}[")) for other in others)


def _tls_as_a_whole(document: dict[str, Any], every: list[ErrorDetails]) -> list[Problem]:
    """Finds that [tls] has no certificate even if it has unknown keys (otherwise this check needs a valid section).
    Skips the check if an unknown key looks like a misspelled certificate key."""
    wrong = [details for details in every if details["loc"][:1] == ("tls",)]
    unknown = [str(details["loc"][1]) for details in wrong if details["type"] == "extra_forbidden"]
    if not wrong or len(unknown) < len(wrong) or any(difflib.get_close_matches(key, _PAIR) for key in unknown):
        return []
    try:
        model.Tls.model_validate({key: value for key, value in document["tls"].items() if key not in unknown})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return [_problem(document, {**details, "loc": ("tls", *details["loc"])}) for details in found]
    return []


def sound_parts(document: dict[str, Any]) -> checks.Parts:
    """Returns the sections and routes without their invalid keys, if the rest is valid. So the checks of the system
    also cover a file with errors."""
    parts = checks.Parts(tls_written="tls" in document)
    parts.plain_written = bool(_table(document.get("server")).get("plain_listen"))
    parts.server = _sound(TypeAdapter(model.Server), document.get("server"))
    parts.performance = _sound(TypeAdapter(model.Performance), document.get("performance"))
    tls = _sound_tls(document.get("tls"))
    if tls is not None:
        parts.tls, parts.certificates = tls
    parts.access_log = _sound(TypeAdapter(model.AccessLog), document.get("access_log"))
    route_adapter: TypeAdapter[model.Route] = TypeAdapter(model.Route)
    for path, value in _raw_routes(document):
        if (route := _sound(route_adapter, value, tagged=True)) is not None:
            parts.routes[key_path(path)] = route
    return parts


def _sound_tls(value: Any) -> tuple[model.Tls, list[int]] | None:
    """Returns the valid parts of [tls], and the index in the file of each valid certificate."""
    adapter = TypeAdapter(model.Tls)
    numbers: list[int] = []
    with contextlib.suppress(KeyError, TypeError):
        entries = [_sound(TypeAdapter(model.Certificate), entry) for entry in value["certificates"]]
        numbers = [number for number, entry in enumerate(entries) if entry is not None]
        kept = [entry.model_dump() for entry in entries if entry is not None]
        value = {**value, "certificates": kept}
    tls = _sound(adapter, value)
    if tls is None and isinstance(value, dict):
        # Half a pair: still check the other certificates.
        tls = _sound(adapter, {key: entry for key, entry in value.items() if key not in ("cert_path", "key_path")})
    return None if tls is None else (tls, numbers)


def _sound(adapter: TypeAdapter[Any], value: Any, tagged: bool = False) -> Any:
    """Returns the value without its invalid keys, or None if the rest is not valid. `tagged`: places begin with the
    type of a route."""
    value = copy.deepcopy(value)
    while value is not None:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            places = {_wrong_place(details, tagged) for details in error.errors(include_url=False, include_input=False)}
            if () in places:
                return None
            # From the end, so that indices of a list stay valid.
            taken = [_take_away(value, place) for place in sorted(places, reverse=True)]
            if not any(taken):
                return None
    return None


def _take_away(value: Any, place: Path) -> bool:
    """Removes the value at this place. False: an outer value was removed already."""
    for step, following in itertools.zip_longest(place, place[1:]):
        try:
            inner = value[step]
        except (KeyError, IndexError):
            return False
        # A string instead of a list of one has no places in it.
        if following is None or not isinstance(inner, (dict, list)):
            del value[step]
            return True
        value = inner
    return False


def _wrong_place(details: ErrorDetails, tagged: bool) -> Path:
    """Returns the place to remove: the invalid key, or the table that lacks a key. (): everything."""
    path = details["loc"][1:] if tagged else details["loc"]
    return path[:-1] if details["type"] == "missing" or path[-1:] == ("[key]",) else path


def _raw_routes(document: dict[str, Any]) -> list[tuple[Path, Any]]:
    found: list[tuple[Path, Any]] = []
    for host, route in _table(document.get("host_routes")).items():
        found.append((("host_routes", host), route))
    for host, paths in _table(document.get("path_routes")).items():
        found += [(("path_routes", host, prefix), route) for prefix, route in _table(paths).items()]
    return found


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _problem(document: dict[str, Any], details: ErrorDetails) -> Problem:
    kind, path = details["type"], _without_tag(details["loc"])
    context: dict[str, Any] = details.get("ctx", {})
    key = key_path(path)
    flaw = context.get("error")
    if isinstance(flaw, Flaw):
        return Problem(key, flaw.sentence, flaw.remedy)
    if kind == "extra_forbidden":
        return _unknown_key(path, document)
    if kind == "missing":
        return Problem(key, "this key is missing", _example(path, document))
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        said = f'"{context["tag"]}" is not a type of route' if "tag" in context else "this key is missing"
        return Problem(key_path((*path, "type")), said, _type_meant(_value_at(document, path)))
    if kind in _WANTED:
        wanted = _LISTS.get(str(path[-1]), _WANTED[kind]) if kind == "list_type" else _WANTED[kind]
        return Problem(key, f"must be {wanted}, not {_toml_type(_value_at(document, path))}", _right(path, document))
    if kind == "literal_error":
        return Problem(key, f"{_written(document, path)} is not allowed here", f"write {_quoted(context['expected'])}")
    if kind in ("greater_than_equal", "less_than_equal", "finite_number"):
        return Problem(key, f"{_written(document, path)} is out of bounds", _bounds(path, document))
    if kind == "too_short":
        return Problem(key, "the list is empty", _example(path, document))
    return Problem(key, details["msg"].lower())


def _all_meant(document: dict[str, Any], every: list[ErrorDetails]) -> dict[Path, Problem]:
    """Finds mistakes that are valid TOML but mean something else than intended, by the place of the error."""
    found: dict[Path, Problem] = {}
    for details in every:
        path = _without_tag(details["loc"])
        if path[-1] == "include" and len(path) > 1 and isinstance(_value_at(document, path), (str, list)):
            problem = Problem(key_path(path), "`include` cannot be in a section", "write it above the first [section]")
            found[path] = problem
        ends: dict[Path, tuple[str, ...]] = {
            ("host_routes",): ("type",),
            ("path_routes",): ("/",),
            ("tls", "hosts"): tuple(model.TlsHost.model_fields),
        }
        for section, keys in ends.items():
            place = path[: len(section) + 1]
            if place[:-1] != section or place in found:
                continue
            # a.com = {...} is a table "com" in a table "a".
            if steps := _dotted(_value_at(document, place), keys):
                name = ".".join([str(place[-1]), *steps])
                found[place] = Problem(key_path((*place, *steps)), f"the host {name} needs quotes", f'write "{name}"')
            elif section == ("path_routes",) and str(place[-1]).startswith("/"):
                remedy = f'write [path_routes."example.com"] and below it "{place[-1]}" = ...'
                found[place] = Problem(
                    key_path(place), f'"{place[-1]}" is a path; a host name is expected here', remedy
                )
    return found


def _dotted(value: Any, ends: tuple[str, ...]) -> list[str]:
    """Returns the rest of a name that was written without quotes: the keys of the nested tables, down to the table with
    a key that begins with one of `ends`."""
    steps: list[str] = []
    while isinstance(value, dict) and value and not any(key.startswith(ends) for key in value):
        step = next(iter(value))
        if "." in step or not isinstance(value[step], dict):
            return []
        steps.append(step)
        value = value[step]
    return steps if isinstance(value, dict) and value else []


def _without_tag(location: Path) -> Path:
    """Removes the type of a route and "[key]" from a place of Pydantic, which are not in the file."""
    path = location[:-1] if location[-1] == "[key]" else location
    depth = _ROUTE_DEPTH.get(str(path[0]), len(path))
    return path[:depth] + path[depth + 1 :]


def _section_at(path: Path, document: dict[str, Any]) -> type[model.Section]:
    """Returns the class of the section that contains the last step of `path`."""
    if len(path) == 1:
        return model.Config
    if path[0] in _ROUTE_DEPTH:
        return model.ROUTE_TYPES[_table(_value_at(document, path[:-1]))["type"]]
    if path[:2] == ("tls", "certificates") and len(path) == 4:
        return model.Certificate
    if path[:2] == ("tls", "hosts") and len(path) == 4:
        return model.TlsHost
    return model.SECTIONS[str(path[0])]


def _type_meant(route: Any) -> str:
    """Guesses the intended type of a route from the written type or from its other keys."""
    kinds = {
        kind
        for kind, key in (("File", "path"), ("Proxy", "url"), ("Redirect", "to"))
        if key in route or str(route.get("type", "")).lower() == kind.lower()
    }
    return f'write type = "{kinds.pop()}"' if len(kinds) == 1 else 'write "File", "Proxy" or "Redirect"'


_ALSO = {
    **dict.fromkeys(("root", "folder", "dir", "directory", "file", "filename"), "path"),
    **dict.fromkeys(("proxy_pass", "upstream", "upstreams", "backend", "server", "target", "servers"), "url"),
    **dict.fromkeys(("url", "location", "redirect", "return"), "to"),
    **dict.fromkeys(("code", "status_code"), "status"),
    **dict.fromkeys(("port", "address", "bind", "host"), "listen"),
    **dict.fromkeys(("workers", "worker_processes", "processes"), "threads"),
    **dict.fromkeys(("cert", "certificate", "ssl_certificate", "crt"), "cert_path"),
    **dict.fromkeys(("key", "private_key", "ssl_certificate_key"), "key_path"),
    **dict.fromkeys(("client_max_body_size", "body_size", "max_body_size", "body_bytes"), "request_body_bytes"),
    **dict.fromkeys(("real_ip", "set_real_ip_from", "trusted"), "trusted_proxies"),
    **dict.fromkeys(("http", "listen_http", "http_listen"), "plain_listen"),
    **dict.fromkeys(("ssl", "https"), "tls"),
    **dict.fromkeys(("log", "logging", "logs"), "access_log"),
    **dict.fromkeys(("hosts", "sites", "vhosts"), "host_routes"),
    **dict.fromkeys(("insecure", "tls_insecure", "ssl_verify", "skip_verify"), "verify"),
    **dict.fromkeys(("ca", "ca_file", "ca_cert"), "ca_path"),
    **dict.fromkeys(("sni", "sni_name"), "server_name"),
}
"""Names that other servers use for these keys."""


def _unknown_key(path: Path, document: dict[str, Any]) -> Problem:
    known = list(_section_at(path, document).model_fields)
    name = str(path[-1]).lower()
    also = [_ALSO[name]] if _ALSO.get(name) in known else []
    close = also or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    kind = "section" if len(path) == 1 else "key"
    if len(path) > 1 and name in model.SECTIONS and not also:
        return Problem(key_path(path), f"there is no such key in [{path[0]}]", f"[{name}] is a section of its own")
    if close:
        return Problem(key_path(path), f"there is no such {kind}", f"did you mean `{close[0]}`?")
    return Problem(key_path(path), f"there is no such {kind}", f"there are: {', '.join(known)}")


def _example(path: Path, document: dict[str, Any]) -> str:
    names = [step for step in path if isinstance(step, str)]
    if len(path) == 1:
        return f"add [{path[0]}]" + (' with listen = "0.0.0.0:443"' if path[0] == "server" else "")
    examples = _section_at(path, document).model_fields[names[-1]].examples or []
    return f"add it, like {names[-1]} = {json.dumps(examples[0])}" if examples else "add it"


def _right(path: Path, document: dict[str, Any]) -> str:
    """Returns a remedy that shows a value of the right type."""
    names = tuple(step for step in path if isinstance(step, str))
    if names[:2] == ("tls", "certificates") and len(names) == 2:
        return "write each of them below [[tls.certificates]]"
    if names[0] in _ROUTE_DEPTH and len(path) == _ROUTE_DEPTH[names[0]]:
        value = _value_at(document, path)
        if isinstance(value, str) and "://" in value:
            return f'write {{ type = "Proxy", url = {json.dumps(value)} }}'
        path_written = value if isinstance(value, str) and value.startswith("/") else "/var/www/example"
        return f'write a route, like {{ type = "File", path = {json.dumps(path_written)} }}'
    tables = len(names) == 1 or (names[0] == "path_routes" and len(names) == 2)
    if tables or (names[:2] == ("tls", "hosts") and len(names) < 4):
        if names[:2] == ("tls", "hosts") and len(names) == 3 and names[2] in model.TlsHost.model_fields:
            return 'write it below [tls.hosts."example.com"]'
        return f"write its keys below [{key_path(names)}]"
    field = _section_at(path[: path.index(names[-1]) + 1], document).model_fields[names[-1]]
    if isinstance(field.default, bool):
        return "write true or false, without quotes"
    return f"write it like {names[-1]} = {json.dumps(field.examples[0] if field.examples else field.default)}"


def _bounds(path: Path, document: dict[str, Any]) -> str:
    field = _section_at(path, document).model_fields[str(path[-1])]
    least = next((rule.ge for rule in field.metadata if hasattr(rule, "ge")), None)
    most = next((rule.le for rule in field.metadata if hasattr(rule, "le")), None)
    unit = _unit(field)
    return f"write a number from {least} to {most}" + (f" ({unit})" if unit else "")


def _unit(field: FieldInfo) -> str:
    """ "seconds", "bytes", or "": a number as it is."""
    for rule in field.metadata:
        if rule in (model.SECONDS, model.BYTES):
            return "seconds" if rule == model.SECONDS else "bytes"
    return ""


def _value_at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def _written(document: dict[str, Any], path: Path) -> str:
    return json.dumps(_value_at(document, path), default=str)


def _quoted(expected: str) -> str:
    return expected.replace("'", '"')


def _toml_type(value: Any) -> str:
    for kind, name in ((bool, "a boolean"), (str, "a string"), (int, "a number"), (float, "a number with a fraction")):
        if isinstance(value, kind):
            return name
    return "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a date"


def _duplicates(document: dict[str, Any]) -> list[Problem]:
    """Finds different keys that mean the same to the router: Example.com and example.com, /api and /api/."""
    problems: list[Problem] = []
    hosts = [(section, host) for section in _ROUTE_DEPTH for host in _table(document.get(section))]
    problems += _twins([((section, host), (section, _canonical(host_name, host))) for section, host in hosts])
    settings = list(_table(_table(document.get("tls")).get("hosts")))
    problems += _twins([(("tls", "hosts", host), (_canonical(host_name, host),)) for host in settings])
    for host, paths in _table(document.get("path_routes")).items():
        prefixes = list(_table(paths))
        problems += _twins([(("path_routes", host, text), (_canonical(path_prefix, text),)) for text in prefixes])
    return problems


def _canonical(form: Any, text: str) -> str:
    try:
        return str(form(text))
    except Flaw:
        return "\0" + text


def _twins(entries: list[tuple[Path, tuple[str, ...]]]) -> list[Problem]:
    first: dict[tuple[str, ...], Path] = {}
    problems = []
    for path, canonical in entries:
        other = first.setdefault(canonical, path)
        if other != path:
            problems.append(Problem(key_path(path), f"is the same as {key_path(other)}", "keep one of them"))
    return problems

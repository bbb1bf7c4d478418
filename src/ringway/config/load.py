"""From a file to a Config, or to everything that is wrong with it at once."""

import contextlib
import copy
import difflib
import itertools
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ringway.config import checks, model
from ringway.config.document import Path, key_path, read_document
from ringway.config.ourselves import loops
from ringway.config.values import Flaw, host_name, path_prefix
from ringway.config.wording import ROUTE_DEPTH, all_meant, problem_of, table_of
from ringway.errors import ConfigError, Problem

_PAIR = ("cert_path", "key_path", "certificates", "certificates_path")


@dataclass(frozen=True)
class Loaded:
    """A configuration that can be run."""

    config: model.Config
    file: str
    warnings: list[str] = field(default_factory=list)
    """What works otherwise than the file asks for, to be logged once at start."""


def load(file: str) -> Loaded:
    """Reads and checks `file` and what it includes, the system around it too (certificate, folders). Raises ConfigError
    with every problem that was found."""
    document = read_document(file)
    config, found = validate(document.data)
    # Of a key that is wrong already, what stands in its place says nothing.
    unread = tuple(problem.key for problem in document.problems)
    problems = [*document.problems, *(problem for problem in found if not _below(problem.key, unread))]
    told = {problem.key for problem in problems}
    problems += [problem for problem in checks.check_system(sound_parts(document.data)) if problem.key not in told]
    if config is None or problems:
        raise ConfigError(file, document.placed(problems))
    warnings = [*document.warnings, *_as_written(document.data, [*checks.warnings_of(config), *loops(config)])]
    return Loaded(config, file, [warning.told(file) for warning in document.placed(warnings)])


def validate(document: dict[str, Any]) -> tuple[model.Config | None, list[Problem]]:
    """The document in itself, without a look at the system."""
    problems = _duplicates(document)
    try:
        return model.Config.model_validate(document), problems
    except ValidationError as error:
        every = error.errors(include_url=False, include_input=False)
        meant = all_meant(document, every)
        found = [
            problem_of(document, details)
            for details in every
            if not any(details["loc"][: len(place)] == place for place in meant)
        ]
        return None, list(meant.values()) + found + _tls_as_a_whole(document, every) + problems


def _as_written(document: dict[str, Any], problems: list[Problem]) -> list[Problem]:
    """The problems of a Config, with the keys of routes as they stand in the file."""
    written = {}
    for path, _ in _raw_routes(document):
        section, host, *prefixes = map(str, path)
        ours = (section, host_name(host), *(f"{path_prefix(prefix)}/" for prefix in prefixes))
        written[key_path(ours)] = key_path(path)
    return [_renamed(problem, written) for problem in problems]


def _renamed(problem: Problem, written: dict[str, str]) -> Problem:
    route, dot, key = problem.key.rpartition(".")
    return replace(problem, key=f"{written[route]}{dot}{key}") if route in written else problem


def _below(key: str, others: tuple[str, ...]) -> bool:
    """Whether it is one of the others, or stands in one."""
    return any(key == other or key.startswith((f"{other}.", f"{other}[")) for other in others)


def _tls_as_a_whole(document: dict[str, Any], every: list[ErrorDetails]) -> list[Problem]:
    """That there is no certificate, which is looked at only when no key is wrong: here beside unknown keys, unless one
    of them is meant to be it."""
    wrong = [details for details in every if details["loc"][:1] == ("tls",)]
    unknown = [str(details["loc"][1]) for details in wrong if details["type"] == "extra_forbidden"]
    if not wrong or len(unknown) < len(wrong) or any(difflib.get_close_matches(key, _PAIR) for key in unknown):
        return []
    try:
        model.Tls.model_validate({key: value for key, value in document["tls"].items() if key not in unknown})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return [problem_of(document, {**details, "loc": ("tls", *details["loc"])}) for details in found]
    return []


def sound_parts(document: dict[str, Any]) -> checks.Parts:
    """The sections and routes, each without what is wrong in it, as far as enough is left: what they name in the system
    can be checked although something else is wrong."""
    parts = checks.Parts(tls_written="tls" in document)
    parts.plain_written = bool(table_of(document.get("server")).get("plain_listen"))
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
    """With the places in the file of the certificates that are left."""
    adapter = TypeAdapter(model.Tls)
    numbers: list[int] = []
    with contextlib.suppress(KeyError, TypeError):
        entries = [_sound(TypeAdapter(model.Certificate), entry) for entry in value["certificates"]]
        numbers = [number for number, entry in enumerate(entries) if entry is not None]
        kept = [entry.model_dump() for entry in entries if entry is not None]
        value = {**value, "certificates": kept}
    tls = _sound(adapter, value)
    if tls is None and isinstance(value, dict):
        # Half a pair: the other certificates can still be looked at.
        tls = _sound(adapter, {key: entry for key, entry in value.items() if key not in ("cert_path", "key_path")})
    return None if tls is None else (tls, numbers)


def _sound(adapter: TypeAdapter[Any], value: Any, tagged: bool = False) -> Any:
    """The value, or what is left of it without the keys that are wrong; None when that is not enough. `tagged`: places
    begin with the type of a route."""
    value = copy.deepcopy(value)
    while value is not None:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            places = {_wrong_place(details, tagged) for details in error.errors(include_url=False, include_input=False)}
            if () in places:
                return None
            # From the back, so that places in a list stay what they are.
            taken = [_take_away(value, place) for place in sorted(places, reverse=True)]
            if not any(taken):
                return None
    return None


def _take_away(value: Any, place: Path) -> bool:
    """False: what it stood in is gone already."""
    for step, following in itertools.zip_longest(place, place[1:]):
        try:
            inner = value[step]
        except (KeyError, IndexError):
            return False
        # A string that stands for a list of one has no places in it.
        if following is None or not isinstance(inner, (dict, list)):
            del value[step]
            return True
        value = inner
    return False


def _wrong_place(details: ErrorDetails, tagged: bool) -> Path:
    """What to take away: the key, or what it is missing in. (): the whole."""
    path = details["loc"][1:] if tagged else details["loc"]
    return path[:-1] if details["type"] == "missing" or path[-1:] == ("[key]",) else path


def _raw_routes(document: dict[str, Any]) -> list[tuple[Path, Any]]:
    found: list[tuple[Path, Any]] = []
    for host, route in table_of(document.get("host_routes")).items():
        found.append((("host_routes", host), route))
    for host, paths in table_of(document.get("path_routes")).items():
        found += [(("path_routes", host, prefix), route) for prefix, route in table_of(paths).items()]
    return found


def _duplicates(document: dict[str, Any]) -> list[Problem]:
    """Keys that differ in the file and are the same to the router: Example.com and example.com, /api and /api/."""
    problems: list[Problem] = []
    hosts = [(section, host) for section in ROUTE_DEPTH for host in table_of(document.get(section))]
    problems += _twins([((section, host), (section, _canonical(host_name, host))) for section, host in hosts])
    settings = list(table_of(table_of(document.get("tls")).get("hosts")))
    problems += _twins([(("tls", "hosts", host), (_canonical(host_name, host),)) for host in settings])
    for host, paths in table_of(document.get("path_routes")).items():
        prefixes = list(table_of(paths))
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

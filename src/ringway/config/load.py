"""Loads a file into a Config, or reports all of its problems at once."""

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
    """A valid configuration."""

    config: model.Config
    file: str
    warnings: list[str] = field(default_factory=list)
    """Warnings, to be logged once at the start."""
    included: list[str] = field(default_factory=list)
    """The included files, in the order in which they were read."""


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
    warnings = [*document.warnings, *_as_written(document.data, [*checks.warnings_of(config), *loops(config)])]
    return Loaded(config, file, [warning.told(file) for warning in document.placed(warnings)], document.files[1:])


def validate(document: dict[str, Any]) -> tuple[model.Config | None, list[Problem]]:
    """Checks the document itself, and nothing in the system."""
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
    """Returns the problems of a Config with the keys of routes as the file has them."""
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
        return [problem_of(document, {**details, "loc": ("tls", *details["loc"])}) for details in found]
    return []


def sound_parts(document: dict[str, Any]) -> checks.Parts:
    """Returns the sections and routes without their invalid keys, if the rest is valid. So the checks of the system
    also cover a file with errors."""
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
    for host, route in table_of(document.get("host_routes")).items():
        found.append((("host_routes", host), route))
    for host, paths in table_of(document.get("path_routes")).items():
        found += [(("path_routes", host, prefix), route) for prefix, route in table_of(paths).items()]
    return found


def _duplicates(document: dict[str, Any]) -> list[Problem]:
    """Finds different keys that mean the same to the router: Example.com and example.com, /api and /api/."""
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

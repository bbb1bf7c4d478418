"""Words for errors in the configuration: makes Problems, with a sentence and a remedy, of the errors of Pydantic."""

import difflib
import json
import re
from dataclasses import replace
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ringway.config import model
from ringway.config.document import Path, key_path
from ringway.config.environment import Expanded
from ringway.config.sections import kinds
from ringway.config.values import Flaw, variable_without_braces
from ringway.errors import Problem

ROUTE_DEPTH = {"host_routes": 2, "path_routes": 3}
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
_LISTS = {
    "include": "a string or a list of strings",
    "listen": "a string or a list of strings",
    "plain_listen": "a string or a list of strings",
    "certificates": "a list of tables",
}
_MAIN_KEYS = {"path": "File", "url": "Proxy", "to": "Redirect"}
"""The key that each type of route needs."""
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
    **dict.fromkeys(("hosts", "sites", "vhosts", "routes"), "host_routes"),
    **dict.fromkeys(("insecure", "tls_insecure", "ssl_verify", "skip_verify"), "verify"),
    **dict.fromkeys(("ca", "ca_file", "ca_cert"), "ca_path"),
    **dict.fromkeys(("sni", "sni_name"), "server_name"),
}
"""Names that other servers use for these keys."""
_ELSEWHERE = {
    **dict.fromkeys(
        ("acme", "auto", "email", "letsencrypt", "lets_encrypt", "auto_https"),
        "get certificates with an ACME client, like certbot, and name their folder in `certificates_path`",
    ),
    **dict.fromkeys(
        ("error_log", "log_level", "loglevel", "error_log_path"), "Ringway logs its events to stderr, all of them"
    ),
}
"""Keys of other servers that Ringway does not have, each with a remedy."""


def problem_of(document: dict[str, Any], details: ErrorDetails) -> Problem:
    path = _without_tag(details["loc"])
    if path[-1:] == (0,) and not isinstance(_value_at(document, path[:-1]), list):
        path = path[:-1]  # a single value instead of a list
    name = path[-1] if details["loc"][-1] == "[key]" else None
    value = name if name is not None else _found_at(document, path)
    problem = _told(document, details, path)
    if isinstance(value, Expanded):
        return replace(problem, sentence=f'{problem.sentence} (from "{value.written}")')
    if isinstance(value, str) and path[-1] not in ("url", "to") and (flaw := variable_without_braces(value)):
        return replace(problem, remedy=flaw.remedy)
    return problem


def _told(document: dict[str, Any], details: ErrorDetails, path: Path) -> Problem:
    kind, key = details["type"], key_path(path)
    context: dict[str, Any] = details.get("ctx", {})
    flaw = context.get("error")
    if isinstance(flaw, Flaw):
        return Problem(key, flaw.sentence, flaw.remedy)
    if kind == "extra_forbidden":
        return _unknown_key(path, document)
    if kind == "missing":
        return Problem(key, f"this {'key' if len(path) > 1 else 'section'} is missing", _example(path, document))
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        said = f'"{context["tag"]}" is not a type of route' if "tag" in context else "this key is missing"
        return Problem(key_path((*path, "type")), said, _type_meant(_value_at(document, path)))
    if kind == "string_type" and path[-1] == "url" and isinstance(_value_at(document, path), list):
        remedy = "write one; a host name with several addresses spreads requests over them"
        return Problem(key, "must be a string, not a list: a route has one upstream", remedy)
    if kind in _WANTED:
        wanted = _LISTS.get(str(path[-1]), _WANTED[kind]) if kind == "list_type" else _WANTED[kind]
        value = _value_at(document, path)
        found = json.dumps(value) if isinstance(value, Expanded) else _toml_type(value)
        return Problem(key, f"must be {wanted}, not {found}", _right(path, document))
    if kind == "literal_error":
        value, expected = _value_at(document, path), _quoted(context["expected"])
        number = isinstance(value, str) and value in expected.replace(",", "").split()
        remedy = f"write {value}, without quotes" if number else f"write {expected}"
        return Problem(key, f"{_written(document, path)} is not allowed here", remedy)
    if kind in ("greater_than_equal", "less_than_equal", "finite_number"):
        return Problem(key, f"{_written(document, path)} is out of bounds", _bounds(path, document))
    if kind == "too_short":
        return Problem(key, "the list is empty", _example(path, document))
    return Problem(key, details["msg"].lower())


def all_meant(document: dict[str, Any], every: list[ErrorDetails]) -> dict[Path, Problem]:
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
            if misplaced := _misplaced(_value_at(document, place), place, keys):
                found[place] = misplaced
    return found


def _misplaced(value: Any, place: Path, ends: tuple[str, ...]) -> Problem | None:
    """Returns a problem if the name of a host, or a key of its table, belongs elsewhere."""
    section, name, inner = place[0], str(place[-1]), table_of(value)
    if section == "host_routes" and (below := next((key for key in inner if key.startswith("/")), "")):
        remedy = f'write [path_routes."{name}"] and below it "{below}" = ...'
        return Problem(key_path((*place, below)), "[host_routes] has no paths", remedy)
    if section == "path_routes" and isinstance(inner.get("type"), str) and not name.startswith("/"):
        host, slash, path = name.partition("/")
        if slash:
            remedy = f'write [path_routes."{host}"."/{path}"]'
            return Problem(key_path(place), f'"{name}" has a path; a host name has none', remedy)
        remedy = f'write [host_routes."{name}"] for the whole host, or [path_routes."{name}"."/path"]'
        return Problem(key_path(place), "this is a route, but it has no path", remedy)
    if steps := _dotted(value, ends):
        # a.com = {...} is a table "com" in a table "a".
        whole = ".".join([name, *steps])
        return Problem(key_path((*place, *steps)), f"the host {whole} needs quotes", f'write "{whole}"')
    if section == "path_routes" and name.startswith("/"):
        remedy = f'write [path_routes."example.com"] and below it "{name}" = ...'
        return Problem(key_path(place), f'"{name}" is a path; a host name is expected here', remedy)
    return None


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
    depth = ROUTE_DEPTH.get(str(path[0]), len(path))
    return path[:depth] + path[depth + 1 :]


def _section_at(path: Path, document: dict[str, Any]) -> type[model.Section]:
    """Returns the class of the section that contains the last step of `path`."""
    if len(path) == 1:
        return model.Config
    if path[0] in ROUTE_DEPTH:
        return model.ROUTE_TYPES[table_of(_value_at(document, path[:-1]))["type"]]
    if path[:2] == ("tls", "certificates") and len(path) == 4:
        return model.Certificate
    if path[:2] == ("tls", "hosts") and len(path) == 4:
        return model.TlsHost
    return model.SECTIONS[str(path[0])]


def _type_meant(route: Any) -> str:
    """Guesses the intended type of a route from the written type or from its other keys."""
    kinds = {
        kind for key, kind in _MAIN_KEYS.items() if key in route or str(route.get("type", "")).lower() == kind.lower()
    }
    return f'write type = "{kinds.pop()}"' if len(kinds) == 1 else 'write "File", "Proxy" or "Redirect"'


def _unknown_key(path: Path, document: dict[str, Any]) -> Problem:
    known = list(_section_at(path, document).model_fields)
    name = str(path[-1]).lower()
    also = [_ALSO[name]] if _ALSO.get(name) in known else []
    close = also or difflib.get_close_matches(name, known, n=1, cutoff=0.6 if len(name) > 4 else 0.8)
    kind = "section" if len(path) == 1 else "key"
    if name in _ELSEWHERE:
        return Problem(key_path(path), f"there is no such {kind}", _ELSEWHERE[name])
    if path[:1] == ("tls",) and len(path) == 2 and isinstance(_value_at(document, path), dict):
        remedy = "write its certificate below [[tls.certificates]]; Ringway reads the host names from it"
        return Problem(key_path(path), "there is no such key in [tls]", remedy)
    own = name if name in model.SECTIONS else f"{name}s"
    if len(path) > 1 and own in model.SECTIONS and not also:
        return Problem(key_path(path), f"there is no such key in [{path[0]}]", f"[{own}] is a section of its own")
    if len(path) > 1 and (remedy := _other_type(path, document) or _other_section(path, document)):
        return Problem(key_path(path), f"there is no such key in [{key_path(path[:-1])}]", remedy)
    section = next((name for name, section in model.SECTIONS.items() if path[0] in section.model_fields), None)
    if len(path) == 1 and section is not None and not isinstance(document[str(path[0])], dict):
        remedy = f"write [{section}] above it"
        return Problem(key_path(path), "this key belongs in a section, but is above all of them", remedy)
    if close:
        return Problem(key_path(path), f"there is no such {kind}", f"did you mean `{close[0]}`?")
    return Problem(key_path(path), f"there is no such {kind}", f"there are: {', '.join(known)}")


def _other_type(path: Path, document: dict[str, Any]) -> str:
    """Returns a remedy for the main key of another type of route, such as `path` in a Proxy route. "": it is none."""
    name, route = str(path[-1]), table_of(_value_at(document, path[:-1]))
    if path[0] not in ROUTE_DEPTH or name not in _MAIN_KEYS:
        return ""
    own = next(key for key, kind in _MAIN_KEYS.items() if kind == route["type"])
    if own in route:
        return f'remove it, or write a route of its own with type = "{_MAIN_KEYS[name]}"'
    # A relative path is absolute by now: "/folder/http:/name".
    if (url := re.search(r"(https?):/+(.+)", str(route[name]))) and own != "path":
        return f'write {own} = "{url[1]}://{url[2]}"'
    return f'write {own} for a {route["type"]} route, or type = "{_MAIN_KEYS[name]}"'


def _other_section(path: Path, document: dict[str, Any]) -> str:
    """Returns a remedy for a key that another section has. "": none has it."""
    if path[-1] == "path":  # too common to mean access_log.path
        return ""
    for section, about in model.SECTIONS.items():
        if path[-1] in about.model_fields and section != path[0]:
            there = section in document
            return f"it is a key of [{section}]; " + (
                "move it below that header" if there else f"add [{section}] above it"
            )
    return ""


def _example(path: Path, document: dict[str, Any]) -> str:
    names = [step for step in path if isinstance(step, str)]
    port = 443 if "tls" in document else 80
    if len(path) == 1:
        return f"add [{path[0]}]" + (f' with listen = "0.0.0.0:{port}"' if path[0] == "server" else "")
    if path == ("server", "listen"):
        return f'add it, like listen = "0.0.0.0:{port}"'
    examples = _section_at(path, document).model_fields[names[-1]].examples or []
    return f"add it, like {names[-1]} = {json.dumps(examples[0])}" if examples else "add it"


def _right(path: Path, document: dict[str, Any]) -> str:
    """Returns a remedy that shows a value of the right type."""
    names = tuple(step for step in path if isinstance(step, str))
    if names[:2] == ("tls", "certificates") and len(names) == 2:
        return "write each of them below [[tls.certificates]]"
    if names[0] in ROUTE_DEPTH and len(path) == ROUTE_DEPTH[names[0]]:
        value = _value_at(document, path)
        if remedy := _other_section(path, document):
            return remedy
        if isinstance(value, str) and "://" in value:
            return f'write {{ type = "Proxy", url = {json.dumps(value)} }}'
        path_written = value if isinstance(value, str) and value.startswith("/") else "/var/www/example"
        return f'write a route, like {{ type = "File", path = {json.dumps(path_written)} }}'
    if names == ("include",):
        return 'write it like include = "sites/*.toml"'
    if names == ("host_routes",):
        return 'write [host_routes] and below it "example.com" = { type = ... }'
    if names[:2] == ("tls", "hosts") and len(names) == 2:
        return 'write [tls.hosts."example.com"] and its keys below it'
    tables = len(names) == 1 or (names[0] == "path_routes" and len(names) == 2)
    if tables or (names[:2] == ("tls", "hosts") and len(names) < 4):
        if names[:2] == ("tls", "hosts") and len(names) == 3 and names[2] in model.TlsHost.model_fields:
            return 'write it below [tls.hosts."example.com"]'
        return f"write its keys below [{key_path(names)}]"
    field = _section_at(path[: path.index(names[-1]) + 1], document).model_fields[names[-1]]
    if isinstance(field.default, bool):
        return "write true or false, without quotes"
    value = _value_at(document, path)
    if names[-1] == "url" and isinstance(value, int) and not isinstance(value, bool):
        return f'write url = "http://localhost:{value}"'
    if isinstance(value, str) and value.isdecimal():
        return f"write {names[-1]} = {value}, without quotes"
    if names == ("server", "threads"):
        return "write a number, or remove the key for one worker per CPU"
    example = field.examples[0] if field.examples else field.default
    written = f"[{json.dumps(example[0])}, ...]" if isinstance(example, list) else json.dumps(example)
    return f"write it like {names[-1]} = {written}"


def _bounds(path: Path, document: dict[str, Any]) -> str:
    field = _section_at(path, document).model_fields[str(path[-1])]
    least = next((rule.ge for rule in field.metadata if hasattr(rule, "ge")), None)
    most = next((rule.le for rule in field.metadata if hasattr(rule, "le")), None)
    unit = _unit(field)
    return f"write a number from {least} to {most}" + (f" ({unit})" if unit else "")


def _unit(field: FieldInfo) -> str:
    """Returns "seconds", "bytes", or "" for a number without a unit."""
    for rule in field.metadata:
        if rule in (kinds.SECONDS, kinds.BYTES):
            return "seconds" if rule == kinds.SECONDS else "bytes"
    return ""


def _value_at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def _found_at(document: Any, path: Path) -> Any:
    """Returns the value at this place. None: there is none."""
    try:
        return _value_at(document, path)
    except (KeyError, IndexError, TypeError):
        return None


def _written(document: dict[str, Any], path: Path) -> str:
    return json.dumps(_value_at(document, path), default=str)


def _quoted(expected: str) -> str:
    return expected.replace("'", '"')


def _toml_type(value: Any) -> str:
    for kind, name in ((bool, "a boolean"), (str, "a string"), (int, "a number"), (float, "a number with a fraction")):
        if isinstance(value, kind):
            return name
    return "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a date"


def table_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

"""Types of keys: addresses, names, paths, sizes, times, counts."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ringway.config import quantities, values


def one_or_many(*types: str) -> WithJsonSchema:
    kinds: list[dict[str, Any]] = [{"type": kind} for kind in types]
    items = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return WithJsonSchema({"anyOf": [*kinds, {"type": "array", "items": items}]})


def listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _listed_ports(value: Any) -> Any:
    return [value] if isinstance(value, (str, int)) and not isinstance(value, bool) else value


def _port(value: Any) -> Any:
    """Accepts a bare number as a port."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _address(text: str) -> str:
    values.parse_addresses(text)
    return text


def _all_addresses(texts: list[str]) -> list[str]:
    return [str(address) for text in texts for address in values.parse_addresses(text)]


def _url(text: str) -> str:
    values.parse_url(text)
    return text


def _account_name(text: str) -> str:
    if flaw := values.variable_without_braces(text):
        raise flaw
    if not text or not text.isprintable() or set(text) & set(" :/"):
        user, colon, group = text.partition(":")
        both = f'write user = "{user}" and group = "{group}"' if colon and user and group else ""
        raise values.Flaw(
            f'"{text}" is not the name of a user or group', both or 'write a name or a number, like "www-data"'
        )
    return text


def _some_path(text: str) -> str:
    if not text or "\0" in text:
        raise values.Flaw("the path is empty" if not text else "the path has a NUL", "write the path of a file")
    if flaw := values.form_of_shells(text):
        raise flaw
    return text


PATH = AfterValidator(_some_path)
"""Marks a key that names a file or folder: `config.document` makes its value absolute."""

Addresses = Annotated[
    list[Annotated[str, BeforeValidator(_port), AfterValidator(_address)]],
    BeforeValidator(_listed_ports),
    AfterValidator(_all_addresses),
    one_or_many("string", "integer"),
]
TrustedProxies = Annotated[
    list[Annotated[str, AfterValidator(values.trusted_proxy)]], BeforeValidator(listed), one_or_many("string")
]
Upgrades = Annotated[
    list[Annotated[str, AfterValidator(values.upgrade)]], BeforeValidator(listed), one_or_many("string")
]
Url = Annotated[str, AfterValidator(_url)]
HostName = Annotated[str, AfterValidator(values.host_name)]
PathPrefix = Annotated[str, AfterValidator(lambda text: values.path_prefix(text) + "/")]
AccountName = Annotated[str, AfterValidator(_account_name)]
SystemPath = Annotated[str, PATH]
BYTES = BeforeValidator(quantities.size)
SECONDS = BeforeValidator(quantities.seconds)
Bytes = Annotated[int, BYTES]
Seconds = Annotated[float, SECONDS]


def _or_text(unit: str, pattern: str) -> Any:
    """Returns the JSON Schema of a number that can also be a string with a unit."""

    def both(schema: dict[str, Any]) -> None:
        number = {key: schema.pop(key) for key in ("type", "minimum", "maximum")}
        schema |= {"unit": unit, "anyOf": [number, {"type": "string", "pattern": pattern}]}

    return both


def seconds(default: float, description: str, least: float = 0.1, most: float = 86400) -> Any:
    schema = _or_text("seconds", quantities.TIME_PATTERN)
    return Field(default, ge=least, le=most, allow_inf_nan=False, description=description, json_schema_extra=schema)


def size(default: int, least: int, most: int, description: str) -> Any:
    schema = _or_text("bytes", quantities.SIZE_PATTERN)
    return Field(default, ge=least, le=most, description=description, json_schema_extra=schema)


def count(default: int, least: int, most: int, description: str) -> Any:
    return Field(default, ge=least, le=most, description=description)

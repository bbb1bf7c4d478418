"""The model of the configuration file, and its documentation: docs/configuration.md is generated from this file and
`config.sections`.

Every section of the file is a class. Every key is a field with its meaning, unit, bounds and default. These modules
check only the values themselves. `config.checks` checks what depends on the system (files, certificates).
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ringway.config.sections.bounds import Limits, Timeouts
from ringway.config.sections.kinds import HostName, PathPrefix, SystemPath, listed, one_or_many
from ringway.config.sections.routes import ROUTE_TYPES, FileRoute, ProxyRoute, RedirectRoute, Route
from ringway.config.sections.section import Section
from ringway.config.sections.server import Performance, Server
from ringway.config.sections.tls import Certificate, Tls, TlsHost

__all__ = [
    "ROUTE_TYPES",
    "SECTIONS",
    "AccessLog",
    "Certificate",
    "Config",
    "FileRoute",
    "Limits",
    "Performance",
    "ProxyRoute",
    "RedirectRoute",
    "Route",
    "Section",
    "Server",
    "Timeouts",
    "Tls",
    "TlsHost",
]

STDOUT = "stdout"
"""The value of a path that means stdout."""


class AccessLog(Section):
    """One line for each request. Ringway writes it outside the request path. The times in a line start when Ringway
    sees the first byte of the request (with TLS, the first byte of plaintext), even if that byte arrives while
    Ringway still answers the previous request."""

    path: SystemPath | None = Field(
        default=None,
        description='A file, or `"stdout"`. Ringway appends to the file and reopens it on SIGUSR1. Absent: no access '
        "log. A FIFO is not allowed, because Ringway must not depend on its reader.",
        examples=["/var/log/ringway/access.log", "stdout"],
    )
    format: Literal["combined", "json"] = Field(
        default="combined",
        description='`"combined"`: the combined log format, followed by host, times, upstream, reason and TLS. '
        '`"json"`: one object per line. [Operations](operations.md#the-access-log) describes the fields and units.',
    )


class Config(Section):
    """config.toml"""

    include: Annotated[list[SystemPath], BeforeValidator(listed), one_or_many("string")] = Field(
        default=[],
        description="Further files, by name or by pattern. A relative name starts at the folder of the file that "
        "names it. Ringway reads the matching files in the order of their names, and adds their sections to those of "
        'this file. Use this for one file per site, with its own `[host_routes]`, `[path_routes."host"]` and '
        "`[[tls.certificates]]`. The same key in two files is an error. Included files can include others, up to 8 "
        "levels deep. Ringway reads each file once. This key must be at the top, above the first section.",
        examples=["sites/*.toml", ["sites/*.toml", "/etc/ringway/local.toml"]],
    )
    server: Server
    performance: Performance = Performance()
    tls: Tls | None = None
    host_routes: dict[HostName, Route] = Field(
        default={},
        description='Routes by host name: `"example.com"`, `"*.example.com"` for its subdomains, `"*"` for any other '
        "host. Ringway ignores case and port when it compares names.",
    )
    path_routes: dict[HostName, dict[PathPrefix, Route]] = Field(
        default={},
        description='Routes below a path of a host: `[path_routes."example.com"]` with prefixes as keys. `"/api/"` '
        "matches `/api`, `/api/` and everything below, but not `/apix`. The longest prefix wins. Order: the paths of "
        'the host, the paths of `"*"`, the host, `"*"`, else 404. A prefix below `[path_routes."*"]` therefore '
        'applies to every host, and one entry is enough. The prefix `"/"` is the whole host, as in `[host_routes]`.',
    )
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    access_log: AccessLog = AccessLog()


SECTIONS: dict[str, type[Section]] = {
    "server": Server,
    "performance": Performance,
    "tls": Tls,
    "limits": Limits,
    "timeouts": Timeouts,
    "access_log": AccessLog,
}

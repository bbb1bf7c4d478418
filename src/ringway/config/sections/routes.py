"""The types of routes: files, upstreams, redirects."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from ringway.config import values
from ringway.config.sections.kinds import SystemPath, Upgrades, Url
from ringway.config.sections.section import Section


class FileRoute(Section):
    """Serves files from a folder, or one file."""

    type: Literal["File"] = Field(description='`"File"`: serves files.')
    path: SystemPath = Field(
        description="A folder or a file. In a folder, Ringway looks up the rest of the path (`index.html` for a "
        "folder). A file answers every request below the prefix. When a folder is replaced (created again, moved, or "
        "a symbolic link switched to the next release), Ringway serves the new one within `[timeouts] file_valid`. "
        "Files outside of the folder are not reachable, see `follow_links`. A relative path starts at the folder of "
        "the configuration file.",
        examples=["/var/www/example"],
    )
    mode: Literal["sendfile", "memory"] = Field(
        default="sendfile",
        description='`"sendfile"`: the kernel moves the body from the file to the connection. `"memory"`: Ringway '
        "serves small files from a bounded copy in memory and updates the copy when the file changes (`[limits] "
        "memory_bytes`, `memory_file_bytes`). Replace a file by a rename (`mv new file`), do not write into it: a "
        "client could get a part of the old content and a part of the new. If a file is truncated in place while the "
        "kernel has a part of it queued for a client (sendfile), that part can go out as zeros.",
    )
    follow_links: bool = Field(
        default=False,
        description="By default Ringway follows a symbolic link, relative or absolute, only when it leads to "
        "something inside the folder. It answers 403 for all others. `true`: Ringway also follows links that lead "
        "outside.",
    )
    dot_files: bool = Field(
        default=False,
        description="By default Ringway answers 404 for files and folders with a dot at the start of the name "
        "(`.env`, `.git`), whether they exist or not, except below `/.well-known/` of the folder. `true` serves them.",
    )
    strip_prefix: bool = Field(
        default=True,
        description="`true`: `/static/a.css` with the prefix `/static/` is the file `a.css` in the folder. `false`: "
        "it is `static/a.css`.",
    )


class ProxyRoute(Section):
    """Forwards requests to an upstream that speaks HTTP/1.1."""

    type: Literal["Proxy"] = Field(description='`"Proxy"`: forwards requests.')
    url: Url = Field(
        description="The upstream: `http://host:port`, optionally with a path that replaces the matched prefix. With "
        "the prefix `/api/`, `http://h:8080` gets `/api/users` as `/users`, and `http://h:8080/v2` gets it as "
        "`/v2/users`. `https://` uses TLS to the upstream, see the keys below and docs/tls.md. The default port is "
        "80 (443 with `https://`). Ringway resolves a name at start and every `[server] dns_refresh` seconds. "
        "`http://unix:/path` is a Unix socket, optionally with a path after a colon: `http://unix:/path:/v2`.",
        examples=["http://localhost:8080", "https://app.internal:8443", "http://unix:/run/app.sock"],
    )
    strip_prefix: bool = Field(
        default=True,
        description="`true` removes the matched prefix, and sends it to the upstream in X-Forwarded-Prefix. `false` "
        "forwards the whole path, with the prefix, appended to the path of `url`.",
    )
    upgrade: Upgrades = Field(
        default=["websocket"],
        max_length=8,
        description="Protocols that clients can upgrade a connection to: a name or a list of names. Ringway does not "
        "forward other names in Upgrade, and answers the request like any other. `[]` allows none. You cannot allow "
        "`h2c`, because its requests would bypass the routes.",
        examples=["websocket", ["websocket", "tcp"]],
    )
    half_close: bool = Field(
        default=False,
        description="By default a client that closes its side of the connection before it has its response counts as "
        "gone. Ringway ends its request and closes the connection to the upstream, so that the upstream can stop "
        "working on it. Use `true` for clients that close their side on purpose (`nc -N`, programs that send one "
        "request and FIN). Ringway then still waits for the response and sends it.",
    )
    proxy_protocol: Literal["v1", "v2"] | None = Field(
        default=None,
        description="Begin every connection to the upstream with a PROXY protocol header, version 1 or 2. The header "
        "names the client. Such a connection serves only one client, so Ringway closes it after its response and "
        "does not put it into the pool.",
    )
    verify: bool = Field(
        default=True,
        description="With `https://`: the upstream's certificate must be valid, match its name, and come from a "
        "trusted authority. `false` accepts any certificate: an attacker between Ringway and the upstream can then "
        "read and change everything. Ringway logs a warning about this at each start.",
    )
    ca_path: SystemPath | None = Field(
        default=None,
        description="With `https://`: PEM file with the trusted authorities (or the upstream's certificate itself). "
        "Absent: the authorities of the system.",
        examples=["/etc/ringway/internal-ca.pem"],
    )
    server_name: Annotated[str, AfterValidator(values.server_name)] | None = Field(
        default=None,
        description="With `https://`: the name that Ringway sends (SNI) and that the certificate must have. Absent: "
        "the host of `url`. Ringway verifies an IP address but does not send it.",
        examples=["app.example.com"],
    )
    cert_path: SystemPath | None = Field(
        default=None,
        description="With `https://`: PEM file with the certificate, followed by its intermediate certificates, that "
        "Ringway shows to an upstream that asks for one.",
        examples=["/etc/ringway/client.crt"],
    )
    key_path: SystemPath | None = Field(
        default=None,
        validate_default=True,
        description="PEM file with the private key of `cert_path`, without a passphrase. Only the supervisor reads it.",
        examples=["/etc/ringway/client.key"],
    )

    @field_validator("verify", "ca_path", "server_name", "cert_path", "key_path")
    @classmethod
    def _only_with_tls(cls, value: Any, info: ValidationInfo) -> Any:
        url = info.data.get("url")
        if value is not None and url is not None and not values.parse_url(url).tls:
            raise values.Flaw(
                f"this key is for TLS, and {url} does not use TLS",
                f"write https:// in `url`, or remove `{info.field_name}`",
            )
        return value

    @field_validator("ca_path")
    @classmethod
    def _only_verified(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("verify") is False:
            raise values.Flaw("`ca_path` has no effect with `verify = false`", "remove one of them")
        return value

    @field_validator("key_path")
    @classmethod
    def _a_pair(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "cert_path" in info.data and (value is None) != (info.data["cert_path"] is None):
            raise values.Flaw(
                "a certificate and its key belong together", "give both `cert_path` and `key_path`, or none"
            )
        return value


class RedirectRoute(Section):
    """Sends the client to another address."""

    type: Literal["Redirect"] = Field(description='`"Redirect"`: redirects the client.')
    to: Annotated[str, AfterValidator(values.redirect_target)] = Field(
        description="A URL or a path, up to 2048 bytes. `{path}` in it is the path and query of the request.",
        examples=["https://example.com{path}"],
    )
    status: Literal[301, 302, 303, 307, 308] = Field(
        default=308,
        description="301 and 308 are permanent; 302, 303 and 307 are not. 307 and 308 keep method and body.",
    )


Route = Annotated[FileRoute | ProxyRoute | RedirectRoute, Field(discriminator="type")]
ROUTE_TYPES: dict[str, type[Section]] = {"File": FileRoute, "Proxy": ProxyRoute, "Redirect": RedirectRoute}

"""The configuration as it is written, and its documentation: docs/configuration.md is made from this file.

Every section of the file is a class, every key a field with its meaning, unit, bounds and default. Values are
checked in themselves only; what touches the system (files, certificates) is checked by `config.checks`.
"""

import contextlib
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ringway.config import quantities, values
from ringway.config.environment import Expanded

STDOUT = "stdout"
"""In place of a path."""


def _one_or_many(*types: str) -> WithJsonSchema:
    kinds: list[dict[str, Any]] = [{"type": kind} for kind in types]
    items = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return WithJsonSchema({"anyOf": [*kinds, {"type": "array", "items": items}]})


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _listed_ports(value: Any) -> Any:
    return [value] if isinstance(value, (str, int)) and not isinstance(value, bool) else value


def _port(value: Any) -> Any:
    """A bare number is a port."""
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
    if not text or not text.isprintable() or set(text) & set(" :/"):
        raise values.Flaw(f"{text!r} is the name of no user or group", 'write a name or a number, like "www-data"')
    return text


def _some_path(text: str) -> str:
    if not text or "\0" in text:
        raise values.Flaw("the path is empty" if not text else "the path has a NUL", "write the path of a file")
    return text


PATH = AfterValidator(_some_path)
"""The mark of a key that names a file or folder: `config.document` makes its value absolute."""

Addresses = Annotated[
    list[Annotated[str, BeforeValidator(_port), AfterValidator(_address)]],
    BeforeValidator(_listed_ports),
    AfterValidator(_all_addresses),
    _one_or_many("string", "integer"),
]
TrustedProxies = Annotated[
    list[Annotated[str, AfterValidator(values.trusted_proxy)]], BeforeValidator(_listed), _one_or_many("string")
]
Upgrades = Annotated[
    list[Annotated[str, AfterValidator(values.upgrade)]], BeforeValidator(_listed), _one_or_many("string")
]
HostName = Annotated[str, AfterValidator(values.host_name)]
PathPrefix = Annotated[str, AfterValidator(lambda text: values.path_prefix(text) + "/")]
AccountName = Annotated[str, AfterValidator(_account_name)]
SystemPath = Annotated[str, PATH]
BYTES = BeforeValidator(quantities.size)
SECONDS = BeforeValidator(quantities.seconds)
Bytes = Annotated[int, BYTES]
Seconds = Annotated[float, SECONDS]


Cipher = Literal[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
]
Curve = Literal["X25519", "P-256", "P-384", "P-521"]


def _or_text(unit: str, pattern: str) -> Any:
    """The JSON Schema of a number that may be written as a text with a unit."""

    def both(schema: dict[str, Any]) -> None:
        number = {key: schema.pop(key) for key in ("type", "minimum", "maximum")}
        schema |= {"unit": unit, "anyOf": [number, {"type": "string", "pattern": pattern}]}

    return both


def _seconds(default: float, description: str, least: float = 0.1, most: float = 86400) -> Any:
    schema = _or_text("seconds", quantities.TIME_PATTERN)
    return Field(default, ge=least, le=most, allow_inf_nan=False, description=description, json_schema_extra=schema)


def _bytes(default: int, least: int, most: int, description: str) -> Any:
    schema = _or_text("bytes", quantities.SIZE_PATTERN)
    return Field(default, ge=least, le=most, description=description, json_schema_extra=schema)


def _count(default: int, least: int, most: int, description: str) -> Any:
    return Field(default, ge=least, le=most, description=description)


class Section(BaseModel):
    """What every section has in common: unknown keys are errors, and TOML's types are taken as they are."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _numbers_of_the_environment(cls, value: Any) -> Any:
        """What comes from an environment variable is text, also where a number or a boolean is wanted."""
        if isinstance(value, dict) and any(isinstance(entry, Expanded) for entry in value.values()):
            return {key: _typed(cls, key, entry) for key, entry in value.items()}
        return value


def _typed(section: type[Section], key: str, value: Any) -> Any:
    about = section.model_fields.get(key)
    if about is None or not isinstance(value, Expanded):
        return value
    if about.annotation is bool:
        return {"true": True, "false": False}.get(value, value)
    choices = get_args(about.annotation)
    if about.annotation in (int, float) or (choices and all(isinstance(choice, int) for choice in choices)):
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                return kind(value)
    return value


class Server(Section):
    """Where Ringway listens and with how many workers."""

    listen: Addresses = Field(
        min_length=1,
        description="Address and port to listen on, or a list of them: HTTPS when there is a `[tls]` section, plain "
        'HTTP otherwise. A port alone (`443`, `":443"`) listens on all addresses, IPv4 and, where the machine has it, '
        'IPv6; `"localhost:8443"` on 127.0.0.1 and ::1. Otherwise an IP address, IPv6 in brackets (`[::]:443` takes '
        'IPv6 alone). Port 0 takes a free port and prints it. `"unix:/path"` is a Unix socket, '
        "which all workers share; its file has the mode that the umask leaves (clients need to write to it), "
        "takes the place of one that nobody listens on, and is removed at the end.",
        examples=["0.0.0.0:443", 443, ["127.0.0.1:8443", "[::1]:8443"], "unix:/run/ringway.sock"],
    )
    plain_listen: Addresses = Field(
        default=[],
        description="Address or list of addresses that serve plain HTTP beside TLS, with the same routes.",
        examples=["0.0.0.0:80"],
    )
    trusted_proxies: TrustedProxies = Field(
        default=[],
        max_length=1000,
        description="Addresses and networks of proxies in front of Ringway that may say whom a request comes from; "
        '`"unix"` is whoever comes by a Unix socket. From them, X-Forwarded-For (or Forwarded, where there is no '
        "X-Forwarded-For) is walked from the right, and the first address that is not trusted is the client: for the "
        "access log, and for upstreams, which get the list with the proxy's address behind it, and its "
        "X-Forwarded-Proto, -Host and -Port. From anybody else these fields are removed, and so are all others that "
        "only a proxy may set: every X-Forwarded- field, Front-End-Https, X-Scheme, X-Url-Scheme, "
        "X-Original-URL, X-Rewrite-URL. List only proxies that write the fields anew or add to them.",
        examples=["10.0.0.0/8", ["10.0.0.0/8", "2001:db8::7", "unix"]],
    )
    proxy_protocol: Addresses = Field(
        default=[],
        description="Those of `listen` and `plain_listen` on which every connection begins with the header of the "
        "PROXY protocol, version 1 or 2, which says whose it is. Only `trusted_proxies` may connect there; who is none "
        "of them, or does not begin with the header, is closed, which is counted and told.",
        examples=["0.0.0.0:443"],
    )
    redirect_https: bool = Field(
        default=False,
        description="Plain HTTP is sent on to HTTPS (308): from `plain_listen` to the port of the first `listen`, and "
        "from a port of `listen` to that port (there it is answered with 400 without this key). On `plain_listen` "
        "paths below `/.well-known/acme-challenge/` are served as usual, so that certificates can be issued, and so is "
        "what a trusted proxy got by HTTPS.",
    )
    user: AccountName | None = Field(
        default=None,
        description="As whom workers run when root starts Ringway: a name or a number. Absent: `ringway`, if there is "
        "such a user, else `nobody`. They keep no capability, and what they execute can gain none. Ports, folders, "
        "certificates and the access log are opened by the supervisor, which stays root. Workers need to read the "
        "files that they serve, and to write to the Unix sockets of upstreams. Not started by root: ignored, workers "
        "run as who started Ringway, without capabilities.",
        examples=["www-data"],
    )
    group: AccountName | None = Field(
        default=None,
        description="The group of workers, a name or a number, in the place of the user's own. The groups in which the "
        "user is come with it.",
        examples=["www-data"],
    )
    threads: int = _count(
        0,
        0,
        1024,
        "Number of workers. 0 or absent: as many as CPUs that the process may use, by its affinity and its "
        "cgroup's CPU quota (rounded up). Each worker is a process pinned to one CPU; more workers than CPUs are "
        "spread round-robin.",
    )
    reload_on_change: bool = Field(
        default=False,
        description="Reload when this file or one that it includes changes, as `ringway reload` does: once they look "
        "the same for a second. A file with an error in it changes nothing, the log says what is wrong.",
    )
    dns_refresh: Seconds = _seconds(
        30,
        "How often the names in the `url` of Proxy routes are resolved again. A name that does not resolve answers "
        "503 until it does; a name that stops resolving keeps its last addresses.",
        least=1,
    )

    @field_validator("proxy_protocol")
    @classmethod
    def _known_listeners(cls, value: list[str], info: ValidationInfo) -> list[str]:
        listened = [*info.data.get("listen", []), *info.data.get("plain_listen", [])]
        for address in value:
            if "listen" in info.data and "plain_listen" in info.data and address not in listened:
                raise values.Flaw(f"Ringway does not listen on {address}", "write an address of `listen`")
        if value and info.data.get("trusted_proxies") == []:
            raise values.Flaw(
                "nobody may connect there without `trusted_proxies`", 'add trusted_proxies = "10.0.0.0/8"'
            )
        return value


class Performance(Section):
    """How the workers speak with the kernel, and how connections are spread over them."""

    io_driver: Literal["auto", "io_uring", "epoll"] = Field(
        default="auto",
        description='`"io_uring"`: needs Linux 6.1 and the permission, which containers\' default seccomp profiles '
        'and `sysctl kernel.io_uring_disabled` refuse; Ringway then does not start. `"epoll"`: works everywhere; a '
        'file that is not in the page cache holds up its worker while it is read. `"auto"`: io_uring if every '
        "operation that is needed works when it is tried at the start, and every worker can set it up; else epoll. One "
        "line of the log says which and why, as `ringway check` does of the trial.",
    )
    reuseport_balancing: Literal["kernel", "cbpf"] = Field(
        default="kernel",
        description='`"kernel"`: by a hash of address and port of both sides, even for a single client. `"cbpf"`: by '
        "the client's address alone, so that one client always meets the same worker (its caches and its TLS "
        "session); behind a load balancer or NAT this sends everything to one worker. Falls back to the kernel's "
        "way with a warning where the program cannot be attached.",
    )


class Certificate(Section):
    """A further certificate: `[[tls.certificates]]`, as often as needed. Which hosts it is for is read from it."""

    cert_path: SystemPath = Field(
        description="PEM file with the certificate, followed by its intermediate certificates.",
        examples=["/etc/ringway/example.org.crt"],
    )
    key_path: SystemPath = Field(
        description="PEM file with its private key, without a passphrase.", examples=["/etc/ringway/example.org.key"]
    )
    ocsp_path: SystemPath | None = Field(
        default=None,
        description="File with the authority's OCSP response about it, in DER form, to be stapled. It is "
        "verified and followed like the certificate; one that is wrong or has expired is told and not sent. The "
        "issuer's certificate must stand behind the host's in `cert_path`.",
        examples=["/etc/ringway/example.org.ocsp"],
    )


class TlsHost(Section):
    """What holds for one host on TLS connections: `[tls.hosts."example.com"]`, `"*.example.com"` or `"*"`."""

    hsts: Annotated[str, AfterValidator(values.hsts)] | None = Field(
        default=None,
        description="Sent as Strict-Transport-Security with every response of the host's routes over TLS (RFC 6797): "
        "browsers then come by HTTPS alone for that long. Begin with a short `max-age`; it cannot be taken back.",
        examples=["max-age=31536000; includeSubDomains"],
    )
    client_ca: SystemPath | None = Field(
        default=None,
        description="As `client_ca` of `[tls]`, for this host. Absent: that of the nearest wildcard above it, of "
        "`[tls]`.",
        examples=["/etc/ringway/partners-ca.pem"],
    )
    client_auth: Literal["require", "optional", "off"] | None = Field(
        default=None,
        description="As `client_auth` of `[tls]`, for this host. Absent: that of the nearest wildcard above it, of "
        "`[tls]`.",
        examples=["require"],
    )


class Tls(Section):
    """Certificates and policy for `listen`. Without this section `listen` speaks plain HTTP.

    A client gets the certificate of the host that it asks for (SNI), by name or by `*.` name; one that asks for no host
    or an unknown one gets the default: the pair of `cert_path` and `key_path`, or else the first. RSA and ECDSA
    certificates for the same names stand side by side. Files that change are read again within seconds, checked, and
    used for new connections without a restart; what is wrong with them is told, and the old ones stay.
    """

    cert_path: SystemPath | None = Field(
        default=None,
        description="PEM file with the certificate, followed by its intermediate certificates. A relative path is "
        "taken from the folder of the configuration file. `ringway cert DIR` makes a self-signed one.",
        examples=["./server.crt", "/etc/letsencrypt/live/example.com/fullchain.pem"],
    )
    key_path: SystemPath | None = Field(
        default=None,
        description="PEM file with the private key of the certificate, without a passphrase. Only the supervisor "
        "reads it.",
        examples=["./server.key"],
    )
    ocsp_path: SystemPath | None = Field(
        default=None,
        description="File with the authority's OCSP response about the certificate of `cert_path`, in DER form, to be "
        "stapled. It is verified and followed like the certificate; one that is wrong or has expired is told and not "
        "sent. The issuer's certificate must stand behind the host's in `cert_path`.",
        examples=["/etc/ringway/example.com.ocsp"],
    )
    ocsp_stapling: bool = Field(
        default=False,
        description="Fetch OCSP responses from the responders that certificates name, verify them, and staple them. "
        "The supervisor fetches them anew when half of their time is left; workers never wait for one. A certificate "
        "that names no responder, or has an `ocsp_path`, is left as it is.",
    )
    ocsp_cache: SystemPath | None = Field(
        default=None,
        description="A folder in which fetched OCSP responses are kept, so that they are there at once after a restart "
        "or an upgrade. Absent: they are fetched anew. A reload keeps them in any case.",
        examples=["/var/cache/ringway"],
    )
    certificates: list[Certificate] = Field(
        default=[], description="Further certificates, each a table with `cert_path` and `key_path`."
    )
    certificates_path: SystemPath | None = Field(
        default=None,
        description="A folder of further certificates as certbot, lego, acme.sh, Caddy, mkcert, HAProxy or Kubernetes "
        "lay them out: `NAME.crt` (or `.pem`, `.cer`) with `NAME.key`, `NAME.pem` with `NAME-key.pem`, `fullchain.pem` "
        "with `privkey.pem`, there and in the folders in it. It may be empty where `plain_listen` serves. An OCSP "
        "response beside them (`NAME.ocsp`, `fullchain.ocsp`) is stapled, as that of an `ocsp_path`. Files that come "
        "and go are noticed.",
        examples=["/etc/letsencrypt/live"],
    )
    client_ca: SystemPath | None = Field(
        default=None,
        description="PEM file with the authorities whose client certificates are accepted. A change of the file is "
        "taken for new connections, without a restart.",
        examples=["/etc/ringway/clients-ca.pem"],
    )
    client_auth: Literal["require", "optional", "off"] | None = Field(
        default=None,
        description='Whether clients must show a certificate: `"require"`, `"optional"` (who shows one that is not '
        'accepted is answered with 400), `"off"`. Upstreams are told who the client is, see docs/tls.md. Absent: off.',
        examples=["require"],
    )
    hosts: dict[HostName, TlsHost] = Field(
        default={}, description='Further settings by host, see `[tls.hosts."host"]`.'
    )
    min_version: Literal["1.2", "1.3"] = Field(default="1.2", description="The oldest version of TLS that is spoken.")
    ciphers: list[Cipher] = Field(
        default=list(get_args(Cipher)),
        min_length=1,
        description="Cipher suites by OpenSSL's names; those of TLS 1.3 begin with `TLS_`. All of them have forward "
        "secrecy and authenticated encryption; the client's order decides. The default is Mozilla's intermediate set "
        "without finite-field Diffie-Hellman.",
    )
    curves: list[Curve] = Field(
        default=["X25519", "P-256", "P-384"],
        min_length=1,
        description="Groups for the key exchange, the best first.",
    )
    ktls_enabled: bool = Field(
        default=False,
        description="Kernel TLS: after the handshake the kernel encrypts and decrypts, and files go by sendfile "
        "straight to the encrypted connection. Needs the kernel's `tls` module (`modprobe tls`); `ringway check` shows "
        "which versions and ciphers it can do. What it cannot stays in user space, see `ktls_fallback_enabled`.",
    )
    ktls_fallback_enabled: bool = Field(
        default=True,
        description="Go on with TLS in user space where kernel TLS cannot be had. `false` makes it a must: Ringway "
        "then refuses to start where no version and cipher works, and refuses connections that agree on one that "
        "does not.",
    )
    ktls_directions: Literal["both", "send"] = Field(
        default="both",
        description='What the kernel takes over: `"both"` directions, or `"send"`, encrypting alone.',
    )
    ktls_after: Bytes = _bytes(
        0,
        0,
        2**62,
        "So much of a connection's output is encrypted in user space before the kernel sends. 0: from the end of the "
        "handshake on.",
    )

    @field_validator("ocsp_cache")
    @classmethod
    def _only_fetched(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("ocsp_stapling") is False:
            raise values.Flaw(
                "nothing is fetched without `ocsp_stapling`", "add ocsp_stapling = true, or remove `ocsp_cache`"
            )
        return value

    @model_validator(mode="after")
    def _some_certificate(self) -> Self:
        if (self.cert_path is None) != (self.key_path is None):
            missing, given = ("key_path", "cert_path") if self.key_path is None else ("cert_path", "key_path")
            suffix = {"cert_path": "crt", "key_path": "key"}[missing]
            raise values.Flaw(f"`{given}` needs `{missing}` beside it", f'add {missing} = "./server.{suffix}"')
        if self.ocsp_path is not None and self.cert_path is None:
            raise values.Flaw("`ocsp_path` belongs to a certificate", "add cert_path, or remove `ocsp_path`")
        if self.cert_path is None and not self.certificates and self.certificates_path is None:
            raise values.Flaw("there is no certificate", 'add cert_path = "./server.crt" and key_path = "./server.key"')
        return self


class FileRoute(Section):
    """Files from a folder, or one file."""

    type: Literal["File"] = Field(description='`"File"`: answers with files.')
    path: SystemPath = Field(
        description="A folder, below which the rest of the path is looked up (`index.html` for a folder), or one "
        "file that answers everything below the prefix. A folder that is replaced (made anew, moved, a symbolic link "
        "turned to the next release) is followed within `[timeouts] file_valid`. Nothing outside of it is reachable, "
        "see `follow_links`. A relative path is taken from the folder of the configuration file.",
        examples=["/var/www/example"],
    )
    mode: Literal["sendfile", "memory"] = Field(
        default="sendfile",
        description='`"sendfile"`: the kernel moves the body from the file to the connection. `"memory"`: small files '
        "are answered from a bounded copy in memory that follows changes of the file "
        "(`[limits] memory_bytes`, `memory_file_bytes`).",
    )
    follow_links: bool = Field(
        default=False,
        description="Symbolic links are followed as long as they lead to something inside of the folder, relative or "
        "absolute; others are answered with 403. `true` follows those that lead outside too.",
    )
    dot_files: bool = Field(
        default=False,
        description="Files and folders whose names begin with a dot (`.env`, `.git`) are answered with 404, whether "
        "they exist or not, except below `/.well-known/` of the folder. `true` serves them.",
    )
    strip_prefix: bool = Field(
        default=True,
        description="`true`: `/static/a.css` of the prefix `/static/` is `a.css` in the folder; `false`: it is "
        "`static/a.css`.",
    )


class ProxyRoute(Section):
    """An application that speaks HTTP/1.1."""

    type: Literal["Proxy"] = Field(description='`"Proxy"`: forwards requests.')
    url: Annotated[str, AfterValidator(_url)] = Field(
        description="Where to: `http://host:port`, with a path that replaces the matched prefix if wanted: with "
        "the prefix `/api/`, `http://h:8080` gets `/api/users` as `/users`, `http://h:8080/v2` gets it as "
        "`/v2/users`. `https://` speaks TLS with the upstream, see the keys below and docs/tls.md. The port is 80 "
        "(443), unless given. A name is resolved at start and every `[server] dns_refresh` seconds. "
        "`http://unix:/path` is a Unix socket, with a path behind a colon if wanted: `http://unix:/path:/v2`.",
        examples=["http://localhost:8080", "https://app.internal:8443", "http://unix:/run/app.sock"],
    )
    strip_prefix: bool = Field(
        default=True,
        description="`true` takes the matched prefix away, and tells the application so in X-Forwarded-Prefix. `false` "
        "forwards the whole path, with the prefix, behind the path of `url`.",
    )
    upgrade: Upgrades = Field(
        default=["websocket"],
        max_length=8,
        description="Protocols that clients may upgrade a connection to: a name or a list of them. Other names in "
        "Upgrade are not forwarded, and the request is answered as any other. `[]` allows none. `h2c` cannot be "
        "allowed: its requests would go past the routes.",
        examples=["websocket", ["websocket", "tcp"]],
    )
    half_close: bool = Field(
        default=False,
        description="A client that closes its side of the connection before it has its answer has left: its request "
        "ends, and the connection to the upstream is closed, so that the upstream can stop working on it. `true` is "
        "for clients that close their side on purpose (`nc -N`, programs that send one request and FIN): Ringway still "
        "waits for the answer and sends it.",
    )
    proxy_protocol: Literal["v1", "v2"] | None = Field(
        default=None,
        description="Begin every connection to the upstream with the header of the PROXY protocol, version 1 or 2, "
        "which says who the client is. Such a connection is for one client, so it is closed after its response instead "
        "of kept for others.",
    )
    verify: bool = Field(
        default=True,
        description="With `https://`: the upstream's certificate must be valid, for its name, and from a trusted "
        "authority. `false` takes any: whoever stands in between can then read and change everything. This is told "
        "as a warning at each start.",
    )
    ca_path: SystemPath | None = Field(
        default=None,
        description="With `https://`: PEM file with the authorities (or the very certificate) to trust. Absent: those "
        "of the system.",
        examples=["/etc/ringway/internal-ca.pem"],
    )
    server_name: Annotated[str, AfterValidator(values.server_name)] | None = Field(
        default=None,
        description="With `https://`: the name that is asked for (SNI) and that the certificate must have. Absent: the "
        "host of `url`. An IP address is checked and not asked for.",
        examples=["app.example.com"],
    )
    cert_path: SystemPath | None = Field(
        default=None,
        description="With `https://`: PEM file with the certificate (followed by its intermediate ones) that is shown "
        "to an upstream that asks for one.",
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
                f"this is about TLS, and {url} speaks none", f"write https:// in `url`, or remove `{info.field_name}`"
            )
        return value

    @field_validator("ca_path")
    @classmethod
    def _only_verified(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("verify") is False:
            raise values.Flaw("no authority is asked with `verify = false`", "remove one of them")
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
    """Another address, told to the client."""

    type: Literal["Redirect"] = Field(description='`"Redirect"`: answers with the address to go to.')
    to: Annotated[str, AfterValidator(values.redirect_target)] = Field(
        description="A URL or a path, up to 2048 bytes. `{path}` in it stands for the path and query of the request.",
        examples=["https://example.com{path}"],
    )
    status: Literal[301, 302, 303, 307, 308] = Field(
        default=308,
        description="301 and 308 are permanent, 302, 303 and 307 are not; 307 and 308 keep method and body.",
    )


Route = Annotated[FileRoute | ProxyRoute | RedirectRoute, Field(discriminator="type")]
ROUTE_TYPES: dict[str, type[Section]] = {"File": FileRoute, "Proxy": ProxyRoute, "Redirect": RedirectRoute}


class Limits(Section):
    """Bounds. What meets a bound is refused with a clear error or waits; nothing grows beyond it."""

    head_bytes: Bytes = _bytes(8192, 1024, 65535, "The largest head of a request or a response; beyond: 431 or 414.")
    head_fields: int = _count(
        100, 1, 1000, "Field lines in the head of a request (beyond: 431) or of a response (beyond: 502)."
    )
    request_body_bytes: Bytes = _bytes(
        10485760, 0, 2**62, "The largest body of a request; beyond: 413. 0: no bound (bodies are streamed, never kept)."
    )
    chunk_line_bytes: Bytes = _bytes(
        256, 32, 8192, "The size of one chunk with its extensions, which are read over; beyond: 400, or 502 or a cut."
    )
    trailer_bytes: Bytes = _bytes(
        1024, 64, 1024, "The trailer section of a chunked body; beyond: 431, or 502 or a cut."
    )
    ranges: int = _count(16, 1, 16, "Ranges of a file in one response; who asks for more gets the whole file.")
    client_connections: int = _count(
        20000,
        1,
        1000000,
        "Connections of clients, per worker. Further ones are closed at once; but an address that has more than half "
        "of all gives up idle ones for others.",
    )
    upstream_connections: int = _count(1024, 1, 65535, "Connections in use, per worker and upstream; beyond: 503.")
    upstream_idle: int = _count(256, 0, 65535, "Idle connections kept for reuse, per worker and upstream.")
    requests_per_connection: int = _count(
        10000, 1, 2**31 - 1, "Requests on one connection of a client before it is closed."
    )
    pipeline_bytes: Bytes = _bytes(
        16384,
        4096,
        1048576,
        "What is kept of a client's further requests while one is served; more waits in the kernel. With io_uring a "
        "connection may exceed it once, by up to 256 KiB.",
    )
    buffer_bytes: Bytes = _bytes(
        268435456,
        1048576,
        2**40,
        "Memory for bodies under way, per worker. When it is used up, reading waits, clients that hold some of it and "
        "move less than others are let go (`client_too_slow` in the access log), and a response over TLS that needs "
        "more is broken off (`out_of_memory`).",
    )
    body_buffer_bytes: Bytes = _bytes(
        65536,
        16384,
        1048576,
        "One buffer for a body: the most that is received or read from a file at once. Larger than `head_bytes`; "
        "`buffer_bytes` holds at least 16 of them.",
    )
    memory_bytes: Bytes = _bytes(67108864, 0, 2**40, 'Memory for the copies of `mode = "memory"`, per worker.')
    memory_file_bytes: Bytes = _bytes(1048576, 0, 2**31 - 1, 'The largest file that `mode = "memory"` copies.')
    open_files: int = _count(1024, 16, 1000000, "Files kept open for reuse, per worker.")
    progress_bytes: Bytes = _bytes(
        1024, 1, 1048576, "Fewer bytes than this are no progress to the `body` and `write` timeouts."
    )

    @field_validator("body_buffer_bytes")
    @classmethod
    def _between(cls, value: int, info: ValidationInfo) -> int:
        head, bound = info.data.get("head_bytes"), info.data.get("buffer_bytes")
        if head is not None and value <= head:
            raise values.Flaw(
                f"a head of {head} bytes does not fit in", f"write more than {head}, or less `head_bytes`"
            )
        if bound is not None and 16 * value > bound:
            raise values.Flaw(
                f"`buffer_bytes` holds fewer than 16 of them ({bound} bytes)", f"write at most {bound // 16}"
            )
        return value


class Timeouts(Section):
    """Deadlines in seconds; fractions are allowed. Every wait has one."""

    handshake: Seconds = _seconds(10, "TLS handshake, from the first byte to the last.")
    head: Seconds = _seconds(
        10,
        "Head of a request, from its first byte to its last, however slowly it drips; 408. A new connection has as "
        "long until that first byte, and is closed then.",
    )
    body: Seconds = _seconds(30, "Between one progress of a request's body and the next; 408.")
    keepalive: Seconds = _seconds(75, "An idle connection of a client, between requests.")
    write: Seconds = _seconds(
        60,
        "Between one progress of a response to the client and the next. A client that is behind must take 256 bytes a "
        "second on average too.",
    )
    connect: Seconds = _seconds(5, "Connecting to an upstream, with `https://` the TLS handshake included; 504.")
    first_byte: Seconds = _seconds(60, "From the end of the request to the first byte of the upstream's response; 504.")
    upstream: Seconds = _seconds(60, "Between one progress of an upstream's response and the next; 504 or cut.")
    upstream_idle: Seconds = _seconds(
        30, "An idle connection to an upstream; keep it below the upstream's own timeout."
    )
    tunnel: Seconds = _seconds(3600, "A tunnel (WebSocket) on which neither side says anything.", most=604800)
    linger: Seconds = _seconds(
        2, "How long what a client still sends after its last answer is read, so that no reset overtakes the answer."
    )
    drain: Seconds = _seconds(
        30, "How long running requests and tunnels may still take when Ringway is told to end.", least=0
    )
    file_valid: Seconds = _seconds(
        1, "How long what is known of a file is believed before it is looked at again.", least=0, most=3600
    )


class AccessLog(Section):
    """One line for each request, written off the request's path. Its times begin when the first byte of the request is
    seen (of its plaintext, with TLS), also if it came while the one before was answered."""

    path: SystemPath | None = Field(
        default=None,
        description='A file, which is appended to and reopened on SIGUSR1, or `"stdout"`. Absent: no access log. '
        "Not a FIFO: nothing may depend on who reads it.",
        examples=["/var/log/ringway/access.log", "stdout"],
    )
    format: Literal["combined", "json"] = Field(
        default="combined",
        description='`"combined"`: the combined log format with host, times, upstream and reason at the end. '
        '`"json"`: one object a line.',
    )


class Config(Section):
    """config.toml"""

    include: Annotated[list[SystemPath], BeforeValidator(_listed), _one_or_many("string")] = Field(
        default=[],
        description="Further files, by name or by pattern; a relative one is taken from the folder of this file. Files "
        "that match are read in the order of their names. Their sections add to those of this file: a file for each "
        'site with its own `[host_routes]`, `[path_routes."host"]` and `[[tls.certificates]]` is what this is for. The '
        "same key in two files is an error. Included files cannot include others. This key stands at the top, above "
        "the first section.",
        examples=["sites/*.toml", ["sites/*.toml", "/etc/ringway/local.toml"]],
    )
    server: Server
    performance: Performance = Performance()
    tls: Tls | None = None
    host_routes: dict[HostName, Route] = Field(
        default={},
        description='What a host answers, by its name: `"example.com"`, `"*.example.com"` for its subdomains, `"*"` '
        "for any other host. Names are compared without case and without port.",
    )
    path_routes: dict[HostName, dict[PathPrefix, Route]] = Field(
        default={},
        description='What a host answers below a path: `[path_routes."example.com"]` with prefixes as keys. `"/api/"` '
        "matches `/api`, `/api/` and everything below, not `/apix`; the longest prefix wins. Order: the host's paths, "
        'the paths of `"*"`, the host, `"*"`, else 404. So a prefix below `[path_routes."*"]` holds for every host, '
        'and is written once. The prefix `"/"` is the whole host, as in `[host_routes]`.',
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

"""The model of the configuration file, and its documentation: docs/configuration.md is generated from this file.

Every section of the file is a class. Every key is a field with its meaning, unit, bounds and default. This module
checks only the values themselves. `config.checks` checks what depends on the system (files, certificates).
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
"""The value that stands for stdout instead of a path."""


def _one_or_many(*types: str) -> WithJsonSchema:
    kinds: list[dict[str, Any]] = [{"type": kind} for kind in types]
    items = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return WithJsonSchema({"anyOf": [*kinds, {"type": "array", "items": items}]})


def _listed(value: Any) -> Any:
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
    if not text or not text.isprintable() or set(text) & set(" :/"):
        raise values.Flaw(f"{text!r} is the name of no user or group", 'write a name or a number, like "www-data"')
    return text


def _some_path(text: str) -> str:
    if not text or "\0" in text:
        raise values.Flaw("the path is empty" if not text else "the path has a NUL", "write the path of a file")
    return text


PATH = AfterValidator(_some_path)
"""Marks a key that names a file or folder: `config.document` makes its value absolute."""

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
    """The JSON Schema of a number that can also be a text with a unit."""

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
    """What all sections share: unknown keys are errors, and values must have the exact TOML type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _numbers_of_the_environment(cls, value: Any) -> Any:
        """The value of an environment variable is text. This converts it where a key needs a number or a boolean."""
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
    """Addresses that Ringway listens on, and the number and user of its workers."""

    listen: Addresses = Field(
        min_length=1,
        description="Address and port to listen on, or a list of them. Ringway serves HTTPS when there is a `[tls]` "
        'section, and plain HTTP otherwise. A port alone (`443`, `":443"`) listens on all IPv4 addresses and, when '
        'the machine has IPv6, on all IPv6 addresses. `"localhost:8443"` listens on 127.0.0.1 and ::1. Other values '
        "consist of an IP address and a port. An IPv6 address is in brackets (`[::]:443` listens only on IPv6). With "
        'port 0 Ringway binds a free port and prints it. `"unix:/path"` is a Unix socket, which all workers share. '
        "The umask decides the mode of its file, and clients need write permission. Ringway replaces a socket file "
        "that no process listens on, and removes its own file at the end.",
        examples=["0.0.0.0:443", 443, ["127.0.0.1:8443", "[::1]:8443"], "unix:/run/ringway.sock"],
    )
    plain_listen: Addresses = Field(
        default=[],
        description="Address or list of addresses that serve plain HTTP in addition to TLS, with the same routes.",
        examples=["0.0.0.0:80"],
    )
    trusted_proxies: TrustedProxies = Field(
        default=[],
        max_length=1000,
        description="Addresses and networks of proxies in front of Ringway that can name the client of a request. "
        '`"unix"` stands for every peer on a Unix socket. For requests from them, Ringway reads X-Forwarded-For (or '
        "Forwarded, when there is no X-Forwarded-For) from the right. The first address that is not trusted is the "
        "client. The access log shows this address. Upstreams get the list with the address of the proxy appended, "
        "and the X-Forwarded-Proto, -Host and -Port of the proxy. Ringway removes these fields from all other "
        "requests. It also removes all others that only a proxy can set: every X-Forwarded- field, Front-End-Https, "
        "X-Scheme, X-Url-Scheme, X-Original-URL, X-Rewrite-URL. List only proxies that overwrite these fields or "
        "append to them.",
        examples=["10.0.0.0/8", ["10.0.0.0/8", "2001:db8::7", "unix"]],
    )
    proxy_protocol: Addresses = Field(
        default=[],
        description="Addresses of `listen` and `plain_listen` on which every connection begins with a PROXY protocol "
        "header, version 1 or 2. The header names the client. Only `trusted_proxies` can connect there. Ringway "
        "closes connections from other addresses and connections that do not begin with the header. It counts and "
        "logs them.",
        examples=["0.0.0.0:443"],
    )
    redirect_https: bool = Field(
        default=False,
        description="Redirect plain HTTP to HTTPS (308). Requests to `plain_listen` go to the port of the first "
        "`listen`. Plain HTTP requests to a port of `listen` go to the same port; without this key Ringway answers "
        "them with 400. On `plain_listen` Ringway still serves paths below `/.well-known/acme-challenge/`, so that "
        "certificates can be issued. It also serves requests that a trusted proxy received over HTTPS.",
    )
    user: AccountName | None = Field(
        default=None,
        description="User of the workers when root starts Ringway: a name or a number. Absent: `ringway` if that "
        "user exists, else `nobody`. Workers keep no capability, and programs that they execute cannot gain any. The "
        "supervisor stays root. It opens ports, folders, certificates and the access log. Workers need permission to "
        "read the files that they serve, and to write to the Unix sockets of upstreams. When another user "
        "starts Ringway, this key has no effect: workers run as that user, without capabilities.",
        examples=["www-data"],
    )
    group: AccountName | None = Field(
        default=None,
        description="Group of the workers, a name or a number. It replaces the user's own group. Workers also get "
        "all other groups of the user.",
        examples=["www-data"],
    )
    threads: int = _count(
        0,
        0,
        1024,
        "Number of workers. 0 or absent: one worker for each CPU that the process can use, by its affinity and its "
        "cgroup's CPU quota (rounded up). Each worker is a process that is pinned to one CPU. Ringway spreads the "
        "workers round-robin when there are more workers than CPUs.",
    )
    reload_on_change: bool = Field(
        default=False,
        description="Reload when this file or an included file changes, like `ringway reload`. The reload starts "
        "when the files have not changed for a second. When a file has an error, Ringway logs it and keeps the "
        "running configuration.",
    )
    dns_refresh: Seconds = _seconds(
        30,
        "Interval at which Ringway resolves the names in the `url` of Proxy routes again. Ringway answers 503 until "
        "a name resolves. A name that stops resolving keeps its last addresses.",
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
    """How workers communicate with the kernel, and how the kernel distributes connections to them."""

    io_driver: Literal["auto", "io_uring", "epoll"] = Field(
        default="auto",
        description='`"io_uring"` needs Linux 6.1 and permission. The default seccomp profiles of containers and '
        '`sysctl kernel.io_uring_disabled` deny it; Ringway then does not start. `"epoll"` works everywhere. Its '
        'worker blocks while it reads a file that is not in the page cache. `"auto"` uses io_uring when every '
        "required operation works in a trial at the start and every worker can set it up. Otherwise it falls back to "
        "epoll. Ringway logs in one line which driver it uses and why. `ringway check` prints the same about its "
        "trial.",
    )
    reuseport_balancing: Literal["kernel", "cbpf"] = Field(
        default="kernel",
        description='`"kernel"`: the kernel selects the worker by a hash of address and port of both sides. It '
        'spreads even the connections of a single client. `"cbpf"`: a BPF program selects the worker by the '
        "client's address alone. A client then always reaches the same worker, with its caches and its TLS session. "
        "Behind a load balancer or NAT this sends everything to one worker. When the kernel does not accept the "
        'program, Ringway logs a warning and falls back to `"kernel"`.',
    )


class Certificate(Section):
    """A further certificate. Repeat `[[tls.certificates]]` for each one. Ringway reads the host names from the
    certificate."""

    cert_path: SystemPath = Field(
        description="PEM file with the certificate, followed by its intermediate certificates.",
        examples=["/etc/ringway/example.org.crt"],
    )
    key_path: SystemPath = Field(
        description="PEM file with its private key, without a passphrase.", examples=["/etc/ringway/example.org.key"]
    )
    ocsp_path: SystemPath | None = Field(
        default=None,
        description="File with the authority's OCSP response for this certificate, in DER form, for stapling. "
        "Ringway verifies the response and loads it again after a change, like the certificate. It logs a response "
        "that is wrong or has expired, and does not send it. The issuer's certificate must follow the host's "
        "certificate in `cert_path`.",
        examples=["/etc/ringway/example.org.ocsp"],
    )


class TlsHost(Section):
    """Settings for TLS connections of one host: `[tls.hosts."example.com"]`, `"*.example.com"` or `"*"`."""

    hsts: Annotated[str, AfterValidator(values.hsts)] | None = Field(
        default=None,
        description="Value of Strict-Transport-Security. Ringway sends this field with every response of the host's "
        "routes over TLS (RFC 6797). Browsers then use only HTTPS for that long. Begin with a short `max-age`, "
        "because you cannot revoke it.",
        examples=["max-age=31536000; includeSubDomains"],
    )
    client_ca: SystemPath | None = Field(
        default=None,
        description="Like `client_ca` of `[tls]`, for this host. Absent: the value of the nearest wildcard above the "
        "host, else of `[tls]`.",
        examples=["/etc/ringway/partners-ca.pem"],
    )
    client_auth: Literal["require", "optional", "off"] | None = Field(
        default=None,
        description="Like `client_auth` of `[tls]`, for this host. Absent: the value of the nearest wildcard above "
        "the host, else of `[tls]`.",
        examples=["require"],
    )


class Tls(Section):
    """Certificates and policy for `listen`. Without this section `listen` serves plain HTTP.

    Ringway selects a certificate for the host that a client asks for (SNI), by exact name or by `*.` name. A client
    that asks for no host or for an unknown one gets the default: the pair of `cert_path` and `key_path`, or else the
    first certificate. You can have RSA and ECDSA certificates for the same names. When a file changes, Ringway reads
    it again within seconds, checks it, and uses it for new connections without a restart. When the file has an error,
    Ringway logs it and keeps the old certificate.
    """

    cert_path: SystemPath | None = Field(
        default=None,
        description="PEM file with the certificate, followed by its intermediate certificates. A relative path "
        "starts at the folder of the configuration file. `ringway cert DIR` makes a self-signed certificate.",
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
        description="File with the authority's OCSP response for the certificate of `cert_path`, in DER form, for "
        "stapling. Ringway verifies the response and loads it again after a change, like the certificate. It logs a "
        "response that is wrong or has expired, and does not send it. The issuer's certificate must follow the "
        "host's certificate in `cert_path`.",
        examples=["/etc/ringway/example.com.ocsp"],
    )
    ocsp_stapling: bool = Field(
        default=False,
        description="Fetch OCSP responses from the responders that certificates name, verify them, and staple them. "
        "The supervisor fetches a response again when half of its lifetime is left. Workers never wait for a "
        "response. Ringway fetches nothing for a certificate that names no responder or has an `ocsp_path`.",
    )
    ocsp_cache: SystemPath | None = Field(
        default=None,
        description="Folder for fetched OCSP responses, which keeps them over a restart or an upgrade. Absent: "
        "Ringway fetches them again. A reload keeps them in any case.",
        examples=["/var/cache/ringway"],
    )
    certificates: list[Certificate] = Field(
        default=[], description="Further certificates, each a table with `cert_path` and `key_path`."
    )
    certificates_path: SystemPath | None = Field(
        default=None,
        description="Folder with further certificates, in the layouts of certbot, lego, acme.sh, Caddy, mkcert, "
        "HAProxy and Kubernetes: `NAME.crt` (or `.pem`, `.cer`) with `NAME.key`, `NAME.pem` with `NAME-key.pem`, "
        "`fullchain.pem` with `privkey.pem`. Ringway reads the folder and the folders in it. The folder can be empty "
        "when `plain_listen` is set. Ringway staples an OCSP response beside a certificate (`NAME.ocsp`, "
        "`fullchain.ocsp`), like that of an `ocsp_path`. It notices new and removed files.",
        examples=["/etc/letsencrypt/live"],
    )
    client_ca: SystemPath | None = Field(
        default=None,
        description="PEM file with the authorities that Ringway accepts client certificates from. After a change of "
        "the file, Ringway uses it for new connections, without a restart.",
        examples=["/etc/ringway/clients-ca.pem"],
    )
    client_auth: Literal["require", "optional", "off"] | None = Field(
        default=None,
        description='Whether clients must show a certificate: `"require"`, `"optional"` (Ringway answers 400 when it '
        'does not accept the certificate of a client), `"off"`. Upstreams get the identity of the client, see '
        "docs/tls.md. Absent: off.",
        examples=["require"],
    )
    hosts: dict[HostName, TlsHost] = Field(
        default={}, description='Further settings by host, see `[tls.hosts."host"]`.'
    )
    min_version: Literal["1.2", "1.3"] = Field(
        default="1.2", description="The oldest version of TLS that Ringway accepts."
    )
    ciphers: list[Cipher] = Field(
        default=list(get_args(Cipher)),
        min_length=1,
        description="Cipher suites by OpenSSL's names. Names of TLS 1.3 begin with `TLS_`. All of them have forward "
        "secrecy and authenticated encryption. The client's order decides. The default is Mozilla's intermediate set "
        "without finite-field Diffie-Hellman.",
    )
    curves: list[Curve] = Field(
        default=["X25519", "P-256", "P-384"],
        min_length=1,
        description="Groups for the key exchange, in order of preference.",
    )
    ktls_enabled: bool = Field(
        default=False,
        description="Kernel TLS: after the handshake the kernel encrypts and decrypts, and files go by sendfile "
        "straight to the encrypted connection. It needs the kernel's `tls` module (`modprobe tls`). `ringway check` "
        "shows which versions and ciphers the kernel supports. All others stay in user space, see "
        "`ktls_fallback_enabled`.",
    )
    ktls_fallback_enabled: bool = Field(
        default=True,
        description="Use TLS in user space when kernel TLS is not available. `false` makes kernel TLS mandatory. "
        "Ringway then does not start when kernel TLS works with no version and cipher, and rejects connections that "
        "negotiate an unsupported one.",
    )
    ktls_directions: Literal["both", "send"] = Field(
        default="both",
        description='Directions that the kernel takes over: `"both"`, or `"send"` (only encryption).',
    )
    ktls_after: Bytes = _bytes(
        0,
        0,
        2**62,
        "Bytes of output that Ringway encrypts in user space on each connection before the kernel takes over "
        "sending. 0: the kernel takes over right after the handshake.",
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
        "memory_bytes`, `memory_file_bytes`).",
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
    url: Annotated[str, AfterValidator(_url)] = Field(
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
    """Sends the client to another address."""

    type: Literal["Redirect"] = Field(description='`"Redirect"`: redirects the client.')
    to: Annotated[str, AfterValidator(values.redirect_target)] = Field(
        description="A URL or a path, up to 2048 bytes. `{path}` in it stands for the path and query of the request.",
        examples=["https://example.com{path}"],
    )
    status: Literal[301, 302, 303, 307, 308] = Field(
        default=308,
        description="301 and 308 are permanent; 302, 303 and 307 are not. 307 and 308 keep method and body.",
    )


Route = Annotated[FileRoute | ProxyRoute | RedirectRoute, Field(discriminator="type")]
ROUTE_TYPES: dict[str, type[Section]] = {"File": FileRoute, "Proxy": ProxyRoute, "Redirect": RedirectRoute}


class Limits(Section):
    """Bounds. When a request or a connection meets a bound, Ringway rejects it with a clear error or lets it wait.
    Nothing grows beyond its bound."""

    head_bytes: Bytes = _bytes(
        8192,
        1024,
        65535,
        "The largest head of a request or a response. Larger: 431 or 414 for a request, 502 for a response.",
    )
    head_fields: int = _count(
        100, 1, 1000, "Field lines in the head of a request (more: 431) or of a response (more: 502)."
    )
    request_body_bytes: Bytes = _bytes(
        10485760,
        0,
        2**62,
        "The largest body of a request. Larger: 413. 0: no bound (Ringway streams bodies and never stores them).",
    )
    chunk_line_bytes: Bytes = _bytes(
        256,
        32,
        8192,
        "The line with the size of one chunk and its extensions, which Ringway ignores. Longer: 400 from a client; "
        "502 or an aborted response from an upstream.",
    )
    trailer_bytes: Bytes = _bytes(
        1024,
        64,
        1024,
        "The trailer section of a chunked body. Longer: 431 from a client; 502 or an aborted response from an "
        "upstream.",
    )
    ranges: int = _count(16, 1, 16, "Ranges of a file in one response. A request for more ranges gets the whole file.")
    client_connections: int = _count(
        20000,
        1,
        1000000,
        "Connections of clients, per worker. Ringway closes further ones at once. But when an address has more than "
        "half of all connections, Ringway evicts idle ones of that address to make room for other clients.",
    )
    upstream_connections: int = _count(1024, 1, 65535, "Connections in use, per worker and upstream. More: 503.")
    upstream_idle: int = _count(256, 0, 65535, "Idle connections in the pool, per worker and upstream.")
    requests_per_connection: int = _count(
        10000, 1, 2**31 - 1, "Requests on one connection of a client before Ringway closes it."
    )
    pipeline_bytes: Bytes = _bytes(
        16384,
        4096,
        1048576,
        "Bytes of a client's further requests that Ringway buffers while it serves one. The rest waits in the "
        "kernel. With io_uring a connection can exceed this bound once: the first time that it sends further requests "
        "before it has the response, the kernel may deliver up to 256 KiB of them at once.",
    )
    buffer_bytes: Bytes = _bytes(
        268435456,
        1048576,
        2**40,
        "Memory for bodies in transit, per worker. When all of it is in use, Ringway stops reading. It closes "
        "connections of clients that hold some of it and move fewer bytes than others (`client_too_slow` in the "
        "access log). It aborts a response over TLS that needs more (`out_of_memory`).",
    )
    body_buffer_bytes: Bytes = _bytes(
        65536,
        16384,
        1048576,
        "Size of one buffer for a body: the most that Ringway receives, or reads from a file, at once. It must be "
        "larger than `head_bytes`, and `buffer_bytes` must hold at least 16 of these buffers.",
    )
    memory_bytes: Bytes = _bytes(67108864, 0, 2**40, 'Memory for the copies of `mode = "memory"`, per worker.')
    memory_file_bytes: Bytes = _bytes(1048576, 0, 2**31 - 1, 'The largest file that `mode = "memory"` copies.')
    open_files: int = _count(1024, 16, 1000000, "Files that stay open for reuse, per worker.")
    progress_bytes: Bytes = _bytes(
        1024, 1, 1048576, "Minimum number of bytes that count as progress for the `body` and `write` timeouts."
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
    """Timeouts in seconds. Fractions are allowed. Every wait has a timeout."""

    handshake: Seconds = _seconds(10, "TLS handshake, from the first byte to the last.")
    head: Seconds = _seconds(
        10,
        "Head of a request, from its first byte to its last, no matter how slowly bytes arrive; 408. A new "
        "connection has the same time until its first byte; then Ringway closes it.",
    )
    body: Seconds = _seconds(30, "Time without progress of a request body; 408.")
    keepalive: Seconds = _seconds(75, "An idle connection of a client, between two requests.")
    write: Seconds = _seconds(
        60,
        "Time without progress of a response to the client. A client that lags behind must also read 256 bytes per "
        "second on average.",
    )
    connect: Seconds = _seconds(5, "Connecting to an upstream, including the TLS handshake with `https://`; 504.")
    first_byte: Seconds = _seconds(60, "From the end of the request to the first byte of the upstream's response; 504.")
    upstream: Seconds = _seconds(60, "Time without progress of an upstream's response; 504 or an aborted response.")
    upstream_idle: Seconds = _seconds(
        30, "An idle connection to an upstream. Keep it below the upstream's own timeout."
    )
    tunnel: Seconds = _seconds(3600, "A tunnel (WebSocket) without bytes from either side.", most=604800)
    linger: Seconds = _seconds(
        2,
        "How long Ringway reads what a client still sends after its last response. This prevents a reset that "
        "overtakes the response.",
    )
    drain: Seconds = _seconds(
        30, "How long running requests and tunnels can continue after Ringway gets the signal to stop.", least=0
    )
    file_valid: Seconds = _seconds(
        1, "How long Ringway uses what it knows about a file before it checks the file again.", least=0, most=3600
    )


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
        description='`"combined"`: the combined log format, followed by host, times, upstream and reason. `"json"`: '
        "one object per line.",
    )


class Config(Section):
    """config.toml"""

    include: Annotated[list[SystemPath], BeforeValidator(_listed), _one_or_many("string")] = Field(
        default=[],
        description="Further files, by name or by pattern. A relative name starts at the folder of this file. "
        "Ringway reads the matching files in the order of their names, and adds their sections to those of this "
        'file. Use this for one file per site, with its own `[host_routes]`, `[path_routes."host"]` and '
        "`[[tls.certificates]]`. The same key in two files is an error. Included files cannot include others. This "
        "key must be at the top, above the first section.",
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

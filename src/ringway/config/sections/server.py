"""`[server]` and `[performance]`."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from ringway.config import values
from ringway.config.sections.kinds import AccountName, Addresses, Seconds, TrustedProxies, count, seconds
from ringway.config.sections.section import Section


class Server(Section):
    """Addresses that Ringway listens on, and the number and user of its workers."""

    listen: Addresses = Field(
        min_length=1,
        description="Address and port to listen on, or a list of them. Ringway serves HTTPS when there is a `[tls]` "
        'section, and plain HTTP otherwise. A port alone (`443`, `":443"`) listens on all IPv4 addresses and, when '
        'the machine has IPv6, on all IPv6 addresses. `"localhost:8443"` listens on 127.0.0.1 and ::1. Other values '
        "consist of an IP address and a port. An IPv6 address is in brackets (`[::]:443` listens only on IPv6). "
        "A link-local address needs the name of its interface (`[fe80::1%eth0]:443`). With "
        'port 0 Ringway binds a free port and prints it. `":0"` is one port for IPv4 and IPv6. `"unix:/path"` is a '
        "Unix socket, which all workers share. The umask decides the mode of its file, and clients need write "
        "permission. Ringway replaces a socket file that no process listens on, and removes its own file at the end.",
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
    http2: bool = Field(
        default=False,
        description="Offer HTTP/2 to clients over TLS, beside HTTP/1.1 (ALPN). Ringway translates: upstreams get "
        "HTTP/1.1. Experimental: see the known limits in CHANGELOG.md.",
    )
    h2c: bool = Field(
        default=False,
        description="Accept HTTP/2 without TLS from clients that begin with it (prior knowledge), on all addresses "
        "that serve plain HTTP. Clients cannot change to it with Upgrade. Experimental, as `http2`.",
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
    threads: int = count(
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
    dns_refresh: Seconds = seconds(
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
                "no client can connect there without `trusted_proxies`", 'add trusted_proxies = "10.0.0.0/8"'
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

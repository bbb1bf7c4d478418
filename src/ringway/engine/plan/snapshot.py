"""The configuration as one flat block. The supervisor builds it once, and each reader checks it once."""

import ipaddress

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import int32_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcmp, memcpy, memset

# Reading: the engine's side


def media_type_of(s, path, length):
    # A suffix that is longer than the buffer is not in the table.
    suffix: cython.char[SUFFIX_BYTES_MAX]
    dot: uint32_t = length
    size: uint32_t
    i: uint32_t
    found: int32_t
    while dot > 0 and path[dot - 1] != b".":
        if path[dot - 1] == b"/":
            return NULL
        dot -= 1
    size = length - dot
    if dot == 0 or size == 0 or size > SUFFIX_BYTES_MAX:
        return NULL
    for i in range(size):
        suffix[i] = cast(cython.char, lower(cast(uint8_t, path[dot + i])))
    found = table_find(cast(cython.p_const_char, s), s.media, s.media_count, sizeof(MediaType), suffix, size)
    return media_at(s, found) if found >= 0 else NULL


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def table_fits(s: cython.pointer(cython.const[Snapshot]), at: uint64_t, count: uint64_t, each: uint64_t) -> cython.bint:
    """The table begins after the header, is aligned for its structs, and ends within the block."""
    return at >= sizeof(Snapshot) and at % 8 == 0 and at <= s.size and count <= (s.size - at) // each


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def text_fits(s: cython.pointer(cython.const[Snapshot]), t: Text) -> cython.bint:
    return t.length == 0 or (t.at >= sizeof(Snapshot) and cast(uint64_t, t.at) + t.length <= s.size)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def route_index_valid(s: cython.pointer(cython.const[Snapshot]), route: int32_t) -> cython.bint:
    return route == ROUTE_NONE or (route >= 0 and cast(uint32_t, route) < s.route_count)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def routes_valid(s: cython.pointer(cython.const[Snapshot])) -> cython.bint:
    i: uint32_t
    for i in range(s.route_count):
        r = route_at(s, i)
        if not (text_fits(s, r.prefix) and text_fits(s, r.base) and text_fits(s, r.location) and text_fits(s, r.name)):
            return False
        if not (text_fits(s, r.hsts) and text_fits(s, r.upgrade)) or r.hsts.length > HSTS_BYTES_MAX:
            return False
        if r.base.length > BASE_BYTES_MAX or r.location.length > LOCATION_TEXT_MAX:
            return False
        if r.upgrade.length > UPGRADE_BYTES_MAX:
            return False
        if r.kind == ROUTE_FILE:
            if r.folder >= s.folder_count or r.file_mode > MODE_MEMORY or not text_fits(s, folder_at(s, r.folder)[0]):
                return False
        elif r.kind == ROUTE_PROXY:
            if r.upstream >= s.upstream_count:
                return False
        elif r.kind != ROUTE_REDIRECT:
            return False
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def paths_valid(s: cython.pointer(cython.const[Snapshot]), h: cython.pointer(cython.const[HostEntry])) -> cython.bint:
    i: uint32_t
    if not table_fits(s, h.paths, h.path_count, sizeof(PathEntry)):
        return False
    for i in range(h.path_count):
        p = path_at(s, h, i)
        if not text_fits(s, p.prefix) or p.route == ROUTE_NONE or not route_index_valid(s, p.route):
            return False
        if i > 0 and p.prefix.length > path_at(s, h, i - 1).prefix.length:
            return False  # the router takes the first match
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def hosts_valid(s: cython.pointer(cython.const[Snapshot])) -> cython.bint:
    i: uint32_t
    any_host: int32_t = -1
    for i in range(s.host_count):
        h = host_at(s, i)
        if h.name.length == 0 or not text_fits(s, h.name):
            return False
        if not route_index_valid(s, h.route) or not paths_valid(s, h):
            return False
        if h.name.length == 1 and text_at(s, h.name)[0] == b"*":
            any_host = i
        if i > 0:
            before = host_at(s, i - 1)
            if bytes_order(text_at(s, before.name), before.name.length, text_at(s, h.name), h.name.length) >= 0:
                return False  # the binary search needs this order
    return s.any_host == any_host


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def door_valid(d: cython.pointer(cython.const[Door])) -> cython.bint:
    return d.auth <= AUTH_REQUIRE and (d.policy == 0) == (d.auth == AUTH_OFF)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def doors_valid(s: cython.pointer(cython.const[Snapshot])) -> cython.bint:
    i: uint32_t
    for i in range(s.door_count):
        d = door_at(s, i)
        if not text_fits(s, d.name) or not door_valid(d):
            return False
        if i > 0:
            before = door_at(s, i - 1)
            if bytes_order(text_at(s, before.name), before.name.length, text_at(s, d.name), d.name.length) >= 0:
                return False
    return door_valid(address(s.any_door))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def media_valid(s: cython.pointer(cython.const[Snapshot])) -> cython.bint:
    i: uint32_t
    for i in range(s.media_count):
        m = media_at(s, i)
        if not text_fits(s, m.suffix) or not text_fits(s, m.value):
            return False
        if i > 0:
            before = media_at(s, i - 1)
            if bytes_order(text_at(s, before.suffix), before.suffix.length, text_at(s, m.suffix), m.suffix.length) >= 0:
                return False
    return True


def snapshot_valid(block, size):
    # All offsets, indices and orders that the readers rely on. After this check nobody checks them again.
    s: cython.pointer(cython.const[Snapshot]) = cast(cython.pointer(cython.const[Snapshot]), block)
    i: uint32_t
    if block == NULL or cast(uint64_t, block) % 8 != 0 or size < sizeof(Snapshot):
        return False
    if s.magic != SNAPSHOT_MAGIC or s.version != SNAPSHOT_VERSION or s.size > size or s.size < sizeof(Snapshot):
        return False
    if not (
        table_fits(s, s.hosts, s.host_count, sizeof(HostEntry))
        and table_fits(s, s.routes, s.route_count, sizeof(Route))
        and table_fits(s, s.upstreams, s.upstream_count, sizeof(UpstreamEntry))
        and table_fits(s, s.media, s.media_count, sizeof(MediaType))
        and table_fits(s, s.doors, s.door_count, sizeof(Door))
        and table_fits(s, s.folders, s.folder_count, sizeof(Text))
        and table_fits(s, s.trusted, s.trusted_count, sizeof(Prefix))
    ):
        return False
    for i in range(s.trusted_count):
        if trusted_at(s, i).bits > 128:
            return False
        if i > 0 and memcmp(trusted_at(s, i - 1).bytes, trusted_at(s, i).bytes, 16) >= 0:
            return False
    for i in range(s.upstream_count):
        u = upstream_at(s, i)
        if not text_fits(s, u.name) or not text_fits(s, u.host) or not text_fits(s, u.authority):
            return False
        if upstream_is_unix(s, u) and u.host.length > UNIX_PATH_MAX:
            return False
    return routes_valid(s) and hosts_valid(s) and doors_valid(s) and media_valid(s)


# Building: the supervisor's side. It fills the structs in place, so only the .pxd defines their layout.


@cython.cfunc
def aligned(size: object):
    """The next offset where any of the structs may begin."""
    return (size + 7) // 8 * 8


class Texts:
    """The text at the end of the block. Equal strings are stored once."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.kept = bytearray()
        self.places: dict[bytes, int] = {}

    def put(self, value: "str | bytes") -> dict:
        """Store the string; returns its Text."""
        data = value.encode() if isinstance(value, str) else value
        if not data:
            return {"at": 0, "length": 0}
        if data not in self.places:
            self.places[data] = self.at + len(self.kept)
            self.kept += data
        return {"at": self.places[data], "length": len(data)}


def stored_host(host: str) -> bytes:
    """The name as the router compares it: in lower case, "*.example.com" as ".example.com"."""
    name = host.encode("ascii").lower()
    if name == b"*":
        return name
    wildcard = name.startswith(b"*.")
    name = name.removeprefix(b"*.").removesuffix(b".")
    if not name or name[:1] == b"." or b"*" in name or len(name) >= HOST_BYTES_MAX:
        raise ValueError(f"not a host name: {host!r}")
    return b"." + name if wildcard else name


def sorted_hosts(plan: dict) -> list:
    """(name, route, paths), sorted by name; the paths are sorted by length, longest first."""
    hosts = {}
    for host in plan["hosts"]:
        name = stored_host(host["host"])
        if name in hosts:
            raise ValueError(f"duplicate host {host['host']!r}")
        paths = {}
        for path in host["paths"]:
            prefix = path["prefix"].encode()
            if prefix in paths:
                raise ValueError(f"duplicate prefix {path['prefix']!r} of the host {host['host']!r}")
            paths[prefix] = path["route"]
        longest_first = sorted(paths.items(), key=lambda item: (-len(item[0]), item[0]))
        hosts[name] = (ROUTE_NONE if host["route"] is None else host["route"], longest_first)
    return [(name, *hosts[name]) for name in sorted(hosts)]


def sorted_doors(plan: dict) -> list:
    """(name, policy, auth), sorted by name."""
    doors = {}
    for door in plan["doors"]:
        name = stored_host(door["host"])
        if name in doors:
            raise ValueError(f"duplicate host {door['host']!r}")
        doors[name] = (door["policy"], AUTHS.index(door["auth"]))
    return [(name, *doors[name]) for name in sorted(doors)]


def sorted_media(plan: dict) -> list:
    media = {}
    for suffix, value in plan["media_types"].items():
        data = suffix.encode().lower()
        if not data or len(data) > SUFFIX_BYTES_MAX or b"." in data or b"/" in data:
            raise ValueError(f"not a suffix of a file name: {suffix!r}")
        media[data] = value
    return sorted(media.items())


def authority_of(upstream: dict) -> str:
    """The upstream's authority. The path of a Unix socket is not a host. RFC 6874 1: no zone, it is local."""
    if upstream["host"].startswith("/"):
        return "localhost"
    authority = upstream["name"].partition("://")[2]
    ip, zone, _ = authority.partition("%")
    return f"{ip}]{authority.partition(']')[2]}" if zone else authority


def prefixes(plan: dict) -> list:
    """(sixteen bytes, bits) of each trusted prefix, sorted, without prefixes that another one contains."""
    found = []
    for text in plan["trusted_proxies"]:
        if text != "unix":
            network = ipaddress.ip_network(text)
            front = b"\0" * 10 + b"\xff\xff" if network.version == 4 else b""
            found.append((front + network.network_address.packed, 8 * len(front) + network.prefixlen))
    apart: list = []
    end = 0  # one past the last address of the last prefix kept
    for raw, bits in sorted(found):
        # In this order, only the last prefix kept can contain this one. Of two with the same first address, the wider
        # one comes first.
        first = int.from_bytes(raw, "big")
        if first >= end:
            apart.append((raw, bits))
            end = first + (1 << (128 - bits))
    return apart


@cython.cfunc
def write_prefixes(base: cython.p_char, trusted: list):
    s: cython.pointer(Snapshot) = cast(cython.pointer(Snapshot), base)
    p: cython.pointer(Prefix) = cast(cython.pointer(Prefix), base + s.trusted)
    i: uint32_t
    raw: bytes
    for i in range(len(trusted)):
        raw, p[i].bits = trusted[i]
        memcpy(p[i].bytes, cast(cython.p_char, raw), 16)


@cython.cfunc
def write_hosts(base: cython.p_char, hosts: list, texts: object):
    s: cython.pointer(Snapshot) = cast(cython.pointer(Snapshot), base)
    h: cython.pointer(HostEntry) = cast(cython.pointer(HostEntry), base + s.hosts)
    p: cython.pointer(PathEntry)
    at: uint64_t = aligned(s.hosts + len(hosts) * sizeof(HostEntry))
    i: uint32_t
    k: uint32_t
    s.any_host = -1
    for i in range(len(hosts)):
        name, route, paths = hosts[i]
        h[i].name = texts.put(name)
        h[i].route = route
        h[i].path_count = len(paths)
        h[i].paths = at
        p = cast(cython.pointer(PathEntry), base + at)
        for k in range(len(paths)):
            p[k].prefix = texts.put(paths[k][0])
            p[k].route = paths[k][1]
        at = aligned(at + len(paths) * sizeof(PathEntry))
        if name == b"*":
            s.any_host = i


@cython.cfunc
def write_doors(base: cython.p_char, doors: list, texts: object):
    s: cython.pointer(Snapshot) = cast(cython.pointer(Snapshot), base)
    d: cython.pointer(Door)
    at: uint32_t = 0
    for name, policy, auth in doors:
        if name == b"*":
            d = address(s.any_door)
        else:
            d = cast(cython.pointer(Door), base + s.doors) + at
            d.name = texts.put(name)
            at += 1
        d.policy = policy
        d.auth = auth
        if auth != AUTH_OFF:
            s.client_auth = 1


@cython.cfunc
def write_route(r: cython.pointer(Route), route: dict, texts: object):
    r.kind = KINDS.index(route["kind"]) + 1
    r.name = texts.put(route["name"])
    r.prefix = texts.put(route["prefix"])
    r.strip_prefix = bool(route.get("strip_prefix", False))
    if route.get("hsts"):
        r.hsts = texts.put(f"Strict-Transport-Security: {route['hsts']}\r\n")
    if r.kind == ROUTE_FILE:
        r.folder = route["folder"]
        r.file_single = bool(route["single"])
        r.file_mode = MODES.index(route["mode"])
        r.follow_links = bool(route.get("follow_links"))
        r.dot_files = bool(route.get("dot_files"))
        r.base = texts.put(route["base"])
    elif r.kind == ROUTE_PROXY:
        r.upstream = route["upstream"]
        r.half_close = bool(route.get("half_close", False))
        r.upgrade = texts.put(", ".join(route.get("upgrade", [])))
        r.base = texts.put(route["base"])
    else:
        r.location = texts.put(route["to"])
        r.redirect_status = route["status"]


@cython.cfunc
def write_tables(base: cython.p_char, plan: dict, media: list, texts: object):
    s: cython.pointer(Snapshot) = cast(cython.pointer(Snapshot), base)
    u: cython.pointer(UpstreamEntry) = cast(cython.pointer(UpstreamEntry), base + s.upstreams)
    m: cython.pointer(MediaType) = cast(cython.pointer(MediaType), base + s.media)
    f: cython.pointer(Text) = cast(cython.pointer(Text), base + s.folders)
    i: uint32_t
    for i in range(len(plan["routes"])):
        write_route(cast(cython.pointer(Route), base + s.routes) + i, plan["routes"][i], texts)
    for i in range(len(plan["upstreams"])):
        u[i].name = texts.put(plan["upstreams"][i]["name"])
        u[i].host = texts.put(plan["upstreams"][i]["host"])
        u[i].authority = texts.put(authority_of(plan["upstreams"][i]))
        u[i].port = plan["upstreams"][i]["port"]
        u[i].tls = plan["upstreams"][i]["tls"]
        u[i].proxy_protocol = plan["upstreams"][i]["proxy_protocol"]
    for i in range(len(plan["folders"])):
        f[i] = texts.put(plan["folders"][i])
    for i in range(len(media)):
        m[i].suffix = texts.put(media[i][0])
        m[i].value = texts.put(media[i][1])


KINDS = ("file", "proxy", "redirect")  # in the order of RouteKind
MODES = ("sendfile", "memory")  # in the order of FileMode
AUTHS = ("off", "optional", "require")  # in the order of ClientAuth


def build(plan: dict) -> bytes:
    """The block for a plan (docs/architecture.md). Raises ValueError or OverflowError if the plan is invalid."""
    head: Snapshot
    base: cython.p_char
    data: cython.p_const_char
    hosts = sorted_hosts(plan)
    media = sorted_media(plan)
    doors = sorted_doors(plan)
    trusted = prefixes(plan)
    memset(address(head), 0, sizeof(Snapshot))  # padding too: equal plans give equal blocks
    head.magic = SNAPSHOT_MAGIC
    head.version = SNAPSHOT_VERSION
    head.limits = plan["limits"]  # Cython fills a struct from a dict and raises an error if a field is missing
    head.timeouts = plan["timeouts"]
    for given, known in ((plan["limits"], head.limits), (plan["timeouts"], head.timeouts)):
        if set(given) != set(known):
            raise ValueError(f"unknown to the engine: {', '.join(sorted(set(given) - set(known)))}")
    head.access_log = bool(plan["access_log"])
    head.trusted_count = len(trusted)
    head.trusted_unix = "unix" in plan["trusted_proxies"]
    head.folder_count = len(plan["folders"])
    head.host_count = len(hosts)
    head.route_count = len(plan["routes"])
    head.upstream_count = len(plan["upstreams"])
    head.media_count = len(media)
    head.door_count = sum(name != b"*" for name, _, _ in doors)
    head.hosts = at = aligned(sizeof(Snapshot))
    at = aligned(at + len(hosts) * sizeof(HostEntry))
    for host in hosts:
        at = aligned(at + len(host[2]) * sizeof(PathEntry))
    head.doors = at
    head.routes = at = aligned(at + head.door_count * sizeof(Door))
    head.upstreams = at = aligned(at + head.route_count * sizeof(Route))
    head.media = at = aligned(at + head.upstream_count * sizeof(UpstreamEntry))
    head.folders = at = aligned(at + head.media_count * sizeof(MediaType))
    head.trusted = at = aligned(at + head.folder_count * sizeof(Text))
    at = aligned(at + head.trusted_count * sizeof(Prefix))
    tables = bytearray(at)
    texts = Texts(at)
    base = tables
    memcpy(base, address(head), sizeof(Snapshot))
    write_hosts(base, hosts, texts)
    write_doors(base, doors, texts)
    write_tables(base, plan, media, texts)
    write_prefixes(base, trusted)
    cast(cython.pointer(Snapshot), base).size = aligned(at + len(texts.kept))
    block = bytes(tables + texts.kept).ljust(aligned(at + len(texts.kept)), b"\0")
    data = block
    if not snapshot_valid(data, len(block)):
        raise ValueError("the plan refers to a route, upstream or folder that does not exist")
    return block


# Describing: for tests and tools


@cython.cfunc
def text_str(s: cython.pointer(cython.const[Snapshot]), t: Text):
    return text_at(s, t)[: t.length].decode(errors="replace")


@cython.cfunc
def describe_route(s: cython.pointer(cython.const[Snapshot]), r: cython.pointer(cython.const[Route])):
    route = {"kind": KINDS[r.kind - 1], "name": text_str(s, r.name), "prefix": text_str(s, r.prefix)}
    if r.kind == ROUTE_FILE:
        route |= {"folder": r.folder, "single": bool(r.file_single), "mode": MODES[r.file_mode]}
        route |= {"base": text_str(s, r.base)}
        route |= {"follow_links": bool(r.follow_links), "dot_files": bool(r.dot_files)}
    elif r.kind == ROUTE_PROXY:
        route |= {"upstream": r.upstream, "base": text_str(s, r.base), "half_close": bool(r.half_close)}
        route |= {"upgrade": text_str(s, r.upgrade).split(", ") if r.upgrade.length else []}
    else:
        return route | {"to": text_str(s, r.location), "status": r.redirect_status}
    return route | {"strip_prefix": bool(r.strip_prefix)}


@cython.cfunc
def describe_door(s: cython.pointer(cython.const[Snapshot]), d: cython.pointer(cython.const[Door])):
    name = text_str(s, d.name) or "*"
    return {"host": f"*{name}" if name[0] == "." else name, "policy": d.policy, "auth": AUTHS[d.auth]}


@cython.cfunc
def describe_host(s: cython.pointer(cython.const[Snapshot]), h: cython.pointer(cython.const[HostEntry])):
    i: uint32_t
    paths = []
    name = text_str(s, h.name)
    for i in range(h.path_count):
        paths.append({"prefix": text_str(s, path_at(s, h, i).prefix), "route": path_at(s, h, i).route})
    return {
        "host": f"*{name}" if name[0] == "." else name,
        "route": None if h.route == ROUTE_NONE else h.route,
        "paths": paths,
    }


@cython.cfunc
def describe_trusted(s: cython.pointer(cython.const[Snapshot])):
    i: uint32_t
    found = ["unix"] if s.trusted_unix else []
    for i in range(s.trusted_count):
        raw = cast(cython.p_char, trusted_at(s, i).bytes)[:16]
        bits = trusted_at(s, i).bits
        mapped = ipaddress.IPv6Address(raw).ipv4_mapped if bits >= 96 else None
        found.append(f"{mapped}/{bits - 96}" if mapped else f"{ipaddress.IPv6Address(raw)}/{bits}")
    return found


def describe(block: bytes) -> dict:
    """The plan from which a block was built, in the order of the block."""
    data: cython.p_const_char = block
    s: cython.pointer(cython.const[Snapshot]) = cast(cython.pointer(cython.const[Snapshot]), data)
    i: uint32_t
    if not snapshot_valid(data, len(block)):
        raise ValueError("not a snapshot of this version")
    media = {}
    upstreams = []
    for i in range(s.media_count):
        media[text_str(s, media_at(s, i).suffix)] = text_str(s, media_at(s, i).value)
    for i in range(s.upstream_count):
        u = upstream_at(s, i)
        entry = {"name": text_str(s, u.name), "host": text_str(s, u.host), "port": u.port, "tls": bool(u.tls)}
        upstreams.append({**entry, "proxy_protocol": u.proxy_protocol})
    return {
        "limits": s.limits,
        "timeouts": s.timeouts,
        "access_log": bool(s.access_log),
        "media_types": media,
        "trusted_proxies": describe_trusted(s),
        "folders": [text_str(s, folder_at(s, i)[0]) for i in range(s.folder_count)],
        "upstreams": upstreams,
        "routes": [describe_route(s, route_at(s, i)) for i in range(s.route_count)],
        "hosts": [describe_host(s, host_at(s, i)) for i in range(s.host_count)],
        "doors": [
            *([describe_door(s, address(s.any_door))] if s.any_door.policy else []),
            *(describe_door(s, door_at(s, i)) for i in range(s.door_count)),
        ],
    }


def valid(block: bytes) -> bool:
    return bool(snapshot_valid(cast(cython.p_const_char, block), len(block)))


def media_type(block: bytes, path: bytes) -> "str | None":
    """The media type of a file with this name; None: unknown."""
    data: cython.p_const_char = block
    s: cython.pointer(cython.const[Snapshot]) = cast(cython.pointer(cython.const[Snapshot]), data)
    if not snapshot_valid(data, len(block)):
        raise ValueError("not a snapshot of this version")
    found = media_type_of(s, path, len(path))
    return None if found == NULL else text_str(s, found.value)

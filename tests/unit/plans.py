"""Small plans for the tests of what reads a snapshot."""

LIMITS = (
    "head_bytes",
    "progress_bytes",
    "request_body_bytes",
    "client_connections",
    "upstream_connections",
    "upstream_idle",
    "requests_per_connection",
    "buffer_bytes",
    "memory_bytes",
    "memory_file_bytes",
    "open_files",
    "head_fields",
    "chunk_line_bytes",
    "trailer_bytes",
    "ranges",
    "pipeline_bytes",
    "body_buffer_bytes",
    "streams",
    "requests",
)
TIMEOUTS = (
    "handshake_ms",
    "head_ms",
    "body_ms",
    "keepalive_ms",
    "write_ms",
    "connect_ms",
    "first_byte_ms",
    "upstream_ms",
    "upstream_idle_ms",
    "tunnel_ms",
    "drain_ms",
    "linger_ms",
    "file_valid_ms",
)


def redirect(name: str, prefix: str = "") -> dict:
    return {"kind": "redirect", "name": name, "prefix": prefix, "to": "https://h{path}", "status": 308}


def plan(**changes: object) -> dict:
    """A plan that holds nothing, with these parts instead."""
    empty = {
        "limits": {name: number for number, name in enumerate(LIMITS, 1)},
        "timeouts": {name: number for number, name in enumerate(TIMEOUTS, 100)},
        "access_log": False,
        "media_types": {},
        "trusted_proxies": [],
        "folders": [],
        "upstreams": [],
        "upstream_tls": [],
        "routes": [],
        "hosts": [],
        "doors": [],
    }
    return empty | changes


def table(hosts: dict[str, dict[str, int] | int]) -> dict:
    """A plan of redirects from {"host": {"/prefix": route, "": the host's own route}}."""
    entries = []
    most = -1
    for host, paths in hosts.items():
        prefixes = [{"prefix": prefix, "route": route} for prefix, route in paths.items() if prefix]
        entries.append({"host": host, "route": paths.get(""), "paths": prefixes})
        most = max([most, *paths.values()])
    return plan(hosts=entries, routes=[redirect(f"r{i}") for i in range(most + 1)])

"""The configurations of nginx and Ringway: the same work for both, each with its fastest settings."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks import workloads as w

REQUESTS_PER_CONNECTION = 1_000_000_000
"""So high that no server closes a connection during a round."""


@dataclass(frozen=True)
class Site:
    """What both servers use: files, a certificate, and the origins."""

    folder: Path
    """Temporary folder of this run."""
    certificate: Path
    key: Path
    origin_small_port: int
    """Port of the origin that answers with 100 B."""
    origin_large_port: int
    """Port of the origin that answers with 1 MiB."""

    @property
    def files(self) -> Path:
        """Folder with one folder for each file workload."""
        return self.folder / "files"


SMALL_FILES = {"sendfile": "tcp_nopush on;", "read": "sendfile off;"}
"""How nginx sends the file of 1 KiB: as its documentation recommends, or copied into one write with the head. The
latter is cheaper for a file this small, and more expensive for larger files."""

NGINX = """\
{user}
daemon off;
worker_processes 1;
worker_cpu_affinity {cpu_mask};
worker_rlimit_nofile 65536;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err warn;
events {{
    # More than any benchmark opens: nginx closes connections beyond this limit.
    worker_connections 16384;
    use epoll;
    multi_accept on;
}}
http {{
    access_log off;
    server_tokens off;
    default_type application/octet-stream;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;

    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 75s;
    keepalive_requests {requests};
    open_file_cache max=1024 inactive=1h;
    open_file_cache_valid 1h;
    open_file_cache_min_uses 1;

    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_tickets on;

    upstream small {{
        server 127.0.0.1:{origin_small_port};
        keepalive 256;
        keepalive_requests {requests};
    }}
    upstream large {{
        server 127.0.0.1:{origin_large_port};
        keepalive 256;
        keepalive_requests {requests};
    }}
    server {{
        listen 127.0.0.1:{plain_port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl backlog=4096;
        server_name _;

        # The fields that Ringway sends.
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;

        location {PROXY_SMALL} {{
            proxy_pass http://small/;
        }}
        location {PROXY_LARGE} {{
            proxy_pass http://large/;
            # The response does not fit into the default buffers (32 KiB). Use larger ones, and no temporary files.
            proxy_buffer_size 16k;
            proxy_buffers 16 64k;
            proxy_busy_buffers_size 128k;
            proxy_max_temp_file_size 0;
        }}
        location {FILE} {{
            root {files};
            {small_files}
        }}
        location {LARGE_FILE} {{
            root {files};
            # With tcp_nopush, nginx needs over 50 % more CPU here, on the loopback.
            tcp_nopush off;
        }}
    }}
}}
"""

RINGWAY = """\
[server]
listen = "127.0.0.1:{tls_port}"
plain_listen = "127.0.0.1:{plain_port}"
threads = 1

[tls]
cert_path = "{certificate}"
key_path = "{key}"

[performance]
io_driver = "{driver}"

[path_routes."*"]
"{PROXY_SMALL}" = {{ type = "Proxy", url = "http://127.0.0.1:{origin_small_port}" }}
"{PROXY_LARGE}" = {{ type = "Proxy", url = "http://127.0.0.1:{origin_large_port}" }}
"{FILE}" = {{ type = "File", path = "{files}{FILE}", mode = "memory" }}
"{LARGE_FILE}" = {{ type = "File", path = "{files}{LARGE_FILE}", mode = "sendfile" }}

[limits]
requests_per_connection = {requests}
"""

_PATHS = {"PROXY_SMALL": w.PROXY_SMALL, "PROXY_LARGE": w.PROXY_LARGE, "FILE": w.FILE, "LARGE_FILE": w.LARGE_FILE}


def nginx(site: Site, plain_port: int, tls_port: int, cpu: int, root: bool, small_files: str) -> str:
    """Returns nginx.conf. `small_files`: a key of SMALL_FILES. `root`: the benchmark runs as root, and the worker must
    stay root to read its folder."""
    return NGINX.format(
        **_PATHS,
        **_site(site),
        plain_port=plain_port,
        tls_port=tls_port,
        cpu_mask="1" + "0" * cpu,
        user="user root;" if root else "",
        small_files=SMALL_FILES[small_files],
    )


def ringway(site: Site, plain_port: int, tls_port: int, driver: str) -> str:
    """Returns config.toml."""
    return RINGWAY.format(**_PATHS, **_site(site), plain_port=plain_port, tls_port=tls_port, driver=driver)


def _site(site: Site) -> dict[str, object]:
    return {
        "folder": site.folder,
        "files": site.files,
        "certificate": site.certificate,
        "key": site.key,
        "origin_small_port": site.origin_small_port,
        "origin_large_port": site.origin_large_port,
        "requests": REQUESTS_PER_CONNECTION,
    }

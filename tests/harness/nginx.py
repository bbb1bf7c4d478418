"""nginx as an upstream, with a generated configuration in its own folder, on a port that no other process can take."""

import socket
import subprocess
from pathlib import Path
from types import TracebackType

from harness.foreign import environment
from harness.waiting import DEADLINE

_CONFIG = """
daemon off;
worker_processes 1;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 60;
    keepalive_requests 100000;
    server {{
        listen 127.0.0.1:{port}{tls};
        root {folder}/root;
        # A filter can change the length, so nginx answers in chunks.
        location /chunked/ {{
            alias {folder}/root/length/;
            sub_filter_types *;
            sub_filter "no body has this in it" "";
        }}
        location /up/ {{
            dav_methods PUT DELETE;
            create_full_put_path on;
        }}
    }}
}}
"""


class Nginx:
    """Serves the files of `files` at `/length/NAME` and `/chunked/NAME`, and writes `PUT /up/NAME` to `uploads`. Uses
    TLS with a `pair` (certificate and key). `proxied`: expects the header of the PROXY protocol, and returns its
    content in the field X-Ends."""

    def __init__(self, folder: Path, pair: tuple[Path, Path] | None = None, proxied: bool = False) -> None:
        self.folder = folder
        self._pair = pair
        self._proxied = proxied
        self.files = folder / "root" / "length"
        self.uploads = folder / "root" / "up"
        self.files.mkdir(parents=True)
        self.uploads.mkdir()

    @property
    def url(self) -> str:
        return f"{'http' if self._pair is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "Nginx":
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            self.port: int = listener.getsockname()[1]
            config = self.folder / "nginx.conf"
            tls = (" proxy_protocol" if self._proxied else "") + (" ssl" if self._pair else "")
            if self._proxied:
                ends = "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr"
                tls += f'; add_header X-Ends "{ends} $proxy_protocol_server_port"'
            if self._pair:
                tls += "; ssl_certificate {}; ssl_certificate_key {}; ssl_session_cache shared:s:1m".format(*self._pair)
            config.write_text(_CONFIG.format(folder=self.folder, port=self.port, tls=tls))
            descriptor = listener.fileno()
            self.process = subprocess.Popen(
                # nginx ends with the tests, even if they are killed.
                ["setpriv", "--pdeathsig", "TERM", "nginx", "-c", str(config), "-p", str(self.folder)],
                # In this way nginx hands its listeners to a new version in an upgrade.
                env=environment(NGINX=f"{descriptor};"),
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()

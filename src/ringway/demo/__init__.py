"""`ringway demo`: serves a built-in site and a built-in application over HTTPS, with a temporary certificate."""

import shlex
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import click

from ringway.config import model
from ringway.config.load import Loaded
from ringway.config.values import Address, Flaw, parse_addresses
from ringway.control.certificates.certificates import write_self_signed
from ringway.control.running.supervisor import Supervisor
from ringway.control.sockets.listeners import Group
from ringway.demo.origin import Origin
from ringway.errors import RingwayError

SITE = Path(__file__).parent / "site"


def run_demo(listen: str) -> int:
    """Runs until Ctrl-C and returns the exit code. Keeps its files in a temporary folder and removes it at the end.
    Raises RingwayError if it cannot start."""
    try:
        addresses = parse_addresses(listen)
    except Flaw as flaw:
        raise RingwayError(f"--listen: {flaw}") from None
    address = addresses[0]
    if address.path:
        raise RingwayError(f"--listen: a browser cannot open {address}; write an address and a port")
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A signal that arrives before the supervisor handles signals must leave through the `with` below, too.
        signal.signal(number, _leave)
    with tempfile.TemporaryDirectory(prefix="ringway-demo-") as folder, Origin() as origin:
        hosts = list(dict.fromkeys(["localhost", "127.0.0.1", "::1", address.ip]))
        certificate, key = write_self_signed(folder, hosts, days=30)
        config = demo_config(addresses, origin.port, certificate, key)
        loaded = Loaded(config, "demo", [])
        return Supervisor(loaded, lambda groups: _greet(groups, certificate), hangup_ends=True).run()


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def demo_config(addresses: list[Address], origin_port: int, certificate: str, key: str) -> model.Config:
    """Returns the configuration of the demo."""
    origin = model.ProxyRoute(type="Proxy", url=f"http://127.0.0.1:{origin_port}")
    return model.Config(
        server=model.Server(listen=[str(address) for address in addresses]),
        tls=model.Tls(cert_path=certificate, key_path=key),
        host_routes={"*": model.FileRoute(type="File", path=str(SITE))},
        path_routes={"*": {"/api/": origin}},
        timeouts=model.Timeouts(drain=2),
        access_log=model.AccessLog(path=model.STDOUT),
    )


def _greet(groups: list[Group], certificate: str) -> None:
    address = groups[0].address
    # Clients cannot connect to the address of a listener on all addresses.
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address.ip, str(address).rpartition(":")[0])
    url = f"https://{host}:{address.port}"

    def line(path: str, options: str = "") -> str:
        # Quotes: shells expand "?" and "[" as patterns, and some report an error when no file matches.
        return f"curl --cacert {shlex.quote(certificate)} {options}{shlex.quote(url + path)}"

    click.echo(
        f"""
Ringway is running. Open {url}/ in a browser, which
warns about the temporary certificate, or try:

  {line("/")}
  {line("/api/hello?name=you")}
  {line("/api/echo", "-d 'some text' ")}
  {line("/style.css", "-r 0-99 -i ")}

Ctrl-C ends the demo and removes its files.
"""
    )

"""The command line. Each command imports what it needs, so that --help and --version are fast."""

import os
import sys

import click

from ringway import __version__
from ringway.errors import ConfigError, RingwayError, sentence_of

_CONFIG = click.option(
    "--config",
    "-c",
    "file",
    default="config.toml",
    show_default=True,
    metavar="FILE",
    help="The configuration file (TOML). docs/configuration.md describes every key.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ringway")
def cli() -> None:
    """Ringway: an HTTPS reverse proxy and file server for Linux.

    \b
    Try it without a configuration:    ringway demo
    Create a test certificate:         ringway cert . --host localhost
    Check a configuration:             ringway check --config config.toml
    Serve:                             ringway run --config config.toml

    \b
    Reload a changed configuration:    ringway reload --config config.toml
    Upgrade to the installed version:  ringway upgrade --config config.toml

    Signals: SIGTERM and SIGINT drain and end Ringway (a second one ends it at once), SIGHUP reloads, SIGUSR2 upgrades,
    SIGUSR1 reopens the access log.
    """
    # Some builds of OpenSSL, and Python's ssl, write the secrets of connections to the file in this variable. Workers
    # inherit the environment.
    os.environ.pop("SSLKEYLOGFILE", None)


@cli.command()
@_CONFIG
def run(file: str) -> None:
    """Run Ringway in the foreground with the configuration FILE.

    Ringway logs to stderr, one line per event. It logs "ready" when all workers serve, and notifies systemd
    (Type=notify). SIGTERM or Ctrl-C drains: Ringway ends with exit code 0 when running requests are done or
    [timeouts] drain has passed. A second signal ends it at once.
    """
    from ringway.config.load import load
    from ringway.control.running.supervisor import Supervisor
    from ringway.control.running.takeover import TakeOver

    # First, because during an upgrade the old supervisor waits for this one.
    take_over = TakeOver.of_environment()
    try:
        code = Supervisor(load(file), take_over=take_over).run()
    except RingwayError as error:
        if take_over is not None:
            take_over.failed(str(error))
        raise
    sys.exit(code)


@cli.command()
@_CONFIG
def reload(file: str) -> None:
    """Reload FILE in the Ringway that runs it.

    Ringway checks the file first. If it finds problems, it prints them, changes nothing, and the exit code is 1.
    Otherwise every worker switches to the new routes, upstreams, limits, timeouts and certificates without closing a
    connection. Downloads and WebSockets that already run finish under the old configuration. Ringway opens new
    listeners and closes removed ones. If `threads` or `io_driver` changes, new workers start and the old ones drain.
    SIGHUP does the same.
    """
    from ringway.control.commands.commands import ask

    click.echo("\n".join(ask(file, "reload")))


@cli.command()
@_CONFIG
def upgrade(file: str) -> None:
    """Replace the Ringway that runs FILE with the installed version.

    A new process gets the listening sockets. When it serves, the old process drains and ends. If the new process
    fails, the old one keeps serving, the command prints the errors, and the exit code is 1. SIGUSR2 does the same.
    """
    from ringway.control.commands.commands import ask

    click.echo("\n".join(ask(file, "upgrade")))


@cli.command()
@_CONFIG
def check(file: str) -> None:
    """Check FILE: print its problems, or what Ringway would run.

    Checks certificates and folders too. The exit code is 1 if there is a problem. The check opens and starts nothing,
    so you can use it while Ringway runs.
    """
    from ringway.config.load import load
    from ringway.control.commands.report import report

    click.echo("\n".join(report(load(file))))


@cli.command()
@click.argument("folder", metavar="DIR")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    default=["localhost", "127.0.0.1", "::1"],
    show_default=True,
    metavar="NAME",
    help="Host name or IP address of the certificate. Can be given several times.",
)
@click.option(
    "--curve",
    type=click.Choice(["P-256", "secp384r1"]),
    default="P-256",
    show_default=True,
    help="Curve of the key. P-256 is several times faster.",
)
@click.option("--days", type=click.IntRange(1, 36500), default=365, show_default=True, help="Days of validity.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
def cert(folder: str, hosts: tuple[str, ...], curve: str, days: int, force: bool) -> None:
    """Create a self-signed certificate in DIR.

    Writes DIR/server.crt and DIR/server.key. For development and tests: browsers warn about it. For a public site, get
    a certificate from a certificate authority.
    """
    from ringway.control.certificates.certificates import write_self_signed

    cert_path, key_path = write_self_signed(folder, hosts, curve, days, force)
    click.echo(f"{cert_path}: {curve}, {days} days, for {', '.join(hosts)}")
    click.echo(f"{key_path}: its key, readable only by you")
    click.echo(f'\nIn config.toml:\n\n[tls]\ncert_path = "{cert_path}"\nkey_path = "{key_path}"')


@cli.command()
@click.option(
    "--listen",
    default="127.0.0.1:8443",
    show_default=True,
    metavar="ADDRESS",
    help="Address and port for HTTPS, or only a port. Port 0 picks a free port and prints it.",
)
def demo(listen: str) -> None:
    """Run a demo over HTTPS.

    Serves a built-in site, and a built-in application behind Ringway. Creates a temporary certificate and prints
    addresses and curl commands to try. Ctrl-C ends the demo and removes its files.
    """
    from ringway.demo import run_demo

    sys.exit(run_demo(listen))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors and tools."""
    from ringway.config.docs import json_schema

    click.echo(json_schema(), nl=False)


def main() -> None:
    """Runs the program. Prints each known error as one line on stderr and exits with code 1."""
    try:
        cli(prog_name="ringway")
    except ConfigError as error:
        for line in str(error).splitlines():
            click.echo(f"error: {line}", err=True)
        count = len(error.problems)
        if count > 1:
            click.echo(f"{count} problems", err=True)
        sys.exit(1)
    except RingwayError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"error: {sentence_of(error)}", err=True)
        sys.exit(1)

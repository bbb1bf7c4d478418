"""The command line. Everything is imported where it is needed, so that --help and --version are quick."""

import os
import sys

import click

from ringway import __version__
from ringway.errors import ConfigError, RingwayError

_CONFIG = click.option(
    "--config",
    "-c",
    "file",
    default="config.toml",
    show_default=True,
    metavar="FILE",
    help="The configuration, TOML. docs/configuration.md describes every key.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ringway")
def cli() -> None:
    """Ringway: an HTTPS reverse proxy and file server for Linux.

    \b
    Try it, nothing to configure:      ringway demo
    A certificate to develop with:     ringway cert . --host localhost
    Is the configuration right:        ringway check --config config.toml
    Serve:                             ringway run --config config.toml

    \b
    Take a changed config.toml:        ringway reload --config config.toml
    Take a newly installed version:    ringway upgrade --config config.toml

    A running Ringway listens to signals: SIGTERM and SIGINT end it when running requests are done (a second one at
    once), SIGHUP reloads, SIGUSR2 upgrades, SIGUSR1 reopens the access log.
    """
    # Some builds of OpenSSL, and Python's ssl, write the secrets of connections to the file that this names. Workers
    # inherit what is left.
    os.environ.pop("SSLKEYLOGFILE", None)


@cli.command()
@_CONFIG
def run(file: str) -> None:
    """Serve what FILE says, in the foreground.

    Logs go to stderr, one line an event. The line "ready" says that all workers serve; under systemd (Type=notify)
    readiness is told too. Ends with exit code 0 on SIGTERM or Ctrl-C, when running requests are done or
    [timeouts] drain has passed; a second signal ends it at once.
    """
    from ringway.config.load import load
    from ringway.control.running.supervisor import Supervisor
    from ringway.control.running.takeover import TakeOver

    # First: at an upgrade the predecessor waits at the other end.
    take_over = TakeOver.of_environment()
    sys.exit(Supervisor(load(file), take_over=take_over).run())


@cli.command()
@_CONFIG
def reload(file: str) -> None:
    """Let the Ringway that runs FILE read it again.

    The file is checked first: if anything is wrong with it nothing changes, the problems are printed, and the exit code
    is 1. Otherwise every worker takes the new routes, upstreams, limits, timeouts and certificates without closing a
    connection; what runs already (a download, a WebSocket) ends under the old ones. Listeners open and close. Another
    number of workers, or size of their tables, brings new workers, and the old ones finish what runs. SIGHUP does the
    same.
    """
    from ringway.control.commands.commands import ask

    click.echo("\n".join(ask(file, "reload")))


@cli.command()
@_CONFIG
def upgrade(file: str) -> None:
    """Let the program that is installed now take over from the Ringway that runs FILE.

    A new process gets the listening sockets; once it serves, the old one finishes what runs and ends. If the new one
    fails, the old one goes on and the exit code is 1. The same as SIGUSR2.
    """
    from ringway.control.commands.commands import ask

    click.echo("\n".join(ask(file, "upgrade")))


@cli.command()
@_CONFIG
def check(file: str) -> None:
    """Say everything that is wrong with FILE, or what would run.

    Checks certificates and folders too. Exit code 1 if anything is wrong. Nothing is opened or started, so it can be
    used beside a running Ringway.
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
    help="Host name or IP address for which it is; may be given several times.",
)
@click.option(
    "--curve",
    type=click.Choice(["P-256", "secp384r1"]),
    default="P-256",
    show_default=True,
    help="Kind of key. P-256 is several times faster.",
)
@click.option("--days", type=click.IntRange(1, 36500), default=365, show_default=True, help="How long it is valid.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
def cert(folder: str, hosts: tuple[str, ...], curve: str, days: int, force: bool) -> None:
    """Make a self-signed certificate: DIR/server.crt and DIR/server.key.

    For development and tests: browsers warn about it. Use one of a certificate authority for the public.
    """
    from ringway.control.certificates.certificates import write_self_signed

    cert_path, key_path = write_self_signed(folder, hosts, curve, days, force)
    click.echo(f"{cert_path}: {curve}, {days} days, for {', '.join(hosts)}")
    click.echo(f"{key_path}: its key, readable by you alone")
    click.echo(f'\nIn config.toml:\n\n[tls]\ncert_path = "{cert_path}"\nkey_path = "{key_path}"')


@cli.command()
@click.option(
    "--listen",
    default="127.0.0.1:8443",
    show_default=True,
    metavar="ADDRESS",
    help="Address and port for HTTPS, or a port alone; port 0 takes a free one and prints it.",
)
def demo(listen: str) -> None:
    """Show Ringway at work: a built-in site and a built-in application behind it, over HTTPS.

    Makes a throw-away certificate, prints addresses and curl lines to try. Ctrl-C ends it and leaves nothing behind.
    """
    from ringway.demo import run_demo

    sys.exit(run_demo(listen))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors and tools."""
    from ringway.config.docs import json_schema

    click.echo(json_schema(), nl=False)


def main() -> None:
    """The program: errors that we know are one line each on stderr and exit code 1."""
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
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {place}{os.strerror(error.errno) if error.errno else error}", err=True)
        sys.exit(1)

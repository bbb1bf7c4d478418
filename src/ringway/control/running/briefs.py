"""Makes the brief of a worker: rules and listeners. docs/architecture.md lists its keys."""

from collections.abc import Sequence
from typing import Any

from ringway.config.model import Config
from ringway.config.values import parse_address
from ringway.control.machine import io_driver
from ringway.control.running.rules import Rules
from ringway.control.sockets import listeners


def brief(rules: Rules, groups: Sequence[listeners.Group], places: Sequence[int], workers: int) -> dict[str, Any]:
    """Returns the brief of the worker that accepts from the sockets of these places."""
    https = next((group.address.port for group in groups if group.tls and group.address.port), 0)
    entries = [
        {
            "name": name,
            "fd": sock.fileno(),
            "tls": group.tls,
            "https": ((group.tls and group.address.port) or https) if rules.config.server.redirect_https else 0,
            "proxied": group.proxied,
            "h2c": rules.config.server.h2c and not group.tls,
        }
        for group in groups
        for name, sock in group.of(places, workers).items()
    ]
    return {"driver": io_driver.chosen(rules.config), **rules.brief, "listeners": entries}


def wanted_listeners(config: Config) -> list[listeners.Wanted]:
    """Returns the addresses in the order of the file, each with its protocol."""
    server = config.server
    wanted = [(text, config.tls is not None) for text in server.listen]
    wanted += [(text, False) for text in server.plain_listen]
    return [listeners.Wanted(parse_address(text), tls, text in server.proxy_protocol) for text, tls in wanted]

"""Notifies the service manager of the state of Ringway (sd_notify), if NOTIFY_SOCKET is set."""

import os
import socket

from ringway.control.logs import logs
from ringway.errors import reason_of


def notify(state: str) -> bool:
    """Sends `READY=1`, `STOPPING=1`, `STATUS=...` or several such lines. False: there is no NOTIFY_SOCKET, or sending
    failed."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract names
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(1)
            sock.connect(address)
            sock.sendall(state.encode())
    except OSError as error:
        logs.warning(f"cannot notify the service manager of {state!r} ({reason_of(error)})")
        return False
    return True

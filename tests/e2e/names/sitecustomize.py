"""On PYTHONPATH, this makes Python resolve names with the file $RINGWAY_TEST_NAMES: lines of `name address address...`.

A name that is not in the file does not resolve. Each lookup reads the file, so names can change while Ringway runs.
"""

import os
import socket

_lookup = socket.getaddrinfo


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    with open(os.environ["RINGWAY_TEST_NAMES"], encoding="ascii") as stream:
        names = dict(line.strip().partition(" ")[::2] for line in stream)
    if host not in names:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [entry for ip in names[host].split() for entry in _lookup(ip, port, family, type, proto, flags)]


socket.getaddrinfo = getaddrinfo

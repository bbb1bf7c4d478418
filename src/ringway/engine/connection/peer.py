"""Who a client is: its address, both ends of its connection, and whether it may speak for others."""

import cython
from cython import address, cast
from cython.cimports.libc.string import memcpy, strlen
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.native.linux import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    getpeername,
    getsockname,
    inet_ntop,
    ntohs,
    sockaddr,
    sockaddr_in,
    sockaddr_in6,
    sockaddr_storage,
    socklen_t,
)
from cython.cimports.ringway.engine.plan import *


def client_peer(c):
    if c.peer_length:
        return
    found: sockaddr_storage
    size: socklen_t = cython.sizeof(sockaddr_storage)
    v4: cython.pointer(sockaddr_in) = cast(cython.pointer(sockaddr_in), address(found))
    v6: cython.pointer(sockaddr_in6) = cast(cython.pointer(sockaddr_in6), address(found))
    if getpeername(c.stream.fd, cast(cython.pointer(sockaddr), address(found)), address(size)) == 0:
        if found.ss_family == AF_INET:
            inet_ntop(AF_INET, address(v4.sin_addr), c.peer, 46)
        elif found.ss_family == AF_INET6:
            inet_ntop(AF_INET6, address(v6.sin6_addr), c.peer, 46)
        elif found.ss_family == AF_UNIX:
            memcpy(c.peer, b"unix:", 6)
        c.peer_family = cast(cython.uchar, found.ss_family)
    if c.peer[0] == 0:
        memcpy(c.peer, b"unknown", 8)  # RFC 7239 6.2; the client has already disconnected
    c.peer_length = cast(cython.uchar, strlen(c.peer))


def client_ends(c, out):
    found: sockaddr_storage
    size: socklen_t = cython.sizeof(sockaddr_storage)
    out[0] = c.ends
    if out.known:
        return
    if getpeername(c.stream.fd, cast(cython.pointer(sockaddr), address(found)), address(size)) == 0:
        out.known = read_end(address(found), address(out.source), address(out.source_port))
    size = cython.sizeof(sockaddr_storage)
    if getsockname(c.stream.fd, cast(cython.pointer(sockaddr), address(found)), address(size)) == 0:
        read_end(address(found), address(out.destination), address(out.destination_port))


def read_end(found, ip, port):
    v4: cython.pointer(sockaddr_in) = cast(cython.pointer(sockaddr_in), found)
    v6: cython.pointer(sockaddr_in6) = cast(cython.pointer(sockaddr_in6), found)
    if found.ss_family == AF_INET:
        ip_from_v4(ip, address(v4.sin_addr))
        port[0] = ntohs(v4.sin_port)
    elif found.ss_family == AF_INET6:
        memcpy(ip.bytes, address(v6.sin6_addr), 16)
        port[0] = ntohs(v6.sin6_port)
    return found.ss_family == AF_INET or found.ss_family == AF_INET6


def client_trusted(s, c):
    ip: Ip
    trusted: cython.bint
    if c.trust == TRUST_UNKNOWN:
        client_peer(c)
        if c.peer_family == AF_UNIX:
            trusted = s.trusted_unix
        else:
            trusted = ip_parse(c.peer, c.peer_length, address(ip)) and ip_trusted(s, address(ip))
        c.trust = TRUST_YES if trusted else TRUST_NO
    return c.trust == TRUST_YES

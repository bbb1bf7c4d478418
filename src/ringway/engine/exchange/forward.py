"""The head of a request to an upstream."""

import cython
from cython import address, cast
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.native.linux import AF_UNIX
from cython.cimports.ringway.engine.plan import *


def write_forward(w, x, data, path):
    c: cython.pointer(Client) = x.client
    head: cython.pointer(RequestHead) = address(w.request)
    client_peer(c)
    f: Forward
    f.base = span(text_at(x.rules.snapshot, x.route.base), x.route.base.length)
    f.path = path
    f.query = piece_span(data, head.query)
    # A peer on a Unix socket has no address.
    f.peer = span(c.peer, c.peer_length if c.peer_family != AF_UNIX else 0)
    f.identity = span(c.stream.identity, c.stream.identity_length)
    f.proto = span(b"https", 5) if c.stream.secure else span(b"http", 4)
    f.chunked = x.up.chunked_out
    f.has_length = head.has_length
    f.content_length = head.content_length
    f.host = piece_span(data, head.host)
    f.asked = f.host
    f.trusted = w.said.trusted
    f.chain = False
    f.client.length = 0
    f.port.length = 0
    f.prefix = span(text_at(x.rules.snapshot, x.route.prefix), x.route.prefix.length if x.route.strip_prefix else 0)
    f.prefix_before.length = 0
    f.upgrade.length = 0
    if head.upgrade:
        # Ask only for protocols in the list, because a tunnel bypasses routes, client certificates and these fields.
        f.upgrade = span(text_at(x.rules.snapshot, x.route.upgrade), x.route.upgrade.length)
        x.upgrade = cast(
            cython.uchar, upgrades_asked(data, head.fields, head.field_count, f.upgrade) & ((1 << UPGRADES_MAX) - 1)
        )
        f.upgrade.length = f.upgrade.length if x.upgrade else 0
    if w.said.trusted:
        f.port = w.said.port
        f.prefix_before = w.said.prefix
        f.chain = w.said.chain
        if not w.said.chain:
            f.client = span(x.named, x.named_length)
        f.proto = w.said.proto if w.said.proto.length else f.proto
        f.asked = w.said.host if w.said.host.length else f.asked
    entry: cython.pointer(UpstreamEntry)
    if head.host.length == 0:
        entry = cast(cython.pointer(UpstreamEntry), upstream_at(x.rules.snapshot, x.route.upstream))
        f.host = span(text_at(x.rules.snapshot, entry.authority), entry.authority.length)
    return write_request(w.scratch, data, head, address(f))

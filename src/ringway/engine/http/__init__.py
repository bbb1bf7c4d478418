"""Codecs of HTTP/1.1: bytes in, bytes and decisions out. No I/O.

Heads are parsed (`fields`, `request_head`, `response_head`) and written (`heads`), bodies decoded and framed
(`chunked`, `bodies`), paths put into their normal form (`paths`), conditions and ranges decided (`ranges`),
the fields of proxies in front of us read (`forwarded`), and the PROXY protocol's header (`proxy_header`).

May import: `plan`, `base`, `native`.
Begin with: `request_head.pxd`, then `bodies.pxd`.
"""

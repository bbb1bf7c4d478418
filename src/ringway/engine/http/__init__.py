"""Codecs of HTTP/1.1: bytes in, bytes and decisions out. No I/O.

Parsing heads (`fields`, `request_head`, `response_head`) and writing them (`heads`), decoding and framing bodies
(`chunked`, `bodies`), normalising paths (`paths`), evaluating conditions and ranges (`ranges`), reading the fields of
proxies in front of Ringway (`forwarded`), and the header of the PROXY protocol (`proxy_header`).

May import: `plan`, `base`, `native`.
Begin with: `request_head.pxd`, then `bodies.pxd`.
"""

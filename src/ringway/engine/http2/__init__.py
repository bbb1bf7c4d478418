"""Codecs of HTTP/2: bytes in, bytes and decisions out. No I/O.

Field blocks are decoded and encoded (`hpack`, with `huffman` for its strings).

May import: `http`, `plan`, `base`, `native`.
Begin with: `hpack.pxd`.
"""

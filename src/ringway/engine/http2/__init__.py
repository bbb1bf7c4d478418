"""HTTP/2 codecs: they turn bytes into events and field lines, and back. No I/O. Nothing uses them yet.

`frames` reads and writes frames. `hpack_decode` and `hpack_encode` decode and encode field blocks; `huffman` decodes
their strings. `messages` turns field blocks into heads, and heads into field blocks.

May import: `http`, `plan`, `base`, `native`.
Begin with: `messages.pxd`.
"""

"""Sockets and files: what arrives, what is sent, deadlines, closing.

`state.pxd` holds every structure that a worker keeps. `stream` is one socket and its bytes, TLS included. On
it stand `client` (requests one after the other), `listener` (accepting) and `upstream` (connections to
servers and their pool). `files` opens files and remembers them, `rules` keeps a configuration while somebody
uses it, `offload` hands TLS to the kernel, `tell` writes events for the operator.

May import: `kernel`, `tls`, `http`, `plan`, `base`, `native`. It calls up through `Handlers` (function
pointers in `state.pxd`).
Begin with: `state.pxd`, `stream.pxd`, `client.pxd`.
"""

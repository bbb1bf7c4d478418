"""Sockets and files: receiving, sending, deadlines, closing.

`state.pxd` has every structure that a worker keeps. `stream` is one socket and its bytes, with TLS. `client`
(requests one after the other), `listener` (accepting) and `upstream` (connections to upstreams and their
pool) use it. `lane` is what an exchange sees of all this. `shares` decides who gives way when buffers or
places are scarce, `reach` which address of an upstream is next. `files` and `folders` open files and keep
them open. `rules` keeps a configuration as long as it is in use. `offload` hands TLS over to the kernel.
`tell` writes events for the operator.

May import: `kernel`, `tls`, `http`, `plan`, `base`, `native`. It calls up through `Handlers` (function
pointers in `state.pxd`).
Begin with: `state.pxd`, `stream.pxd`, `client.pxd`.
"""

"""Two drivers for I/O: io_uring, and epoll where io_uring is not available.

`driver.pxd` is their common interface, a table of functions. Higher modules cannot tell the drivers apart. `uring` and
`epoll` are the drivers. `trial` tries all operations of a driver before the worker uses it. `rights` drops a worker's
privileges.

May import: `base`, `native`.
Begin with: `driver.pxd`, then `uring.pxd`.
"""

"""Two drivers that ask the kernel: io_uring, and epoll where io_uring is refused.

`driver.pxd` is what both can do, as a table of functions; no module above can tell them apart. `uring` and
`epoll` are the drivers, `trial` tries every operation of one before it is trusted. `rights` is what a worker gives up.

May import: `base`, `native`.
Begin with: `driver.pxd`, then `uring.pxd`.
"""

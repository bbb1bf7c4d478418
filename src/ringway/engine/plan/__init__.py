"""The configuration as workers read it: one flat block of shared memory, without pointers.

The supervisor builds the block (`snapshot.build()`), and every worker maps it. In the block, `router` finds the route
of a host and path, and `ips` the trusted networks. `addresses` is a separate table with the addresses of the upstreams.
It changes while workers run.

May import: `base`, `native`.
Begin with: `snapshot.pxd`.
"""

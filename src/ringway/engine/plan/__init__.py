"""The configuration as workers read it: one flat block of shared memory, without pointers.

The supervisor builds the block (`snapshot.build()`), every worker maps it. `router` finds the route of a host
and path in it, `ips` the networks that are trusted. `addresses` is the table beside it that changes while
workers run: what the names of upstreams resolve to.

May import: `base`, `native`.
Begin with: `snapshot.pxd`.
"""

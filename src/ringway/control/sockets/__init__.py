"""Listening sockets and addresses.

`listeners` opens sockets, `activation` takes those that a service manager passes, `steering` loads the
program that spreads connections over workers, `resolver` resolves the names of upstreams.

May import: `machine`, `logs`.
Begin with: `listeners.py`.
"""

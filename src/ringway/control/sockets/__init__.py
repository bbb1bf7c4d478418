"""Listening sockets and addresses.

`listeners` opens sockets. `activation` takes sockets from a service manager. `steering` loads the program that
distributes connections to workers. `resolver` resolves the names of upstreams.

May import: `machine`, `logs`.
Begin with: `listeners.py`.
"""

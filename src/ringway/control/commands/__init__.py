"""Commands to a running Ringway, and the output of `ringway check`.

`commands` has both ends of the control socket of `ringway reload` and `ringway upgrade`. `place` chooses the folder of
that socket. `report` describes what Ringway would run with a configuration.

May import: `sockets`, `certificates`, `machine`, `logs`.
Begin with: `commands.py`.
"""

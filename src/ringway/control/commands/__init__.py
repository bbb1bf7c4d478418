"""What other processes ask a running Ringway, and what `ringway check` prints.

`commands` is the socket of `ringway reload` and `ringway upgrade`, both ends of it, `place` where it
lies. `report` says what a configuration would run.

May import: `sockets`, `certificates`, `machine`, `logs`.
Begin with: `commands.py`.
"""

"""The logs.

`logs` is the log of events. `access_log` writes the access log from the records of the workers. Each has its own
thread, so that nothing else waits for a slow disk.

May import: nothing else of `control`.
Begin with: `logs.py`.
"""

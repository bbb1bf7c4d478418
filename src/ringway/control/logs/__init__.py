"""What Ringway says.

`logs` is the log of events, `access_log` writes the access log from the records of the workers; each has a
thread of its own, so that nobody waits for a slow disk.

May import: nothing else of `control`.
Begin with: `logs.py`.
"""

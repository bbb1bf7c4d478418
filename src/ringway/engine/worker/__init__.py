"""The one loop, and the one switch from a completion to its handler.

`loop` waits, dispatches and runs timers. `worker` opens what a worker needs, runs the loop and closes
everything. The control plane enters the engine through `run()`.

May import: everything.
Begin with: `loop.py`, then `worker.py`.
"""

"""Memory, time and counting: the base of all other folders.

Borrowed bytes (`spans`), pools of buffers and who owns a buffer (`buffers`), fixed places for connections (`slots`),
deadlines (`timers`), the time of one turn of the loop (`clock`), counters and records in shared memory, the reasons
why a request ends early (`outcome`), assertions (`check`).

May import: only `native`. It does no I/O except mapping memory.
Begin with: `buffers.pxd`, `slots.pxd`, `outcome.pxd`.
"""

"""Memory, time and counting: what everything else stands on.

Bytes that somebody else owns (`spans`), pools of buffers and who owns one (`buffers`), fixed places for
connections (`slots`), deadlines (`timers`), the time of one turn of the loop (`clock`), counters and records
in shared memory, the reasons why a request ends early (`outcome`), assertions (`check`).

May import: `native` alone. No I/O but the memory that it maps.
Begin with: `buffers.pxd`, `slots.pxd`, `outcome.pxd`.
"""

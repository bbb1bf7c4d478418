"""The supervisor and its workers: starting, reloading, upgrading, ending.

`supervisor` is the loop of the main process, `process` one worker as it sees it, `worker` the main of that worker,
`seats` which worker stands where, `signals` what the loop is told, `rules` a configuration made ready for workers,
`briefs` what a worker is told, `folders` where served paths lead, `reload` and `upgrade` how it changes, `takeover`
what one supervisor gives to the next, `notify` what systemd is told.

May import: `commands` (its socket), `sockets`, `certificates`, `machine`, `logs`.
Begin with: `supervisor.py`.
"""

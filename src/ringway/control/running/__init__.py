"""The supervisor and its workers: start, reload, upgrade, end.

`supervisor` is the loop of the main process. `signals` receives signals and news of threads for it. `process` is a
worker as the supervisor sees it, and `said` parses what that worker sends. `worker` is the main function of the worker
process. `seats` says which worker accepts from which sockets. `rules` is a configuration made ready for workers, and
`briefs` makes the instructions for one worker. `folders` opens and follows the folders that workers serve. `reload` and
`upgrade` change a running Ringway. `takeover` hands the sockets to a new supervisor. `notify` notifies systemd.

May import: `commands` (its socket), `sockets`, `certificates`, `machine`, `logs`.
Begin with: `supervisor.py`.
"""

"""The engine room: one process a project, which keeps an engine's process alive for each language model that is wanted.

    mainspring serve ── supervisor ─┬─ gateway worker … ──┐ ask over a Unix socket
                                    └─ engine room        │
                                        ├─ engine of desk 3 ←
                                        └─ engine of desk 4 ←  (a canary)

room      follows desired state: which engines there must be, and when one may go
commands  what a version's engine needs to be started, from its manifest
status    what `mainspring status` shows of them
"""

"""Keeps the prediction log within `[log] keep` and `keep_size` where no controller does it, in a thread of its own.

Every gateway worker has one, and whichever comes first does it for all: see `monitoring.retention`.
"""

from __future__ import annotations

import logging
import threading

from mainspring.monitoring.retention import retain
from mainspring.spec import Project

log = logging.getLogger("mainspring.serving")

_SECONDS_BETWEEN = 60.0


class LogRetention:
    """Begins with `start`. A disk that hangs holds up nobody: the thread is a daemon, and nothing waits for it."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._stop = threading.Event()
        self._complaint = ""

    def start(self) -> None:
        """Look after it from now on."""
        threading.Thread(target=self._run, name="log-retention", daemon=True).start()

    def stop(self) -> None:
        """Begin no other turn."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_SECONDS_BETWEEN):
            try:
                if deleted := retain(self._project):
                    log.info("the prediction log is at its bound: %d of its oldest files were deleted", deleted)
                complaint = ""
            except OSError as error:
                complaint = str(error)
                if complaint != self._complaint:
                    log.error("the prediction log cannot be kept within [log] keep and keep_size: %s", error)
            self._complaint = complaint

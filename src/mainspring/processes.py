"""Processes that are looked after: what the supervisor of a service and that of language engines have in common."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

_LONGEST_WAIT = 30.0
_STEADY_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1


class Backoff:
    """How long to wait before what died is started again: 0.5, 1, 2, … 30 s, and 0.5 s again after a steady minute."""

    def __init__(self) -> None:
        self._wait = 0.5
        self._started = 0.0

    def start(self) -> None:
        """It was started, now."""
        self._started = time.monotonic()

    def end(self) -> float:
        """It has ended, now. How many seconds to wait."""
        if time.monotonic() - self._started > _STEADY_SECONDS:
            self._wait = 0.5
        wait, self._wait = self._wait, min(_LONGEST_WAIT, 2 * self._wait)
        return wait


def in_child(niceness: int = 0) -> Callable[[], None]:
    """What a child does before it runs its program, so that it neither outlives this process nor hears its Ctrl-C.

    To be called on the main thread, as the child is, too: the kernel means a thread when it says parent.
    """
    parent = os.getpid()
    # Looked up here: after a fork, a lock that another thread held stays locked for ever.
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        os.setsid()  # so that Ctrl-C reaches the parent alone, which then stops its children in order
        if niceness:
            os.nice(niceness)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # a killed parent leaves no orphans
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def ending(code: int) -> str:
    """How a process ended, in words."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

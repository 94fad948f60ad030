"""Asking an engine again as long as its queue is full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mainspring.errors import OverloadedError

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0  # seconds
_MOST_PATIENCE = 300.0  # seconds; an endpoint whose quota is used up refuses for good
_T = TypeVar("_T")


async def patiently(ask: Callable[[], Awaitable[_T]], patient: bool) -> _T:
    """What `ask` gives. Whoever is `patient` asks again while the queue is full, for five minutes at most.

    Raises:
        OverloadedError: the queue is full, and the asker is not patient, or not any more.
    """
    wait, until = _FIRST_WAIT, time.monotonic() + _MOST_PATIENCE
    while True:
        try:
            return await ask()
        except OverloadedError:
            if not patient or time.monotonic() > until:
                raise
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)

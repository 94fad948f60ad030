"""Asking an engine again as long as its queue is full."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mainspring.errors import OverloadedError

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0  # seconds
_T = TypeVar("_T")


async def patiently(ask: Callable[[], Awaitable[_T]], patient: bool) -> _T:
    """What `ask` gives. Whoever is `patient` asks again while the queue is full; the deadline of the attempt ends it.

    Raises:
        OverloadedError: the queue is full, and the asker is not patient.
    """
    wait = _FIRST_WAIT
    while True:
        try:
            return await ask()
        except OverloadedError:
            if not patient:
                raise
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)

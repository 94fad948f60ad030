"""What the logs share: batches are written in a thread, one after the other, and the event loop waits for none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Writing:
    """One write at a time, in a thread that is called `name`."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._last: asyncio.Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a write is under way."""
        return self._last is not None and not self._last.done()

    def begin(self, write: Callable[[], None]) -> None:
        """Have `write` called. Not while it is busy."""
        self._last = asyncio.get_running_loop().run_in_executor(self._thread, write)

    async def close(self, flush: Callable[[], None], seconds: float) -> None:
        """Have the rest written, for which `flush` begins a write. What hangs for `seconds` is given up: it is busy."""
        for _ in range(2):  # what is being written, and what came since
            await self._wait(seconds)
            flush()
        await self._wait(seconds)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _wait(self, seconds: float) -> None:
        if self._last is not None:
            await asyncio.wait([self._last], timeout=seconds)

"""Where the work of a request runs.

Small requests run at once on the event loop: one row takes tens of microseconds, less than handing it to a thread and
back. Large ones run in a bounded pool, so that the loop stays free for the others, and under the time limit.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mainspring.runtimes.onnx import Stop
from mainspring.serving.problems import Problem

T = TypeVar("T")


class Engine:
    """Runs work; `seconds` is the longest that a large request may take, its wait for a thread included."""

    def __init__(self, seconds: float, workers: int) -> None:
        self._seconds = seconds
        threads = max(1, (os.cpu_count() or 1) // workers)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")

    async def run(self, work: Callable[[Stop | None], T], *, inline: bool) -> T:
        """The result of `work`; `inline` says that it is so little that it can be done at once.

        Raises:
            Problem: it took too long.
        """
        if inline:
            return work(None)
        stop = Stop()
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(self._pool, work, stop)
        except TimeoutError:
            stop()
            raise Problem(
                503, f"the answer took longer than {self._seconds:g} s: send fewer records at a time, or try again"
            ) from None
        except asyncio.CancelledError:
            stop()
            raise

    def close(self) -> None:
        """End the threads once they are idle."""
        self._pool.shutdown(wait=False, cancel_futures=True)

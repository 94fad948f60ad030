"""A shadow: a version that is asked what the clients ask, and whose answers only the prediction log sees.

So a challenger meets the real traffic before anyone depends on it. It is asked after the client has its answer, waits
for nothing and may fail in any way. When it cannot keep up it is not asked at all: clients come first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import perf_counter

from prometheus_client import Counter

from mainspring.runtimes.onnx import Outputs, Stop
from mainspring.schema import Columns
from mainspring.serving.engine import Engine
from mainspring.serving.loading import LoadedVersion
from mainspring.serving.messages import Request
from mainspring.serving.prediction_log import PredictionLog

log = logging.getLogger("mainspring.serving")

# How many may be under way: of small requests, as many as a busy loop takes in one turn; of large ones, which take one
# of the engine's threads each, only one, so that the clients' own find the others.
_MOST_SMALL = 64
_MOST_LARGE = 1


class Shadow:
    """Asks the shadows of all models. `skipped` counts, by model, the requests that one was not asked."""

    def __init__(self, engine: Engine, log: PredictionLog, skipped: Counter) -> None:
        self._engine, self._log, self._skipped = engine, log, skipped
        self._small: set[asyncio.Task[None]] = set()
        self._large: set[asyncio.Task[None]] = set()

    def ask(self, shadow: LoadedVersion, request: Request, keys: Sequence[str], columns: Callable[[], Columns]) -> None:
        """Ask `shadow`, soon, what `request` asked; returns at once. `columns` may raise what a body's reading does."""
        inline = len(request.body) <= shadow.inline_bytes
        under_way, most = (self._small, _MOST_SMALL) if inline else (self._large, _MOST_LARGE)
        if len(under_way) >= most:
            self._skipped.labels(shadow.model).inc()
            return
        shadow.leases += 1
        task = asyncio.create_task(self._answer(shadow, request, keys, columns, inline))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        task.add_done_callback(lambda _: shadow.release())  # also of a task that was ended before it began

    async def close(self) -> None:
        """Wait for those under way; none takes longer than the time limit of a request."""
        if under_way := self._small | self._large:
            await asyncio.wait(under_way)

    async def _answer(
        self,
        shadow: LoadedVersion,
        request: Request,
        keys: Sequence[str],
        columns: Callable[[], Columns],
        inline: bool,
    ) -> None:
        started = perf_counter()

        def work(stop: Stop | None) -> tuple[Columns, Outputs]:
            read = columns()
            return read, shadow.predict(read, stop)

        try:
            read, outputs = await self._engine.run(work, inline=inline)
        except Exception as error:  # whatever it is, it is the shadow's own
            log.debug("shadow %s of %s has no answer: %s", shadow.name, shadow.model, error)
            self._log.traffic(shadow.model, shadow.name, perf_counter() - started, 0, True)
            return
        self._log.traffic(shadow.model, shadow.name, perf_counter() - started, len(outputs), False)
        self._log.add(shadow.model, shadow.name, request.unique, request.seen, keys, read, outputs, role="shadow")

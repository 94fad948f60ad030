"""What every request to passages gets: a version that it leases, a clock, errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mainspring.errors import MainspringError, OverloadedError, RequestError
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.found import Search, Searched
from mainspring.serving.answering import business_key
from mainspring.serving.language_metrics import LanguageMetrics, Stopwatch
from mainspring.serving.live import LiveVersion
from mainspring.serving.messages import Request
from mainspring.serving.noting import noted
from mainspring.serving.prediction_log import PredictionLog
from mainspring.serving.problems import Problem
from mainspring.serving.retrieval.bodies import at_question
from mainspring.serving.retrieval.metrics import RetrievalMetrics
from mainspring.serving.retrieval.version import RetrievalVersion
from mainspring.serving.slots import Slot, Slots


@dataclass(frozen=True)
class Attended:
    """The version that answers a request, and the request's clock."""

    slot: Slot
    loaded: LiveVersion
    watch: Stopwatch


class Retrieving:
    """Attends to the requests for passages, and for answers from them.

    Args:
        slots: the models.
        language: where the times of requests are counted.
        metrics: where scores and abstentions are counted.
        log: where questions, passages and answers are noted.
        seconds: the longest that a search may take.
    """

    def __init__(
        self,
        slots: Slots,
        language: LanguageMetrics,
        metrics: RetrievalMetrics,
        log: PredictionLog,
        seconds: float,
    ) -> None:
        self.slots = slots
        self.metrics = metrics
        self.log = log
        self._language = language
        self._seconds = seconds

    @contextmanager
    def __call__(self, request: Request, name: str, operation: str, field: str) -> Iterator[Attended]:
        """The version that answers a request to `name`, kept in memory meanwhile, and note how it went.

        `field` is what the question is called in the request's body.

        Raises:
            Problem: there is none; or what went wrong meanwhile.
        """
        slot = self.slots.find(name)
        loaded = slot.lease(None, business_key(request))
        try:
            request.version = loaded.name
            watch = self._language.begin(operation, name, loaded.name, request.started)
            with noted(request, loaded, watch, self.log.traffic, lambda raised: problem_of(raised, field)):
                yield Attended(slot, loaded, watch)
                request.rows = 1
        finally:
            loaded.release()

    async def search(self, loaded: RetrievalVersion, question: str, k: int, where: Filter | None) -> Searched:
        """What `loaded` finds, within the time that there is, counted.

        Raises:
            Problem: it took too long.
            MainspringError: what the index and its embedder raise.
        """
        result = await self.foreign(loaded.search, question, k, where)
        self.metrics.searched(loaded.model, loaded.name, result)
        return result

    async def foreign(self, search: Search, question: str, k: int, where: Filter | None = None) -> Searched:
        """What `search`, of whatever, finds within the time that there is.

        Raises:
            Problem: it took too long.
            MainspringError: what it raises.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await search(question, k, where)
        except TimeoutError:
            raise Problem(503, f"the search took longer than {self._seconds:g} s: try again") from None


def problem_of(error: MainspringError, field: str) -> Problem:
    """What is answered when a search or an answer fails; `field` is where the question is."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestError):
        return Problem.of(at_question(error, field))
    return Problem(429 if isinstance(error, OverloadedError) else 503, str(error))

"""An index that is asked questions: its embedder gives their vectors."""

from __future__ import annotations

import asyncio

from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.found import Searched
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.language.protocol import Engine


class IndexSearch:
    """See `found.Search`. `embedder` is the engine that the index was made with; it is not closed with this."""

    def __init__(self, index: Index, embedder: Engine) -> None:
        self.index = index
        self.embedder = embedder

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """The best k passages."""
        asked = self.index.settings.embedder.query_prefix + question
        vectors, _ = await self.embedder.embed([asked])
        found = await asyncio.to_thread(self.index.search, question, vectors[0], k, where)
        return Searched(found=found)

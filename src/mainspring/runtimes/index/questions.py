"""An index that is asked questions: its embedder gives their vectors."""

from __future__ import annotations

import asyncio

import numpy as np

from mainspring.runtimes.index.filters import All, Filter
from mainspring.runtimes.index.found import Found, Search, Searched
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.language.protocol import Engine


class IndexSearch:
    """See `found.Search`. `embedder` is the engine that the index was made with; neither is closed with this."""

    def __init__(self, index: Index, embedder: Engine) -> None:
        self.index = index
        self.embedder = embedder

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """The best k passages."""
        asked = self.index.settings.embedder.query_prefix + question
        vectors, _ = await self.embedder.embed([asked])
        found = await asyncio.to_thread(self.index.search, question, vectors[0], k, where)
        return Searched(found=found)

    async def embed(self, texts: list[str]) -> np.ndarray:
        """The vectors of sentences, (n, width), of length 1."""
        vectors, _ = await self.embedder.embed(texts)
        return vectors


class NotedSearch:
    """A `Search` for one answer, among what `where` lets through. `results` are its questions, and what was found."""

    def __init__(self, search: Search, where: Filter | None = None) -> None:
        self.results: list[tuple[str, Searched]] = []
        self._search, self._where = search, where

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """The best k passages."""
        both = tuple(one for one in (self._where, where) if one is not None)
        allowed = All(both) if len(both) > 1 else both[0] if both else None
        result = await self._search(question, k, allowed)
        self.results.append((question, result))
        return result

    @property
    def found(self) -> list[Found]:
        """All passages that were found."""
        return [one for _, result in self.results for one in result.found]

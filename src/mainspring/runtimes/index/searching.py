"""A question in, passages out: it is embedded, searched for, and, where the index says so, what is found is reread."""

from __future__ import annotations

import asyncio
import re

import msgspec
import numpy as np

from mainspring.errors import ContextError, RuntimeLoadError
from mainspring.runtimes.index.answerable import LOOKED_AT
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.found import Searched
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.rerank import DEPTH, Reranker
from mainspring.runtimes.language.protocol import Engine

_MOST_PARTS = 16  # of a long question
_NEAR = 100  # characters


class Searcher:
    """Searches an index with the engine of its embedder: `runtimes.index.found.Search`.

    A question that is longer than the embedder takes, as a letter with the question at its end, is embedded in parts of
    like length, whose vectors are averaged; its words are looked for as a whole. Nothing of it is cut.

    Args:
        engine: that of the embedder.
        index: the index.
        embedder: whose vectors the engine gives, if that is known.
        reranker: what the settings of the index ask for: see `rerank.open_reranker`.

    Raises:
        RuntimeLoadError: the index was made with another embedder.
    """

    def __init__(
        self, engine: Engine, index: Index, *, embedder: Embedder | None = None, reranker: Reranker | None = None
    ) -> None:
        self._engine = engine
        self._index = index
        self._reranker = reranker
        if embedder is not None:
            index.settings.embedder.must_be(embedder)
        if (width := engine.capabilities.embeds) != index.settings.embedder.width:
            raise RuntimeLoadError(
                f"the index has vectors of {index.settings.embedder.width} numbers, and the engine gives "
                f"{width or 'none'}: fit it again"
            )

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """See `runtimes.index.found.Search`. A question that is many times too long is a ContextError."""
        vector = await self.vector(question)
        return await asyncio.to_thread(self.near, question, vector, k, where)

    async def vector(self, question: str) -> np.ndarray:
        """(width,) float32, of length 1: the question's.

        Raises:
            ContextError: it is many times longer than the embedder takes.
        """
        parts = [question]
        while True:
            try:
                vectors, _ = await self._engine.embed(
                    [self._index.settings.embedder.query_prefix + part for part in parts]
                )
                break
            except ContextError:
                if len(parts) >= _MOST_PARTS:
                    raise
                parts = [half for part in parts for half in _halves(part)]
        mean = vectors.mean(0)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)

    def near(self, question: str, vector: np.ndarray, k: int, where: Filter | None = None) -> Searched:
        """As a call, of a question whose vector, (width,) float32, is known."""
        return search_as_set(self._index, self._reranker, question, vector, k, where)


def search_as_set(
    index: Index, reranker: Reranker | None, question: str, vector: np.ndarray, k: int, where: Filter | None = None
) -> Searched:
    """The best k passages, as the settings of the index say; its `reranker` is open."""
    rule = index.settings.answerable
    deep = max(k, DEPTH if reranker else 0, LOOKED_AT if rule else 0)
    found = index.search(question, vector, deep, where)
    answerable, threshold = (rule.probability(found), rule.threshold) if rule else (None, None)
    if reranker is not None:
        scores = reranker.scores(question, found)
        order = np.argsort(-scores, kind="stable")
        found = [msgspec.structs.replace(found[at], score=float(scores[at])) for at in order]
    return Searched(found=found[:k], answerable=answerable, threshold=threshold)


def _halves(text: str) -> tuple[str, str]:
    """Both halves, cut at white space after the middle, if there is any near it."""
    middle = len(text) // 2
    space = re.search(r"\s", text[middle : middle + _NEAR])
    cut = middle + (space.start() if space else 0)
    return text[:cut], text[cut:]

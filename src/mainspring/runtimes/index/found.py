"""What a search gives."""

from __future__ import annotations

from typing import Protocol

import msgspec

from mainspring.data.documents.document import Value
from mainspring.data.documents.passages import Passage
from mainspring.runtimes.index.filters import Filter


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that was found.

    `quote` is the document's own text at the passage's place. `score` orders: it is the sum of `dense` (the cosine) and
    `sparse` (BM25, as a part of what the question's words could give), weighted, unless a reranker gave another.
    `title` and `metadata` are the document's.
    """

    id: str
    passage: Passage
    quote: str
    score: float
    dense: float
    sparse: float
    title: str
    metadata: dict[str, Value] = {}


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one question: the best passages, best first.

    `answerable` is the calibrated probability that they hold the answer, and `threshold` the one from which on an
    assistant should answer; both None where the index was not calibrated.
    """

    found: list[Found]
    answerable: float | None = None
    threshold: float | None = None


class Search(Protocol):
    """Searches one index: that of a live version, or one that was just made."""

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """The best k passages.

        Raises:
            ContextError: the question is longer than the embedder takes.
            StoreError, EngineGoneError, OverloadedError: it cannot be asked now.
        """

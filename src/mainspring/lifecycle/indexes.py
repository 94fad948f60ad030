"""The index of a version, searched outside of a gateway: its embedder is the running service's where there is one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mainspring.lifecycle.engines import engine_of
from mainspring.registry.versions import Version
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.found import Searched
from mainspring.runtimes.index.identity import read_embedder
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.rerank import open_reranker
from mainspring.runtimes.index.searching import Searcher
from mainspring.runtimes.index.sentences import sentence_vectors
from mainspring.runtimes.language.protocol import Engine

FOLDER = "index"


@dataclass(frozen=True)
class OpenIndex:
    """See `runtimes.index.found.Search`."""

    index: Index
    embedder: Engine
    searcher: Searcher

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """The best k passages."""
        return await self.searcher(question, k, where)

    async def vectors(self, texts: list[str]) -> np.ndarray:
        """Those of sentences, by the embedder: (n, width) float32, of length 1."""
        return await sentence_vectors(self.embedder, texts)

    async def close(self) -> None:
        """Let go of all of it."""
        await self.embedder.close()
        await asyncio.to_thread(self.index.close)


async def open_index(state: Path, version: Version) -> OpenIndex:
    """The index of `version`, of the project whose state is in `state`.

    Raises:
        RegistryError: a file of the version is missing or damaged.
        RuntimeLoadError, StoreError: it cannot be opened.
    """
    await asyncio.to_thread(version.verify)
    index = await asyncio.to_thread(Index.load, version.folder / FOLDER)
    try:
        reranker = await asyncio.to_thread(open_reranker, index, version.folder / FOLDER, version.folder)
        described = read_embedder(version.folder)
        embedder = await engine_of(state, version)
        return OpenIndex(index, embedder, Searcher(embedder, index, embedder=described, reranker=reranker))
    except BaseException:
        index.close()
        raise

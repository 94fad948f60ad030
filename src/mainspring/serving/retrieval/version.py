"""A collection of documents that can be searched: its embedder runs in a process of its own, and its index is here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.errors import OverloadedError, RuntimeLoadError
from mainspring.prompts.model_tools import ask_documents
from mainspring.registry.versions import Golden, Manifest, Version
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.found import Searched
from mainspring.runtimes.index.identity import Embedder, read_embedder
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.rerank import Reranker, open_reranker
from mainspring.runtimes.index.searching import Searcher
from mainspring.runtimes.index.sentences import sentence_vectors
from mainspring.serving.language import LanguageVersion
from mainspring.serving.live import LiveVersion

FOLDER = "index"
_PROOF_SECONDS = 2.0

_closing: set[asyncio.Task[None]] = set()  # the event loop itself holds its tasks weakly


class RetrievalVersion(LiveVersion):
    """A version whose `index` is searched with the vectors of its `embedder`, and what is found is perhaps reread.

    `questions` are those of the golden examples, each with the ids of its best passages; `described` is who the
    embedder is, by what lies beside it.
    """

    def __init__(
        self,
        manifest: Manifest,
        embedder: LanguageVersion,
        index: Index,
        reranker: Reranker | None,
        questions: list[tuple[str, list[str]]],
        described: Embedder | None = None,
    ) -> None:
        super().__init__(manifest)
        self.embedder = embedder
        self.index = index
        self._reranker = reranker
        self._questions = questions
        self._described = described
        self._searcher: Searcher | None = None  # from `open` on, when it is known what the embedder gives

    @classmethod
    def load(cls, state: Path, version: Version, silence: float) -> RetrievalVersion:
        """The version with its index, not yet connected to its embedder, which may be silent for so many seconds.

        Raises:
            RegistryError: a file is missing or damaged.
            RuntimeLoadError, StoreError: the index cannot be opened.
        """
        version.verify()
        golden = version.golden()
        pairs = list(zip(golden.records, golden.answers, strict=True))
        texts = [(record, answer) for record, answer in pairs if "text" in record]
        questions = [(record["question"], answer["ids"]) for record, answer in pairs if "question" in record]
        vectors = Golden([record for record, _ in texts], [answer for _, answer in texts], golden.tolerance)
        embedder = LanguageVersion.load(state, version, silence, golden=vectors)
        index = Index.load(version.folder / FOLDER)
        try:
            reranker = open_reranker(index, version.folder / FOLDER, version.folder)
            described = read_embedder(version.folder)
        except BaseException:
            index.close()
            raise
        return cls(version.manifest, embedder, index, reranker, questions, described)

    async def open(self) -> None:
        """Wait until the embedder answers as when the version was made, and see that questions find their passages."""
        try:
            await self.embedder.open()
            self._searcher = Searcher(
                self.embedder.engine, self.index, embedder=self._described, reranker=self._reranker
            )
            for question, ids in self._questions:
                await self._check(question, ids)
        except BaseException:
            await self.close()
            raise

    async def prove(self) -> None:
        """See `LiveVersion`. One golden question; of an embedder that has no time for it, a sign of life."""
        self.leases += 1  # the index must not be closed meanwhile
        try:
            async with asyncio.timeout(_PROOF_SECONDS):
                for question, ids in self._questions[:1]:
                    await self._check(question, ids)
        except (TimeoutError, OverloadedError):  # busy is not ill
            await self.embedder.engine.connect()
        finally:
            self.release()

    async def search(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """See `runtimes.index.found.Search`."""
        assert self._searcher is not None
        return await self._searcher(question, k, where)

    async def vectors(self, texts: list[str]) -> np.ndarray:
        """Those of sentences, by the embedder: (n, width) float32, of length 1."""
        return await sentence_vectors(self.embedder.engine, texts)

    async def tell(self, arguments: dict[str, Any]) -> str:
        """See `LiveVersion`."""
        return await ask_documents(self.search, arguments)

    async def close(self) -> None:
        """See `LiveVersion`."""
        await _close(self.embedder, self.index)

    def retire(self, when_drained: Callable[[], None]) -> None:
        """See `LiveVersion`; the index is closed then, and the connection to the embedder."""
        loop, embedder, index = asyncio.get_running_loop(), self.embedder, self.index

        def drained() -> None:  # holds no reference to the version, which would keep its index in memory
            task = loop.create_task(_close(embedder, index))
            _closing.add(task)
            task.add_done_callback(_closing.discard)
            when_drained()

        super().retire(drained)

    async def _check(self, question: str, ids: list[str]) -> None:
        """RuntimeLoadError, unless the passages are found again, give or take some whose scores are nearly the same."""
        found = [one.id for one in (await self.search(question, 2 * len(ids))).found]
        if lost := [id_ for id_ in ids if id_ not in found]:
            raise RuntimeLoadError(
                f"the golden question {question[:60]!r} does not find {len(lost)} of its {len(ids)} passages any more: "
                f"fit {self.model} again"
            )


async def _close(embedder: LanguageVersion, index: Index) -> None:
    await embedder.close()
    await asyncio.to_thread(index.close)

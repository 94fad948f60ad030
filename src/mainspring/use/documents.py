"""A collection of documents from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mainspring.lifecycle.indexes import OpenIndex, open_index
from mainspring.lifecycle.knowledge import Assistant
from mainspring.registry.versions import Version
from mainspring.runtimes.index.filters import read_filter
from mainspring.runtimes.index.found import Searched
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.language.protocol import Message
from mainspring.serving.retrieval.results import DocumentAnswer
from mainspring.use.answers import answer
from mainspring.use.loop import Loop


class Documents:
    """One version of a collection of documents. Its index is opened when it is first asked, and let go of by `close`.

    The embedder is that of the running service, or else is loaded into this process too.
    """

    def __init__(self, state: Path, version: Version) -> None:
        self.version = version
        self._state = state
        self._index: OpenIndex | None = None
        self._loop = Loop()

    def search(self, question: str, k: int = 10, filter: dict[str, Any] | None = None) -> Searched:
        """The best k passages, of those that `filter` lets through: see `runtimes.index.filters`.

        Raises:
            RequestError: the filter is none.
            ContextError: the question is longer than the embedder takes.
        """
        return self._loop.run(self.asearch(question, k, filter))

    async def asearch(self, question: str, k: int = 10, filter: dict[str, Any] | None = None) -> Searched:
        """See `search`."""
        where = read_filter(filter)
        return await (await self.index())(question, k, where)

    def ask(
        self,
        question: str,
        messages: Sequence[Message] = (),
        k: int | None = None,
        filter: dict[str, Any] | None = None,
    ) -> DocumentAnswer:
        """The answer in the documents' own sentences, without a language model. `messages` are what was said before.

        Raises:
            RequestError, ContextError: as `search`.
        """
        return self._loop.run(self.aask(question, messages, k, filter))

    async def aask(
        self,
        question: str,
        messages: Sequence[Message] = (),
        k: int | None = None,
        filter: dict[str, Any] | None = None,
    ) -> DocumentAnswer:
        """See `ask`."""
        return await answer(Assistant.quoting(await self.index()), question, messages, k, filter)

    async def index(self) -> OpenIndex:
        """What searches."""
        if self._index is None:
            self._index = await open_index(self._state, self.version)
        return self._index

    @property
    def opened(self) -> Index:
        """The index itself, once it was asked."""
        assert self._index is not None
        return self._index.index

    def close(self) -> None:
        """Let go of the index and of its embedder."""
        if self._index is not None:
            self._loop.run(self.aclose())
        self._loop.close()

    async def aclose(self) -> None:
        """See `close`."""
        index, self._index = self._index, None
        if index is not None:
            await index.close()

    def __enter__(self) -> Documents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

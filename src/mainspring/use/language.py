"""A language model from Python."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mainspring.errors import SpecError
from mainspring.lifecycle.engines import engine_of
from mainspring.lifecycle.knowledge import Assistant, open_assistant
from mainspring.prompts.answering import Answering
from mainspring.registry.versions import Version
from mainspring.runtimes.index.found import Search
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.language.protocol import Delta, Engine, Generate, Message, Sampling, Usage
from mainspring.serving.retrieval.results import DocumentAnswer
from mainspring.use.answers import answer
from mainspring.use.loop import Loop


class LanguageModel:
    """One version of a language model. The engine is opened when it is first asked, and let go of by `close`.

    What is asked is a text, or messages as in OpenAI's API. A chat model takes a text as the user's message; others
    continue it. `settings` are the fields of `Sampling`. One with knowledge answers from its documents: `ask` gives the
    answer with its citations.
    """

    def __init__(self, state: Path, version: Version, search: tuple[Search, Answering] | None = None) -> None:
        self.version = version
        self._search = search
        self._state = state
        self._engine: Engine | None = None
        self._assistant: Assistant | None = None
        self._loop = Loop()

    def knowing(self, search: Search, settings: Answering | None = None) -> LanguageModel:
        """The same model, answering from what `search` finds, instead of what it was given in `mainspring.toml`.

        That may be a retriever of LangChain or LlamaIndex: see `mainspring.integrations`.
        """
        return LanguageModel(self._state, self.version, (search, settings or Answering()))

    def generate(self, asked: str | list[Message], **settings: Any) -> str:
        """The answer."""
        return "".join(self.stream(asked, **settings))

    def stream(self, asked: str | list[Message], **settings: Any) -> Iterator[str]:
        """The answer, piece by piece. Closing the iterator ends the work on it."""
        for delta in self.deltas(asked, **settings):
            if delta.text:
                yield delta.text

    def deltas(self, asked: str | list[Message], **settings: Any) -> Iterator[Delta]:
        """As `stream`, with all that the engine says of a piece: the last has the citations of an answer."""
        pieces = self._deltas(asked, **settings)
        try:
            while (piece := self._loop.run(anext(pieces, None))) is not None:
                yield piece
        finally:
            self._loop.run(pieces.aclose())

    def ask(
        self,
        question: str,
        messages: Sequence[Message] = (),
        k: int | None = None,
        filter: dict[str, Any] | None = None,
    ) -> DocumentAnswer:
        """The answer of a model with knowledge, with its citations. `messages` are what was said before.

        Raises:
            SpecError: the model has no knowledge.
            RequestError: the filter is none.
        """
        return self._loop.run(self.aask(question, messages, k, filter))

    def embed(self, texts: list[str]) -> np.ndarray:
        """The vectors of `texts`: (n, width) float32, each of length 1."""
        return self._loop.run(self.aembed(texts))

    async def agenerate(self, asked: str | list[Message], **settings: Any) -> str:
        """See `generate`."""
        return "".join([piece async for piece in self.astream(asked, **settings)])

    async def astream(self, asked: str | list[Message], **settings: Any) -> AsyncGenerator[str, None]:
        """See `stream`."""
        async for delta in self._deltas(asked, **settings):
            if delta.text:
                yield delta.text

    async def aask(
        self,
        question: str,
        messages: Sequence[Message] = (),
        k: int | None = None,
        filter: dict[str, Any] | None = None,
    ) -> DocumentAnswer:
        """See `ask`."""
        await self.engine()
        if self._assistant is None:
            raise self._knows_nothing()
        return await answer(self._assistant, question, messages, k, filter)

    async def aembed(self, texts: list[str]) -> np.ndarray:
        """See `embed`."""
        vectors, _ = await (await self.engine()).embed(texts)
        return vectors

    async def parts(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        """The whole answer to a whole request: see `runtimes.language.protocol`."""
        stream = (await self.engine()).generate(request)
        try:
            async for part in stream:
                yield part
        finally:
            await stream.aclose()  # at once, and not when it is collected

    async def engine(self) -> Engine:
        """The engine: that of the running service, or one in this process; of a model with knowledge, together with it.

        Raises:
            RegistryError: what it answers from has no champion, or is damaged.
        """
        if self._engine is None:
            engine = await engine_of(self._state, self.version)
            try:
                if self._search is None:
                    self._assistant = await open_assistant(self._state, self.version, engine)
                else:
                    self._assistant = Assistant(engine, *self._search)
            except BaseException:
                await engine.close()
                raise
            self._engine = engine
        return self._engine if self._assistant is None else self._assistant.engine()

    @property
    def opened(self) -> Index | None:
        """The index that it answers from, once it was asked; None, where that is no collection of ours."""
        return None if self._assistant is None or self._assistant.index is None else self._assistant.index.index

    def close(self) -> None:
        """Let go of the engine."""
        if self._engine is not None:
            self._loop.run(self.aclose())
        self._loop.close()

    async def aclose(self) -> None:
        """See `close`."""
        engine, assistant = self._engine, self._assistant
        self._engine = self._assistant = None
        if engine is not None:
            await engine.close()
        if assistant is not None:
            await assistant.close()

    def __enter__(self) -> LanguageModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _deltas(self, asked: str | list[Message], **settings: Any) -> AsyncGenerator[Delta, None]:
        async for part in self.parts(self._request(asked, Sampling(**settings))):
            if isinstance(part, Delta):
                yield part

    def _knows_nothing(self) -> SpecError:
        return SpecError(f"{self.version.manifest.model} answers from no documents: give it `knowledge`, and fit it")

    def _request(self, asked: str | list[Message], sampling: Sampling) -> Generate:
        if isinstance(asked, list):
            return Generate(messages=asked, sampling=sampling)
        if self.version.manifest.task == "chat":
            return Generate(messages=[{"role": "user", "content": asked}], sampling=sampling)
        return Generate(prompt=asked, sampling=sampling)

"""A language model from Python."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mainspring.lifecycle.engines import engine_of
from mainspring.registry.versions import Version
from mainspring.runtimes.language.protocol import Delta, Engine, Generate, Message, Sampling, Usage
from mainspring.use.loop import Loop


class LanguageModel:
    """One version of a language model. The engine is opened when it is first asked, and let go of by `close`.

    What is asked is a text, or messages as in OpenAI's API. A chat model takes a text as the user's message; others
    continue it. `settings` are the fields of `Sampling`.
    """

    def __init__(self, state: Path, version: Version) -> None:
        self.version = version
        self._state = state
        self._engine: Engine | None = None
        self._loop = Loop()

    def generate(self, asked: str | list[Message], **settings: Any) -> str:
        """The answer."""
        return "".join(self.stream(asked, **settings))

    def stream(self, asked: str | list[Message], **settings: Any) -> Iterator[str]:
        """The answer, piece by piece. Closing the iterator ends the work on it."""
        pieces = self.astream(asked, **settings)
        try:
            while (piece := self._loop.run(anext(pieces, None))) is not None:
                yield piece
        finally:
            self._loop.run(pieces.aclose())

    def embed(self, texts: list[str]) -> np.ndarray:
        """The vectors of `texts`: (n, width) float32, each of length 1."""
        return self._loop.run(self.aembed(texts))

    async def agenerate(self, asked: str | list[Message], **settings: Any) -> str:
        """See `generate`."""
        return "".join([piece async for piece in self.astream(asked, **settings)])

    async def astream(self, asked: str | list[Message], **settings: Any) -> AsyncGenerator[str, None]:
        """See `stream`."""
        async for part in self.parts(self._request(asked, Sampling(**settings))):
            if isinstance(part, Delta) and part.text:
                yield part.text

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
        """The engine: that of the running service, or one in this process."""
        if self._engine is None:
            self._engine = await engine_of(self._state, self.version)
        return self._engine

    def close(self) -> None:
        """Let go of the engine."""
        if self._engine is not None:
            self._loop.run(self._engine.close())
            self._engine = None
        self._loop.close()

    def __enter__(self) -> LanguageModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, asked: str | list[Message], sampling: Sampling) -> Generate:
        if isinstance(asked, list):
            return Generate(messages=asked, sampling=sampling)
        if self.version.manifest.task == "chat":
            return Generate(messages=[{"role": "user", "content": asked}], sampling=sampling)
        return Generate(prompt=asked, sampling=sampling)

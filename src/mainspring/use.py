"""A project's models from Python, without a gateway:

    from mainspring.use import OpenProject

    desk = OpenProject("examples/airdesk").model("desk")
    print(desk.generate("What may I take into the cabin?"))
    for text in desk.stream([{"role": "user", "content": "And a violin?"}]):
        print(text, end="")

Where a service of the project is running, its engine answers; otherwise the model is loaded into this process. All of
it can be awaited as well: `agenerate`, `astream`, `aembed`. A prompt program answers records:

    with OpenProject("office").prompt("mail") as mail:
        print(mail.answer([{"mail": "Where is my invoice?"}])[0].value)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from mainspring import prompts, spec
from mainspring.lifecycle.champions import Champions
from mainspring.lifecycle.engines import engine_of
from mainspring.prompts.records import FILE_NAME, Uses
from mainspring.registry import desired, versions
from mainspring.registry.versions import Version
from mainspring.runtimes.language.protocol import Delta, Engine, Generate, Message, Sampling, Usage
from mainspring.spec import Project

_T = TypeVar("_T")


class OpenProject:
    """A project whose models can be asked."""

    def __init__(self, folder: Path | str = ".") -> None:
        self.declared = spec.load(folder)

    def model(self, name: str, version: str | None = None) -> LanguageModel:
        """The language model called `name`: its champion, or `version`.

        Raises:
            SpecError: there is no such language model.
            RegistryError: it has no champion, or no such version.
        """
        self.declared.language(name)
        return LanguageModel(self.declared.state, self._version(name, version))

    def prompt(self, name: str, version: str | None = None) -> PromptProgram:
        """The prompt program called `name`: its champion, or `version`.

        Raises:
            SpecError: there is no such prompt program.
            RegistryError: it has no champion, or no such version, or its files are damaged.
        """
        self.declared.prompt(name)
        return PromptProgram(self.declared, self._version(name, version))

    def _version(self, name: str, version: str | None) -> Version:
        state = self.declared.state
        chosen = version or desired.read(state).champion(name)
        if chosen is None:
            raise versions.no_champion(state, name)
        return versions.load(state, name, chosen)


class LanguageModel:
    """One version of a language model. The engine is opened when it is first asked, and let go of by `close`.

    What is asked is a text, or messages as in OpenAI's API. A chat model takes a text as the user's message; others
    continue it. `settings` are the fields of `Sampling`.
    """

    def __init__(self, state: Path, version: Version) -> None:
        self.version = version
        self._state = state
        self._engine: Engine | None = None
        self._loop = _Loop()

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


class PromptProgram:
    """One version of a prompt program. It asks the champions of the models that it uses.

    They are opened when it is first asked, and let go of by `close`; who becomes champion meanwhile is not asked.
    """

    def __init__(self, project: Project, version: Version) -> None:
        version.verify()
        self.version = version
        self.prompt = prompts.load(version.file(FILE_NAME))
        self._champions = Champions(project)
        self._loop = _Loop()

    def answer(self, records: Sequence[Mapping[str, Any]]) -> list[prompts.Answer]:
        """The answers to `records`, which have a value for each variable; they are asked at the same time.

        Raises:
            RequestError: a record does not fit the prompt.
            RegistryError: a model that is asked has no champion.
        """
        return self._loop.run(self.aanswer(records))

    async def aanswer(self, records: Sequence[Mapping[str, Any]]) -> list[prompts.Answer]:
        """See `answer`."""
        uses = Uses.of(self.version.manifest.parameters).by(self.prompt)
        return await prompts.answer_all(self.prompt, records, await self._champions.language_model(uses))

    def close(self) -> None:
        """Let go of the models."""
        self._loop.run(self._champions.close())
        self._loop.close()

    def __enter__(self) -> PromptProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Loop:
    """An event loop in a thread of its own, on which engines live; begun when it is first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do `work` there, and wait for it; Ctrl-C here cancels it there."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_run, args=(self._loop,), daemon=True, name="mainspring")
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def close(self) -> None:
        """End it, and wait for that."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()

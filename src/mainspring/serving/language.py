"""A language model that can answer: the engine runs in a process of its own, and this is the gateway's end of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mainspring.errors import EngineGoneError, OverloadedError, RuntimeLoadError
from mainspring.prompts.knowledge import PROMPT, Knowledge
from mainspring.prompts.model_tools import ask_language
from mainspring.registry.versions import Golden, Manifest, Version
from mainspring.runtimes.index.foreign import load_search
from mainspring.runtimes.index.found import Search
from mainspring.runtimes.language.client import EngineClient, socket_path
from mainspring.runtimes.language.protocol import Delta, Generate, Sampling
from mainspring.serving.live import LiveVersion

LANGUAGE_TASKS = frozenset(("chat", "completion", "embedding"))
ENGINE_TASKS = LANGUAGE_TASKS | {"retrieval"}  # those whose versions have an engine in a process of its own
_START_SECONDS = 600.0  # a large model is read from a slow disk
_LOOK_SECONDS = 0.1
_PROOF_SECONDS = 2.0


class LanguageVersion(LiveVersion):
    """A version whose `engine` answers. `golden` has prompts whose first tokens the engine must give again.

    There are none for an endpoint, which is somebody else's to keep. `knowledge` is what a chat model answers from, and
    `instructions` the prompt that says how; `foreign` searches it, where it is no collection of this project.
    """

    def __init__(
        self,
        manifest: Manifest,
        engine: EngineClient,
        golden: Golden,
        instructions: str = "",
        foreign: Search | None = None,
    ) -> None:
        super().__init__(manifest)
        self.engine = engine
        self.golden = golden
        self.knowledge = Knowledge.of(manifest.parameters)
        self.instructions = instructions
        self.foreign = foreign

    @classmethod
    def load(cls, state: Path, version: Version, silence: float, golden: Golden | None = None) -> LanguageVersion:
        """The version, not yet connected to its engine, which may be silent for so many seconds.

        `golden` are those of its golden examples that the engine answers; all, where None.

        Raises:
            RegistryError: a file that is read here is missing or damaged. (The weights are verified by the engine.)
            SpecError, DataError: the function that is to give what it knows is not there, or gives no retriever.
        """
        manifest = version.manifest
        socket = socket_path(state, manifest.model, manifest.version)
        engine = EngineClient(socket, silence_seconds=silence)
        instructions = version.file(PROMPT).read_text(encoding="utf-8") if PROMPT in manifest.files else ""
        knowledge = Knowledge.of(manifest.parameters)
        foreign = load_search(knowledge.model, state.parent) if knowledge and knowledge.is_function else None
        return cls(manifest, engine, golden or version.golden(), instructions, foreign)

    async def open(self) -> None:
        """Wait until the engine answers, and as it did when the version was made."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                await self._check()
                return
            except EngineGoneError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_LOOK_SECONDS)

    async def prove(self) -> None:
        """See `LiveVersion`. One golden example; of an engine that has no time for it, a sign of life."""
        try:
            async with asyncio.timeout(_PROOF_SECONDS):
                await self._check(most=1)
        except (TimeoutError, OverloadedError):  # busy is not ill: whoever took it out of service would make it worse
            await self.engine.connect()

    async def tell(self, arguments: dict[str, Any]) -> str:
        """See `LiveVersion`."""
        return await ask_language(self.engine, self.manifest.task, arguments)

    async def close(self) -> None:
        """See `LiveVersion`: the connection to the engine."""
        await self.engine.close()

    def retire(self, when_drained: Callable[[], None]) -> None:
        """See `LiveVersion`; the connection to the engine is closed then, too."""
        loop = asyncio.get_running_loop()

        def drained() -> None:
            self._closing = loop.create_task(self.engine.close())
            when_drained()

        super().retire(drained)

    async def _check(self, most: int | None = None) -> None:
        """Ask the first `most` golden examples.

        Raises:
            RuntimeLoadError: naming the one that is answered otherwise.
        """
        if not self.golden.records:
            await self.engine.connect()
        for record, answer in zip(self.golden.records[:most], self.golden.answers, strict=False):
            if "vector" in answer:
                await self._check_vector(record, answer)
            else:
                await self._check_text(record, answer)

    async def _check_text(self, record: dict[str, Any], answer: dict[str, Any]) -> None:
        sampling = Sampling(temperature=0.0, max_tokens=answer["tokens"])
        text = ""
        async for part in self.engine.generate(Generate(prompt=record["prompt"], sampling=sampling)):
            text += part.text if isinstance(part, Delta) else ""
        if text != answer["text"]:
            raise RuntimeLoadError(
                f"the golden example {record['prompt'][-60:]!r} is continued {text!r}; when the version was made it "
                f"was {answer['text']!r}"
            )

    async def _check_vector(self, record: dict[str, Any], answer: dict[str, Any]) -> None:
        vectors, _ = await self.engine.embed([record["text"]])
        cosine = float(sum(a * b for a, b in zip(vectors[0].tolist(), answer["vector"], strict=True)))
        if cosine < 1 - self.golden.tolerance:
            raise RuntimeLoadError(
                f"the golden example {record['text'][:60]!r} has another vector than when the version was made: their "
                f"cosine is {cosine:.6f}"
            )

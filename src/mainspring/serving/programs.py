"""A prompt program that can answer: its prompt is here, and the models that it asks are other slots of this gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from mainspring import prompts
from mainspring.prompts import LanguageModel, Prompt
from mainspring.prompts.answering import KnowledgeEngine
from mainspring.prompts.model_tools import ModelTool, ask_language, ask_prompt, model_tool
from mainspring.prompts.records import FILE_NAME, Uses
from mainspring.prompts.vectors import Vectors
from mainspring.registry.versions import Manifest, Version
from mainspring.runtimes.language.protocol import Engine
from mainspring.runtimes.records import RecordCodec
from mainspring.serving.language import LanguageVersion
from mainspring.serving.live import LiveVersion
from mainspring.serving.problems import Problem
from mainspring.serving.retrieval.version import RetrievalVersion
from mainspring.serving.slots import Slots


class PromptVersion(LiveVersion):
    """A version of a prompt program. Where none is live yet, it goes live without the models that it asks, and answers
    once they are there; it takes over from another only when they are.

    Each request asks the versions that are live then, and keeps them in memory until it is answered.
    """

    def __init__(self, manifest: Manifest, prompt: Prompt, example: dict[str, Any], slots: Slots) -> None:
        super().__init__(manifest)
        self.prompt = prompt
        self.codec = RecordCodec(manifest.schema)
        self.example = example
        self._uses = Uses.of(manifest.parameters).by(prompt)
        self._slots = slots
        self._asked: tuple[LiveVersion, ...] = ()
        self._model: LanguageModel | None = None
        self._vectors: Vectors | None = None
        self._embeds: LiveVersion | None = None  # whose vectors they are

    @classmethod
    def load(cls, version: Version, slots: Slots) -> PromptVersion:
        """The version, which asks the live versions in `slots`.

        Raises:
            RegistryError: a file is missing or damaged.
        """
        version.verify()
        return cls(version.manifest, prompts.load(version.file(FILE_NAME)), version.golden().records[0], slots)

    async def open(self) -> None:
        """See `LiveVersion`.

        Raises:
            Problem: another version answers, and a model that this one asks is not live: it would answer nothing.
        """
        if self._slots.find(self.model).live is not None:
            for name in self._uses.names:
                self._slots.find(name).current()

    async def prove(self) -> None:
        """See `LiveVersion`. What can fail are the models that it asks, each of which has golden examples."""
        for name in self._uses.names:
            await self._slots.find(name).current().prove()

    async def tell(self, arguments: dict[str, Any]) -> str:
        """See `LiveVersion`."""
        with self.asking() as model:
            return await ask_prompt(self.prompt, model, arguments)

    @contextmanager
    def asking(self, key: str = "") -> Iterator[LanguageModel]:
        """The models that it asks, as they are live for a request with the business `key`, leased meanwhile.

        Raises:
            Problem: one of them is not live, and why.
        """
        with ExitStack() as leases:

            def lease(name: str) -> LiveVersion:
                return leases.enter_context(_leased(self._slots, name, key))

            asked = tuple(map(lease, self._uses.names))
            if self._uses.tools:  # one may be a table in this process, which must not stay when it is retired
                tools = [_tool(one, lease) for one in asked if one.model in self._uses.tools]
                yield self._language_model({loaded.model: loaded for loaded in asked}, tools)
                return
            if self._model is None or asked != self._asked:
                self._asked, self._model = asked, self._language_model({loaded.model: loaded for loaded in asked})
            yield self._model

    def _language_model(self, asked: dict[str, LiveVersion], tools: Sequence[ModelTool] = ()) -> LanguageModel:
        return LanguageModel(
            _engine(asked[self._uses.model]),
            embedder=self._vectors_by(asked[self._uses.embeddings]) if self._uses.embeddings else None,
            tools=tools,
            patient=False,
        )

    def _vectors_by(self, loaded: LiveVersion) -> Vectors:
        """Those that are known, where the same version gave them: a new chat model changes none of them."""
        if self._vectors is None or self._embeds is not loaded:
            self._embeds, self._vectors = loaded, Vectors(_engine(loaded), patient=False)
        return self._vectors


@contextmanager
def _leased(slots: Slots, name: str, key: str) -> Iterator[LiveVersion]:
    loaded = slots.find(name).lease(None, key)
    try:
        yield loaded
    finally:
        loaded.release()


def _tool(loaded: LiveVersion, lease: Callable[[str], LiveVersion]) -> ModelTool:
    """`loaded` as a tool; a chat model with knowledge together with the collection that it answers from."""
    tell = loaded.tell
    if isinstance(loaded, LanguageVersion) and loaded.knowledge is not None:
        documents = lease(loaded.knowledge.model)
        if not isinstance(documents, RetrievalVersion):
            raise Problem(503, f"{loaded.model} answers from {documents.model}, which is live and has no passages")
        settings = loaded.knowledge.answering(loaded.instructions)
        engine = KnowledgeEngine(loaded.engine, documents.search, settings, embed=documents.vectors)
        tell = partial(ask_language, engine, loaded.manifest.task)
    return model_tool(loaded.model, loaded.manifest.task, loaded.manifest.schema, tell)


def _engine(loaded: LiveVersion) -> Engine:
    if isinstance(loaded, LanguageVersion):
        if loaded.knowledge is None:
            return loaded.engine
        raise Problem(
            503,
            f"{loaded.model} answers from {loaded.knowledge.model}, and follows no prompt: name it in `tools`, and a "
            "chat model without knowledge as `model`",
        )
    raise Problem(503, f"{loaded.model} is live as a {loaded.manifest.task} model, and cannot be asked for this")

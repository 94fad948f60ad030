"""What a prompt program asks, outside of a gateway: the champions of the models that it uses.

An engine is that of the running service where there is one, and is opened once, however many ask it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from mainspring import prompts
from mainspring.lifecycle.engines import engine_of
from mainspring.lifecycle.indexes import OpenIndex, open_index
from mainspring.lifecycle.knowledge import Assistant
from mainspring.prompts import LanguageModel
from mainspring.prompts.knowledge import Knowledge
from mainspring.prompts.model_tools import ModelTool, ask_documents, ask_language, ask_prompt, ask_table, model_tool
from mainspring.prompts.records import FILE_NAME, Uses
from mainspring.registry import desired, versions
from mainspring.registry.versions import Version
from mainspring.runtimes.language.protocol import Engine
from mainspring.spec import Project


def champion_of(project: Project, model: str) -> Version:
    """The version of `model` that is live.

    Raises:
        RegistryError: there is none yet, or it is damaged.
    """
    champion = desired.read(project.state).champion(model)
    if champion is None:
        raise versions.no_champion(project.state, model)
    return versions.load(project.state, model, champion)


def names_of(project: Project, models: Iterable[str]) -> dict[str, str]:
    """The champions' names, by model; RegistryError where one has none."""
    return {model: champion_of(project, model).name for model in models}


@asynccontextmanager
async def opened(project: Project, *, remember: bool = False) -> AsyncIterator[Champions]:
    """The champions of `project`, to be asked; all that was opened for it is closed at the end."""
    champions = Champions(project, remember=remember)
    try:
        yield champions
    finally:
        await champions.close()


class Champions:
    """Those that were asked for, each opened when it first is. `remember`: as in `LanguageModel`."""

    def __init__(self, project: Project, *, remember: bool = False) -> None:
        self._project = project
        self._remember = remember
        self._engines: dict[str, Engine] = {}
        self._indexes: dict[str, OpenIndex] = {}
        self._models: dict[Uses, LanguageModel] = {}
        self._opening = asyncio.Lock()  # so that nobody opens what another is opening

    async def language_model(self, uses: Uses) -> LanguageModel:
        """The one that asks the champions of `uses`, the same each time.

        Raises:
            RegistryError: one has no champion, or is damaged.
            RuntimeLoadError: one cannot be loaded here.
        """
        if uses not in self._models:
            self._models[uses] = LanguageModel(
                await self._engine(uses.model),
                embedder=await self._engine(uses.embeddings) if uses.embeddings else None,
                tools=[await self._tool(name) for name in uses.tools],
                remember=self._remember,
            )
        return self._models[uses]

    async def close(self) -> None:
        """Close all that was opened."""
        for engine in self._engines.values():
            await engine.close()
        for index in self._indexes.values():
            await index.close()
        self._engines, self._models, self._indexes = {}, {}, {}

    async def _engine(self, name: str) -> Engine:
        async with self._opening:
            if name not in self._engines:
                self._engines[name] = await engine_of(self._project.state, champion_of(self._project, name))
            return self._engines[name]

    async def _answering(self, version: Version) -> Engine:
        """The engine of a language model; of one with knowledge, together with it."""
        engine = await self._engine(version.manifest.model)
        knowledge = Knowledge.of(version.manifest.parameters)
        if knowledge is None:
            return engine
        return Assistant.of(version.folder, knowledge, engine, await self._index(knowledge.model)).engine()

    async def _index(self, name: str) -> OpenIndex:
        async with self._opening:
            if name not in self._indexes:
                self._indexes[name] = await open_index(self._project.state, champion_of(self._project, name))
            return self._indexes[name]

    async def _tool(self, name: str) -> ModelTool:
        version = champion_of(self._project, name)
        task, schema = version.manifest.task, version.manifest.schema
        if task in ("chat", "completion"):
            ask: Any = partial(ask_language, await self._answering(version), task)
        elif task == "retrieval":
            ask = partial(ask_documents, await self._index(name))
        elif task == "prompt":
            version.verify()
            prompt = prompts.load(version.file(FILE_NAME))
            uses = Uses.of(version.manifest.parameters).by(prompt)
            ask = partial(ask_prompt, prompt, await self.language_model(uses))
        else:
            ask = partial(asyncio.to_thread, await asyncio.to_thread(_table, version))
        return model_tool(name, task, schema, ask)


def _table(version: Version) -> Any:
    from mainspring.runtimes.onnx import FILE_NAME as GRAPH
    from mainspring.runtimes.onnx import OnnxRuntime
    from mainspring.runtimes.records import RecordCodec

    version.verify()
    schema = version.manifest.schema
    return partial(ask_table, RecordCodec(schema), OnnxRuntime(version.file(GRAPH), schema).predict)

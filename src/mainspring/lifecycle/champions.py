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
from mainspring.errors import RegistryError
from mainspring.lifecycle.engines import engine_of
from mainspring.prompts import LanguageModel
from mainspring.prompts.model_tools import ModelTool, ask_language, ask_prompt, ask_table, model_tool
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
        raise RegistryError(f"{model} has no champion yet: mainspring fit {model}")
    return versions.load(project.state, model, champion)


def names_of(project: Project, models: Iterable[str]) -> dict[str, str]:
    """The champions' names, by model; RegistryError where one has none."""
    return {model: champion_of(project, model).name for model in models}


@asynccontextmanager
async def opened(project: Project, uses: Uses, *, remember: bool = False) -> AsyncIterator[LanguageModel]:
    """The language model that asks the champions of `uses`; all that was opened for it is closed at the end.

    Raises:
        RegistryError: one has no champion, or is damaged.
        RuntimeLoadError: one cannot be loaded here.
    """
    champions = _Champions(project)
    try:
        yield await champions.language_model(uses, remember=remember)
    finally:
        await champions.close()


class _Champions:
    def __init__(self, project: Project) -> None:
        self._project = project
        self._engines: dict[str, Engine] = {}

    async def language_model(self, uses: Uses, *, remember: bool = False) -> LanguageModel:
        return LanguageModel(
            await self._engine(uses.model),
            embedder=await self._engine(uses.embeddings) if uses.embeddings else None,
            tools=[await self._tool(name) for name in uses.tools],
            remember=remember,
        )

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.close()

    async def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            self._engines[name] = await engine_of(self._project.state, champion_of(self._project, name))
        return self._engines[name]

    async def _tool(self, name: str) -> ModelTool:
        version = champion_of(self._project, name)
        task, schema = version.manifest.task, version.manifest.schema
        if task in ("chat", "completion"):
            ask: Any = partial(ask_language, await self._engine(name), task)
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

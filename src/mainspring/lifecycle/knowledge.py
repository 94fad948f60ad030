"""What answers from documents outside of a gateway: a chat model with what it knows, or a collection by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from mainspring.lifecycle.indexes import OpenIndex, open_index
from mainspring.prompts.answering import Answering, KnowledgeEngine
from mainspring.prompts.knowledge import PROMPT, Knowledge
from mainspring.registry import desired, versions
from mainspring.registry.versions import Version
from mainspring.runtimes.index.found import Search
from mainspring.runtimes.language.protocol import Engine


@dataclass(frozen=True)
class Assistant:
    """A language model's engine, what it searches, and how it answers. `index` is what is searched, if it is ours."""

    writer: Engine
    search: Search
    settings: Answering
    index: OpenIndex | None = None

    @classmethod
    def quoting(cls, index: OpenIndex) -> Assistant:
        """A collection by itself, which answers in its documents' own sentences."""
        return cls(index.embedder, index, Answering(answers="quoted"), index)

    @classmethod
    def of(cls, folder: Path, knowledge: Knowledge, writer: Engine, index: OpenIndex) -> Assistant:
        """A version of a chat model, which lies in `folder`, with the open index of what it answers from."""
        prompt = folder / PROMPT
        text = prompt.read_text(encoding="utf-8") if prompt.is_file() else ""
        return cls(writer, index, knowledge.answering(text), index)

    def asking(self, search: Search, passages: int | None = None) -> Assistant:
        """The same with another search, and perhaps another number of passages."""
        count = self.settings.passages if passages is None else passages
        return replace(self, search=search, settings=msgspec.structs.replace(self.settings, passages=count))

    def engine(self) -> KnowledgeEngine:
        """What answers."""
        embed = None if self.index is None else self.index.vectors
        return KnowledgeEngine(self.writer, self.search, self.settings, embed=embed)

    async def close(self) -> None:
        """Let go of the index, if there is one."""
        if self.index is not None:
            await self.index.close()


async def open_assistant(state: Path, version: Version, engine: Engine) -> Assistant | None:
    """A version of a chat model whose `engine` is open, with the champion of the collection that it answers from.

    None, if it answers from none.

    Raises:
        RegistryError: the collection has no champion, or is damaged.
    """
    knowledge = Knowledge.of(version.manifest.parameters)
    return None if knowledge is None else await assistant(state, version.folder, knowledge, engine)


async def assistant(state: Path, folder: Path, knowledge: Knowledge, engine: Engine) -> Assistant:
    """As `open_assistant`, of what lies in `folder` and need not be published yet.

    Raises:
        RegistryError: the collection has no champion, or is damaged.
    """
    champion = desired.read(state).champion(knowledge.model)
    if champion is None:
        raise versions.no_champion(state, knowledge.model)
    index = await open_index(state, versions.load(state, knowledge.model, champion))
    return Assistant.of(folder, knowledge, engine, index)

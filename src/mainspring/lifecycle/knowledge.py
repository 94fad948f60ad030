"""What answers from documents outside of a gateway: a chat model with what it knows, or a collection by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mainspring.lifecycle.indexes import OpenIndex, open_index
from mainspring.prompts.answering import Answering, KnowledgeEngine
from mainspring.prompts.knowledge import PROMPT, Knowledge
from mainspring.registry import desired, versions
from mainspring.registry.versions import Version
from mainspring.runtimes.index.found import Search
from mainspring.runtimes.language.protocol import Engine


@dataclass(frozen=True)
class Assistant:
    """A language model's engine, which is not closed with this, the index that it answers from, and how it does so.

    `knowledge` is None of a collection by itself, which is quoted.
    """

    writer: Engine
    index: OpenIndex
    knowledge: Knowledge | None = None
    prompt: str = ""

    def engine(self, search: Search | None = None, passages: int | None = None) -> KnowledgeEngine:
        """What answers, from so many passages a question; `search` is one of the same index that notes or narrows."""
        if self.knowledge is None:
            settings = Answering(answers="quoted", passages=passages or Answering().passages)
        else:
            settings = self.knowledge.answering(self.prompt, passages)
        return KnowledgeEngine(self.writer, search or self.index, settings, embed=self.index.vectors)


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
    prompt = folder / PROMPT
    return Assistant(engine, index, knowledge, prompt.read_text(encoding="utf-8") if prompt.is_file() else "")

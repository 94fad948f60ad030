"""A table of synthetic questions about a collection, for a person to read, mend and name as `questions`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from mainspring.errors import DataError
from mainspring.files import write_atomically
from mainspring.lifecycle.champions import champion_of
from mainspring.lifecycle.engines import engine_of
from mainspring.lifecycle.indexes import open_index
from mainspring.spec import Project
from mainspring.tasks.synthetic_questions import Synthetic, write_questions


def make(
    project: Project, model: str, writer: str, out: Path, *, number: int, seed: int, tell: Callable[[int], None]
) -> Synthetic:
    """Have the chat model `writer` ask about the passages of the collection `model`, and write the table `out`.

    Raises:
        RegistryError: one of both has no champion.
        DataError: no question was kept.
    """
    project.retrieval(model)
    project.language(writer)
    made = asyncio.run(_make(project, model, writer, number, seed, tell))
    if not made.questions:
        told = ", ".join(f"{count} {reason}" for reason, count in made.dropped.items()) or "there are no passages"
        raise DataError(f"{writer} wrote no question about {model} that could be used: {told}")
    write_atomically(out, b"".join(msgspec.json.encode(question) + b"\n" for question in made.questions))
    return made


async def _make(
    project: Project, model: str, writer: str, number: int, seed: int, tell: Callable[[int], None]
) -> Synthetic:
    index = await open_index(project.state, champion_of(project, model))
    try:
        engine = await engine_of(project.state, champion_of(project, writer))
        try:
            passages = [passage for _, passage in index.index.passages()]
            return await write_questions(passages, index, engine, number=number, seed=seed, tell=tell)
        finally:
            await engine.close()
    finally:
        await index.close()

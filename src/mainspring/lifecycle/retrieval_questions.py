"""The questions of a collection: read, and resolved to places in the documents as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mainspring.data.documents.collection import Source
from mainspring.data.documents.document import Document, Unread
from mainspring.data.documents.questions import Question, Resolved, WrittenQuestion, read_questions
from mainspring.registry.versions import Version
from mainspring.spec import Project
from mainspring.tasks.retrieval import Asked

_MOST_TOLD = 20


def written(project: Project, model: str) -> list[WrittenQuestion]:
    """The rows of the table that the spec names; none, where it names none.

    Raises:
        SpecError: it is not there.
        DataError: it cannot be read, or lacks a column.
    """
    named = project.retrieval(model).questions
    return [] if named is None else read_questions(project, model, named)


def held_out(questions: Sequence[Question], version: Version) -> tuple[Question, ...]:
    """Those that a version of the collection was not tuned on."""
    nothing = np.empty((len(questions), 0), np.float32)
    return Asked(tuple(questions), nothing).divide(version.manifest.lineage.seed)[1].questions


def notes(found: Resolved) -> list[str]:
    """What a person should know of those whose places are not there."""
    told = [f"question in row {one.row} is left out: {one.reason}" for one in found.unresolved[:_MOST_TOLD]]
    if (more := len(found.unresolved) - _MOST_TOLD) > 0:
        told.append(f"{more:,} more questions are left out")
    return told


class Documents(Mapping[str, Document]):
    """The documents by name, each read when it is first asked for."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = {source.name: source for source in sources}
        self._read: dict[str, Document | Unread] = {}

    def __getitem__(self, name: str) -> Document:
        if name not in self._read:
            self._read[name] = self._sources[name].read()
        found = self._read[name]
        if isinstance(found, Unread):
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

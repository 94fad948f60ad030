"""A collection of documents in the prediction log: its searches as they are watched, and the embedder for questions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from mainspring.lifecycle.engines import engine_of
from mainspring.lifecycle.indexes import FOLDER
from mainspring.monitoring import log
from mainspring.monitoring.log import Logged
from mainspring.monitoring.privacy import Private
from mainspring.monitoring.retrieval import QUESTION, found_columns
from mainspring.registry.versions import Version
from mainspring.runtimes.index.settings import read_settings
from mainspring.schema import Column, Schema, Target
from mainspring.spec import Project

# As the gateway notes a search; the score of the best passage is its output.
_SCHEMA = Schema(
    (
        Column(QUESTION, "text"),
        Column("passages", "text"),
        Column("answerable", "number"),
        Column("abstained", "number"),
    ),
    Target("score"),
)
_AT_ONCE = 64  # questions


class _Passage(msgspec.Struct):
    score: float


_decoder = msgspec.json.Decoder(list[_Passage])


class SearchLog:
    """What one version of a collection has found. `threshold`: from which probability on it is answered."""

    def __init__(self, project: Project, version: Version, threshold: float | None) -> None:
        self._project, self._model, self._name = project, version.manifest.model, version.name
        self._private = QUESTION in Private.of(project, self._model).rules
        self._threshold = threshold

    def read(self, *, since: int = 0, until: int | None = None, limit: int | None = None) -> Logged:
        """As `log.read`, with the columns that `monitoring.retrieval` speaks of.

        Raises:
            DataError: the store cannot be read.
        """
        logged = log.read(
            self._project, self._model, _SCHEMA, since=since, until=until, version=self._name, limit=limit
        )
        noted = logged.rows.columns
        scores = [_scores(passages) for passages in noted["passages"].tolist()]
        columns = found_columns(scores, noted["answerable"], self._threshold, noted["abstained"])
        if not self._private:
            columns[QUESTION] = noted[QUESTION]
        return replace(logged, rows=replace(logged.rows, columns=columns))


class QuestionEmbedder:
    """Embeds questions as `version` does: by the running service's engine, or in this process."""

    def __init__(self, state: Path, version: Version) -> None:
        self._state, self._version = state, version

    def __call__(self, questions: list[str]) -> np.ndarray:
        """Their vectors: (n, width) float32.

        Raises:
            RegistryError: a file of the version is missing or damaged.
            RuntimeLoadError: its embedder cannot be loaded.
            EngineGoneError: it does not answer.
        """
        return asyncio.run(self._embed(questions))

    async def _embed(self, questions: list[str]) -> np.ndarray:
        embedder = read_settings(self._version.folder / FOLDER).embedder
        parts = [np.empty((0, embedder.width), np.float32)]
        engine = await engine_of(self._state, self._version)
        try:
            for begin in range(0, len(questions), _AT_ONCE):
                texts = [embedder.query_prefix + text for text in questions[begin : begin + _AT_ONCE]]
                vectors, _ = await engine.embed(texts)
                parts.append(vectors)
        finally:
            await engine.close()
        return np.concatenate(parts)


def _scores(passages: str) -> list[float]:
    """Of the passages of a search, the greatest first; none where they are not in the log."""
    if not passages:
        return []
    return sorted((one.score for one in _decoder.decode(passages)), reverse=True)

"""Qdrant: a server, or its engine in the process, in the index's own folder.

A question is one request: Qdrant takes the best of both kinds of vectors, computes both parts of the score for each of
them, and adds those up (`FormulaQuery`). Beside it comes what the last of each list scores, from which it follows
whether all of the best are among them (see `ranking`). Vectors are compared exactly until Qdrant builds a graph (HNSW)
of a segment, from 10 MB of vectors on; then the best of a list is what the graph finds.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.stores.keys import normal, stored
from mainspring.runtimes.index.stores.ranking import By, Candidate, asked_by, best
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.stores.store import Entry, Hit, Query, Sparse

WHOLE_ID = "id"  # the payload's key that has the whole hash: Qdrant's own ids are 16 bytes

_BATCH = 256  # passages in a request: about 3 MB of JSON with vectors of 384
_WIDER = 4  # how much longer the lists are that are merged than what is wanted of them


class Point(msgspec.Struct, frozen=True):
    """A passage as Qdrant keeps it. `id` is a UUID."""

    id: str
    dense: list[float]
    sparse: tuple[list[int], list[float]]
    payload: dict[str, str | float]


class Listing(msgspec.Struct, frozen=True):
    """What is wanted of a question: the places [offset, offset + limit) of the best by one or both kinds of vectors.

    `merged` is how many of each kind are merged for both. Without `whole` the scores are enough.
    """

    by: By
    limit: int
    offset: int = 0
    merged: int = 0
    whole: bool = True


class Listed(msgspec.Struct, frozen=True):
    """A passage that Qdrant found: its score there, and the passage, if it was wanted."""

    score: float
    passage: Candidate | None


class Engine(Protocol):
    """A way to Qdrant. Each of its methods raises StoreError, and may be called from several threads."""

    def create(self, width: int) -> None:
        """Make the collection anew."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, or replace them."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points, by their UUIDs."""

    def publish(self) -> None:
        """Build what is built once."""

    def count(self) -> int:
        """How many points there are."""

    def ids(self) -> set[str]:
        """Their whole ids."""

    def ask(self, query: Query, where: Filter | None, listings: Sequence[Listing]) -> list[list[Listed]]:
        """Several lists for one question, in one request. `where` is normal (see `keys`)."""

    def drop(self) -> None:
        """Remove the collection, if it is there."""

    def close(self) -> None:
        """Let go of files and connections."""


class QdrantStore:
    """A collection of Qdrant's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, width: int) -> None:
        """Make the collection anew."""
        self._engine.create(width)

    def insert(self, entries: Sequence[Entry]) -> None:
        """Add passages, or replace them."""
        points = [_point(entry) for entry in {entry.id: entry for entry in entries}.values()]
        for begin in range(0, len(points), _BATCH):
            self._engine.upsert(points[begin : begin + _BATCH])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove passages."""
        for begin in range(0, len(ids), 4 * _BATCH):
            self._engine.delete([_point_id(one) for one in ids[begin : begin + 4 * _BATCH]])

    def publish(self) -> None:
        """Let Qdrant build its graphs, and wait for it."""
        self._engine.publish()

    def count(self) -> int:
        """How many passages there are."""
        return self._engine.count()

    def ids(self) -> set[str]:
        """Their ids."""
        return self._engine.ids()

    def search(self, query: Query, k: int, where: Filter | None = None) -> list[Hit]:
        """The best k."""
        holds, by = normal(where), asked_by(query)
        if k < 1 or holds is False or by is None:
            return []
        condition = None if holds is True else holds
        weights = {"dense": query.dense_weight, "sparse": 1.0 - query.dense_weight}

        def one_list(depth: int) -> tuple[list[Candidate], float | None]:
            [found] = self._engine.ask(query, condition, [Listing(by, depth)])
            return _passages(found), weights[by] * found[-1].score if len(found) == depth else None

        def both_lists(depth: int) -> tuple[list[Candidate], float | None]:
            wide = _WIDER * depth
            ends = [Listing("dense", 1, wide - 1, whole=False), Listing("sparse", 1, wide - 1, whole=False)]
            found, dense, sparse = self._engine.ask(query, condition, [Listing("both", depth, merged=wide), *ends])
            bounds = [found[-1].score] if len(found) == depth else []
            if dense:  # else the list is shorter than `wide`, and every passage is in it
                last = sparse[0].score if sparse else 0.0  # of what is not in a shorter one
                bounds.append(weights["dense"] * dense[0].score + weights["sparse"] * last)
            return _passages(found), max(bounds, default=None)

        return best(query, k, both_lists if by == "both" else one_list)

    def drop(self) -> None:
        """Remove the collection."""
        self._engine.drop()

    def close(self) -> None:
        """Let go of it."""
        self._engine.close()


def open_qdrant(settings: StoreSettings, folder: Path) -> QdrantStore:
    """A server's collection, or, without a url, one in the folder.

    Raises:
        StoreError: the API key is not there.
        MissingExtraError: Qdrant's package is not installed.
    """
    if settings.url is None:
        from mainspring.runtimes.index.stores.qdrant_edge import Edge

        return QdrantStore(Edge(folder / "qdrant"))
    from mainspring.runtimes.index.stores.qdrant_server import connect

    return QdrantStore(connect(settings))


def to_candidate(point: Any) -> Candidate:
    """A passage, of a point as both of Qdrant's packages give it."""
    sparse = point.vector["sparse"]
    kept = Sparse(np.asarray(sparse.indices, np.uint32), np.asarray(sparse.values, np.float32))
    return Candidate(point.payload[WHOLE_ID], np.asarray(point.vector["dense"], np.float32), kept)


def _point(entry: Entry) -> Point:
    return Point(
        _point_id(entry.id),
        entry.dense.tolist(),
        (entry.sparse.terms.tolist(), entry.sparse.weights.tolist()),
        {WHOLE_ID: entry.id, **stored(entry.fields)},
    )


def _point_id(sha256: str) -> str:
    return str(uuid.UUID(hex=sha256[:32]))


def _passages(found: Sequence[Listed]) -> list[Candidate]:
    return [one.passage for one in found if one.passage is not None]

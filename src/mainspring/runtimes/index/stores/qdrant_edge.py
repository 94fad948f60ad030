"""Qdrant's own engine in the process (`qdrant-edge-py`): a shard in a folder, and no server.

A shard is filled without a write-ahead log: a version that is not published yet is made anew after a kill anyway, and
a log is locked by the one process that has it open. So a published one can be read by several.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mainspring.errors import StoreError, require
from mainspring.runtimes.index.filters import All, AnyOf, Between, Filter, Not, OneOf
from mainspring.runtimes.index.stores.qdrant import WHOLE_ID, Listed, Listing, Point, to_candidate
from mainspring.runtimes.index.stores.store import Query

_PAGE = 4096


class Edge:
    """A shard in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._edge = require("qdrant_edge", "qdrant")
        self._folder = folder
        self._lock = threading.Lock()
        self._shard: Any = None
        self._indexed: set[str] = set()

    def create(self, width: int) -> None:
        """Make the shard anew."""
        self.drop()
        edge = self._edge
        config = edge.EdgeConfig(
            vectors={"dense": edge.EdgeVectorParams(size=width, distance=edge.Distance.Dot)},
            sparse_vectors={"sparse": edge.EdgeSparseVectorParams()},
            wal_enabled=False,
        )
        self._folder.mkdir(parents=True)
        with self._lock:
            self._shard = self._do("create", lambda: edge.EdgeShard.create(str(self._folder), config))

    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, or replace them."""
        edge, shard = self._edge, self._open()
        for field in sorted({key for point in points for key in point.payload} - self._indexed - {WHOLE_ID}):
            kind = "Keyword" if field.startswith("text_") else "Float"
            index = edge.UpdateOperation.create_field_index(field, getattr(edge.PayloadSchemaType, kind))
            self._do("index a field in", lambda index=index: shard.update(index))
            self._indexed.add(field)
        made = [
            edge.Point(
                id=point.id,
                vector={"dense": point.dense, "sparse": edge.SparseVector(*point.sparse)},
                payload=point.payload,
            )
            for point in points
        ]
        self._do("write to", lambda: shard.update(edge.UpdateOperation.upsert_points(made)))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points."""
        shard, operation = self._open(), self._edge.UpdateOperation.delete_points(list(ids))
        self._do("delete from", lambda: shard.update(operation))

    def publish(self) -> None:
        """Build graphs, and write everything to the disk. From then on its files stay as they are."""
        shard = self._open()
        self._do("build", shard.optimize)
        self._do("write", shard.flush)
        self.close()
        self._open()  # the first time that it is opened, it writes what it found, and its journals
        self.close()

    def count(self) -> int:
        """How many points there are."""
        shard = self._open()
        return self._do("count", lambda: shard.count(self._edge.CountRequest(exact=True)))

    def ids(self) -> set[str]:
        """Their whole ids."""
        shard, found, offset = self._open(), set(), None
        while True:
            request = self._edge.ScrollRequest(offset=offset, limit=_PAGE, with_payload=[WHOLE_ID], with_vector=False)
            records, offset = self._do("list", lambda request=request: shard.scroll(request))
            found |= {record.payload[WHOLE_ID] for record in records}
            if offset is None:
                return found

    def ask(self, query: Query, where: Filter | None, listings: Sequence[Listing]) -> list[list[Listed]]:
        """Several lists for one question."""
        shard = self._open()
        asked = _Question(self._edge, query, None if where is None else _filter(self._edge, where))
        requests = self._edge.QueryBatchRequest([asked.request(listing) for listing in listings])
        found = self._do("search", lambda: shard.query_batch(requests))
        return [
            [Listed(one.score, to_candidate(one) if listing.whole else None) for one in points]
            for listing, points in zip(listings, found, strict=True)
        ]

    def drop(self) -> None:
        """Remove the shard."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._indexed.clear()

    def close(self) -> None:
        """Let go of its files. What was not published may be lost."""
        with self._lock:
            if self._shard is not None:
                self._do("close", self._shard.close)
                self._shard = None

    def _open(self) -> Any:
        with self._lock:
            if self._shard is None:
                if not self._folder.exists():
                    raise StoreError(f"there is no index of Qdrant's in {self._folder}: fit the model again")
                self._shard = self._do("open", lambda: self._edge.EdgeShard.load(str(self._folder)))
            return self._shard

    def _do(self, tried: str, call: Any) -> Any:
        try:
            return call()
        except Exception as error:
            if type(error) is not Exception:  # the engine raises nothing more particular
                raise
            raise StoreError(f"Qdrant cannot {tried} the index in {self._folder}: {error}") from error


class _Question:
    """Makes Qdrant's requests of one question."""

    def __init__(self, edge: Any, query: Query, where: Any) -> None:
        self._edge = edge
        self._where = where
        self._weight = query.dense_weight
        sparse = edge.SparseVector(query.sparse.terms.tolist(), query.sparse.weights.tolist())
        self._nearest = {
            "dense": edge.Query.Nearest(query.dense.tolist(), using="dense"),
            "sparse": edge.Query.Nearest(sparse, using="sparse"),
        }

    def request(self, wanted: Listing) -> Any:
        """For one list."""
        edge = self._edge
        what = {
            "limit": wanted.limit,
            "offset": wanted.offset,
            "with_payload": [WHOLE_ID] if wanted.whole else False,
            "with_vector": wanted.whole,
        }
        if wanted.by != "both":
            return edge.QueryRequest(
                query=self._nearest[wanted.by],
                filter=self._where,
                params=self._params(wanted.limit + wanted.offset),
                **what,
            )
        # Each part is computed for all that either list has.
        lists = [
            edge.Prefetch(wanted.merged, query=nearest, filter=self._where, params=self._params(wanted.merged))
            for nearest in self._nearest.values()
        ]
        parts = [
            edge.Prefetch(2 * wanted.merged, query=nearest, prefetches=lists) for nearest in self._nearest.values()
        ]
        expression = edge.Expression
        weighted = [
            expression.Mult([expression.Constant(weight), expression.Variable(f"$score[{at}]")])
            for at, weight in enumerate((self._weight, 1.0 - self._weight))
        ]
        # Only a passage with none of the words has no second part.
        formula = edge.Formula(expression.Sum(weighted), {"$score[0]": 0.0, "$score[1]": 0.0})
        return edge.QueryRequest(query=formula, prefetches=parts, **what)

    def _params(self, limit: int) -> Any:
        return self._edge.SearchParams(hnsw_ef=max(128, limit))


def _filter(edge: Any, where: Filter) -> Any:
    match where:
        case All(parts):
            return edge.Filter(must=[_filter(edge, part) for part in parts])
        case AnyOf(parts):
            return edge.Filter(should=[_filter(edge, part) for part in parts])
        case Not(part):
            return edge.Filter(must_not=[_filter(edge, part)])
        case Between(field, gt, gte, lt, lte):
            return edge.Filter(must=[edge.FieldCondition(field, range=edge.RangeFloat(gt=gt, gte=gte, lt=lt, lte=lte))])
        case OneOf(field, values):
            return edge.Filter(should=[edge.FieldCondition(field, **_equal(edge, value)) for value in values])


def _equal(edge: Any, value: Any) -> dict[str, Any]:
    """A number is equal within a range of one: Qdrant matches whole numbers only."""
    if isinstance(value, float):
        return {"range": edge.RangeFloat(gte=value, lte=value)}
    return {"match": edge.MatchValue(value)}

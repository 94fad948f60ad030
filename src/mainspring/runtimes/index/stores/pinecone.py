"""Pinecone: a service, through its client.

All collections of one width share an index (`mainspring-384`), in which each is a namespace. A question is one query:
its two parts are weighted beforehand, so that Pinecone's dot product is the whole score. Its search is approximate, and
what was written is seen by it some time later: `publish` waits for that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np

from mainspring.errors import StoreError, require
from mainspring.runtimes.index.filters import All, AnyOf, Between, Filter, Not, OneOf
from mainspring.runtimes.index.stores.attempts import Trouble, patiently, read_key, refused_key
from mainspring.runtimes.index.stores.keys import normal, stored_within
from mainspring.runtimes.index.stores.ranking import Candidate, asked_by, best
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.stores.store import Entry, Hit, Query, Sparse

T = TypeVar("T")

_PREFIX = "mainspring-"  # of an index; its width follows
# As documented in 2026 (docs.pinecone.io/reference/api/database-limits); where sources differ, the smaller one.
_BATCH, _BATCH_BYTES = 1000, 1_900_000  # of one request that writes: 2 MB
_FIELD_BYTES = 40_000  # of all fields of a passage, as JSON: 40 kB
_MOST_TERMS = 1000  # of a passage
_DELETED = 1000
_FETCHED = 100  # ids in one address
_ANSWER_BYTES = 3_800_000  # of what a query gives: 4 MB
_MOST = 10_000  # passages that a query gives

_SEARCH_TIMEOUT = 10.0  # seconds
_SETTLING = 600.0  # seconds until what was written must be seen
_LONGEST_PAUSE = 2.0


class PineconeStore:
    """The namespace `settings.collection`."""

    def __init__(self, settings: StoreSettings) -> None:
        pinecone = require("pinecone", "pinecone")
        self._errors = require("pinecone.errors", "pinecone")
        if settings.key is None:
            raise StoreError(
                "Pinecone wants an API key: name the environment variable that holds it as `key` of the store"
            )
        self._settings = settings
        self._client = pinecone.Pinecone(api_key=read_key(settings), host=settings.url)
        self._serverless = pinecone.ServerlessSpec(cloud=settings.cloud, region=settings.region)
        self._name = (settings.collection or "passages").encode("ascii", "backslashreplace").decode()[:512]
        self._lock = threading.Lock()
        self._indexes: dict[str, Any] = {}  # the clients of indexes, by name
        self._index: Any = None  # the one that has the namespace
        self._known: set[str] | None = None  # the ids that are there once everything is seen
        self._written: int | None = None  # the place in the namespace's log up to which it must be seen

    def create(self, width: int) -> None:
        """Make the namespace anew, and the index of this width if it is the first."""
        self.drop()
        name = f"{_PREFIX}{width}"
        if not self._do("look for the index", self._client.has_index, name):
            make = partial(self._client.create_index, name=name, dimension=width, metric="dotproduct")
            try:
                self._do(f"make the index {name}", make, spec=self._serverless)
            except StoreError as error:  # another fit has made it meanwhile
                if not isinstance(error.__cause__, self._errors.ConflictError):
                    raise
        self._index = self._index_of(name)
        self._do("make the namespace", self._index.create_namespace, name=self._name)
        self._known, self._written = set(), None

    def insert(self, entries: Sequence[Entry]) -> None:
        """Add passages, or replace them."""
        index, known = self._opened(), self._changed()
        for batch in _batches([_record(entry) for entry in {entry.id: entry for entry in entries}.values()]):
            answer = self._do(f"write {len(batch)} passages", index.upsert, vectors=batch, namespace=self._name)
            told = answer.response_info
            self._written = None if told is None else told.lsn_committed
            known |= {record["id"] for record in batch}

    def delete(self, ids: Sequence[str]) -> None:
        """Remove passages."""
        index, known = self._opened(), self._changed()
        for begin in range(0, len(ids), _DELETED):
            part = list(ids[begin : begin + _DELETED])
            self._do(f"delete {len(part)} passages", index.delete, ids=part, namespace=self._name)
            known -= set(part)

    def publish(self) -> None:
        """Wait until searches see what was written: as many passages, and the last change.

        Raises:
            StoreError: also where it takes more than ten minutes.
        """
        index, known = self._opened(), self._changed()
        width = self._do("look at the index", index.describe_index_stats).dimension
        question = [1.0, *[0.0] * (width - 1)]  # any will do

        def seen() -> bool:
            if self._counted(index) != len(known):
                return False
            if self._written is None:  # the service did not say up to where
                return True
            answer = self._do("search", index.query, vector=question, top_k=1, namespace=self._name)
            return answer.response_info is not None and answer.response_info.is_reconciled(self._written)

        self._wait(seen, "searches do not see all that was written")
        self._written = None

    def count(self) -> int:
        """How many passages there are: of one that is being filled, when all is seen."""
        index = self._opened()
        if self._known is not None:
            return len(self._known)
        return self._counted(index)

    def ids(self) -> set[str]:
        """Their ids."""
        self._opened()
        return self._listed() if self._known is None else set(self._known)

    def search(self, query: Query, k: int, where: Filter | None = None) -> list[Hit]:
        """The best k."""
        holds, by = normal(where), asked_by(query)
        if k < 1 or holds is False or by is None:
            return []
        index, weight = self._opened(), query.dense_weight
        asked: dict[str, Any] = {"vector": (weight * query.dense).tolist()}
        if by != "dense":
            values = ((1.0 - weight) * query.sparse.weights).tolist()
            asked["sparse_vector"] = {"indices": query.sparse.terms.tolist(), "values": values}
        if holds is not True:
            asked["filter"] = _filter(holds)
        passage_bytes = 13 * len(query.dense) + 25 * _MOST_TERMS  # at most, in what a query gives

        def ask(depth: int) -> tuple[list[Candidate], float | None]:
            fits = depth * passage_bytes <= _ANSWER_BYTES
            answer = self._do(
                "search", index.query, top_k=depth, include_values=fits, namespace=self._name,
                timeout=_SEARCH_TIMEOUT, **asked,
            )  # fmt: skip
            found = answer.matches
            bound = found[-1].score if len(found) == depth else None
            if by == "sparse" and bound is not None and bound <= 0.0:  # the others have none of the words
                bound = None
            return [_candidate(one) for one in (found if fits else self._fetched([one.id for one in found]))], bound

        return best(query, k, ask, deepest=_MOST)

    def drop(self) -> None:
        """Remove the namespace. The index stays: others may be in it."""
        for index in self._having():
            self._do("drop the namespace", index.delete_namespace, name=self._name)
            self._wait(partial(self._lacks, index), "it does not drop the namespace")
        self._index, self._known, self._written = None, None, None

    def close(self) -> None:
        """Let go of the connections."""
        for index in self._indexes.values():
            index.close()
        self._client.close()

    def _opened(self) -> Any:
        """The index that has the namespace."""
        with self._lock:
            if self._index is None:
                self._index = next(self._having(), None)
            if self._index is None:
                raise StoreError(f"there is no {self._place}: fit the model again")
            return self._index

    def _having(self) -> Iterator[Any]:
        """Our indexes that have the namespace."""
        for found in self._do("list the indexes", lambda: list(self._client.indexes.list())):
            if found.name.startswith(_PREFIX):
                index = self._index_of(found.name)
                if not self._lacks(index):
                    yield index

    def _index_of(self, name: str) -> Any:
        if name not in self._indexes:
            self._indexes[name] = self._do(f"open the index {name}", self._client.index, name=name)
        return self._indexes[name]

    def _lacks(self, index: Any) -> bool:
        try:
            self._do("look for the namespace", index.describe_namespace, name=self._name)
        except StoreError as error:
            if isinstance(error.__cause__, self._errors.NotFoundError):
                return True
            raise
        return False

    def _changed(self) -> set[str]:
        """The ids that are there, to be changed."""
        if self._known is None:
            self._known = self._listed()
        return self._known

    def _counted(self, index: Any) -> int:
        namespace = self._do("count the passages", index.describe_index_stats).namespaces.get(self._name)
        return 0 if namespace is None else namespace.vector_count  # an empty one need not be told of

    def _listed(self) -> set[str]:
        pages = partial(self._index.list, namespace=self._name)
        return self._do("list the passages", lambda: {item.id for page in pages() for item in page.vectors})

    def _fetched(self, ids: Sequence[str]) -> list[Any]:
        found: dict[str, Any] = {}
        for begin in range(0, len(ids), _FETCHED):
            part = ids[begin : begin + _FETCHED]
            found |= self._do("fetch passages", self._index.fetch, ids=part, namespace=self._name).vectors
        return list(found.values())

    def _wait(self, done: Callable[[], bool], told: str) -> None:
        until, pause = time.monotonic() + _SETTLING, 0.05
        while not done():
            if time.monotonic() > until:
                raise StoreError(f"{told} after {_SETTLING:.0f} seconds ({self._place}): try it again later")
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    @property
    def _place(self) -> str:
        return f"namespace {self._name!r} of Pinecone{f' at {self._settings.url}' if self._settings.url else ''}"

    def _do(self, tried: str, call: Callable[..., T], *positional: Any, **arguments: Any) -> T:
        """Once: its client tries again by itself."""
        return patiently(f"cannot {tried} ({self._place})", partial(call, *positional, **arguments), self._meaning)

    def _meaning(self, error: Exception) -> Trouble | None:
        errors = self._errors
        if isinstance(error, errors.UnauthorizedError | errors.ForbiddenError):
            return Trouble(f"{refused_key(self._settings)} ({error})")
        if isinstance(error, errors.PineconeConnectionError | errors.PineconeTimeoutError):
            return Trouble(f"it does not answer ({error})")
        return Trouble(str(error)) if isinstance(error, errors.PineconeError) else None


def _record(entry: Entry) -> dict[str, Any]:
    fields = stored_within(_FIELD_BYTES, "Pinecone", entry.id, entry.fields)
    if len(entry.sparse.terms) > _MOST_TERMS:
        raise StoreError(
            f"passage {entry.id} has {len(entry.sparse.terms):,} different words, and Pinecone takes {_MOST_TERMS:,}: "
            "give the model fewer `tokens` a passage, or keep the index in another store"
        )
    record = {"id": entry.id, "values": entry.dense.tolist(), "metadata": fields}
    if len(entry.sparse.terms):  # it takes no empty one
        record["sparse_values"] = {"indices": entry.sparse.terms.tolist(), "values": entry.sparse.weights.tolist()}
    return record


def _batches(records: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Of at most `_BATCH` records and `_BATCH_BYTES` bytes."""
    batch: list[dict[str, Any]] = []
    size = 0
    for record in records:
        more = len(msgspec.json.encode(record)) + 1
        if batch and (len(batch) == _BATCH or size + more > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += more
    if batch:
        yield batch


def _candidate(one: Any) -> Candidate:
    sparse = one.sparse_values
    terms, weights = ([], []) if sparse is None else (sparse.indices, sparse.values)
    kept = Sparse(np.asarray(terms, np.uint32), np.asarray(weights, np.float32))
    return Candidate(one.id, np.asarray(one.values, np.float32), kept)


def _filter(where: Filter) -> dict[str, Any]:
    """A normal filter as Pinecone's. What a negation says of a passage without the field is said beside it."""
    match where:
        case All(parts):
            return {"$and": [_filter(part) for part in parts]}
        case AnyOf(parts):
            return {"$or": [_filter(part) for part in parts]}
        case OneOf(field, values):
            return {field: {"$in": list(values)}}
        case Between(field):
            return {"$and": [{field: {f"${name}": bound}} for name, bound in _bounds(where)]}
        case Not(OneOf(field, values)):
            return {"$or": [{field: {"$exists": False}}, {field: {"$nin": list(values)}}]}
        case Not(Between(field) as part):
            opposite = {"gt": "$lte", "gte": "$lt", "lt": "$gte", "lte": "$gt"}
            outside = [{field: {opposite[name]: bound}} for name, bound in _bounds(part)]
            return {"$or": [{field: {"$exists": False}}, *outside]}
    raise AssertionError(f"not a normal filter: {where}")


def _bounds(where: Between) -> list[tuple[str, float]]:
    return [(name, bound) for name in ("gt", "gte", "lt", "lte") if (bound := getattr(where, name)) is not None]

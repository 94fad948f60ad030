"""A server of Qdrant's, through its client."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from mainspring.errors import StoreError, require
from mainspring.runtimes.index.filters import All, AnyOf, Between, Filter, Not, OneOf
from mainspring.runtimes.index.stores.attempts import Trouble, patiently, read_key, refused_key
from mainspring.runtimes.index.stores.qdrant import WHOLE_ID, Listed, Listing, Point, to_candidate
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.stores.store import Query

T = TypeVar("T")

_TIMEOUT = 30  # seconds, of one request
_BUILD_SECONDS = 3600.0  # how long it may build graphs: of a million passages about ten minutes
_PAGE = 4096


def connect(settings: StoreSettings) -> Server:
    """The server at `settings.url`. Nothing is asked of it yet."""
    client = require("qdrant_client", "qdrant").QdrantClient(
        url=settings.url, api_key=read_key(settings), timeout=_TIMEOUT, check_compatibility=False
    )
    return Server(client, settings)


class Server:
    """The collection `settings.collection` of a server."""

    def __init__(self, client: Any, settings: StoreSettings) -> None:
        self._client = client
        self._models = require("qdrant_client.models", "qdrant")
        self._settings = settings
        self._name = settings.collection
        self._indexed: set[str] = set()

    def create(self, width: int) -> None:
        """Make the collection anew."""
        models = self._models
        self.drop()
        self._call(
            "make the collection",
            self._client.create_collection,
            vectors_config={"dense": models.VectorParams(size=width, distance=models.Distance.DOT)},
            sparse_vectors_config={"sparse": models.SparseVectorParams()},
        )

    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, or replace them."""
        models = self._models
        for field in sorted({key for point in points for key in point.payload} - self._indexed - {WHOLE_ID}):
            kind = "KEYWORD" if field.startswith("text_") else "FLOAT"
            schema = getattr(models.PayloadSchemaType, kind)
            self._call(
                f"index the field {field}", self._client.create_payload_index, field_name=field, field_schema=schema
            )
            self._indexed.add(field)
        made = [
            models.PointStruct(
                id=point.id,
                vector={
                    "dense": point.dense,
                    "sparse": models.SparseVector(indices=point.sparse[0], values=point.sparse[1]),
                },
                payload=point.payload,
            )
            for point in points
        ]
        self._call(f"write {len(made)} passages", self._client.upsert, points=made, wait=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points."""
        selected = self._models.PointIdsList(points=list(ids))
        self._call(f"delete {len(ids)} passages", self._client.delete, points_selector=selected, wait=True)

    def publish(self) -> None:
        """Wait until its graphs are built."""
        until = time.monotonic() + _BUILD_SECONDS
        pause = 0.05
        # "grey" is one whose optimizers wait for the next write: all is in it, and nothing is being built.
        while (status := self._call("build the index", self._client.get_collection).status) not in ("green", "grey"):
            if status == "red" or time.monotonic() > until:
                raise StoreError(f"{self._place}: the collection's status is {status}: see the server's log")
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def count(self) -> int:
        """How many points there are."""
        return self._call("count the passages", self._client.count, exact=True).count

    def ids(self) -> set[str]:
        """Their whole ids."""
        found: set[str] = set()
        offset = None
        while True:
            records, offset = self._call(
                "list the passages",
                self._client.scroll,
                limit=_PAGE,
                offset=offset,
                with_payload=[WHOLE_ID],
                with_vectors=False,
            )
            found |= {record.payload[WHOLE_ID] for record in records}
            if offset is None:
                return found

    def ask(self, query: Query, where: Filter | None, listings: Sequence[Listing]) -> list[list[Listed]]:
        """Several lists for one question, in one request."""
        asked = _Question(self._models, query, None if where is None else _filter(self._models, where))
        requests = [asked.request(listing) for listing in listings]
        found = self._call("search", self._client.query_batch_points, requests=requests)
        return [
            [Listed(one.score, to_candidate(one) if listing.whole else None) for one in answer.points]
            for listing, answer in zip(listings, found, strict=True)
        ]

    def drop(self) -> None:
        """Remove the collection."""
        if self._call("look for the collection", self._client.collection_exists):
            self._call("drop the collection", self._client.delete_collection)
        self._indexed.clear()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    @property
    def _place(self) -> str:
        return f"Qdrant at {self._settings.url}, collection {self._name!r}"

    def _call(self, tried: str, call: Callable[..., T], **arguments: Any) -> T:
        do = partial(call, self._name, **arguments)
        return patiently(f"cannot {tried} ({self._place})", do, self._meaning)

    def _meaning(self, error: Exception) -> Trouble | None:
        exceptions = require("qdrant_client.http.exceptions", "qdrant")
        if isinstance(error, exceptions.ResponseHandlingException):
            return Trouble(f"the server does not answer ({error.source}): is it running there?", passing=True)
        if not isinstance(error, exceptions.UnexpectedResponse):
            return None
        if error.status_code in (401, 403):
            return Trouble(refused_key(self._settings))
        if error.status_code == 404:
            return Trouble("there is no such collection: fit the model again")
        said = error.content.decode("utf-8", "replace")[:300]
        passing = error.status_code in (408, 429) or (error.status_code or 0) >= 500
        return Trouble(f"it answers {error.status_code}: {said}", passing)


class _Question:
    """Makes Qdrant's requests of one question."""

    def __init__(self, models: Any, query: Query, where: Any) -> None:
        self._models = models
        self._where = where
        self._weight = query.dense_weight
        sparse = models.SparseVector(indices=query.sparse.terms.tolist(), values=query.sparse.weights.tolist())
        self._vectors = {"dense": query.dense.tolist(), "sparse": sparse}

    def request(self, wanted: Listing) -> Any:
        """For one list."""
        models = self._models
        what = {
            "limit": wanted.limit,
            "offset": wanted.offset,
            "with_payload": [WHOLE_ID] if wanted.whole else False,
            "with_vector": wanted.whole,
        }
        if wanted.by != "both":
            return models.QueryRequest(
                query=self._vectors[wanted.by],
                using=wanted.by,
                filter=self._where,
                params=self._params(wanted.limit + wanted.offset),
                **what,
            )
        lists = [
            models.Prefetch(
                query=vector, using=by, limit=wanted.merged, filter=self._where, params=self._params(wanted.merged)
            )
            for by, vector in self._vectors.items()
        ]
        # Each part is computed for all that either list has.
        parts = [
            models.Prefetch(prefetch=lists, query=vector, using=by, limit=2 * wanted.merged)
            for by, vector in self._vectors.items()
        ]
        weighted = [
            models.MultExpression(mult=[weight, f"$score[{at}]"])
            for at, weight in enumerate((self._weight, 1.0 - self._weight))
        ]
        # Only a passage with none of the words has no second part.
        formula = models.FormulaQuery(
            formula=models.SumExpression(sum=weighted), defaults={"$score[0]": 0.0, "$score[1]": 0.0}
        )
        return models.QueryRequest(prefetch=parts, query=formula, **what)

    def _params(self, limit: int) -> Any:
        return self._models.SearchParams(hnsw_ef=max(128, limit))


def _filter(models: Any, where: Filter) -> Any:
    match where:
        case All(parts):
            return models.Filter(must=[_filter(models, part) for part in parts])
        case AnyOf(parts):
            return models.Filter(should=[_filter(models, part) for part in parts])
        case Not(part):
            return models.Filter(must_not=[_filter(models, part)])
        case Between(field, gt, gte, lt, lte):
            between = models.Range(gt=gt, gte=gte, lt=lt, lte=lte)
            return models.Filter(must=[models.FieldCondition(key=field, range=between)])
        case OneOf(field, values):
            return models.Filter(should=[models.FieldCondition(key=field, **_equal(models, value)) for value in values])


def _equal(models: Any, value: Any) -> dict[str, Any]:
    """A number is equal within a range of one: Qdrant matches whole numbers only."""
    if isinstance(value, float):
        return {"range": models.Range(gte=value, lte=value)}
    return {"match": models.MatchValue(value=value)}

"""Milvus: a server, or Milvus Lite in the process, as a database in the index's own folder.

A question is one hybrid search, whose `WeightedRanker` adds up the two inner products. A passage that only one of the
two lists has is missing a part there, so all of both lists come back with their vectors, and the sums are made again
from those (see `ranking`). Vectors are compared exactly up to 50,000 passages, and from there on, on a server, along a
graph (HNSW).

Milvus Lite is for one process at a time: a second one that opens the same folder is refused.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mainspring.errors import StoreError, require
from mainspring.runtimes.index.filters import All, AnyOf, Between, Filter, Not, OneOf
from mainspring.runtimes.index.stores.attempts import Trouble, patiently, read_key, refused_key
from mainspring.runtimes.index.stores.keys import normal, stored_within
from mainspring.runtimes.index.stores.ranking import By, Candidate, asked_by, best, deep_bound
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.stores.store import Entry, Hit, Query, Sparse

T = TypeVar("T")

_BATCH = 500  # passages in a request, of at most 64 MB
_PAGE = 2000
_MOST = 16_384  # the most that a search gives
_FIELD_BYTES = 65_535  # of all fields of a passage, as JSON
_EXACT = 50_000  # passages
_TIMEOUT = 30.0  # seconds, of one call: the client tries again until then
_SEARCH_TIMEOUT = 10.0
_BUILD_TIMEOUT = 3600.0
_NO_WORDS = 2**32 - 2  # a passage must have a term: this one, where it has none
_NOT_FOUND = 100
_lite_users: dict[Path, int] = {}  # how many stores of this process use a database
_lite_lock = threading.Lock()


class MilvusStore:
    """The collection `settings.collection` of a server, or, without a url, one in the folder."""

    def __init__(self, settings: StoreSettings, folder: Path) -> None:
        # Imported here and no earlier: it brings pandas with it, and Milvus Lite pyarrow.
        self._milvus = require("pymilvus", "milvus")
        if settings.url is None:
            require("milvus_lite", "milvus")
        # It logs each error with its traceback, also those that it raises, and those that another attempt mends.
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._settings = settings
        self._token = read_key(settings) or ""
        self._database = None if settings.url else folder.resolve() / "milvus.db"
        self._name = collection_name(settings.collection)
        self._lock = threading.Lock()
        self._client: Any = None
        self._graph: bool | None = None  # whether vectors are compared along one; None: the collection is not looked at

    def create(self, width: int) -> None:
        """Make the collection anew."""
        self.drop()
        client, kinds = self._connected(make=True), self._milvus.DataType
        schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", kinds.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("dense", kinds.FLOAT_VECTOR, dim=width)
        schema.add_field("sparse", kinds.SPARSE_FLOAT_VECTOR)
        indexes = client.prepare_index_params()
        indexes.add_index("dense", index_type="FLAT", metric_type="IP")
        indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        # A search sees all that was written before it.
        self._call("make the collection", client.create_collection, schema=schema, consistency_level="Strong")
        self._call("make the indexes", client.create_index, index_params=indexes, sync=False)  # of nothing, so far
        self._call("load the collection", client.load_collection)
        self._graph = False

    def insert(self, entries: Sequence[Entry]) -> None:
        """Add passages, or replace them."""
        client = self._ready()
        rows = [_row(entry) for entry in {entry.id: entry for entry in entries}.values()]
        for begin in range(0, len(rows), _BATCH):
            self._call("write passages", client.upsert, data=rows[begin : begin + _BATCH])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove passages."""
        client = self._ready()
        for begin in range(0, len(ids), _BATCH):
            self._call("delete passages", client.delete, ids=list(ids[begin : begin + _BATCH]))

    def publish(self) -> None:
        """Write everything to the disk, and build the graph if there is to be one."""
        client = self._ready()
        self._call("write the index", client.flush, timeout=_BUILD_TIMEOUT)
        if self._database is not None or self._graph or self.count() <= _EXACT:
            return
        indexes = client.prepare_index_params()
        graph = {"M": 16, "efConstruction": 200}
        indexes.add_index("dense", index_type="HNSW", metric_type="IP", params=graph)
        self._call("release the collection", client.release_collection)
        self._call("drop the index", client.drop_index, index_name="dense")
        self._call("build the index", client.create_index, index_params=indexes, timeout=_BUILD_TIMEOUT)
        self._call("load the collection", client.load_collection, timeout=_BUILD_TIMEOUT)
        self._graph = True

    def count(self) -> int:
        """How many passages there are."""
        client = self._ready()
        return self._call("count the passages", client.query, filter="", output_fields=["count(*)"])[0]["count(*)"]

    def ids(self) -> set[str]:
        """Their ids."""
        client = self._ready()

        def pages(name: str, timeout: float) -> Iterator[Any]:
            paging = client.query_iterator(name, batch_size=_PAGE, output_fields=["id"], timeout=timeout)
            try:
                while page := paging.next():
                    yield page
            finally:
                paging.close()

        return self._call("list the passages", lambda name, timeout: {r["id"] for p in pages(name, timeout) for r in p})

    def search(self, query: Query, k: int, where: Filter | None = None) -> list[Hit]:
        """The best k."""
        holds, by = normal(where), asked_by(query)
        if k < 1 or holds is False or by is None:
            return []
        client, condition = self._ready(), "" if holds is True else _expression(holds)

        def one_list(depth: int) -> tuple[list[Candidate], float | None]:
            [asked] = self._requests(query, condition, [by], depth)
            wanted = {"data": asked.data, "anns_field": by, "filter": condition, "search_params": asked.param}
            found = self._search(client.search, **wanted, limit=depth)
            weight = query.dense_weight if by == "dense" else 1.0 - query.dense_weight
            return [_candidate(one) for one in found], weight * found[-1]["distance"] if len(found) == depth else None

        def both_lists(depth: int) -> tuple[list[Candidate], float | None]:
            asked = self._requests(query, condition, ["dense", "sparse"], depth)
            weighted = self._milvus.WeightedRanker(query.dense_weight, 1.0 - query.dense_weight, norm_score=False)
            found = self._search(client.hybrid_search, reqs=asked, ranker=weighted, limit=2 * depth)
            candidates = [_candidate(one) for one in found]
            return candidates, deep_bound(query, candidates, depth)

        return best(query, k, both_lists if by == "both" else one_list, deepest=_MOST // (2 if by == "both" else 1))

    def drop(self) -> None:
        """Remove the collection, or the database in the folder."""
        if self._database is not None:
            self.close()
            shutil.rmtree(self._database, ignore_errors=True)
            return
        client = self._connected()
        if self._call("look for the collection", client.has_collection):
            self._call("drop the collection", client.drop_collection)
        self._graph = None

    def close(self) -> None:
        """Let go of files and connections."""
        with self._lock:
            client, self._client, self._graph = self._client, None, None
            if client is None:
                return
            client.close()
            if self._database is not None:
                _release(self._database)

    def _connected(self, make: bool = False) -> Any:
        """The client. Without `make`, a database in the folder must be there."""
        with self._lock:
            if self._client is None:
                uri = self._settings.url
                if self._database is not None:
                    if not make and not self._database.exists():
                        raise StoreError(
                            f"there is no index of Milvus's in {self._database.parent}: fit the model again"
                        )
                    self._database.parent.mkdir(parents=True, exist_ok=True)
                    uri = str(self._database)
                connect = partial(self._milvus.MilvusClient, uri, token=self._token, timeout=_TIMEOUT, dedicated=True)
                self._client = patiently(f"cannot open it ({self._place})", connect, self._meaning)
                if self._database is not None:
                    with _lite_lock:
                        _lite_users[self._database] = _lite_users.get(self._database, 0) + 1
            return self._client

    def _ready(self) -> Any:
        """The client, and the collection loaded."""
        client = self._connected()
        if self._graph is None:
            self._call("load the collection", client.load_collection, timeout=_BUILD_TIMEOUT)
            index = self._call("look at the index", client.describe_index, index_name="dense")
            self._graph = index["index_type"] == "HNSW"
        return client

    def _requests(self, query: Query, condition: str, lists: Sequence[By], depth: int) -> list[Any]:
        data = {
            "dense": query.dense.tolist(),
            "sparse": dict(zip(query.sparse.terms.tolist(), query.sparse.weights.tolist(), strict=True)),
        }
        # How far a graph is searched: at least as far as it is asked for.
        effort = {"ef": max(128, depth)} if self._graph else {}
        params = {"dense": {"metric_type": "IP", "params": effort}, "sparse": {"metric_type": "IP"}}
        request = self._milvus.AnnSearchRequest
        return [request([data[by]], by, params[by], depth, expr=condition or None) for by in lists]

    def _search(self, call: Callable[..., Any], **wanted: Any) -> list[Any]:
        whole = ["dense", "sparse"]
        return self._call("search", call, timeout=_SEARCH_TIMEOUT, output_fields=whole, **wanted)[0]

    @property
    def _place(self) -> str:
        if self._database is not None:
            return f"Milvus Lite in {self._database}"
        return f"Milvus at {self._settings.url}, collection {self._name!r}"

    def _call(self, tried: str, call: Callable[..., T], timeout: float = _TIMEOUT, **arguments: Any) -> T:
        do = partial(call, self._name, timeout=timeout, **arguments)
        return patiently(f"cannot {tried} ({self._place})", do, self._meaning)

    def _meaning(self, error: Exception) -> Trouble | None:
        exceptions, grpc = require("pymilvus.exceptions", "milvus"), require("grpc", "milvus")
        if not isinstance(error, grpc.RpcError | exceptions.MilvusException):
            return None
        cause = error.__cause__ if isinstance(error.__cause__, grpc.RpcError) else error
        code, said = (
            (cause.code(), cause.details()) if isinstance(cause, grpc.RpcError) else (cause.code, cause.message)
        )
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED) or "auth check fail" in said:
            return Trouble(refused_key(self._settings))
        if code == _NOT_FOUND:
            return Trouble("there is no such collection: fit the model again")
        if "Open local milvus failed" in said:
            return Trouble(
                "another process, as a running service, has it open: only one can. Ask that service, or give the `url` "
                "of a server"
            )
        unconnected = "Fail connecting" in str(error)
        if unconnected or code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            # Its client has tried again already, unless there was no connection yet.
            return Trouble(f"the server does not answer ({said[:300]}): is it running there?", passing=unconnected)
        return Trouble(f"it says {said[:300]} (code {code})")


def collection_name(collection: str) -> str:
    """The name that Milvus takes: letters, digits and underscores, not a digit first, at most 255."""
    return re.sub(r"\W", "_", f"mainspring_{collection}", flags=re.ASCII)[:255]


def _row(entry: Entry) -> dict[str, Any]:
    fields = stored_within(_FIELD_BYTES, "Milvus", entry.id, entry.fields)
    terms = dict(zip(entry.sparse.terms.tolist(), entry.sparse.weights.tolist(), strict=True))
    return {"id": entry.id, "dense": entry.dense.tolist(), "sparse": terms or {_NO_WORDS: 1.0}, **fields}


def _candidate(hit: Any) -> Candidate:
    kept = hit["entity"]
    terms, weights = np.array(list(kept["sparse"]), np.uint32), np.array(list(kept["sparse"].values()), np.float32)
    return Candidate(hit["id"], np.asarray(kept["dense"], np.float32), Sparse(terms, weights))


def _expression(where: Filter) -> str:
    """A normal filter as Milvus's expression. What is compared with a field that is not there is neither true nor
    false there, and so is its opposite: both are said.
    """
    match where:
        case All(parts):
            return " and ".join(f"({_expression(part)})" for part in parts)
        case AnyOf(parts):
            return " or ".join(f"({_expression(part)})" for part in parts)
        case Not(part):
            assert isinstance(part, OneOf | Between)
            return f"(not exists {part.field}) or (not ({_expression(part)}))"
        case Between(field):
            signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
            bounds = [(sign, bound) for name, sign in signs.items() if (bound := getattr(where, name)) is not None]
            return " and ".join(f"{field} {sign} {bound!r}" for sign, bound in bounds)
        case OneOf(field, values):
            return f"{field} in {json.dumps(values, ensure_ascii=False)}"


def _release(database: Path) -> None:
    """Stop the database that runs in this process, if no other store uses it: else its lock stays until the end."""
    from milvus_lite.server_manager import server_manager_instance

    with _lite_lock:
        _lite_users[database] -= 1
        if not _lite_users[database]:
            del _lite_users[database]
            server_manager_instance.release_server(str(database))

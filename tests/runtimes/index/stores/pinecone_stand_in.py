"""A stand-in for Pinecone, which cannot be had where these tests run: it is not Pinecone, and proves nothing about it.

It is a real HTTP server with the part of Pinecone's API that is used (https://docs.pinecone.io/reference/api): API key,
indexes, each at a host of its own, namespaces, the documented limits, and what was written being seen only after
`delay` seconds, with the log's places in headers. It is stricter than the service is known to be, and it searches
exactly, which the service does not.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

Record = dict[str, Any]


class RefusedError(Exception):
    """A status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def need(condition: bool, message: str, status: int = 400) -> None:
    if not condition:
        raise RefusedError(status, message)


class Namespace:
    """Its records as reads see them, and the writes that they don't see yet."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.committed = self.indexed = 0

    def write(self, due: float, change: Callable[[], None]) -> int:
        self.waiting.append((due, change))
        self.committed += 1
        return self.committed

    def settle(self) -> None:
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            self.waiting.pop(0)[1]()
            self.indexed += 1


class Index:
    """One index."""

    def __init__(self, service: PineconeStandIn, body: Record) -> None:
        [(_, field)] = body["schema"]["fields"].items()
        need(field["type"] == "dense_vector", "only dense indexes")
        self.name, self.width, self.metric = body["name"], field["dimension"], field["metric"]
        self.service = service
        self.namespaces: dict[str, Namespace] = {}
        self.ended: dict[str, float] = {}  # namespaces that were deleted, and when that is seen

    def described(self, host: str) -> Record:
        field = {"type": "dense_vector", "dimension": self.width, "metric": self.metric}
        return {
            "name": self.name,
            "host": host,
            "status": {"ready": True, "state": "Ready"},
            "deletion_protection": "disabled",
            "schema": {"fields": {"_values": field}},
            "deployment": {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"},
        }

    def namespace(self, name: str) -> Namespace:
        self.settle()
        need(name in self.namespaces, f"Namespace not found: {name}", 404)
        return self.namespaces[name]

    def settle(self) -> None:
        for name, due in list(self.ended.items()):
            if due <= time.monotonic():
                del self.ended[name], self.namespaces[name]
        for namespace in self.namespaces.values():
            namespace.settle()

    def upsert(self, body: Record) -> tuple[Record, dict[str, str]]:
        vectors = body["vectors"]
        need(0 < len(vectors) <= 1000, f"Request has {len(vectors)} vectors, the limit is 1000")
        for vector in vectors:
            self.check(vector)
        need(body["namespace"] not in self.ended, "the namespace is being deleted", 409)
        namespace = self.namespaces.setdefault(body["namespace"], Namespace())
        change = {vector["id"]: vector for vector in vectors}
        place = namespace.write(self.service.due(), lambda: namespace.records.update(change))
        return {"upsertedCount": len(vectors)}, {"x-pinecone-request-lsn": str(place)}

    def check(self, vector: Record) -> None:
        need(set(vector) <= {"id", "values", "sparseValues", "metadata"}, f"unknown keys in {sorted(vector)}")
        need(0 < len(vector["id"]) <= 512 and vector["id"].isascii(), "a bad id")
        need(len(vector["values"]) == self.width, f"Vector dimension does not match the index's {self.width}")
        need(any(vector["values"]), "Dense vectors must contain at least one non-zero value")
        if "sparseValues" in vector:
            self.check_sparse(vector["sparseValues"])
        metadata = vector.get("metadata", {})
        size = len(json.dumps(metadata, ensure_ascii=False).encode())
        need(size <= 40_960, f"Metadata size is {size} bytes, which exceeds the limit of 40960 bytes per vector")
        for name, value in metadata.items():
            need(not name.startswith("$"), f"the key {name} begins with $")
            need(
                isinstance(value, str | int | float | bool),
                f"metadata value {name} must be a string, number or boolean",
            )

    @staticmethod
    def check_sparse(sparse: Record) -> None:
        count = len(sparse["indices"])
        need(count == len(sparse["values"]), "Sparse vector must have as many values as indices")
        need(0 < count <= 1000, f"Sparse vector size {count} is not between 1 and 1000")
        need(all(0 <= index < 2**32 for index in sparse["indices"]), "Sparse vector index out of range")
        need(len(set(sparse["indices"])) == count, "Sparse vector has an index twice")

    def query(self, body: Record) -> tuple[Record, dict[str, str]]:
        known = {"topK", "includeValues", "includeMetadata", "namespace", "vector", "sparseVector", "filter"}
        need(set(body) <= known, f"unknown keys in {sorted(body)}")
        need(1 <= body["topK"] <= 10_000, "top_k must be between 1 and 10000")
        need(len(body.get("vector", ())) == self.width, "Vector dimension does not match")
        need(
            self.metric == "dotproduct" or "sparseVector" not in body,
            "Index configuration does not support sparse values",
        )
        self.settle()
        namespace = self.namespaces.get(body.get("namespace", ""), Namespace())
        kept = [one for one in namespace.records.values() if holds(body.get("filter", {}), one.get("metadata", {}))]
        scores = np.array([one["values"] for one in kept]).reshape(-1, self.width) @ np.array(body["vector"])
        if "sparseVector" in body:
            self.check_sparse(body["sparseVector"])
            asked = dict(zip(body["sparseVector"]["indices"], body["sparseVector"]["values"], strict=True))
            for at, one in enumerate(kept):
                sparse = one.get("sparseValues", {"indices": [], "values": []})
                pairs = zip(sparse["indices"], sparse["values"], strict=True)
                scores[at] += sum(asked.get(index, 0.0) * value for index, value in pairs)
        matches = []
        for at in np.argsort(-scores)[: body["topK"]].tolist():
            values = {key: kept[at][key] for key in ("values", "sparseValues") if key in kept[at]}
            matches.append(
                {
                    "id": kept[at]["id"],
                    "score": float(np.float32(scores[at])),
                    **(values if body["includeValues"] else {}),
                }
            )
        answer = {"matches": matches, "namespace": body.get("namespace", ""), "usage": {"readUnits": 1}}
        need(len(json.dumps(answer)) <= 4_000_000, "the result is larger than 4 MB")
        return answer, {"x-pinecone-max-indexed-lsn": str(namespace.indexed)}

    def delete(self, body: Record) -> tuple[Record, dict[str, str]]:
        need(set(body) == {"ids", "namespace"}, "only by ids")
        need(len(body["ids"]) <= 1000, "at most 1000 ids")
        namespace = self.namespace(body["namespace"])
        place = namespace.write(
            self.service.due(), lambda: [namespace.records.pop(one, None) for one in body["ids"]] and None
        )
        return {}, {"x-pinecone-request-lsn": str(place)}

    def stats(self) -> Record:
        self.settle()
        counts = {name: {"vectorCount": len(one.records)} for name, one in self.namespaces.items() if one.records}
        total = sum(one["vectorCount"] for one in counts.values())
        return {"namespaces": counts, "dimension": self.width, "indexFullness": 0.0, "totalVectorCount": total}

    def listed(self, query: dict[str, list[str]]) -> Record:
        ids = sorted(self.namespace(query["namespace"][0]).records)
        begin = int(query.get("paginationToken", ["0"])[0])
        page = {"vectors": [{"id": one} for one in ids[begin : begin + 100]], "namespace": query["namespace"][0]}
        return page | ({"pagination": {"next": str(begin + 100)}} if begin + 100 < len(ids) else {})

    def fetched(self, query: dict[str, list[str]]) -> Record:
        need(len(query["ids"]) <= 1000, "at most 1000 ids")
        records = self.namespace(query["namespace"][0]).records
        return {"vectors": {one: records[one] for one in query["ids"] if one in records}, "namespace": ""}

    def make_namespace(self, name: str) -> Record:
        need(name.isascii() and 0 < len(name) <= 512, "a bad name of a namespace")
        self.settle()
        need(name not in self.namespaces, "the namespace exists", 409)
        self.namespaces[name] = Namespace()
        return {"name": name, "record_count": 0}

    def end_namespace(self, name: str) -> Record:
        self.namespace(name)
        self.ended[name] = self.service.due()
        return {}


def holds(where: Record, metadata: Record) -> bool:
    """A filter of Pinecone's (https://docs.pinecone.io/guides/index-data/indexing-overview#metadata-filter-expressions)."""
    for key, wanted in where.items():
        if key in ("$and", "$or"):
            need(isinstance(wanted, list) and len(wanted) > 0, f"{key} wants a list")
            parts = [holds(part, metadata) for part in wanted]
            if not (all(parts) if key == "$and" else any(parts)):
                return False
            continue
        need(not key.startswith("$"), f"unknown operator {key}")
        need(len(wanted) == 1, "one operator a field")
        [(operator, value)] = wanted.items()
        kept = metadata.get(key)
        match operator:
            case "$exists":
                good = (key in metadata) == value
            case "$in" | "$nin":
                need(all(isinstance(one, str | int | float) for one in value), f"{operator} wants strings or numbers")
                # Whether $nin finds records without the field is not documented: it does not here.
                good = key in metadata and (kept in value) == (operator == "$in")
            case "$gt" | "$gte" | "$lt" | "$lte":
                need(isinstance(value, int | float), f"{operator} wants a number")
                number = isinstance(kept, int | float)
                good = (
                    number
                    and {"$gt": kept > value, "$gte": kept >= value, "$lt": kept < value, "$lte": kept <= value}[
                        operator
                    ]
                    if number
                    else False
                )
            case _:
                raise RefusedError(400, f"unknown operator {operator}")
        if not good:
            return False
    return True


class PineconeStandIn:
    """The service: at `url` the control plane, and each index at another port.

    `failing` is how many requests it answers with 503 next.
    """

    def __init__(self, api_key: str, delay: float) -> None:
        self.api_key, self.delay, self.failing = api_key, delay, 0
        self.requests: list[tuple[str, int]] = []  # each one's path, and how many bytes it had
        self.lock = threading.RLock()
        self.indexes: dict[str, Index] = {}
        self.hosts: dict[str, str] = {}
        self.servers: list[ThreadingHTTPServer] = []
        self.url = self.serve(self.control)

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    def due(self) -> float:
        return time.monotonic() + self.delay

    def serve(self, answer: Callable[..., Any]) -> str:
        server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"service": self, "answer": answer})
        )
        server.daemon_threads = True
        self.servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    def close(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def control(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        name = path.removeprefix("/indexes").strip("/")
        if method == "POST" and not name:
            need(re.fullmatch(r"[a-z0-9-]{1,45}", body["name"]) is not None, "a bad name of an index")
            need(body["name"] not in self.indexes, "the index exists", 409)
            index = self.indexes[body["name"]] = Index(self, body)
            self.hosts[index.name] = self.serve(self.data(index))
            return index.described(self.hosts[index.name])
        if method == "GET" and not name:
            return {"indexes": [index.described(self.hosts[one]) for one, index in self.indexes.items()]}
        need(method == "GET", f"{method} {path} is not known", 404)
        need(name in self.indexes, f"Resource {name} not found", 404)
        return self.indexes[name].described(self.hosts[name])

    def data(self, index: Index) -> Callable[..., Any]:
        def answer(method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
            match method, path:
                case "POST", "/vectors/upsert":
                    return index.upsert(body)
                case "POST", "/query":
                    return index.query(body)
                case "POST", "/vectors/delete":
                    return index.delete(body)
                case "POST", "/describe_index_stats":
                    return index.stats()
                case "GET", "/vectors/list":
                    return index.listed(query)
                case "GET", "/vectors/fetch":
                    return index.fetched(query)
                case "POST", "/namespaces":
                    return index.make_namespace(body["name"])
            need(path.startswith("/namespaces/"), f"{method} {path} is not known", 404)
            name = unquote(path.removeprefix("/namespaces/"))
            if method == "DELETE":
                return index.end_namespace(name)
            return {"name": name, "record_count": len(index.namespace(name).records)}

        return answer


class _Handler(BaseHTTPRequestHandler):
    service: PineconeStandIn
    answer: Callable[..., Any]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service, address = self.service, urlsplit(self.path)
        with service.lock:
            service.requests.append((address.path, len(raw)))
            headers: dict[str, str] = {}
            try:
                need(self.headers.get("Api-Key") == service.api_key, "Invalid API Key", 401)
                need(bool(self.headers.get("X-Pinecone-Api-Version")), "no version of the API")
                if service.failing:
                    service.failing -= 1
                    raise RefusedError(503, "not now")
                need(len(raw) <= 2_000_000, "Request size exceeds the limit of 2 MB", 413)
                body = json.loads(raw) if raw else None
                result = type(self).answer(self.command, address.path, parse_qs(address.query), body)
                content, headers = result if isinstance(result, tuple) else (result, {})
                status = 201 if (self.command, address.path) == ("POST", "/indexes") else 200
            except RefusedError as error:
                status, content = (
                    error.status,
                    {"status": error.status, "error": {"code": "REFUSED", "message": str(error)}},
                )
        sent = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(sent)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def standing_in(api_key: str, delay: float) -> Iterator[PineconeStandIn]:
    """One that runs."""
    service = PineconeStandIn(api_key, delay)
    try:
        yield service
    finally:
        service.close()

"""A stand-in for a server of Qdrant's, which cannot be had where these tests run.

It is a real HTTP server, which reads the bodies of Qdrant's REST API with the models that are generated from its
specification, and answers by the local mode of Qdrant's client. So the requests are checked, and the way that they
and the errors travel; what a server finds is not known from it. The engine itself is tested embedded.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import qdrant_client
from qdrant_client import models


class StandIn(ThreadingHTTPServer):
    """At `url`, on a free port of this machine. `failing` is how many requests it answers with 503 next."""

    daemon_threads = True

    def __init__(self, api_key: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.api_key = api_key
        self.client = qdrant_client.QdrantClient(":memory:")
        self.lock = threading.Lock()
        self.failing = 0
        self.indexed: dict[str, str] = {}

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """What a request gives; KeyError, where the collection is not there."""
        found = re.fullmatch(r"/collections/([^/]+)(/.*)?", path)
        assert found, path
        name, what = found[1], found[2] or ""
        there = self.client.collection_exists(name)
        if (method, what) == ("GET", "/exists"):
            return {"exists": there}
        if (method, what) == ("PUT", ""):
            made = models.CreateCollection.model_validate_json(body)
            return self.client.create_collection(
                name, vectors_config=made.vectors, sparse_vectors_config=made.sparse_vectors
            )
        if not there:
            raise KeyError(name)
        match method, what:
            case "DELETE", "":
                return self.client.delete_collection(name)
            case "GET", "":
                return self.client.get_collection(name)
            case "PUT", "/index":
                field = models.CreateFieldIndex.model_validate_json(body)
                self.indexed[field.field_name] = field.field_schema
                return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)
            case "PUT", "/points":
                return self.client.upsert(name, points=models.PointsList.model_validate_json(body).points)
            case "POST", "/points/delete":
                return self.client.delete(name, models.PointIdsList.model_validate_json(body))
            case "POST", "/points/count":
                return self.client.count(name, exact=models.CountRequest.model_validate_json(body).exact)
            case "POST", "/points/scroll":
                wanted = models.ScrollRequest.model_validate_json(body)
                points, following = self.client.scroll(
                    name, limit=wanted.limit, offset=wanted.offset, with_payload=wanted.with_payload
                )
                return models.ScrollResult(points=points, next_page_offset=following)
            case "POST", "/points/query/batch":
                searches = models.QueryRequestBatch.model_validate_json(body).searches
                return self.client.query_batch_points(name, requests=searches)
        raise AssertionError(f"{method} {path} is no request that was thought of")


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("api-key") != self.server.api_key:
            return self._send(401, "Must provide an API key or an Authorization bearer token")
        with self.server.lock:
            if self.server.failing:
                self.server.failing -= 1
                return self._send(503, {"status": {"error": "not now"}, "time": 0.0})
            try:
                result = self.server.answer(self.command, self.path.partition("?")[0], body)
            except KeyError as error:
                return self._send(404, {"status": {"error": f"Not found: Collection {error}"}, "time": 0.0})
        return self._send(200, {"result": _plain(result), "status": "ok", "time": 0.0})

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _send(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def _plain(result: Any) -> Any:
    if isinstance(result, list):
        return [_plain(one) for one in result]
    return result.model_dump(mode="json") if hasattr(result, "model_dump") else result


@contextmanager
def standing_in(api_key: str) -> Iterator[StandIn]:
    """One that runs."""
    with StandIn(api_key) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()

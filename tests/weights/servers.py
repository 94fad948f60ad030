"""A package index and a hub on the loopback, which can be slow, break off, and count."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class Index:
    """Python's simple index (PEP 503) of wheels by file name."""

    def __init__(self) -> None:
        self.wheels: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.may_finish = threading.Event()  # until it is set, a wheel stops half way
        self.may_finish.set()
        self.half_sent = threading.Event()
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = unquote(urlsplit(request.path).path).rstrip("/").rpartition("/")[2]
        self.asked[name] += 1
        if name in self.wheels:
            content = self.wheels[name]
            _start(request, 200, {"Content-Length": len(content), "Content-Type": "application/octet-stream"})
            request.wfile.write(content[: len(content) // 2])
            request.wfile.flush()
            self.half_sent.set()
            if self.may_finish.wait(30):
                request.wfile.write(content[len(content) // 2 :])
            return
        links = [path for path in self.wheels if path.partition("-")[0].replace("_", "-") == name]
        page = "".join(f'<a href="/files/{path}">{path}</a>' for path in links).encode()
        _start(request, 200 if links else 404, {"Content-Length": len(page), "Content-Type": "text/html"})
        request.wfile.write(page)


class Hub:
    """The parts of the Hugging Face hub's API that a download needs."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}  # commit → files
        self.main = ""
        self.large = 1000  # files from here on are given by their sha256, as the hub's LFS files are
        self.break_after: int | None = None  # the first answer with a large file ends after so many bytes
        self.spoil: dict[str, bytes] = {}  # path → what is sent in its place
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.url = ""

    def publish(self, files: dict[str, bytes]) -> str:
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.files[commit] = files
        self.main = commit
        return commit

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.asked[f"{request.command} {path}"] += 1
        if found := re.fullmatch(r"/api/models/some/model(/revision/(?P<revision>.+))?", path):
            if commit := self._commit(found["revision"]):
                return _json(request, {"id": "some/model", "sha": commit, "siblings": [], "tags": []})
        elif found := re.fullmatch(r"/api/models/some/model/tree/(?P<revision>\w+)/?", path):
            if commit := self._commit(found["revision"]):
                return _json(request, [self._described(name, item) for name, item in self.files[commit].items()])
        elif found := re.fullmatch(r"/some/model/resolve/(?P<revision>\w+)/(?P<name>.+)", path):
            commit = self._commit(found["revision"])
            if commit and found["name"] in self.files[commit]:
                return self._send(request, commit, found["name"])
        code = "RevisionNotFound" if "/some/model" in path else "RepoNotFound"
        _start(request, 404, {"X-Error-Code": code, "X-Error-Message": "not here", "Content-Length": 0})
        return None

    def _commit(self, revision: str | None) -> str | None:
        if revision is None or revision == "main":
            return self.main
        return revision if revision in self.files else None

    def _described(self, name: str, content: bytes) -> dict[str, Any]:
        described: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": _git(content)}
        if len(content) >= self.large:
            digest = hashlib.sha256(content).hexdigest()
            described["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
        return described

    def _send(self, request: BaseHTTPRequestHandler, commit: str, name: str) -> None:
        content = self.files[commit][name]
        is_large = len(content) >= self.large
        etag = hashlib.sha256(content).hexdigest() if is_large else _git(content)
        content = self.spoil.get(name, content)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        start = 0
        if given := request.headers.get("Range"):
            self.ranges.append(given)
            start = int(re.fullmatch(r"bytes=(\d+)-.*", given)[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        _start(request, 206 if given else 200, headers | {"Content-Length": len(body)})
        if request.command == "HEAD":
            return
        if is_large and self.break_after is not None:
            body, self.break_after = body[: self.break_after], None
            request.close_connection = True
        request.wfile.write(body)


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _json(request: BaseHTTPRequestHandler, answer: Any) -> None:
    body = json.dumps(answer).encode()
    _start(request, 200, {"Content-Length": len(body), "Content-Type": "application/json"})
    request.wfile.write(body)


def _start(request: BaseHTTPRequestHandler, status: int, headers: dict[str, Any]) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, str(value))
    request.end_headers()


@contextmanager
def served(site: Any) -> Iterator[Any]:
    """Answer for `site` on a port of the loopback, which is then in `site.url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                site.answer(self)
            except (BrokenPipeError, ConnectionResetError):  # who asked was killed: some tests do that
                self.close_connection = True

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

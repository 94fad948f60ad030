"""A collection and a chat model, of a project on this machine or of a gateway, for whoever calls from any event loop.

All work is done on one event loop in a thread, since an engine belongs to the loop on which it was opened.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from mainspring.errors import EngineGoneError, OverloadedError, RequestError, SpecError, require
from mainspring.runtimes.language.protocol import Citation, Delta, Engine, Generate, Usage
from mainspring.runtimes.language.remote import RemoteEngine, RemoteSettings
from mainspring.serving.retrieval.results import PassageFound, SearchResult
from mainspring.use import Documents, LanguageModel, OpenProject
from mainspring.use.loop import Loop

_SECONDS = 60.0


class Passages(Protocol):
    """Where passages come from."""

    async def search(self, question: str, k: int, filter: dict[str, Any] | None) -> list[PassageFound]:
        """The best k."""

    async def close(self) -> None:
        """Let go of it."""


class ProjectPassages:
    """The champion of a collection of a project on this machine."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def search(self, question: str, k: int, filter: dict[str, Any] | None) -> list[PassageFound]:
        """See `Passages`."""
        return [PassageFound.of(found) for found in (await self._documents.asearch(question, k, filter)).found]

    async def close(self) -> None:
        """See `Passages`."""
        await self._documents.aclose()


class ServedPassages:
    """A collection of a gateway at `url`; `key` names the environment variable that has an API key."""

    def __init__(self, model: str, url: str, key: str | None) -> None:
        httpx = require("httpx", "remote")
        headers = {"Content-Type": "application/json"}
        if key is not None:
            if not os.environ.get(key):
                raise SpecError(f"the environment variable {key} is to have an API key of the gateway, and is not set")
            headers["X-API-Key"] = os.environ[key]
        self._client = httpx.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=_SECONDS)
        self._path, self._url = f"/models/{model}/search", url

    async def search(self, question: str, k: int, filter: dict[str, Any] | None) -> list[PassageFound]:
        """See `Passages`.

        Raises:
            RequestError: the gateway refuses the question.
            OverloadedError, EngineGoneError: it has no time, or does not answer.
        """
        import httpx

        body = msgspec.json.encode({"query": question, "k": k, "filter": filter})
        try:
            response = await self._client.post(self._path, content=body)
        except httpx.HTTPError as error:
            raise EngineGoneError(f"the gateway at {self._url} does not answer: {error!r}") from None
        if response.status_code == 200:
            return msgspec.json.decode(response.content, type=SearchResult).passages
        said = f"the gateway at {self._url} answered {response.status_code}: {response.text[:500]}"
        if response.status_code == 429:
            raise OverloadedError(said)
        raise EngineGoneError(said) if response.status_code >= 500 else RequestError(said)

    async def close(self) -> None:
        """See `Passages`."""
        await self._client.aclose()


class Collection:
    """A collection called `model`: of the project in the folder `project`, or of the gateway at `url`.

    Args:
        model: its name.
        project: the project's folder.
        url: the gateway's, as http://localhost:8000.
        key: the environment variable that has an API key of the gateway.

    Raises:
        SpecError: not one of `project` and `url` is given, or there is no such collection.
    """

    def __init__(
        self, model: str, *, project: Path | str | None = None, url: str | None = None, key: str | None = None
    ) -> None:
        _either(project, url)
        self._loop = Loop()
        self._model, self._project, self._url, self._key = model, project, url, key
        self._passages: Passages | None = None

    def search(self, question: str, k: int, filter: dict[str, Any] | None = None) -> list[PassageFound]:
        """The best k passages."""
        return self._loop.run(self._search(question, k, filter))

    async def asearch(self, question: str, k: int, filter: dict[str, Any] | None = None) -> list[PassageFound]:
        """See `search`."""
        return await self._loop.awaited(self._search(question, k, filter))

    def close(self) -> None:
        """Let go of it."""
        if self._passages is not None:
            self._loop.run(self._passages.close())
            self._passages = None
        self._loop.close()

    async def _search(self, question: str, k: int, filter: dict[str, Any] | None) -> list[PassageFound]:
        if self._passages is None:
            if self._project is not None:
                self._passages = ProjectPassages(OpenProject(self._project).documents(self._model))
            else:
                self._passages = ServedPassages(self._model, str(self._url), self._key)
        return await self._passages.search(question, k, filter)


class Chat:
    """A chat model called `model`, of a project or of a gateway: see `Collection`."""

    def __init__(
        self, model: str, *, project: Path | str | None = None, url: str | None = None, key: str | None = None
    ) -> None:
        _either(project, url)
        self._loop = Loop()
        self._model, self._project, self._url, self._key = model, project, url, key
        self._opened: LanguageModel | None = None
        self._remote: RemoteEngine | None = None

    def parts(self, request: Generate) -> Iterator[Delta | Usage]:
        """The answer to `request`, piece by piece. Closing the iterator ends the work on it."""
        parts = self._parts(request)
        try:
            while (part := self._loop.run(anext(parts, None))) is not None:
                yield part
        finally:
            self._loop.run(parts.aclose())

    async def aparts(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        """See `parts`."""
        parts = self._parts(request)
        try:
            while (part := await self._loop.awaited(anext(parts, None))) is not None:
                yield part
        finally:
            await self._loop.awaited(parts.aclose())

    @property
    def context(self) -> int:
        """The most tokens of prompt and answer together."""
        return self._loop.run(self._engine()).capabilities.context

    def close(self) -> None:
        """Let go of it."""
        if self._remote is not None:
            self._loop.run(self._remote.close())
            self._remote = None
        if self._opened is not None:
            self._loop.run(self._opened.aclose())
            self._opened = None
        self._loop.close()

    async def _parts(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        stream = (await self._engine()).generate(request)
        try:
            async for part in stream:
                yield part
        finally:
            await stream.aclose()

    async def _engine(self) -> Engine:
        if self._project is not None:
            if self._opened is None:
                self._opened = OpenProject(self._project).model(self._model)
            return await self._opened.engine()
        if self._remote is None:
            address = f"{str(self._url).rstrip('/')}/v1"
            self._remote = RemoteEngine(RemoteSettings(url=address, model=self._model, key_environment=self._key))
        return self._remote


def citation_dict(citation: Citation) -> dict[str, Any]:
    """A citation as both libraries may show it: plain values."""
    return msgspec.to_builtins(citation)


def passage_metadata(found: PassageFound) -> dict[str, Any]:
    """What there is to know of a passage beside its text: its document's metadata, its place, its scores."""
    fields = msgspec.structs.asdict(found)
    metadata = fields.pop("metadata")
    for name in ("id", "text"):
        del fields[name]
    return {**metadata, "source": fields.pop("document"), **fields, "path": list(found.path)}


def _either(project: Path | str | None, url: str | None) -> None:
    if (project is None) == (url is None):
        raise SpecError("either `project` (a folder on this machine) or `url` (a gateway), and not both")

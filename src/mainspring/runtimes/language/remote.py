"""An `Engine` over any endpoint that speaks OpenAI's API: vLLM, TGI, Triton's OpenAI front end, or a hosted one.

What an endpoint can do cannot be asked, so it is said in the settings. It counts tokens itself: `count` asks it for one
token, and reads how many the prompt had.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import msgspec
import numpy as np

from mainspring.errors import EngineGoneError, RequestError, RuntimeLoadError, UnsupportedError, require
from mainspring.runtimes.language import remote_messages
from mainspring.runtimes.language.protocol import Capabilities, Delta, EngineInfo, Generate, Sampling, Usage
from mainspring.runtimes.language.remote_calls import Caller, refusal_of

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("mainspring.engine")

_CONNECT_SECONDS = 10.0
_LONGEST_EVENT = 4 * 1024**2
_MOST_CONTENT = 256 * 1024**2
_CONNECTIONS = 512
_NEW_LIMIT_NAME = "max_completion_tokens"


class RemoteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an endpoint is, and what it can do.

    Args:
        url: what comes before `/chat/completions`, as `https://api.openai.com/v1`.
        model: the model's name there.
        key_environment: the environment variable that has the API key; the key itself is never written down.
        timeout: seconds for the first piece of an answer, and between two.
        retries: how often a request that was not begun is tried again.
        context: the most tokens of prompt and answer together.
        embeds: the width of its vectors, where it gives any; it then writes nothing.
    """

    url: str
    model: str
    key_environment: str | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 3
    context: Annotated[int, msgspec.Meta(ge=1)] = 8192
    chat: bool = True
    logprobs: int | None = 20
    structures: tuple[Literal["json_object", "json_schema"], ...] = ("json_object", "json_schema")
    tools: bool = True
    seed: bool = True
    embeds: int | None = None


def read_settings(path: Path) -> RemoteSettings:
    """The settings in a JSON file.

    Raises:
        RuntimeLoadError: they cannot be read, or say what there is not.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=RemoteSettings)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RuntimeLoadError(f"{path} does not say where an endpoint is: {error}") from None


class RemoteEngine:
    """The model at an endpoint. `socket` is a Unix socket that it listens at, in place of the URL's host and port.

    Raises:
        RuntimeLoadError: the settings name no usable URL, or no environment variable that has a key.
    """

    def __init__(self, settings: RemoteSettings, info: EngineInfo | None = None, socket: Path | None = None) -> None:
        require("httpx", "remote")
        import httpx

        host = _host(settings.url)
        key = _key(settings.key_environment)
        self._settings = settings
        self._info = info or EngineInfo("remote", f"{settings.model} at {host}", "mainspring.toml names an endpoint")
        self._limit_name = "max_tokens"  # what all know; OpenAI's newest models want the other name, and say so
        self._warned = False
        self._client = httpx.AsyncClient(
            base_url=settings.url.rstrip("/") + "/",
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=httpx.Timeout(settings.timeout, connect=min(_CONNECT_SECONDS, settings.timeout)),
            limits=httpx.Limits(max_connections=_CONNECTIONS),
            transport=httpx.AsyncHTTPTransport(uds=str(socket)) if socket else None,
        )
        self._caller = Caller(
            self._client,
            retries=settings.retries,
            who=f"the endpoint {host}",
            key_environment=settings.key_environment,
            secret=key,
        )

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, by its settings."""
        settings = self._settings
        return Capabilities(
            context=settings.context,
            generates=settings.embeds is None,
            chat=settings.chat and settings.embeds is None,
            logprobs=settings.logprobs,
            structures=settings.structures,
            tools=settings.tools,
            seed=settings.seed,
            embeds=settings.embeds,
        )

    @property
    def info(self) -> EngineInfo:
        """Which engine it is, and why this one."""
        return self._info

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        """See `Engine.generate`. Closing the iterator closes the connection, which ends the work at the endpoint."""
        remote_messages.check(request, self.capabilities)
        response = await self._begin(request)
        unfinished = set(range(request.sampling.n))
        tokens, usage = 0, None
        async with self._caller.reading(response):
            async for event in self._events(response):
                if event.error is not None:
                    raise EngineGoneError(f"{self._caller.who} failed at its answer: {self._caller.clean(event.error)}")
                for delta in event.deltas():
                    tokens += delta.tokens
                    if delta.finish is not None:
                        unfinished.discard(delta.index)
                    yield delta
                usage = event.counted() or usage
        if unfinished:
            raise EngineGoneError(f"{self._caller.who} ended its answer before it was complete")
        yield usage or self._uncounted(tokens)

    async def count(self, request: Generate) -> int:
        """See `Engine.count`. It costs a token of the endpoint's."""
        if self._settings.embeds is not None and request.prompt is not None:
            return (await self.embed([request.prompt]))[1]  # type: ignore[arg-type]
        asked = msgspec.structs.replace(request, structure=None, sampling=Sampling(max_tokens=1, temperature=0.0))
        async for piece in self.generate(asked):
            if isinstance(piece, Usage) and piece.prompt:
                return piece.prompt
        raise UnsupportedError("the endpoint of this model does not say how many tokens a prompt has", "prompt")

    async def embed(self, texts: list[str] | list[list[int]]) -> tuple[np.ndarray, int]:
        """See `Engine.embed`."""
        width = self._settings.embeds
        if width is None:
            raise UnsupportedError("this model writes, and gives no vectors", "model")
        body = {"model": self._settings.model, "input": texts, "encoding_format": "float"}
        response = await self._caller.post("embeddings", body)
        async with self._caller.reading(response):
            found = remote_messages.embeddings(await _content(response))
        ordered = sorted(found.data, key=lambda item: item.index)
        if [item.index for item in ordered] != list(range(len(texts))) or {len(v.embedding) for v in ordered} != {
            width
        }:
            raise EngineGoneError(
                f"{self._caller.who} did not give one vector of {width} numbers for each of {len(texts)} texts"
            )
        vectors = np.array([item.embedding for item in ordered], np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), found.usage.prompt_tokens

    async def is_there(self, path: str) -> bool:
        """Whether the server answers a GET of `path`, from its root, with status 200."""
        import httpx

        try:
            return (await self._client.get(httpx.URL(self._settings.url).join(path))).status_code == 200
        except httpx.HTTPError:
            return False

    async def close(self) -> None:
        """See `Engine.close`."""
        await self._client.aclose()

    async def _begin(self, request: Generate) -> httpx.Response:
        """Ask, under either name of the limit."""
        path = "completions" if request.messages is None else "chat/completions"
        model = self._settings.model
        try:
            return await self._caller.post(path, remote_messages.body(request, model, self._limit_name))
        except RequestError as error:
            if self._limit_name == _NEW_LIMIT_NAME or _NEW_LIMIT_NAME not in str(error):
                raise
        self._limit_name = _NEW_LIMIT_NAME
        return await self._caller.post(path, remote_messages.body(request, model, self._limit_name))

    async def _events(self, response: httpx.Response) -> AsyncIterator[remote_messages.Chunk]:
        """The events of a stream, to its `[DONE]` or its end."""
        if response.headers.get("content-type", "").startswith("application/json"):
            said = refusal_of(await _content(response)).message
            raise EngineGoneError(
                f"{self._caller.who} does not stream, as OpenAI's API does; it sent {self._caller.clean(said)}"
            )
        async for data in server_sent(response.aiter_bytes()):
            if data == b"[DONE]":
                return
            yield remote_messages.chunk(data)

    def _uncounted(self, tokens: int) -> Usage:
        if not self._warned:
            log.warning("%s does not say how many tokens it takes: the pieces are counted", self._caller.who)
            self._warned = True
        return Usage(0, tokens)


async def server_sent(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of server-sent events (WHATWG HTML, 9.2), however their bytes are cut.

    Raises:
        EngineGoneError: one is too long.
    """
    rest, data = b"", []
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].strip())
            elif data and not line.strip():
                yield b"\n".join(data)
                data = []
        if len(rest) + sum(map(len, data)) > _LONGEST_EVENT:
            raise EngineGoneError(f"the endpoint sent an event of more than {_LONGEST_EVENT:,} bytes")
    if rest.startswith(b"data:"):  # not all servers end the last one
        data.append(rest[5:].strip())
    if data:
        yield b"\n".join(data)


async def _content(response: httpx.Response) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > _MOST_CONTENT:
            raise EngineGoneError(f"the endpoint sent more than {_MOST_CONTENT:,} bytes at once")
    return bytes(content)


def _host(url: str) -> str:
    """The host of a URL that can be asked."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RuntimeLoadError(f"url = {url!r} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise RuntimeLoadError(f"url = {url!r}: expected http:// or https:// and a host, as https://api.openai.com/v1")
    if parts.username is not None or parts.query:
        raise RuntimeLoadError("the url has a user or a query in it: put the key into an environment variable")
    return host if port is None else f"{host}:{port}"


def _key(environment: str | None) -> str | None:
    if environment is None:
        return None
    key = os.environ.get(environment, "").strip()
    if not key:
        raise RuntimeLoadError(f"the environment variable {environment} is to have the endpoint's key, and is not set")
    if not key.isascii() or not key.isprintable():
        raise RuntimeLoadError(f"what is in the environment variable {environment} is no key: it has odd characters")
    return key

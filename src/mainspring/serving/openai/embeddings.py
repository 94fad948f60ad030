"""`POST /v1/embeddings`: texts in, a vector of length 1 for each out, as numbers or as base64 of float32."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from mainspring.errors import EngineGoneError, UnsupportedError
from mainspring.runtimes.language.protocol import Engine, Usage
from mainspring.serving.answering import prediction_headers
from mainspring.serving.messages import Reply, Request
from mainspring.serving.openai.attending import Attending
from mainspring.serving.openai.bodies import read, refuse
from mainspring.serving.openai.completions import Texts, texts
from mainspring.serving.openai.exchanges import Exchange
from mainspring.serving.predict import require_json

_AT_ONCE = 128  # vectors that are written before others have their turn


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body. `user` says who asks, as for `Common`."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    input: Texts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: Annotated[str, Meta(max_length=1024)] | None = None

    @property
    def caller(self) -> str:
        """Who asks, as far as it is said."""
        return self.user or ""

    def parameters(self) -> dict[str, str]:
        """What this request calls what an engine calls otherwise."""
        return {"texts": "input", "messages": "input", "prompt": "input"}


class Embedding(msgspec.Struct, frozen=True):
    """One vector."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(msgspec.Struct, frozen=True):
    """How many tokens the texts were."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(msgspec.Struct, frozen=True):
    """All vectors, in the order of their texts."""

    data: Sequence[Embedding | msgspec.Raw]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


_decoder = msgspec.json.Decoder(EmbeddingRequest)
_encode = msgspec.json.Encoder().encode


class Embeddings:
    """The endpoint."""

    def __init__(self, attending: Attending) -> None:
        self._attending = attending

    async def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        require_json(request)
        asked = read(request.body, _decoder)
        given = texts(asked.input, "input")
        async with request.unless_gone():
            with self._attending(request, asked, "embeddings") as attended:
                width = attended.engine.capabilities.embeds
                if width is None:
                    raise UnsupportedError(str(attended.loaded.wrong_kind()), "model")
                if asked.dimensions not in (None, width):
                    raise refuse("dimensions", f"the vectors of this model have {width}: leave it out")
                vectors, tokens = await self._embed(attended.engine, given)
                attended.watch.first()
                attended.watch.done(Usage(tokens, 0), 0)
                self._attending.note(Exchange.of_texts(request, attended.slot, attended.loaded, given, tokens))
            body = await _written(vectors, asked, tokens)
        return Reply(200, body, headers=prediction_headers(request))

    async def _embed(self, engine: Engine, given: list[str] | list[list[int]]) -> tuple[np.ndarray, int]:
        try:
            async with asyncio.timeout(self._attending.silence):
                return await engine.embed(given)
        except TimeoutError:
            raise EngineGoneError(
                f"the model gave nothing for {self._attending.silence:g} s: send fewer texts at a time"
            ) from None


async def _written(vectors: np.ndarray, asked: EmbeddingRequest, tokens: int) -> bytes:
    """The answer. Writing thousands of vectors takes long, and so others have their turn in between."""
    vectors = vectors.astype("<f4", copy=False)
    data = []
    for index, vector in enumerate(vectors):
        if index % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        plain = asked.encoding_format != "base64"
        written = vector.tolist() if plain else base64.b64encode(vector.tobytes()).decode()
        data.append(msgspec.Raw(_encode(Embedding(index, written))))
    return _encode(EmbeddingList(data, asked.model, EmbeddingUsage(tokens, tokens)))

"""Sentence vectors of encoder models (BERT and its like): an `Engine` that gives vectors, and writes no text.

The folder is that of a sentence-transformers model, with the encoder as `model.onnx` (`tasks.export_encoder` writes
one). Texts of all requests are computed together: each round takes some of every request in turn, so that one with a
thousand texts does not hold up one with a single question, and puts texts of like length into one batch, because what
is padded is computed for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mainspring.errors import (
    ContextError,
    EngineGoneError,
    OverloadedError,
    RequestError,
    RuntimeLoadError,
    UnsupportedError,
    require,
)
from mainspring.runtimes.language.encoders import INPUTS, Encoder, load_encoder
from mainspring.runtimes.language.pooling import Pooling, read_pooling
from mainspring.runtimes.language.protocol import Capabilities, Delta, EngineInfo, Generate, Usage

log = logging.getLogger("mainspring.engine")

GRAPH = "model.onnx"
_ROUND = 64  # texts
_BATCH = 4096  # tokens, padding among them


class EmbeddingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How vectors are computed.

    Args:
        threads: None takes the processor's cores.
        exact: compute in float32 throughout; else in what the processor is fastest at, which may be bfloat16.
        queue: the most texts that may wait.
    """

    threads: int | None = None
    exact: bool = False
    queue: int = 16384


@dataclass(eq=False)
class _Asked:
    """The texts of one request, as tokens."""

    tokens: list[list[int]]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[np.ndarray]
    vectors: np.ndarray
    begun: int = 0
    left: int = 0
    cancelled: bool = field(default=False)


class EmbeddingEngine:
    """An encoder in this process.

    Args:
        name: the engine that runs it.
        encoder: it.
        tokenizer: its own, of the `tokenizers` library.
        pooling: how vectors are made of what it gives.
        queue: the most texts that may wait.
    """

    def __init__(self, name: str, encoder: Encoder, tokenizer: Any, pooling: Pooling, *, queue: int) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._pooling = pooling
        self._queue = queue
        self._info = EngineInfo(
            engine=name, detail=f"{pooling.mode} pooling, {pooling.width} numbers", why="an encoder"
        )
        self._capabilities = Capabilities(context=pooling.context, generates=False, chat=False, embeds=pooling.width)
        self._asked: list[_Asked] = []
        self._wake = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._capabilities

    @property
    def info(self) -> EngineInfo:
        """Which engine it is, and why this one."""
        return self._info

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        """Refused: an encoder writes no text."""
        raise UnsupportedError("this model gives vectors, and writes no text: use one with task = 'chat'", "model")
        yield

    async def count(self, request: Generate) -> int:
        """How many tokens the prompt has."""
        if request.prompt is None:
            raise UnsupportedError("this model gives vectors of texts, and takes no messages", "messages")
        return len(self._tokens([request.prompt])[0])  # type: ignore[arg-type]

    async def embed(self, texts: list[str] | list[list[int]]) -> tuple[np.ndarray, int]:
        """The vectors of `texts`, (n, width) float32, of length 1; and how many tokens they were.

        Raises:
            ContextError: a text is too long. It is not cut.
            RequestError: a token is none of the model's.
            OverloadedError: too many texts wait.
        """
        tokens = await asyncio.get_running_loop().run_in_executor(None, self._tokens, texts)
        for at, one in enumerate(tokens):
            if len(one) > self._pooling.context:
                raise ContextError(
                    f"the text has {len(one)} tokens, and the model takes {self._pooling.context}: split it",
                    f"input[{at}]",
                )
        if not tokens:
            return np.empty((0, self._pooling.width), np.float32), 0
        asked = self._submit(tokens)
        try:
            return await asked.done, sum(map(len, tokens))
        finally:
            asked.cancelled = True

    async def close(self) -> None:
        """Let go of the model. What waits gets an error."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread:
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _tokens(self, texts: list[str] | list[list[int]]) -> list[list[int]]:
        if texts and isinstance(texts[0], str):
            return [encoded.ids for encoded in self._tokenizer.encode_batch(texts, add_special_tokens=True)]
        size = self._tokenizer.get_vocab_size()
        for at, ids in enumerate(texts):
            if not ids or not all(0 <= id_ < size for id_ in ids):  # type: ignore[operator]
                raise RequestError(f"tokens go from 0 to {size - 1}, and there is at least one", f"input[{at}]")
        return texts  # type: ignore[return-value]

    def _submit(self, tokens: list[list[int]]) -> _Asked:
        loop = asyncio.get_running_loop()
        vectors = np.empty((len(tokens), self._pooling.width), np.float32)
        asked = _Asked(tokens, loop, loop.create_future(), vectors, left=len(tokens))
        with self._wake:
            if self._closing:
                raise EngineGoneError("the engine is closed")
            waiting = sum(other.left for other in self._asked)
            if waiting + len(tokens) > self._queue:
                raise OverloadedError(f"{waiting} texts wait already, and {self._queue} may: try again later")
            self._asked.append(asked)
            self._wake.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
            self._thread.start()
        return asked

    def _run(self) -> None:
        while True:
            with self._wake:
                self._asked = [asked for asked in self._asked if asked.left and not asked.cancelled]
                while not (self._asked or self._closing):
                    self._wake.wait()
                if self._closing:
                    break
                chosen = _round(self._asked)
            for batch in _batches(chosen):
                try:
                    self._compute(batch)
                except Exception as error:
                    log.exception("a batch of texts failed")
                    for asked in {asked for asked, _ in batch}:
                        asked.cancelled = True
                        _tell(asked, EngineGoneError(f"the encoder failed: {error}"))
        for asked in self._asked:
            _tell(asked, EngineGoneError("the engine is closed"))

    def _compute(self, batch: list[tuple[_Asked, int]]) -> None:
        longest = max(len(asked.tokens[at]) for asked, at in batch)
        ids = np.zeros((len(batch), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, (asked, at) in enumerate(batch):
            tokens = asked.tokens[at]
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        states = self._encoder(dict(zip(INPUTS, (ids, mask, np.zeros_like(ids)), strict=True)))
        for (asked, at), vector in zip(batch, self._pooling(states, mask), strict=True):
            asked.vectors[at] = vector
            asked.left -= 1
            if not asked.left:
                _tell(asked, None)


def load_embedding(folder: Path, *, properties: dict[str, Any] | None = None) -> EmbeddingEngine:
    """The engine of the encoder in `folder`.

    Args:
        folder: `model.onnx`, `tokenizer.json`, `config.json`, and the settings of pooling.
        properties: see `EmbeddingSettings`.

    Raises:
        RuntimeLoadError: something is missing, damaged, or not done here.
    """
    try:
        settings = msgspec.convert(properties or {}, EmbeddingSettings)
    except msgspec.ValidationError as error:
        raise RuntimeLoadError(f"the properties of the engine are wrong: {error}") from None
    pooling = read_pooling(folder)
    name, encoder = load_encoder(folder / GRAPH, exact=settings.exact, threads=settings.threads)
    try:
        tokenizer = require("tokenizers", "language").Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises Exception itself
        raise RuntimeLoadError(f"{folder / 'tokenizer.json'} cannot be read: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return EmbeddingEngine(name, encoder, tokenizer, pooling, queue=settings.queue)


def _round(waiting: list[_Asked]) -> list[tuple[_Asked, int]]:
    """Some texts of every request in turn."""
    chosen: list[tuple[_Asked, int]] = []
    share = max(1, _ROUND // len(waiting))
    for asked in waiting[:_ROUND]:
        end = min(len(asked.tokens), asked.begun + share)
        chosen += [(asked, at) for at in range(asked.begun, end)]
        asked.begun = end
    return chosen


def _batches(chosen: list[tuple[_Asked, int]]) -> list[list[tuple[_Asked, int]]]:
    """Texts of like length together."""
    batches: list[list[tuple[_Asked, int]]] = []
    shortest = 0
    for one in sorted(chosen, key=lambda item: len(item[0].tokens[item[1]])):
        length = len(one[0].tokens[one[1]])
        if not batches or (len(batches[-1]) + 1) * length > _BATCH or length > 2 * shortest:
            batches.append([])
            shortest = length
        batches[-1].append(one)
    return batches


def _tell(asked: _Asked, error: Exception | None) -> None:
    def finish() -> None:
        if asked.done.done():
            return
        if error is None:
            asked.done.set_result(asked.vectors)
        else:
            asked.done.set_exception(error)

    asked.loop.call_soon_threadsafe(finish)

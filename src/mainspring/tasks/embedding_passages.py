"""Vectors of passages: those that are known from the cache, and the others computed, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np

from mainspring.data.documents.tokens import TokenizerTokens, Tokens
from mainspring.errors import ContextError
from mainspring.prompts.patience import patiently
from mainspring.registry.vector_cache import VectorCache, digests
from mainspring.tasks.embedder import PreparedEmbedder
from mainspring.tasks.fastest_encoder import FastestEncoder, Tried

_ASKED_AT_ONCE, _REQUESTS = 64, 4  # texts in a request to an endpoint, and requests at a time


class PassageEmbedder:
    """Gives vectors of what passages say.

    Args:
        prepared: the embedder.
        tokens: its tokenizer, which knows most words already when it has counted them for the splitter.
        cache: what was computed before.
    """

    def __init__(self, prepared: PreparedEmbedder, tokens: Tokens, cache: VectorCache) -> None:
        self._prepared = prepared
        self._tokens = tokens
        self._cache = cache
        self._encoder: FastestEncoder | None = None
        self.embedded = 0
        self.reused = 0

    @property
    def tried(self) -> list[Tried]:
        """The ways to compute that were tried, the chosen one first; none where there were few texts."""
        return self._encoder.tried if self._encoder is not None else []

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, width) float16, of length 1. What is computed is in the cache when this returns.

        Raises:
            ContextError: a text is longer than the embedder takes.
            EngineGoneError, OverloadedError: the embedder does not answer.
        """
        keys = digests(texts)
        here, vectors = self._cache.get(keys)
        new = {texts[row]: row for row in np.flatnonzero(~here).tolist()}  # equal texts once
        self.embedded += len(new)
        self.reused += len(texts) - len(new)
        if new:
            computed = self._computed(list(new)).astype(np.float16)
            self._cache.put(keys[list(new.values())], computed)
            place = {text: number for number, text in enumerate(new)}
            for row in np.flatnonzero(~here).tolist():
                vectors[row] = computed[place[texts[row]]]
        return vectors

    def _computed(self, texts: list[str]) -> np.ndarray:
        prefix = self._prepared.identity.passage_prefix
        wanted = [prefix + text for text in texts] if prefix else texts
        if not isinstance(self._tokens, TokenizerTokens):
            return asyncio.run(self._asked(wanted))
        ids = self._tokens.ids(wanted)
        longest = max(map(len, ids))
        if longest > self._prepared.identity.context:
            raise ContextError(
                f"a passage has {longest} tokens, and the embedder takes {self._prepared.identity.context}: split it"
            )
        if self._encoder is None:
            self._encoder = FastestEncoder(self._prepared.folder)
        return self._encoder.vectors(ids)

    async def _asked(self, texts: list[str]) -> np.ndarray:
        engine = self._prepared.engine()
        free = asyncio.Semaphore(_REQUESTS)

        async def ask(part: list[str]) -> np.ndarray:
            async with free:
                return (await patiently(partial(engine.embed, part), True))[0]

        try:
            parts = [texts[begin : begin + _ASKED_AT_ONCE] for begin in range(0, len(texts), _ASKED_AT_ONCE)]
            return np.concatenate(await asyncio.gather(*map(ask, parts)))
        finally:
            await engine.close()

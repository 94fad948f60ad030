"""Vectors of texts, each computed once: how near an example is to a question.

Examples are asked for again with every question, so that theirs are remembered. Many attempts begin at the same time
and want the same examples: one of them computes them, in parts, and the others wait. A part is kept as soon as it is
there, so that who is cancelled on the way has not worked in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np

from mainspring.errors import UnsupportedError
from mainspring.prompts.patience import patiently
from mainspring.runtimes.language.protocol import Engine

_MOST_REMEMBERED = 10_000
_AT_ONCE = 256  # texts; an engine's queue has room for many such parts, whoever else asks


class Vectors:
    """The vectors that `engine` gives. One that is not `patient` does not wait while the engine's queue is full."""

    def __init__(self, engine: Engine, *, patient: bool = True) -> None:
        self._engine = engine
        self._patient = patient
        self._remembered: dict[str, np.ndarray] = {}
        self._computing = asyncio.Lock()

    @property
    def exist(self) -> bool:
        """Whether the engine gives vectors at all."""
        return self._engine.capabilities.embeds is not None

    async def of(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of `texts`, (n, width) float32, of length 1.

        Raises:
            UnsupportedError: the engine gives no vectors.
            EngineGoneError, OverloadedError: it does not answer, or its queue is full.
        """
        if not self.exist:
            raise UnsupportedError(
                "examples by nearness need a model of embeddings beside the one that answers", "model"
            )
        if len({text for text in texts if text not in self._remembered}) > 1:
            async with self._computing:
                found = await self._found(texts)
        else:  # a question beside examples that are known: questions need not wait for each other
            found = await self._found(texts)
        return np.stack([found[text] for text in texts])

    async def _found(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        found = {text: self._remembered[text] for text in texts if text in self._remembered}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        for begin in range(0, len(new), _AT_ONCE):
            part = new[begin : begin + _AT_ONCE]
            vectors, _ = await patiently(partial(self._engine.embed, part), self._patient)
            computed = dict(zip(part, vectors, strict=True))
            found |= computed
            self._remembered |= computed
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered = dict(found)  # with the examples, which the next question needs, too
        return found

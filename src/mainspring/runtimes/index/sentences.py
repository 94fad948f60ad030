"""Vectors of sentences, by which those are chosen that are nearest to a question."""

from __future__ import annotations

import numpy as np

from mainspring.errors import ContextError
from mainspring.runtimes.language.protocol import Engine

_SHORTEST = 64  # characters


async def sentence_vectors(embedder: Engine, texts: list[str]) -> np.ndarray:
    """(n, width) float32, of length 1. Where sentences are longer than the embedder takes, their beginnings count.

    Raises:
        ContextError: it takes next to nothing.
    """
    while True:
        try:
            return (await embedder.embed(texts))[0]
        except ContextError:
            half = max(map(len, texts)) // 2
            if half < _SHORTEST:
                raise
            texts = [text[:half] for text in texts]

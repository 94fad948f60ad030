"""An encoder in the way that is the fastest on this machine for texts as long as those at hand: it is tried on them.

What is fastest depends on the processor and on how long the texts are. Each way computes some of the texts, of all
lengths, and what it gives is kept: a trial costs the loading of the graph, and little else. So it is made anew for
each fit that has many texts, and nothing is kept that another machine or another version of the engine makes wrong.

All ways give the same vectors within the gate that the embedder has passed (`tasks.encoder`), so that which one it was
is no part of its identity.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from mainspring.runtimes.language.bulk_encoding import BulkEncoder, BulkSettings

FEWEST = 2000  # texts: with fewer, trying costs more than it can give
_SHARE = 64  # texts, of which each way gets two times as many; the better time counts, for others use this machine, too
_ROUNDS = 2
_CLEARLY = 1.1  # times as fast as the usual way: less may be chance


class Tried(msgspec.Struct, frozen=True):
    """A way to compute, and how many tokens it did in a second."""

    settings: BulkSettings
    rate: float

    def __str__(self) -> str:
        return f"{self.settings}: {self.rate:,.0f} tokens/s"


class FastestEncoder:
    """The encoder in `folder`. `tried` are the ways that were tried, the chosen one first.

    Raises:
        RuntimeLoadError: something is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._encoder: BulkEncoder | None = None
        self.tried: list[Tried] = []

    def vectors(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """See `BulkEncoder.vectors`. On the first texts that are many the ways are tried."""
        if self._encoder is None:
            self._encoder = BulkEncoder(self._folder, ways(os.cpu_count() or 1)[0])
        if self.tried or len(texts) < FEWEST or not self._encoder.has_ways:
            return self._encoder.vectors(texts)
        return self._compete(self._encoder, texts)

    def _compete(self, chosen: BulkEncoder, texts: Sequence[np.ndarray]) -> np.ndarray:
        usual, *others = ways(os.cpu_count() or 1)
        rows = np.array(sorted(range(len(texts)), key=lambda row: len(texts[row])))
        step = len(rows) // _SHARE
        shares = iter(rows[: step * _SHARE].reshape(_SHARE, step).T)  # each has texts of all lengths
        done: list[tuple[np.ndarray, np.ndarray]] = []

        def rate(encoder: BulkEncoder) -> float:
            best = 0.0
            for _ in range(_ROUNDS):
                share = next(shares)
                some = [texts[row] for row in share]
                begun = time.perf_counter()
                done.append((share, encoder.vectors(some)))
                best = max(best, sum(map(len, some)) / (time.perf_counter() - begun))
            return best

        tried = [Tried(usual, rate(chosen))]
        least = tried[0].rate * _CLEARLY
        for way in others:
            encoder = BulkEncoder(self._folder, way)
            found = Tried(way, rate(encoder))
            if found.rate > max(least, tried[0].rate):
                chosen = encoder
                tried.insert(0, found)
            else:
                tried.append(found)
            del encoder  # not to be in memory beside the next
        self._encoder, self.tried = chosen, tried
        rest = np.setdiff1d(rows, np.concatenate([share for share, _ in done]))
        done.append((rest, chosen.vectors([texts[row] for row in rest])))
        vectors = np.empty((len(texts), done[0][1].shape[1]), np.float32)
        for share, some in done:
            vectors[share] = some
        return vectors


def ways(cores: int) -> list[BulkSettings]:
    """The ways that may be the fastest, the usual one first: many texts at a time, each on one core."""
    streams = sorted({1, max(1, cores // 2)} - {cores})
    return [
        BulkSettings(streams=cores),
        BulkSettings(streams=cores, exact=True),
        *(BulkSettings(streams=some) for some in streams),
    ]

"""An encoder over many texts at once, where the time of all counts and that of each does not.

Texts of like length make a batch. Batches are small, because what lies in the processor's cache is computed faster, and
as many are computed at a time as there are streams, each on its share of the threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mainspring.errors import EngineGoneError, MissingExtraError, RuntimeLoadError, require
from mainspring.runtimes.language.encoders import INPUTS, OUTPUT, load_encoder
from mainspring.runtimes.language.pooling import read_pooling

_GRAPH = "model.onnx"
_BATCH = 1024  # tokens, padding among them


class BulkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How it is computed: `streams` batches at a time, which share the cores. `exact` is float32 throughout."""

    streams: int
    exact: bool = False

    def __str__(self) -> str:
        return f"{self.streams} at a time, in {'float32' if self.exact else 'what the processor is fastest in'}"


class BulkEncoder:
    """The encoder in `folder`, which has settings of pooling beside the graph.

    Raises:
        RuntimeLoadError: something is missing or damaged.
    """

    def __init__(self, folder: Path, settings: BulkSettings) -> None:
        self._pooling = read_pooling(folder)
        self._queue: Any = None
        try:
            self._queue = _queue(folder / _GRAPH, settings)
        except MissingExtraError:
            _, self._encoder = load_encoder(folder / _GRAPH, exact=settings.exact, threads=None)

    @property
    def has_ways(self) -> bool:
        """Whether the settings change anything: ONNX Runtime computes in one way."""
        return self._queue is not None

    def vectors(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """The vectors of texts, (n, width) float32, of length 1; each text is given as its tokens, (t,) int32.

        Raises:
            EngineGoneError: the engine fails.
        """
        found = np.empty((len(texts), self._pooling.width), np.float32)
        batches = _batches(texts)
        if self._queue is None:
            for rows in batches:
                feeds = _feeds([texts[row] for row in rows])
                found[rows] = self._pooling(self._encoder(feeds), feeds[INPUTS[1]])
            return found
        done = 0

        def keep(request: Any, batch: tuple[list[int], np.ndarray]) -> None:
            nonlocal done
            rows, mask = batch
            found[rows] = self._pooling(request.get_tensor(OUTPUT).data, mask)
            done += len(rows)

        self._queue.set_callback(keep)
        try:
            for rows in batches:
                feeds = _feeds([texts[row] for row in rows])
                self._queue.start_async(feeds, (rows, feeds[INPUTS[1]]))
            self._queue.wait_all()
        except RuntimeError as error:
            raise EngineGoneError(f"the encoder failed: {error}") from None
        if done != len(texts):
            raise EngineGoneError(f"the encoder gave {done} vectors of {len(texts)}")
        return found


def _queue(graph: Path, settings: BulkSettings) -> Any:
    openvino = require("openvino", "language")
    properties: dict[str, Any] = {
        "NUM_STREAMS": settings.streams,
        "INFERENCE_NUM_THREADS": os.cpu_count() or 1,
    }
    if settings.exact:
        properties["INFERENCE_PRECISION_HINT"] = "f32"
    try:
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(str(graph)), "CPU", properties)
        compiled.output(OUTPUT)
        return openvino.AsyncInferQueue(compiled, settings.streams)
    except RuntimeError as error:
        raise RuntimeLoadError(f"{graph} cannot be loaded: {error}") from None


def _batches(texts: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """Rows of texts of like length. The longest come first, so that streams end at about the same time."""
    rows: list[int] = []
    longest = 0
    for row in sorted(range(len(texts)), key=lambda row: -len(texts[row])):
        if rows and ((len(rows) + 1) * longest > _BATCH or 2 * len(texts[row]) < longest):
            yield rows
            rows = []
        if not rows:
            longest = len(texts[row])
        rows.append(row)
    if rows:
        yield rows


def _feeds(texts: list[np.ndarray]) -> dict[str, np.ndarray]:
    ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(texts):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return dict(zip(INPUTS, (ids, mask, np.zeros_like(ids)), strict=True))

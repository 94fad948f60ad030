"""What a model thinks of every next token of a text, computed in one precision or another: what parity is measured on.

The GGUF file becomes a graph, as it does to be served (`openvino_graph`). Here it is run on whole texts, with the same
rounding as the served engine's (`openvino.PROPERTIES`), and gives what the engine keeps to itself: the whole
distribution at each place.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.errors import require
from mainspring.runtimes.language.openvino import PROPERTIES
from mainspring.runtimes.language.openvino_graph import write_graph
from mainspring.runtimes.language.openvino_rivals import log_softmax
from mainspring.runtimes.language.settings import Precision


class Scorer:
    """A GGUF file's model as a graph. Use it as a context manager: its graph lies in a temporary folder.

    Raises:
        RuntimeLoadError: OpenVINO cannot read the file.
    """

    def __init__(self, gguf: Path) -> None:
        self._core: Any = require("openvino", "language").Core()
        self._folder = tempfile.TemporaryDirectory(prefix="mainspring-scoring-")
        try:
            self._model: Any = self._core.read_model(str(write_graph(gguf, Path(self._folder.name))))
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        del self._model
        self._folder.cleanup()

    def logprobs(self, texts: Iterable[list[int]], precision: Precision) -> Iterator[np.ndarray]:
        """For each text of t tokens, (t, vocabulary) float32: the natural logarithm of each next token's probability.

        The row at place i tells what comes after the tokens up to i, that one included.
        """
        return graph_logprobs(self._core.compile_model(self._model, "CPU", PROPERTIES[precision]), texts)


def graph_logprobs(compiled: Any, texts: Iterable[list[int]]) -> Iterator[np.ndarray]:
    """As `Scorer.logprobs`, of any language model's graph as OpenVINO GenAI reads it, compiled."""
    request = compiled.create_infer_request()
    for text in texts:
        tokens = np.array([text], np.int64)
        request.reset_state()
        request.infer(
            {
                "input_ids": tokens,
                "attention_mask": np.ones_like(tokens),
                "position_ids": np.arange(len(text), dtype=np.int64)[None],
                "beam_idx": np.zeros(1, np.int32),
            }
        )
        yield log_softmax(request.get_tensor("logits").data[0])

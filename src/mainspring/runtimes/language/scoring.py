"""What a model thinks of every next token of a text, computed in one precision or another: what parity is measured on.

OpenVINO GenAI turns the GGUF file into a graph, as it does to serve it. Here the graph is run on whole texts, with the
same rounding as the served engine's (`openvino.PROPERTIES`), and gives what the engine keeps to itself: the whole
distribution at each place.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.errors import RuntimeLoadError, require
from mainspring.runtimes.language.openvino import PROPERTIES
from mainspring.runtimes.language.settings import Precision

_GRAPH = "openvino_model.xml"


class Scorer:
    """A GGUF file's model as a graph. Use it as a context manager: its graph lies in a temporary folder.

    Raises:
        RuntimeLoadError: OpenVINO cannot read the file.
    """

    def __init__(self, gguf: Path) -> None:
        genai = require("openvino_genai", "language")
        self._core: Any = require("openvino", "language").Core()
        self._folder = tempfile.TemporaryDirectory(prefix="mainspring-scoring-")
        link = Path(self._folder.name) / "model.gguf"
        os.symlink(gguf.resolve(), link)
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = 2
        try:
            genai.ContinuousBatchingPipeline(str(link), scheduler, "CPU", {"enable_save_ov_model": True})
        except RuntimeError as error:
            self._folder.cleanup()
            raise RuntimeLoadError(f"OpenVINO cannot read {gguf}: {error}") from None
        self._model: Any = self._core.read_model(str(link.with_name(_GRAPH)))

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        del self._model
        self._folder.cleanup()

    def logprobs(self, texts: Iterable[list[int]], precision: Precision) -> Iterator[np.ndarray]:
        """For each text of t tokens, (t, vocabulary) float32: the natural logarithm of each next token's probability.

        The row at place i tells what comes after the tokens up to i, that one included.
        """
        request = self._core.compile_model(self._model, "CPU", PROPERTIES[precision]).create_infer_request()
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
            yield _log_softmax(request.get_tensor("logits").data[0])


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float32)
    shifted -= shifted.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))

"""The graph of an encoder, run: `input_ids`, `attention_mask`, `token_type_ids` in, `last_hidden_state` out.

OpenVINO reads the ONNX file and is twice as fast as ONNX Runtime, which is there for those who have no OpenVINO.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mainspring.errors import MissingExtraError, RuntimeLoadError, require

Encoder: TypeAlias = Callable[[dict[str, np.ndarray]], np.ndarray]
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"


def load_encoder(graph: Path, *, exact: bool, threads: int | None) -> tuple[str, Encoder]:
    """Which engine runs `graph`, and what runs it. `exact` computes in float32 throughout.

    Raises:
        RuntimeLoadError: it is no graph, or one that takes or gives something else.
    """
    try:
        return "openvino", _openvino(graph, exact, threads)
    except MissingExtraError:
        return "onnxruntime", _onnxruntime(graph, threads)


def _openvino(graph: Path, exact: bool, threads: int | None) -> Encoder:
    core: Any = require("openvino", "language").Core()
    properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"} if exact else {}
    if threads is not None:
        properties["INFERENCE_NUM_THREADS"] = threads
    try:
        model = core.read_model(str(graph))
        compiled = core.compile_model(model, "CPU", properties)
        output = compiled.output(OUTPUT)
    except RuntimeError as error:
        raise RuntimeLoadError(f"{graph} cannot be loaded: {error}") from None
    _check(graph, [name for node in compiled.inputs for name in node.get_names()])
    request = compiled.create_infer_request()

    def run(feeds: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(request.infer(feeds)[output])

    return run


def _onnxruntime(graph: Path, threads: int | None) -> Encoder:
    runtime = require("onnxruntime", "serve")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise RuntimeLoadError(f"{graph} cannot be loaded: {error}") from None
    _check(graph, [node.name for node in session.get_inputs()])

    def run(feeds: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(session.run([OUTPUT], feeds)[0])

    return run


def _check(graph: Path, names: list[str]) -> None:
    if not set(INPUTS) <= set(names) or len(names) != len(INPUTS):
        raise RuntimeLoadError(f"{graph} takes {', '.join(sorted(names))}; an encoder takes {', '.join(INPUTS)}")

"""The graph of an encoder, run: `input_ids`, `attention_mask`, `token_type_ids` in, `last_hidden_state` out.

One that judges pairs of texts (a cross-encoder) gives `logits` instead. Some encoders have no `token_type_ids`.

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


def load_encoder(graph: Path, *, exact: bool, threads: int | None, output: str = OUTPUT) -> tuple[str, Encoder]:
    """Which engine runs `graph`, and what runs it. `exact` computes in float32 throughout.

    It is given all `INPUTS`, and takes those that it has.

    Raises:
        RuntimeLoadError: it is no graph, or one that takes or gives something else.
    """
    try:
        return "openvino", _openvino(graph, exact, threads, output)
    except MissingExtraError:
        return "onnxruntime", _onnxruntime(graph, threads, output)


def _openvino(graph: Path, exact: bool, threads: int | None, name: str) -> Encoder:
    core: Any = require("openvino", "language").Core()
    properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"} if exact else {}
    if threads is not None:
        properties["INFERENCE_NUM_THREADS"] = threads
    try:
        model = core.read_model(str(graph))
        compiled = core.compile_model(model, "CPU", properties)
        output = compiled.output(name)
    except RuntimeError as error:
        raise RuntimeLoadError(f"{graph} cannot be loaded: {error}") from None
    inputs = _check(graph, [name for node in compiled.inputs for name in node.get_names()])
    request = compiled.create_infer_request()

    def run(feeds: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(request.infer({name: feeds[name] for name in inputs})[output])

    return run


def _onnxruntime(graph: Path, threads: int | None, output: str) -> Encoder:
    runtime = require("onnxruntime", "serve")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise RuntimeLoadError(f"{graph} cannot be loaded: {error}") from None
    inputs = _check(graph, [node.name for node in session.get_inputs()])
    if output not in (names := [node.name for node in session.get_outputs()]):
        raise RuntimeLoadError(f"{graph} gives {', '.join(names)}, and not {output}")

    def run(feeds: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(session.run([output], {name: feeds[name] for name in inputs})[0])

    return run


def _check(graph: Path, names: list[str]) -> list[str]:
    """The names of its inputs."""
    if not {*INPUTS[:2]} <= {*names} <= {*INPUTS}:
        raise RuntimeLoadError(f"{graph} takes {', '.join(sorted(names))}; an encoder takes {', '.join(INPUTS)}")
    return names

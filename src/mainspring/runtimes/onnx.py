"""Predictive models as ONNX graphs, run by ONNX Runtime.

The graph takes the raw columns, one input a column, each of shape (n, 1), in the forms of `mainspring.schema.Columns`.
It gives, for classification, `label` (n,) as text and `probabilities` (n, classes); for regression, `value` (n,).
Preprocessing is inside the graph, so the same file answers the same on ONNX Runtime, Triton or KServe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from mainspring.errors import RuntimeLoadError
from mainspring.schema import Columns, Schema, graph_input

FILE_NAME = "model.onnx"
_TYPES = {"number": "tensor(double)", "boolean": "tensor(double)", "time": "tensor(int64)"}
_TYPES |= {"category": "tensor(string)", "text": "tensor(string)"}
_OUTPUT_TYPES = {"label": "tensor(string)", "probabilities": "tensor(double)", "value": "tensor(double)"}


@dataclass(frozen=True)
class Outputs:
    """What a model says of n rows.

    Classification: `labels` (n,) of text, `probabilities` (n, classes) float64 in the order of the schema's labels.
    Regression: `values` (n,) float64.
    """

    labels: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    values: np.ndarray | None = None

    @property
    def numbers(self) -> np.ndarray:
        """The values or the probabilities, whichever there are; the first axis is the row."""
        found = self.values if self.values is not None else self.probabilities
        assert found is not None
        return found

    def __len__(self) -> int:
        return len(self.numbers)


class Stop:
    """Lets another thread end a run that takes too long."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()

    def __call__(self) -> None:
        """End the run at the next node of the graph; it then raises."""
        self.options.terminate = True


class OnnxRuntime:
    """One loaded graph. Thread-safe: ONNX Runtime allows concurrent runs of a session.

    Args:
        model: the graph, as a file or as its bytes.
        schema: what it takes and gives.
        threads: threads inside one run. One is fastest for single rows, and lets the workers share the machine.

    Raises:
        RuntimeLoadError: the file is no graph, or its inputs are not the schema's.
    """

    def __init__(self, model: Path | bytes, schema: Schema, *, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False  # the arena never gives memory back; a swapped model must
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(model) if isinstance(model, Path) else model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise RuntimeLoadError(
                f"{model if isinstance(model, Path) else 'the graph'} cannot be loaded: {error}"
            ) from None
        self.schema = schema
        self._inputs = [(graph_input(column.name), column.name) for column in schema.features]
        self._outputs = ["label", "probabilities"] if schema.target.labels else ["value"]
        self._check("takes", self._session.get_inputs(), {graph_input(c.name): _TYPES[c.kind] for c in schema.features})
        self._check("gives", self._session.get_outputs(), {name: _OUTPUT_TYPES[name] for name in self._outputs})

    def _check(self, verb: str, nodes: Sequence[ort.NodeArg], wanted: dict[str, str]) -> None:
        found = {node.name: node.type for node in nodes}
        if found != wanted:
            raise RuntimeLoadError(f"the graph {verb} {found}, but the schema says {wanted}: fit the model again")

    def predict(self, columns: Columns, stop: Stop | None = None) -> Outputs:
        """Answer for the rows of `columns`; each array has length n. `stop` ends the run from another thread."""
        feeds = {name: columns[column][:, None] for name, column in self._inputs}
        results = self._session.run(self._outputs, feeds, stop and stop.options)
        if self.schema.target.labels:
            return Outputs(labels=results[0], probabilities=results[1])
        return Outputs(values=results[0])

    def predict_in_chunks(self, columns: Columns, rows: int = 8192) -> Outputs:
        """As `predict`, for many rows in bounded memory."""
        total = len(next(iter(columns.values())))
        parts = [
            self.predict({name: column[start : start + rows] for name, column in columns.items()})
            for start in range(0, total, rows)
        ] or [self.predict(columns)]

        def joined(field: str) -> np.ndarray | None:
            arrays = [getattr(part, field) for part in parts]
            return None if arrays[0] is None else np.concatenate(arrays)

        return Outputs(joined("labels"), joined("probabilities"), joined("values"))

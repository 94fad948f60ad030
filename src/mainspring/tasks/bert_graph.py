"""A BERT model as an ONNX graph, node by node: no PyTorch is needed to write it.

The nodes are those that runtimes know as patterns (attention, layer norm, GELU) and compute as one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mainspring.errors import require
from mainspring.tasks.bert import Bert

_OPSET = 18
_HIDDEN = np.finfo(np.float32).min  # of a token that is padding


def write_graph(bert: Bert, path: Path, inputs: tuple[str, str, str], output: str) -> None:
    """Write the graph of `bert`: ids, attention mask and token types, (n, t) int64, to states (n, t, width) float32."""
    onnx = require("onnx", "tabular")
    writing = _Writing(bert, inputs)
    writing.node("Identity", writing.states(), output=output)
    kinds, shape = onnx.TensorProto, ["n", "t"]
    graph = onnx.helper.make_graph(
        writing.nodes,
        "bert",
        [onnx.helper.make_tensor_value_info(name, kinds.INT64, shape) for name in inputs],
        [onnx.helper.make_tensor_value_info(output, kinds.FLOAT, [*shape, bert.width])],
        writing.constants,
    )
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9, producer_name="mainspring")
    onnx.save(model, str(path))


class _Writing:
    """A graph that grows: each call adds a node, and gives the name of what comes out."""

    def __init__(self, bert: Bert, inputs: tuple[str, str, str]) -> None:
        self._bert = bert
        self._ids, self._mask, self._types = inputs
        self._helper = require("onnx", "tabular").helper
        self._numpy = require("onnx", "tabular").numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """One node."""
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any, type_: Any = np.float32) -> str:
        """One constant."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._numpy.from_array(np.ascontiguousarray(values, type_), name))
        return name

    def states(self) -> str:
        """The whole model."""
        x, hidden = self._embedded(), self._padding()
        for layer in range(self._bert.layers):
            x = self._layer(f"encoder.layer.{layer}", x, hidden)
        return x

    def _embedded(self) -> str:
        tensor = self._bert.tensor
        words = self.node("Gather", self.constant(tensor("embeddings.word_embeddings.weight")), self._ids)
        kinds = self.node("Gather", self.constant(tensor("embeddings.token_type_embeddings.weight")), self._types)
        length = self.node("Gather", self.node("Shape", self._ids), self.constant([1], np.int64))
        places = self.constant(tensor("embeddings.position_embeddings.weight"))
        zero, axis = self.constant([0], np.int64), self.constant([0], np.int64)
        there = self.node("Slice", places, zero, length, axis)
        return self._normed("embeddings.LayerNorm", self.node("Add", self.node("Add", words, kinds), there))

    def _padding(self) -> str:
        """(n, 1, 1, t): what is added to scores, so that padding is not attended to."""
        row = self.node("Unsqueeze", self._mask, self.constant([1, 2], np.int64))
        absent = self.node("Sub", self.constant([1.0]), self.node("Cast", row, to=1))  # 1 is FLOAT
        return self.node("Mul", absent, self.constant([_HIDDEN]))

    def _layer(self, name: str, x: str, hidden: str) -> str:
        heads, width = self._bert.heads, self._bert.width // self._bert.heads
        apart, together = self.constant([0, 0, heads, width], np.int64), self.constant([0, 0, -1], np.int64)

        def part(which: str, order: list[int]) -> str:
            found = self._linear(f"{name}.attention.self.{which}", x)
            return self.node("Transpose", self.node("Reshape", found, apart), perm=order)

        scores = self.node("MatMul", part("query", [0, 2, 1, 3]), part("key", [0, 2, 3, 1]))
        scaled = self.node("Div", scores, self.constant([np.sqrt(width)]))
        weights = self.node("Softmax", self.node("Add", scaled, hidden), axis=-1)
        heard = self.node("MatMul", weights, part("value", [0, 2, 1, 3]))
        joined = self.node("Reshape", self.node("Transpose", heard, perm=[0, 2, 1, 3]), together)
        attended = self.node("Add", self._linear(f"{name}.attention.output.dense", joined), x)
        x = self._normed(f"{name}.attention.output.LayerNorm", attended)
        between = self._gelu(self._linear(f"{name}.intermediate.dense", x))
        return self._normed(
            f"{name}.output.LayerNorm", self.node("Add", self._linear(f"{name}.output.dense", between), x)
        )

    def _linear(self, name: str, x: str) -> str:
        matrix, bias = self._bert.linear(name)
        return self.node("Add", self.node("MatMul", x, self.constant(matrix)), self.constant(bias))

    def _normed(self, name: str, x: str) -> str:
        times, plus = (self.constant(values) for values in self._bert.normal(name))
        return self.node("LayerNormalization", x, times, plus, axis=-1, epsilon=self._bert.epsilon)

    def _gelu(self, x: str) -> str:
        below = self.node("Erf", self.node("Div", x, self.constant([np.sqrt(2.0)])))
        twice = self.node("Mul", x, self.node("Add", below, self.constant([1.0])))
        return self.node("Mul", twice, self.constant([0.5]))

"""Writing an ONNX graph node by node, and taking over graphs that converters have written.

The operator set is fixed, so that the same file runs on the ONNX Runtime of Triton and KServe releases some years old.
Operators: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSETS = {"": 15, "ai.onnx.ml": 3}
IR_VERSION = 8
_RUNTIMES_OWN = {"com.microsoft": 1}  # ONNX Runtime's own operators: its Tokenizer, which ONNX lacks

_TYPES = {"double": TensorProto.DOUBLE, "float": TensorProto.FLOAT, "int64": TensorProto.INT64}
_TYPES["string"] = TensorProto.STRING


class GraphBuilder:
    """Collects nodes; every method that adds something returns the name of what it gives."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"mainspring/{kind}:{self._count}"  # columns are inputs, and have names of their own

    def input(self, name: str, dtype: str) -> str:
        """An input of shape (n, 1)."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], ["rows", 1]))
        return name

    def output(self, source: str, name: str, dtype: str, *width: int) -> None:
        """Give `source` out as `name`, of shape (n, *width)."""
        self._nodes.append(helper.make_node("Identity", [source], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], ["rows", *width]))

    def constant(self, value: Any, dtype: str) -> str:
        """A tensor that is part of the graph."""
        name = self._name("constant")
        if dtype == "string":
            array = np.array(value, dtype=object)
            tensor = helper.make_tensor(name, TensorProto.STRING, array.shape, [text.encode() for text in array.flat])
        else:
            tensor = numpy_helper.from_array(np.asarray(value, dtype="float32" if dtype == "float" else dtype), name)
        self._initializers.append(tensor)
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one output."""
        name = self._name(operator)
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def cast(self, source: str, dtype: str) -> str:
        """`source` as another type."""
        return self.node("Cast", source, to=_TYPES[dtype])

    def concat(self, *sources: str) -> str:
        """Columns side by side."""
        return sources[0] if len(sources) == 1 else self.node("Concat", *sources, axis=1)

    def inline(self, model: onnx.ModelProto, source: str, output: int) -> str:
        """Take over a converted model of one input, fed from `source`; the name of its output number `output`."""
        prefix = self._name("member") + "/"
        graph = model.graph
        renamed = {graph.input[0].name: source, "": ""}

        def rename(name: str) -> str:
            return renamed.get(name, prefix + name)

        for tensor in graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = rename(tensor.name)
            self._initializers.append(copy)
        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = prefix + node.name
            copy.input[:] = [rename(name) for name in node.input]
            copy.output[:] = [rename(name) for name in node.output]
            self._nodes.append(copy)
        return rename(graph.output[output].name)

    def build(self, name: str) -> bytes:
        """The checked model, as bytes."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._initializers)
        opsets = [helper.make_opsetid(domain, version) for domain, version in (OPSETS | _RUNTIMES_OWN).items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mainspring")
        onnx.checker.check_model(model)
        return model.SerializeToString()

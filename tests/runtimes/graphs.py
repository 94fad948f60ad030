"""Tiny graphs with answers that can be told by heart."""

import numpy as np

from mainspring.schema import Column, Schema, Target
from mainspring.tasks.graph import GraphBuilder

SIZE, PLAN = Column("size", "number"), Column("plan", "category", levels=("basic", "plus"))
DOUBLE = Schema((SIZE, PLAN), Target("price"))
SIGN = Schema((SIZE, PLAN), Target("up", (False, True)))


def double(factor: float = 2.0, output: str = "value") -> bytes:
    """`value` = 2 · size, plus 100 where the plan is "plus"."""
    graph = GraphBuilder()
    more = graph.node(
        "LabelEncoder",
        graph.input("plan", "string"),
        domain="ai.onnx.ml",
        keys_strings=["plus"],
        values_floats=[100.0],
        default_float=0.0,
    )
    twice = graph.node("Mul", graph.input("size", "double"), graph.constant(factor, "double"))
    total = graph.node("Add", twice, graph.cast(more, "double"))
    graph.output(graph.node("Squeeze", total, graph.constant([1], "int64")), output, "double")
    return graph.build("double")


def sign(labels: tuple[str, str] = ("false", "true")) -> bytes:
    """The probability of `true` is the size; from a half on it is the label. The plan does not matter."""
    graph = GraphBuilder()
    size = graph.input("size", "double")
    graph.input("plan", "string")
    both = graph.concat(graph.node("Sub", graph.constant([[1.0]], "double"), size), size)
    code = graph.node("ArgMax", both, axis=1, keepdims=0, select_last_index=1)
    graph.output(graph.node("Gather", graph.constant(labels, "string"), code, axis=0), "label", "string")
    graph.output(both, "probabilities", "double", 2)
    return graph.build("sign")


def rows(*sizes: float, plan: str = "basic") -> dict[str, np.ndarray]:
    return {"size": np.array(sizes, dtype=np.float64), "plan": np.array([plan] * len(sizes), dtype=object)}

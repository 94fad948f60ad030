"""Small real ONNX graphs for any schema, and versions made of them: the gateway tested without fitting anything."""

import msgspec
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from mainspring.registry import versions
from mainspring.registry.versions import Golden, Lineage, Manifest
from mainspring.runtimes.onnx import OnnxRuntime
from mainspring.runtimes.records import RecordCodec
from mainspring.schema import MISSING_TIME, Column, Schema, Target, label_text

DELAY = Schema(
    (
        Column("distance", "number", unit="km", description="Along the great circle.", low=17.0, high=4983.0),
        Column("delay_before", "number", nullable=True),
        Column("holiday", "boolean"),
        Column("night", "boolean", nullable=True),
        Column("carrier", "category", levels=("UA", "AA", "EV")),
        Column("gate", "category", nullable=True, integer=True, levels=("1", "2", "17")),
        Column("departs_at", "time"),
        Column("booked_at", "time", nullable=True),
    ),
    Target("late", (False, True)),
)
DELAY_RECORD = {
    "distance": 1200.5,
    "delay_before": None,
    "holiday": False,
    "night": True,
    "carrier": "AA",
    "gate": 17,
    "departs_at": "2013-07-04T18:30:00",
    "booked_at": None,
}
STARS = Schema(
    (Column("price", "number"), Column("city", "category", levels=("Oslo", "Rome"))), Target("stars", (1, 2, 3))
)
STARS_RECORD = {"price": 40, "city": "Rome"}
FARE = Schema((Column("distance", "number"), Column("zone", "category", nullable=True)), Target("fare", unit="EUR"))
FARE_RECORD = {"distance": 3.5, "zone": "A"}

# Takes as many turns of a loop as it is told to: a model that can be made slow by its input.
WORK = Schema((Column("turns", "number"),), Target("sum"))
WORK_RECORD = {"turns": 3.0}


class _Graph:
    """Nodes and constants as they come; `add` returns the name of a new node's output."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def add(self, kind, *inputs, name=None, domain="", **attributes):
        output = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], domain=domain, **attributes))
        return output

    def constant(self, value, dtype=np.float64):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name


def graph(schema, bias=0.0, large=False):
    """An ONNX graph whose score is a sum over the columns plus `bias`; `large` lets large numbers overflow."""
    g = _Graph()
    inputs, terms = [], [g.constant([[bias]])]
    for i, column in enumerate(schema.features):
        weight = g.constant([[0.3 / (i + 1)]])
        if column.kind in ("number", "boolean"):
            inputs.append(helper.make_tensor_value_info(column.name, TensorProto.DOUBLE, [None, 1]))
            value = g.add("Where", g.add("IsNaN", column.name), g.constant([[0.25]]), column.name)
            if not large:
                value = g.add("Clip", value, g.constant(-5.0), g.constant(5000.0))
            scale = (1e10 if large else 0.001) if column.kind == "number" else 1.0
            value = g.add("Mul", value, g.constant(scale))
        elif column.kind == "time":
            inputs.append(helper.make_tensor_value_info(column.name, TensorProto.INT64, [None, 1]))
            missing = g.add("Equal", column.name, g.constant([[MISSING_TIME]], np.int64))
            value = g.add("Where", missing, g.constant([[0]], np.int64), column.name)
            value = g.add("Mul", g.add("Cast", value, to=TensorProto.DOUBLE), g.constant(1e-16))
        else:
            inputs.append(helper.make_tensor_value_info(column.name, TensorProto.STRING, [None, 1]))
            value = g.add(
                "LabelEncoder",
                column.name,
                domain="ai.onnx.ml",
                keys_strings=list(column.levels) or ["A"],
                values_floats=[float(k + 1) for k in range(len(column.levels) or 1)],
                default_float=-1.0,
            )
            value = g.add("Cast", value, to=TensorProto.DOUBLE)
        terms.append(g.add("Mul", value, weight))
    flat = g.constant([-1], np.int64)
    if schema.target.labels:
        labels = [label_text(label) for label in schema.target.labels]
        score = g.add("Sum", *terms)
        logits = g.add("Mul", score, g.constant([[k - 0.5 for k in range(len(labels))]]))
        g.add("Softmax", logits, name="probabilities", axis=1)
        best = g.add("ArgMax", "probabilities", axis=1, keepdims=0)
        g.constants.append(
            helper.make_tensor("labels", TensorProto.STRING, [len(labels)], [x.encode() for x in labels])
        )
        g.add("Gather", "labels", best, name="label")
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.STRING, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, [None, len(labels)]),
        ]
    else:
        g.add("Reshape", g.add("Sum", *terms), flat, name="value")
        outputs = [helper.make_tensor_value_info("value", TensorProto.DOUBLE, [None])]
    model = helper.make_model(
        helper.make_graph(g.nodes, "test", inputs, outputs, g.constants),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)],
        ir_version=8,
    )
    return model.SerializeToString()


def work_graph():
    """`value` is `turns`, found by counting."""
    number, flag = TensorProto.DOUBLE, TensorProto.BOOL
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going_on"], ["go_on"]),
            helper.make_node("Add", ["sum", "one"], ["next_sum"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn_number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going_on", flag, []),
            helper.make_tensor_value_info("sum", number, []),
        ],
        [helper.make_tensor_value_info("go_on", flag, []), helper.make_tensor_value_info("next_sum", number, [])],
        [numpy_helper.from_array(np.array(1.0), "one")],
    )
    g = _Graph()
    most = g.add("ReduceMax", "turns", keepdims=0)
    count = g.add("Cast", most, to=TensorProto.INT64)
    total = g.add("Loop", count, g.constant(True, np.bool_), g.constant(0.0), body=body)
    zeros = g.add("Mul", "turns", g.constant([[0.0]]))
    g.add("Reshape", g.add("Add", zeros, total), g.constant([-1], np.int64), name="value")
    inputs = [helper.make_tensor_value_info("turns", number, [None, 1])]
    outputs = [helper.make_tensor_value_info("value", number, [None])]
    model = helper.make_model(
        helper.make_graph(g.nodes, "work", inputs, outputs, g.constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return model.SerializeToString()


def publish(state, model, schema, record, *, bias=0.0, large=False, spoil=None):
    """Publish the next version. `spoil` may change the golden answers before they are written."""
    body = work_graph() if schema is WORK else graph(schema, bias, large)
    codec = RecordCodec(schema)
    records = [record, dict(record)]
    answers = codec.outputs(OnnxRuntime(body, schema).predict(codec.convert(records)[0]))
    if spoil:
        spoil(answers)
    with versions.staging(state, model) as staged:
        (staged / "model.onnx").write_bytes(body)
        (staged / versions.GOLDEN).write_bytes(msgspec.json.encode(Golden(records, answers, 1e-9)))
        return versions.publish(staged, _manifest(model, schema, versions.next_name(state, model)))


def _manifest(model, schema, version):
    return Manifest(
        project="airdesk",
        model=model,
        version=version,
        task="classification" if schema.target.labels else "regression",
        created="2026-01-01T00:00:00+00:00",
        schema=schema,
        lineage=Lineage("d", "s", "c", 10, 8, 2, {}, 0, "3.11", {}),
        candidate="linear",
        parameters={},
        metric="roc_auc",
        metrics={"roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9}},
        parity={},
        verdict={"verdict": "promote"},
    )

"""The log's rows in its three forms: frames in segments, `Part`s in memory, Arrow tables in Parquet files.

A table of predictions has `id`, `time`, `version`, `role`, `key`, `input.NAME` for each input, and `output.label` and
`output.probabilities`, or `output.value`. Missing values are nulls (NaN in numbers).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainspring.monitoring.segments import FeedbackFrame, Load, PredictionFrame
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Columns

_TIME = pa.timestamp("us", tz="UTC")
_INPUT = "input."


@dataclass(frozen=True)
class Part:
    """n logged rows of one version in one role; `ids` and `keys` (n,) object, `time` (n,) int64."""

    version: str
    role: str
    ids: np.ndarray
    keys: np.ndarray
    time: np.ndarray
    columns: Columns
    outputs: Outputs

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def newest(self) -> int:
        """The greatest time."""
        return int(self.time.max(initial=0))


def part_of_frame(frame: PredictionFrame) -> Part:
    """The rows of a frame."""
    ids = frame.row_ids
    columns: Columns = {name: np.frombuffer(values, np.float64) for name, values in frame.numbers.items()}
    columns |= {name: np.frombuffer(values, np.int64) for name, values in frame.instants.items()}
    columns |= {name: np.array(values, object) for name, values in frame.texts.items()}
    if frame.labels is not None and frame.probabilities is not None:
        scores = np.frombuffer(frame.probabilities, np.float64).reshape(len(ids), -1)
        outputs = Outputs(labels=np.array(frame.labels, object), probabilities=scores)
    else:
        outputs = Outputs(values=np.frombuffer(frame.values or b"", np.float64))
    keys = np.array(frame.keys, object) if frame.keys else np.full(len(ids), "", object)
    return Part(frame.version, frame.role, ids, keys, frame.row_times, columns, outputs)


def prediction_table(parts: Iterable[Part]) -> pa.Table:
    """The rows of one version as a table."""
    # A column that only some parts have, or have as another kind, is filled with nulls, or kept as text.
    return pa.concat_tables([_table(part) for part in parts], promote_options="permissive")


def _table(part: Part) -> pa.Table:
    n = len(part)
    columns: dict[str, pa.Array] = {
        "id": pa.array(part.ids, pa.string()),
        "time": pa.array(part.time, _TIME),
        "version": pa.array([part.version] * n, pa.string()),
        "role": pa.array([part.role] * n, pa.string()),
        "key": _texts(part.keys),
    }
    for name, values in part.columns.items():
        if values.dtype == object:
            columns[_INPUT + name] = _texts(values)
        elif values.dtype == np.int64:
            columns[_INPUT + name] = pa.array(values, _TIME, mask=values == MISSING_TIME)
        else:
            columns[_INPUT + name] = pa.array(values, pa.float64())
    outputs = part.outputs
    if outputs.labels is not None and outputs.probabilities is not None:
        columns["output.label"] = pa.array(outputs.labels, pa.string())
        classes = outputs.probabilities.shape[1]
        flat = pa.array(outputs.probabilities.ravel(), pa.float64())
        columns["output.probabilities"] = pa.ListArray.from_arrays(np.arange(0, (n + 1) * classes, classes), flat)
    else:
        columns["output.value"] = pa.array(outputs.numbers, pa.float64())
    return pa.table(columns)


def _texts(values: np.ndarray) -> pa.Array:
    return pa.array(values, pa.string(), mask=values == MISSING_TEXT)


def parts_of_table(table: pa.Table) -> list[Part]:
    """The rows of a table that `prediction_table` made; one part a role."""
    return [_part(table.filter(pc.equal(table["role"], role))) for role in pc.unique(table["role"]).to_pylist()]


def _part(table: pa.Table) -> Part:
    columns: Columns = {}
    for name in table.column_names:
        if name.startswith(_INPUT):
            columns[name.removeprefix(_INPUT)] = _values(table[name])
    if "output.value" in table.column_names:
        outputs = Outputs(values=_values(table["output.value"]))
    else:
        scores = pc.list_flatten(table["output.probabilities"]).to_numpy().reshape(table.num_rows, -1)
        outputs = Outputs(labels=_values(table["output.label"]), probabilities=scores)
    version, role = table["version"][0].as_py(), table["role"][0].as_py()
    return Part(version, role, _values(table["id"]), _values(table["key"]), _values(table["time"]), columns, outputs)


def _values(column: pa.ChunkedArray) -> np.ndarray:
    if column.type == _TIME:
        return pc.fill_null(column.cast(pa.int64()), MISSING_TIME).to_numpy()
    if column.type == pa.string():
        return pc.fill_null(column, MISSING_TEXT).to_numpy(zero_copy_only=False).astype(object)
    return pc.fill_null(column, np.nan).to_numpy()


def feedback_table(frames: Iterable[FeedbackFrame]) -> pa.Table:
    """One row a label: `received`, `id`, `key`, and `label` as JSON."""
    frames = list(frames)
    return pa.table(
        {
            "received": pa.array(np.repeat([f.received for f in frames], [len(f.ids) for f in frames]), _TIME),
            "id": pa.array([id_ for f in frames for id_ in f.ids], pa.string()),
            "key": pa.array([key for f in frames for key in f.keys], pa.string()),
            "label": pa.array([msgspec.json.encode(v).decode() for f in frames for v in f.labels], pa.string()),
        }
    )


def frames_of_feedback(table: pa.Table) -> list[FeedbackFrame]:
    """The labels of a table that `feedback_table` made; one frame a moment."""
    found: dict[int, FeedbackFrame] = {}
    received = table["received"].cast(pa.int64()).to_pylist()
    rest = (table[name].to_pylist() for name in ("id", "key", "label"))
    for moment, id_, key, label in zip(received, *rest, strict=True):
        frame = found.setdefault(moment, FeedbackFrame(moment, [], [], []))
        frame.ids.append(id_)
        frame.keys.append(key)
        frame.labels.append(msgspec.json.decode(label))
    return list(found.values())


def traffic_table(loads: Iterable[Load]) -> pa.Table:
    """One row a version and stretch of time."""
    loads = list(loads)
    table = pa.table({name: [getattr(load, name) for load in loads] for name in Load.__struct_fields__})
    return table.set_column(1, "start", table["start"].cast(_TIME)).set_column(2, "end", table["end"].cast(_TIME))


def loads_of_table(table: pa.Table) -> list[Load]:
    """The counts of a table that `traffic_table` made."""
    table = table.set_column(1, "start", table["start"].cast(pa.int64()))
    table = table.set_column(2, "end", table["end"].cast(pa.int64()))
    return [Load(**row) for row in table.to_pylist()]

"""The prediction log, read: live rows with what was answered, and the truth where it has come.

Feedback finds its prediction when it is read, not when it comes: so it may come days later, or before its row is
written. Feedback by id belongs to that row, also where a version in the shadow answered it, too. Feedback by key
belongs to the newest live row with this key that is not newer than the feedback. Of several for one row the newest
holds.

A row's time is when its request came in, and it is written when the answer is out. Who reads in steps of time should
stay behind the present by the longest time that a request may take (`[serving] timeout`) and a second.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mainspring.monitoring.log_reader import reader
from mainspring.monitoring.log_tables import Part
from mainspring.monitoring.observations import Rows
from mainspring.monitoring.privacy import Private
from mainspring.monitoring.segments import FeedbackFrame, Load
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Columns, Label, Schema, Target
from mainspring.spec import Project

_END = 2**63 - 1
_MISSING = {"float64": np.nan, "int64": MISSING_TIME, "object": MISSING_TEXT}


@dataclass(frozen=True)
class Joined:
    """How feedback met rows: rows that are `labelled`; `late`, those of them whose label came after the stretch that
    was asked for; `duplicates`, labels that a newer one replaced; `unknown`, labels of this stretch without a row.
    """

    labelled: int
    late: int
    duplicates: int
    unknown: int


@dataclass(frozen=True)
class Logged:
    """n rows in the order of time. `ids`, `keys` ("" for none) and `versions` are (n,) object arrays of text; `told`,
    (n,) object, are the labels as they came, None where none has.
    """

    rows: Rows
    ids: np.ndarray
    keys: np.ndarray
    versions: np.ndarray
    joined: Joined
    told: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def read(
    project: Project,
    model: str,
    schema: Schema,
    *,
    since: int = 0,
    until: int | None = None,
    version: str | None = None,
    role: str = "live",
    limit: int | None = None,
) -> Logged:
    """The rows from `since` to just before `until` (microseconds since 1970 UTC).

    Args:
        schema: of the version, as its manifest has it or as `privacy.concealed_schema` makes it. Columns that the
            spec drops are left out, hashed ones are text; what a row has not, or has as another kind, is missing.
        version: the one that answered; all of them by default.
        role: "live" or "shadow".
        limit: the first so many rows, and any others of the same microsecond as the last of them: reading on from
            that time plus one misses none and gets none twice.

    Raises:
        DataError: the store cannot be read.
    """
    source = reader(project, model)
    end = _END if until is None else until
    feedback = source.feedback(since)
    # Which row a key belongs to, and whether an id is known, is a matter of all versions.
    parts = source.predictions(since, None if feedback else version)
    chosen = [part for part in parts if part.role == role and version in (None, part.version)]
    masks = [(part.time >= since) & (part.time < end) for part in chosen]
    time = _joined([part.time[mask] for part, mask in zip(chosen, masks, strict=True)], np.int64)
    order = np.argsort(time, kind="stable")
    if limit is not None and len(order) > limit:
        order = order[: np.searchsorted(time[order], time[order[limit - 1]], side="right")] if limit else order[:0]

    def taken(arrays: Iterable[np.ndarray], dtype: type) -> np.ndarray:
        found = [array[mask] for array, mask in zip(arrays, masks, strict=True)]
        return _joined(found, dtype)[order]

    rules = Private.of(project, model).rules
    columns: Columns = {}
    for column in schema.features:
        rule = rules.get(column.name)
        if rule != "drop":
            kind = "object" if rule == "hash" else _dtype(column)
            columns[column.name] = taken([_column(part, column.name, kind) for part in chosen], np.dtype(kind).type)
    outputs = _outputs(chosen, masks, order, schema.target)
    ids = taken([part.ids for part in chosen], np.object_)
    truth, told, joined = _join(ids, time[order], feedback, _LiveRows(parts, since), schema.target, end)
    return Logged(
        Rows(time[order], columns, outputs, truth),
        ids,
        taken([part.keys for part in chosen], np.object_),
        taken([np.full(len(part), part.version, object) for part in chosen], np.object_),
        joined,
        told,
    )


def traffic(project: Project, model: str, version: str, since: int, until: int) -> list[Load]:
    """The counts of `version` from `since` to just before `until`, one for each fraction of a second and worker that
    had any, oldest first. One belongs where it ends.

    Raises:
        DataError: the store cannot be read.
    """
    found = [load for load in reader(project, model).traffic(since) if load.version == version and load.end < until]
    return sorted(found, key=lambda load: load.end)


def as_table(logged: Logged, schema: Schema, time: str | None = None) -> pa.Table:
    """The labelled rows as a table to learn from: the schema's columns, the target, and `time`.

    Args:
        time: the name of the column for when the prediction was asked for; not made where the schema has one of that
            name, which then says it itself.
    """
    labelled = ~np.isnan(logged.rows.truth)
    table: dict[str, pa.Array] = {}
    for column in schema.features:
        if column.name in logged.rows.columns:
            table[column.name] = _arrow(logged.rows.columns[column.name][labelled], column)
    truth = logged.rows.truth[labelled]
    labels = schema.target.labels
    kind = pa.array(labels).type if labels else pa.float64()  # also where no row has a label yet
    table[schema.target.name] = pa.array([labels[int(code)] for code in truth] if labels else truth, kind)
    if time is not None and time not in table:
        table[time] = pa.array(logged.rows.time[labelled], pa.timestamp("us", tz="UTC"))
    return pa.table(table)


def _arrow(values: np.ndarray, column: Column) -> pa.Array:
    if values.dtype == object:
        return pa.array(values, pa.string(), mask=values == MISSING_TEXT)
    if values.dtype == np.int64:
        return pa.array(values, pa.timestamp("us", tz="UTC"), mask=values == MISSING_TIME)
    numbers = pa.array(values, pa.float64(), mask=np.isnan(values))
    return numbers.cast(pa.bool_()) if column.kind == "boolean" else numbers


def _dtype(column: Column) -> str:
    return {"time": "int64", "category": "object", "text": "object"}.get(column.kind, "float64")


def _joined(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)


def _column(part: Part, name: str, dtype: str) -> np.ndarray:
    values = part.columns.get(name)
    return values if values is not None and values.dtype == dtype else np.full(len(part), _MISSING[dtype], dtype)


def _outputs(chosen: list[Part], masks: list[np.ndarray], order: np.ndarray, target: Target) -> Outputs:
    """The outputs in the target's form; an answer of another form, as of a version with other labels, is missing."""
    labels: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    shape = (len(target.labels),) if target.labels else ()
    for part, mask in zip(chosen, masks, strict=True):
        found, n = part.outputs, int(mask.sum())
        fits = found.numbers.shape[1:] == shape
        numbers.append(found.numbers[mask] if fits else np.full((n, *shape), np.nan))
        labels.append(found.labels[mask] if fits and found.labels is not None else np.full(n, MISSING_TEXT, object))
    joined = (np.concatenate(numbers) if numbers else np.empty((0, *shape)))[order]
    if target.labels:
        return Outputs(labels=_joined(labels, np.object_)[order], probabilities=joined)
    return Outputs(values=joined)


class _LiveRows:
    """The live rows of all versions from `since` on: which ids there are, and which row has a key at a time."""

    def __init__(self, parts: list[Part], since: int) -> None:
        self.since = since
        self._parts = [part for part in parts if part.role == "live"]
        self._ids: set[str] | None = None
        self._keys: dict[str, list[tuple[int, str]]] | None = None

    def __contains__(self, id_: str) -> bool:
        if self._ids is None:
            self._ids = {id_ for part in self._parts for id_ in part.ids[part.time >= self.since].tolist()}
        return id_ in self._ids

    def newest(self, key: str, until: int) -> str | None:
        """The id of the newest row with `key` that is not newer than `until`."""
        if self._keys is None:
            self._keys = {}
            for part in self._parts:
                keyed = (part.time >= self.since) & (part.keys != "")
                for found, *row in zip(part.keys[keyed], part.time[keyed].tolist(), part.ids[keyed], strict=True):
                    self._keys.setdefault(found, []).append((row[0], row[1]))
            for rows in self._keys.values():
                rows.sort()
        rows = self._keys.get(key, [])
        place = bisect_right(rows, until, key=lambda row: row[0])
        return rows[place - 1][1] if place else None


def _join(
    ids: np.ndarray, time: np.ndarray, feedback: list[FeedbackFrame], live: _LiveRows, target: Target, end: int
) -> tuple[np.ndarray, np.ndarray, Joined]:
    truth, told = np.full(len(ids), np.nan), np.full(len(ids), None, object)
    # Python holds 1, 1.0 and True for equal, and they are different labels.
    codes = {(type(label), label): float(code) for code, label in enumerate(target.labels)}
    rows = {id_: row for row, id_ in enumerate(ids.tolist())}
    received: dict[int, int] = {}
    duplicates = unknown = 0
    oldest = _beginning(live.since)
    for frame in sorted(feedback, key=lambda frame: frame.received):
        for id_, key, label in zip(frame.ids, frame.keys, frame.labels, strict=True):
            if id_ and id_ < oldest:  # ids sort by time: of an earlier stretch, as most are where labels come late
                continue
            found = id_ or live.newest(key, frame.received)
            row = None if found is None else rows.get(found)
            if row is None:
                made = _made(id_) if id_ else frame.received
                unknown += live.since <= made < end and (found is None or found not in live)
                continue
            code = _code(label, codes)
            if not np.isnan(code) or (target.text and isinstance(label, str)):
                duplicates += row in received
                received[row] = frame.received
                truth[row], told[row] = code, label
    late = sum(moment >= end for moment in received.values())
    return truth, told, Joined(len(received), late, duplicates, unknown)


def _code(label: Label | float, codes: dict[tuple[type, Label], float]) -> float:
    if codes:
        return codes.get((type(label), label), np.nan)  # type: ignore[arg-type]
    return np.nan if isinstance(label, str) else float(label)


def _made(id_: str) -> int:
    """When an id was made, in microseconds since 1970 UTC: RFC 9562, UUID version 7."""
    return int(id_[:8] + id_[9:13], 16) * 1000


def _beginning(time: int) -> str:
    """How the ids of that time begin."""
    digits = f"{time // 1000:012x}"
    return f"{digits[:8]}-{digits[8:]}"

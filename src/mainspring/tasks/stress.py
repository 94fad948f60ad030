"""Rows that no data set has, to try a graph with: holes, unseen categories, numbers at the edge of what there is."""

from __future__ import annotations

import numpy as np

from mainspring.schema import MISSING_TEXT, MISSING_TIME, Columns, Schema

_NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e9, -1e9, 16777217.0, 3.5e38, -3.5e38, 1e300, -1e300)
_TEXTS = ("never seen before", "Ünïcödé ✈", " ", "0", "NA")
_DAY = 86_400 * 1_000_000
_TIMES = (0, -1, _DAY - 1, -719_162 * _DAY, 2_932_896 * _DAY, 951_782_400_000_000)  # years 1 and 9999; 29 February 2000


def stress_rows(columns: Columns, schema: Schema, *, missing: bool = True) -> Columns:
    """Real rows with one value at a time replaced by a hard one, and one row that is all holes.

    Args:
        columns: real rows, n ≥ 1.
        schema: of the columns.
        missing: whether holes are among the hard values even where the schema allows none.
    """
    changes: list[tuple[str, object]] = []
    for column in schema.features:
        hole, values = _hard_values(column.kind)
        if missing or column.nullable:
            changes.append((column.name, hole))
        changes += [(column.name, value) for value in values]
    rows = np.arange(len(changes) + missing) % len(next(iter(columns.values())))
    made = {name: column[rows].copy() for name, column in columns.items()}
    for row, (name, value) in enumerate(changes):
        made[name][row] = value
    if missing:
        for column in schema.features:
            made[column.name][-1] = _hard_values(column.kind)[0]
    return made


def _hard_values(kind: str) -> tuple[object, tuple[object, ...]]:
    """The mark of a missing value, and the other hard ones."""
    if kind == "number":
        return np.nan, _NUMBERS
    if kind == "boolean":
        return np.nan, (0.0, 1.0)
    if kind == "time":
        return MISSING_TIME, _TIMES
    return MISSING_TEXT, _TEXTS

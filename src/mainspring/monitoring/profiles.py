"""The reference profile: how inputs and outputs looked when a version was fitted, small enough to travel with it.

A number or a time is kept as its quantiles, a category or a boolean as the shares of its values; both with the share
that was missing. Text is kept as the quantiles of its length.
"""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np

from mainspring.schema import MISSING_TEXT, MISSING_TIME, Columns, Schema

_QUANTILES = np.linspace(0.0, 1.0, 201)
_MOST_VALUES = 200


class ColumnProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column. Either `quantiles` (201 of them, from the least to the greatest) or `shares` of values, or neither
    where all is missing. `other` is the share of values past the 200 most frequent.
    """

    missing: float
    quantiles: list[float] = []
    shares: dict[str, float] = {}
    other: float = 0.0


class Profile(msgspec.Struct, frozen=True):
    """All inputs, and the outputs: `label` and `probability:LABEL`, or `value`."""

    rows: int
    inputs: dict[str, ColumnProfile]
    outputs: dict[str, ColumnProfile]


def profile(columns: Columns, schema: Schema, outputs: Columns) -> Profile:
    """Describe n rows of inputs, and of outputs given as columns of numbers (float64) or text (object)."""
    inputs = {}
    for column in schema.features:
        values = columns[column.name]
        if column.kind == "boolean":
            values = np.where(np.isnan(values), MISSING_TEXT, np.where(values == 1.0, "true", "false")).astype(object)
        elif column.kind == "time":
            values = np.where(values == MISSING_TIME, np.nan, values.astype(np.float64))
        elif column.kind == "text":
            values = np.array([len(text) if text != MISSING_TEXT else np.nan for text in values], dtype=np.float64)
        inputs[column.name] = describe(values)
    rows = len(next(iter(columns.values())))
    return Profile(rows, inputs, {name: describe(values) for name, values in outputs.items()})


def describe(values: np.ndarray) -> ColumnProfile:
    """The profile of numbers (float64, NaN missing) or of text (object, "" missing)."""
    if values.dtype != object:
        known = values[~np.isnan(values)]
        # Halved, because the distance from the least to the greatest may be more than a float can hold.
        quantiles = (2 * np.quantile(known / 2, _QUANTILES)).tolist() if len(known) else []
        return ColumnProfile(missing=1.0 - len(known) / max(1, len(values)), quantiles=quantiles)
    counts = Counter(values.tolist())
    missing = counts.pop(MISSING_TEXT, 0)
    known_rows = max(1, sum(counts.values()))
    kept = counts.most_common(_MOST_VALUES)
    other = sum(counts.values()) - sum(count for _, count in kept)
    shares = {value: count / known_rows for value, count in kept}
    return ColumnProfile(missing / max(1, len(values)), [], shares, other / known_rows)

"""Counting a column into cells: all that the drift tests need of any number of rows.

A number falls into one of the cells that the distinct quantiles of the reference cut: below the first cut, *on* it,
between it and the next, on that, … and above the last. Each cut is a cell of its own because data have atoms (many
zeros, a default): the mass on an atom must not be compared with that of the values beside it. A category falls on one
of the reference's known values, or outside of them. Both cost one pass, and no sort.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mainspring.schema import MISSING_TEXT, MISSING_TIME, Kind

Array = np.ndarray
_HOUR = 3_600_000_000  # microseconds
_DAY = 24 * _HOUR


@dataclass(frozen=True)
class NumberTally:
    """Numbers counted. `cells`: (2 k + 1,) int64 for k cuts. `below` and `above` are the sums of how far values lie
    outside the first and the last cut. `mean` and `deviation` are of the known values; NaN without any.
    """

    rows: int
    missing: int
    cells: Array
    mean: float
    deviation: float
    below: float
    above: float


@dataclass(frozen=True)
class CategoryTally:
    """Categories counted: `counts` (k,) int64 of the known values in their order, and `outside` of them."""

    rows: int
    missing: int
    counts: Array
    outside: int


def watched(values: Array, kind: Kind) -> Array:
    """A column in the form in which it is watched: numbers (float64, NaN missing) or text (object, "" missing).

    A boolean becomes the words true and false, and a text its length. A time becomes its hour of the day: the hour is
    what models here see of a time, and the date itself moves on in every window, which is no news.
    """
    if kind == "boolean":
        words = np.array(["false", "true", MISSING_TEXT], dtype=object)
        return words[np.where(np.isnan(values), 2, values == 1.0).astype(np.intp)]
    if kind == "time":
        return np.where(values == MISSING_TIME, np.nan, np.mod(values, _DAY) / _HOUR)
    if kind == "text":
        return np.array([len(text) if text != MISSING_TEXT else np.nan for text in values.tolist()], dtype=np.float64)
    return values


def count_numbers(values: Array, cuts: Array) -> NumberTally:
    """Count `values`, (n,) float64 with NaN where missing, into the cells of `cuts`, (k,) distinct and rising."""
    absent = np.isnan(values)
    missing = int(absent.sum())
    known = values[~absent] if missing else values
    place = np.searchsorted(cuts, known)
    on_cut = np.append(cuts, np.nan)[place] == known
    place *= 2
    place += on_cut
    cells = np.bincount(place, minlength=2 * len(cuts) + 1)
    mean, deviation = moments(known)
    below = above = 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the greatest that a float can hold
        if len(cuts) and cells[0]:
            below = float((cuts[0] - known[known < cuts[0]]).sum())
        if len(cuts) and cells[-1]:
            above = float((known[known > cuts[-1]] - cuts[-1]).sum())
    return NumberTally(len(known), missing, cells, mean, deviation, below, above)


def moments(known: Array) -> tuple[float, float]:
    """Mean and standard deviation, finite for all finite numbers; NaN without any."""
    if not len(known):
        return float("nan"), float("nan")
    scale = max(abs(float(known.max())), abs(float(known.min())))
    if not 1e150 < scale < np.inf:
        with np.errstate(over="ignore", invalid="ignore"):
            return float(known.mean()), float(known.std())
    # The squares of greater numbers do not fit into a float.
    return float((known / scale).mean() * scale), float((known / scale).std() * scale)


def count_categories(values: Array, known: list[str]) -> CategoryTally:
    """Count `values`, (n,) object with "" where missing, by the values that are `known`."""
    found = Counter(values.tolist())
    missing = found.pop(MISSING_TEXT, 0)
    rows = len(values) - missing
    counts = np.array([found.get(value, 0) for value in known], dtype=np.int64)
    return CategoryTally(rows, missing, counts, rows - int(counts.sum()))

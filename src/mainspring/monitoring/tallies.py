"""Counting a column into cells: all that the drift tests need of any number of rows, and it adds up.

A number falls into one of the cells that the distinct quantiles of the reference cut: below the first cut, *on* it,
between it and the next, on that, … and above the last. Each cut is a cell of its own because data have atoms (many
zeros, a default): the mass on an atom must not be compared with that of the values beside it. A category falls on one
of the reference's known values, or outside of them.

The tallies of two parts of a window add up to that of the whole. So rows are counted as they come and then forgotten,
and a window of any length takes the memory of one part.
"""

from __future__ import annotations

import math
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

    def __add__(self, other: NumberTally) -> NumberTally:
        """Both together, counted into the same cells; moments after Chan, Golub & LeVeque (1979)."""
        rows = self.rows + other.rows
        if self.rows and other.rows:
            ours, theirs = self.rows / rows, other.rows / rows
            mean = ours * self.mean + theirs * other.mean
            # Each side is weighted before the two meet, for the difference of two floats may not fit into one.
            weight = math.sqrt(ours * theirs)
            deviation = math.hypot(
                math.sqrt(ours) * self.deviation,
                math.sqrt(theirs) * other.deviation,
                weight * self.mean - weight * other.mean,
            )
        else:
            counted = self if self.rows else other
            mean, deviation = counted.mean, counted.deviation
        return NumberTally(
            rows=rows,
            missing=self.missing + other.missing,
            cells=self.cells + other.cells,
            mean=mean,
            deviation=deviation,
            below=self.below + other.below,
            above=self.above + other.above,
        )


@dataclass(frozen=True)
class CategoryTally:
    """Categories counted: `counts` (k,) int64 of the known values in their order, and `outside` of them."""

    rows: int
    missing: int
    counts: Array
    outside: int

    def __add__(self, other: CategoryTally) -> CategoryTally:
        """Both together, counted by the same known values."""
        return CategoryTally(
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            counts=self.counts + other.counts,
            outside=self.outside + other.outside,
        )


Tally = NumberTally | CategoryTally


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


class NumberCounter:
    """Counts numbers into the cells of `cuts`, (k,) distinct and rising. `tally` has what was counted so far."""

    def __init__(self, cuts: Array) -> None:
        self._cuts = cuts
        # NaN behind the cuts, up to a power of two of places: no value is greater than that, nor equal to it.
        self._padded = np.full(1 << len(cuts).bit_length(), np.nan)
        self._padded[: len(cuts)] = cuts
        self.tally = self._count(np.empty(0))

    def add(self, values: Array) -> None:
        """Count `values`, (n,) float64 with NaN where missing."""
        self.tally += self._count(values)

    def _count(self, values: Array) -> NumberTally:
        absent = np.isnan(values)
        missing = int(absent.sum())
        known = values[~absent] if missing else values
        cuts, cells = self._cuts, self._cells(known)
        mean, deviation = moments(known)
        below = above = 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the greatest that a float can hold
            if len(cuts) and cells[0]:
                below = float((cuts[0] - known[known < cuts[0]]).sum())
            if len(cuts) and cells[-1]:
                above = float((known[known > cuts[-1]] - cuts[-1]).sum())
        return NumberTally(len(known), missing, cells, mean, deviation, below, above)

    def _cells(self, known: Array) -> Array:
        """How many values lie in each cell: (2 k + 1,).

        A binary search for all values at once, step by step. `np.searchsorted` goes value by value and mispredicts
        every other comparison; this has nothing to predict, and takes a third of the time.
        """
        place = np.zeros(len(known), np.intp)  # how many cuts are known to be less than the value
        step = len(self._padded) // 2
        while step:
            place += step * (self._padded[step - 1 :].take(place) < known)
            step //= 2
        on_cut = self._padded.take(place) == known
        return np.bincount(2 * place + on_cut, minlength=2 * len(self._cuts) + 1)


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


class CategoryCounter:
    """Counts text by the values that are `known`. `tally` has what was counted so far."""

    def __init__(self, known: list[str]) -> None:
        self._known = known
        self.tally = CategoryTally(0, 0, np.zeros(len(known), np.int64), 0)

    def add(self, values: Array) -> None:
        """Count `values`, (n,) object with "" where missing."""
        found = Counter(values.tolist())
        missing = found.pop(MISSING_TEXT, 0)
        rows = len(values) - missing
        counts = np.array([found.get(value, 0) for value in self._known], dtype=np.int64)
        self.tally += CategoryTally(rows, missing, counts, rows - int(counts.sum()))

"""Scores of periods and differences between policies, with intervals, and their means over periods.

Standard errors are the jackknife's over stretches of time, of which a period has about thirty (days, in a month): the
rows of a day share their luck. Degrees of freedom heed heavy tails (see `evaluation.resampling`). The mean over periods
is weighted by rows; its variance is that of independent periods, with Satterthwaite's degrees of freedom (1946). The
models are taken as given: what another fit by chance would have been is not in the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from mainspring.errors import DataError
from mainspring.evaluation.metrics import Predictions, checked, metric_named, score
from mainspring.evaluation.resampling import (
    DifferenceStatistic,
    Statistic,
    cluster_codes,
    degrees_of_freedom,
    standard_error,
    statistic,
)

_STRETCHES = 30
_FEWEST_ROWS = 10
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Measure:
    """A number with its standard error, the degrees of freedom of that, and the rows behind it."""

    value: float
    error: float
    freedom: float
    rows: int

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The 95 % interval of Student's t; none where the error is not known."""
        if not np.isfinite(self.error):
            return None, None
        reach = float(t.ppf((1 + _CONFIDENCE) / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach


def stretches(times: np.ndarray) -> np.ndarray:
    """(n,) codes: about thirty stretches of equal length in time, fewer where they would hold few rows."""
    count = min(_STRETCHES, max(1, len(times) // _FEWEST_ROWS))
    edges = np.linspace(times.min(), times.max() + 1, count + 1)[1:-1]
    return np.searchsorted(edges, times, side="right")


def measure(metric: str, truth: np.ndarray, predictions: Predictions, times: np.ndarray) -> Measure | None:
    """The score; None where the metric is undefined on these rows, as with one class."""
    if len(truth) < 2 * _FEWEST_ROWS:  # a short piece between two changes of champions
        return None
    try:
        value = score(metric, truth, predictions)
    except DataError:
        return None
    return _measured(value, _statistic(metric, truth, predictions, times), len(truth))


def gain(metric: str, truth: np.ndarray, old: Predictions, new: Predictions, times: np.ndarray) -> Measure | None:
    """How much better `new` is than `old` on the same rows; None where the metric is undefined on them."""
    if len(truth) < 2 * _FEWEST_ROWS:
        return None
    try:
        difference = metric_named(metric).sign * (score(metric, truth, new) - score(metric, truth, old))
    except DataError:
        return None
    paired = DifferenceStatistic(
        _statistic(metric, truth, new, times), _statistic(metric, truth, old, times), metric_named(metric).sign
    )
    return _measured(difference, paired, len(truth))


def _statistic(metric: str, truth: np.ndarray, predictions: Predictions, times: np.ndarray) -> Statistic:
    whole, clean = checked(metric_named(metric), truth, predictions)
    return statistic(metric_named(metric), whole, clean, cluster_codes(stretches(times), len(whole)))


def _measured(value: float, found: Statistic, rows: int) -> Measure:
    left_out = found.leave_one_out()
    known = np.isfinite(left_out).sum() > 1
    return Measure(value, standard_error(left_out), degrees_of_freedom(left_out) if known else 1.0, rows)


def combined(measures: Sequence[Measure | None]) -> Measure | None:
    """The mean, weighted by rows, of those that are defined; None where none is."""
    found = [one for one in measures if one is not None]
    if not found:
        return None
    weights = np.array([one.rows for one in found]) / sum(one.rows for one in found)
    variances = (weights * np.array([one.error for one in found])) ** 2
    total = float(variances.sum())
    freedom = total**2 / (variances**2 / [one.freedom for one in found]).sum() if 0 < total < np.inf else 1.0
    value = float(weights @ [one.value for one in found])
    return Measure(value, float(np.sqrt(total)), float(freedom), sum(one.rows for one in found))

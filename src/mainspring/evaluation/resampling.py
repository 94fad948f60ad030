"""What is resampled, and how: the one bootstrap under the intervals and the comparison.

A *unit* is what may be thought of as drawn independently: a row, or a cluster of rows (a customer, a day) that stay
together. A `Statistic` is a number that depends on how much each unit weighs. It answers three questions: its value
under many weightings at once, its influence (the derivative by the weight of each unit, from which comes a standard
error), and its value with each unit left out in turn. Drawing units with replacement is giving them multinomial
weights, so statistics that are to be compared simply see the same weights.

Efron & Tibshirani, *An Introduction to the Bootstrap* (1993), chapters 11 (jackknife), 12 (bootstrap-t), 14 (BCa).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from scipy.stats import norm, t

from mainspring.errors import DataError
from mainspring.evaluation.metrics import Metric, Predictions, RankMetric, SumMetric
from mainspring.evaluation.ranking import MacroRanking

Array = np.ndarray

# Numbers held at once: 2 MB, so that a chunk stays in the processor's cache and memory does not grow with the rows.
CELLS_PER_CHUNK = 250_000
# Numbers touched in all. Beyond this many rows the bootstrap distribution is smooth, and fewer resamples do.
CELLS_IN_ALL = 70_000_000
FEWEST_RESAMPLES = 500


class Statistic(Protocol):
    """A number that depends on the weights of `units` units.

    `size`: how many numbers one weighting touches: the units, or all their rows where only the order of rows will do.
    """

    units: int
    size: int

    def values(self, weights: Array) -> Array:
        """(b, units) → (b,); NaN where undefined."""

    def influence(self, weights: Array) -> Array:
        """Derivative by the weight of each unit, (b, units) → (b, units)."""

    def leave_one_out(self) -> Array:
        """The value without each unit in turn, (units,)."""


class SumStatistic:
    """A `SumMetric` of some predictions: only the summed contributions of each unit are kept."""

    def __init__(self, metric: SumMetric, truth: Array, predictions: Predictions, clusters: Array | None) -> None:
        contributions = metric.contributions(truth, predictions)
        if clusters is not None:
            contributions = np.column_stack([np.bincount(clusters, column) for column in contributions.T])
        self.units = self.size = len(contributions)
        self._contributions = contributions
        self._combine = metric.combine
        # Steps for the numerical derivative, on the scale of each column.
        scale = np.abs(contributions).sum(axis=0)
        self._steps = 1e-6 * np.where(scale > 0, scale, 1.0)

    def values(self, weights: Array) -> Array:
        """(b, units) → (b,)."""
        return self._combine(weights @ self._contributions)

    def influence(self, weights: Array) -> Array:
        """(b, units) → (b, units): the gradient of `combine`, taken at the weighted sums, times the contributions."""
        sums = weights @ self._contributions
        gradient = np.empty_like(sums)
        for column, step in enumerate(self._steps):
            nudge = np.zeros(len(self._steps))
            nudge[column] = step
            gradient[..., column] = (self._combine(sums + nudge) - self._combine(sums - nudge)) / (2 * step)
        return gradient @ self._contributions.T

    def leave_one_out(self) -> Array:
        """(units,), exact."""
        return self._combine(self._contributions.sum(axis=0) - self._contributions)


class RankStatistic:
    """A `RankMetric` of some predictions."""

    def __init__(self, ranking: MacroRanking, rows: int, clusters: Array | None) -> None:
        self._ranking = ranking
        self._clusters = clusters
        self.size = rows
        self.units = rows if clusters is None else int(clusters.max()) + 1

    def values(self, weights: Array) -> Array:
        """(b, units) → (b,)."""
        return self._ranking.values(self._of_rows(weights))

    def influence(self, weights: Array) -> Array:
        """(b, units) → (b, units)."""
        influence = self._ranking.influence(self._of_rows(weights))
        if self._clusters is None:
            return influence
        return np.stack([np.bincount(self._clusters, row, minlength=self.units) for row in influence])

    def leave_one_out(self) -> Array:
        """(units,), to first order: exact would be a pass over the rows for every unit."""
        every = np.ones((1, self.units))
        return self.values(every) - self.influence(every)[0] * self.units / max(self.units - 1, 1)

    def _of_rows(self, weights: Array) -> Array:
        return weights if self._clusters is None else np.take(weights, self._clusters, axis=-1)


class DifferenceStatistic:
    """How much better one statistic is than another under the same weights; `sign` -1 where less is better."""

    def __init__(self, challenger: Statistic, champion: Statistic, sign: int) -> None:
        self._challenger, self._champion, self._sign = challenger, champion, sign
        self.units = champion.units
        self.size = challenger.size + champion.size

    def values(self, weights: Array) -> Array:
        """(b, units) → (b,)."""
        return self._sign * (self._challenger.values(weights) - self._champion.values(weights))

    def influence(self, weights: Array) -> Array:
        """(b, units) → (b, units)."""
        return self._sign * (self._challenger.influence(weights) - self._champion.influence(weights))

    def leave_one_out(self) -> Array:
        """(units,)."""
        return self._sign * (self._challenger.leave_one_out() - self._champion.leave_one_out())


def statistic(metric: Metric, truth: Array, predictions: Predictions, clusters: Array | None = None) -> Statistic:
    """`metric` of checked `predictions`, as a function of the weights of rows or clusters (from `cluster_codes`)."""
    if isinstance(metric, SumMetric):
        return SumStatistic(metric, truth, predictions, clusters)
    assert isinstance(metric, RankMetric)
    return RankStatistic(metric.ranking(truth, predictions), len(truth), clusters)


def cluster_codes(clusters: Array | None, rows: int) -> Array | None:
    """Clusters renumbered 0, 1, 2, …, or a `DataError` when they are not one code a row."""
    if clusters is None:
        return None
    found = np.asarray(clusters)
    if found.shape != (rows,):
        raise DataError(f"clusters must be one code for each of the {rows} rows, found the shape {found.shape}")
    return np.unique(found, return_inverse=True)[1]


def resamples_for(size: int, wanted: int) -> int:
    """`wanted`, or fewer (never under 500) where statistics of this size would take long and gain nothing."""
    return min(wanted, max(FEWEST_RESAMPLES, CELLS_IN_ALL // size))


def resample_weights(units: int, resamples: int, seed: int, size: int) -> Iterator[Array]:
    """How often each unit is drawn in each resample: chunks of (b, units) float64, `resamples` rows in all.

    `size`: of the largest statistic that will be asked; it decides b.
    """
    random = np.random.default_rng(seed)
    most = max(1, CELLS_PER_CHUNK // size)
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = random.integers(0, units, (rows, units), dtype=np.int64)
        drawn += units * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)


def standard_error(leave_one_out: Array) -> float:
    """The jackknife's standard error, from the values without each unit in turn; infinite for a single unit."""
    defined = leave_one_out[np.isfinite(leave_one_out)]
    if len(defined) < 2:
        return float("inf")
    return float(np.sqrt((len(defined) - 1) * defined.var()))


def degrees_of_freedom(leave_one_out: Array) -> float:
    """How many normal units would know their variance as well as these do, less one (after Satterthwaite 1946).

    The variance of an estimated variance grows with the kurtosis: where a few units carry most of the spread, many
    units are worth few. At most units - 1, at least 1.
    """
    apart = leave_one_out[np.isfinite(leave_one_out)]
    apart = apart - apart.mean()
    variance = (apart**2).mean()
    if variance == 0:
        return max(1.0, len(apart) - 1.0)
    excess = (apart**4).mean() / variance**2 - 1  # 2 for the normal
    return float(np.clip(2 * len(apart) / max(excess, 1e-9), 1, max(1, len(apart) - 1)))


def standard_errors(influence: Array, weights: Array) -> Array:
    """The standard error under each row of weights, from the influences there: (b, units) each → (b,)."""
    units = weights.shape[-1]
    return np.sqrt(np.einsum("bu,bu,bu->b", weights, influence, influence) * units / max(units - 1, 1))


def bca_interval(value: float, leave_one_out: Array, resampled: Array, confidence: float) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval (Efron 1987).

    `leave_one_out` and `resampled`: where they are defined. The tails are widened from the normal's to those of
    Student's t, and by the factor that a plug-in variance is too small (Hesterberg 2015, "What Teachers Should Know
    About the Bootstrap", section 3.3): with a handful of clusters the plain interval is far too short, and with many
    units this changes nothing. Ties count half in the bias correction, so that a statistic which moves in steps is not
    called biased for it.
    """
    units = len(leave_one_out)
    tails = t.ppf([(1 - confidence) / 2, (1 + confidence) / 2], max(units - 1, 1)) * np.sqrt(units / max(units - 1, 1))
    bias = norm.ppf(np.mean(resampled < value) / 2 + np.mean(resampled <= value) / 2)
    if not np.isfinite(bias):  # every resample lies on one side: nothing to correct by
        bias = 0.0
    corrected = bias + (bias + tails) / (1 - acceleration(leave_one_out) * (bias + tails))
    low, high = np.quantile(resampled, norm.cdf(corrected))
    return float(low), float(high)


def acceleration(leave_one_out: Array) -> float:
    """How fast the standard error changes with the value: a sixth of the skewness of the jackknife."""
    apart = leave_one_out.mean() - leave_one_out
    squares = (apart**2).sum()
    return float((apart**3).sum() / (6 * squares**1.5)) if squares > 0 else 0.0

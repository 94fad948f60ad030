"""Metrics of an order: sort the scores once, then take any weights in linear time.

Both areas, under the ROC curve and under the precision-recall steps, are sums over the distinct scores, from the
highest down, of the weights of the positive and negative rows seen so far. Both also have a closed-form derivative by
the weight of each row, the *influence* of the row. Its variance is the variance of the metric: for the area under the
ROC curve the influences are the placement values of DeLong, DeLong & Clarke-Pearson (1988), found here by sorting as
Sun & Xu (2014) do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

Array = np.ndarray


class Ranking(ABC):
    """The order of n scores against which of them are positive.

    `positive`: (n,) bool. `scores`: (n,) float64, higher means more likely positive; equal scores count as one step.
    """

    def __init__(self, positive: Array, scores: Array) -> None:
        self._order = np.argsort(-scores, kind="stable")
        falling = scores[self._order]
        # The last row of each run of equal scores, and for each row (as given) the number of its run.
        self._run_ends = np.append(np.flatnonzero(np.diff(falling)), len(scores) - 1)
        run_of_sorted = np.cumsum(np.r_[False, np.diff(falling) != 0])
        self._run = np.empty(len(scores), dtype=np.intp)
        self._run[self._order] = run_of_sorted
        self.positive = positive.astype(np.float64)
        self._positive_sorted = self.positive[self._order]

    def _seen(self, weights: Array) -> tuple[Array, Array]:
        """Weight of the positive and of the negative rows at or above each distinct score: (..., runs) each."""
        falling = np.take(weights, self._order, axis=-1)
        every = np.cumsum(falling, axis=-1)
        falling *= self._positive_sorted
        positive = np.cumsum(falling, axis=-1)
        if len(self._run_ends) < len(self._order):
            every, positive = np.take(every, self._run_ends, axis=-1), np.take(positive, self._run_ends, axis=-1)
        return positive, every - positive

    @abstractmethod
    def values(self, weights: Array) -> Array:
        """The metric under `weights`, (..., n) → (...); NaN where it is undefined."""

    @abstractmethod
    def influence(self, weights: Array) -> Array:
        """The derivative of the metric by the weight of each row, (..., n) → (..., n)."""


def _steps(cumulative: Array) -> tuple[Array, Array]:
    """Each step of a cumulative sum, and the middle of each step."""
    step = cumulative.copy()
    step[..., 1:] -= cumulative[..., :-1]
    return step, cumulative - step / 2


def _divide(above: Array, below: Array) -> Array:
    """`above / below`, NaN where there is nothing to divide by."""
    return above / np.where(below > 0, below, np.nan)


class RocAuc(Ranking):
    """Area under the ROC curve: a positive row outranks a negative one; a tie counts half."""

    def values(self, weights: Array) -> Array:
        """The area, (..., n) → (...)."""
        positive, negative = self._seen(weights)
        area = (_steps(negative)[0] * _steps(positive)[1]).sum(axis=-1)
        return _divide(area, positive[..., -1] * negative[..., -1])

    def influence(self, weights: Array) -> Array:
        """From the share of the other class that each row outranks or is outranked by."""
        positive, negative = self._seen(weights)
        positives, negatives = positive[..., -1:], negative[..., -1:]
        outranked = 1 - _divide(_steps(negative)[1], negatives)  # share of the negative rows below each score
        outranking = _divide(_steps(positive)[1], positives)  # share of the positive rows above it
        area = (_steps(negative)[0] * outranking).sum(axis=-1, keepdims=True) / negatives
        of_positive = _divide(outranked - area, positives)[..., self._run]
        of_negative = _divide(outranking - area, negatives)[..., self._run]
        return np.where(self.positive > 0, of_positive, of_negative)


class AveragePrecision(Ranking):
    """Sum over the distinct scores of the recall gained there times the precision reached."""

    def values(self, weights: Array) -> Array:
        """The area, (..., n) → (...)."""
        positive, negative = self._seen(weights)
        gained, _ = _steps(positive)
        every = positive + negative
        precision = positive / np.where(every > 0, every, 1.0)
        return _divide((gained * precision).sum(axis=-1), positive[..., -1])

    def influence(self, weights: Array) -> Array:
        """From the precision at each row's own score and at all the scores below it."""
        positive, negative = self._seen(weights)
        gained, _ = _steps(positive)
        every = np.where(positive + negative > 0, positive + negative, 1.0)
        precision = positive / every
        positives = positive[..., -1:]
        area = _divide((gained * precision).sum(axis=-1, keepdims=True), positives)
        # A row also moves the precision at every score at or below its own: sums from the lowest score up.
        below = _sums_from_the_end(gained / every)
        lost = _sums_from_the_end(gained * precision / every)
        of_negative = _divide(-lost, positives)[..., self._run]
        of_positive = _divide(precision - area + below - lost, positives)[..., self._run]
        return np.where(self.positive > 0, of_positive, of_negative)


def _sums_from_the_end(terms: Array) -> Array:
    return np.cumsum(terms[..., ::-1], axis=-1)[..., ::-1]


class MacroRanking:
    """The plain mean of several rankings of the same rows, over those that are defined under the weights."""

    def __init__(self, rankings: Sequence[Ranking]) -> None:
        self.rankings = rankings

    def values(self, weights: Array) -> Array:
        """(..., n) → (...); NaN where no class has a value."""
        each = np.stack([ranking.values(weights) for ranking in self.rankings])
        defined = np.isfinite(each)
        return _divide(np.where(defined, each, 0.0).sum(axis=0), defined.sum(axis=0))

    def influence(self, weights: Array) -> Array:
        """(..., n) → (..., n)."""
        total, defined = np.zeros(weights.shape), np.zeros((*weights.shape[:-1], 1))
        for ranking in self.rankings:
            influence = ranking.influence(weights)
            counts = np.isfinite(influence).all(axis=-1, keepdims=True)
            total += np.where(counts, influence, 0.0)
            defined += counts
        return _divide(total, defined)

"""Features that give the target away: known only afterwards, or made from the target.

A feature that alone explains nearly all of the target is too good to be true. How much it explains is measured
honestly: the mean of the target in each of its bins is learned on one half of the rows and judged on the other, so a
column of different values for each row explains nothing. A numeric target is replaced by its rank, lest a few huge
values hide the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mainspring.schema import MISSING_TIME, Column, Columns, Target

ROWS = 50_000
BINS = 64
LEVELS = 1_000
SUSPICIOUS = 0.95


@dataclass(frozen=True)
class Leak:
    """A feature that alone explains the share `explained` of the target's variance, 0.95 to 1."""

    name: str
    explained: float


def find_leaks(columns: Columns, features: tuple[Column, ...], truth: np.ndarray, target: Target) -> list[Leak]:
    """The features that give the target away, the worst first.

    Args:
        columns: (n,) arrays, as `conform` gives them.
        features: those to look at.
        truth: (n,) codes into the target's labels, or numbers.
        target: tells which.
    """
    rows = np.random.default_rng(0).permutation(len(truth))[:ROWS]
    learned = np.arange(len(rows)) < len(rows) // 2
    outcome = truth[rows] if target.labels else _ranks(truth[rows])
    found = []
    for feature in features:
        bins = _bins(columns[feature.name][rows])
        measure = _explained_labels if target.labels else _explained_numbers
        explained = measure(bins, outcome, learned)
        if explained >= SUSPICIOUS:
            found.append(Leak(feature.name, explained))
    return sorted(found, key=lambda leak: -leak.explained)


def _bins(values: np.ndarray) -> np.ndarray:
    """Each value's bin, 0 … k: a level each, or a range of the numbers; missing is a bin of its own."""
    if values.dtype == object:
        encoded = pa.array(values, pa.string()).dictionary_encode()
        codes = encoded.indices.to_numpy()
        frequent = np.argsort(-np.bincount(codes), kind="stable")[:LEVELS]
        place = np.full(len(encoded.dictionary), LEVELS)
        place[frequent] = np.arange(len(frequent))
        return place[codes]
    missing = np.isnan(values) if values.dtype == np.float64 else values == MISSING_TIME
    present = values[~missing]
    if not len(present):
        return np.zeros(len(values), np.int64)
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    return np.where(missing, BINS, np.searchsorted(edges, values))


def _explained_numbers(bins: np.ndarray, truth: np.ndarray, learned: np.ndarray) -> float:
    """1 - (squared error of the bins' means) / (squared error of the mean)."""
    size = bins.max() + 1
    counts = np.bincount(bins[learned], minlength=size)
    sums = np.bincount(bins[learned], truth[learned], minlength=size)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), truth[learned].mean())
    actual = truth[~learned]
    spread = np.sum((actual - actual.mean()) ** 2)
    return float(1 - np.sum((actual - means[bins[~learned]]) ** 2) / spread) if spread else 0.0


def _explained_labels(bins: np.ndarray, truth: np.ndarray, learned: np.ndarray) -> float:
    """The same for one-hot truth, summed over the labels, without writing the ones and zeros down."""
    labels = truth.max() + 1
    counts = np.zeros((bins.max() + 1, labels))  # bins × labels
    np.add.at(counts, (bins[learned], truth[learned]), 1)
    overall = counts.sum(axis=0) / counts.sum()
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, counts / np.maximum(totals, 1), overall)
    bins, actual = bins[~learned], truth[~learned]
    # |one_hot - shares|² = 1 - 2 shares[label] + |shares|²
    error = np.sum(1 - 2 * shares[bins, actual] + (shares**2).sum(axis=1)[bins])
    prior = np.bincount(actual, minlength=labels) / max(len(actual), 1)
    spread = len(actual) * (1 - np.sum(prior**2))
    return float(1 - error / spread) if spread else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, equal values sharing the mean of theirs: (n,) float64."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

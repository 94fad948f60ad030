"""Simulated models whose true quality is known, for the tests of this folder."""

from __future__ import annotations

import numpy as np

from mainspring.evaluation.metrics import Predictions


def classifier(scores: np.ndarray) -> Predictions:
    """Predictions of a binary classifier whose log-odds are `scores`, (n,)."""
    positive = 1 / (1 + np.exp(-scores))
    return Predictions((positive >= 0.5).astype(np.int64), np.column_stack([1 - positive, positive]))


def binary(rows: int, noises: list[float], seed: int) -> tuple[np.ndarray, list[Predictions]]:
    """A binary truth, and one model for each standard deviation of noise on the true log-odds."""
    random = np.random.default_rng(seed)
    signal = 1.5 * random.normal(size=rows)
    truth = (random.random(rows) < 1 / (1 + np.exp(-signal))).astype(np.int64)
    truth[:2] = 0, 1  # both classes, always
    return truth, [classifier(signal + noise * random.normal(size=rows)) for noise in noises]


def multiclass(rows: int, classes: int, seed: int) -> tuple[np.ndarray, Predictions]:
    """A truth that has all the classes, and probabilities with many ties."""
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), random.integers(0, classes, rows - classes)])
    raw = np.round(random.dirichlet(np.ones(classes), rows) + 0.4 * np.eye(classes)[truth], 1) + 1e-3
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    return truth, Predictions(probabilities.argmax(axis=1), probabilities)


def regression(rows: int, noises: list[float], seed: int) -> tuple[np.ndarray, list[Predictions]]:
    """A numeric truth, and one model for each standard deviation of its errors."""
    random = np.random.default_rng(seed)
    truth = 3 + random.normal(size=rows)
    return truth, [Predictions(truth + noise * random.normal(size=rows)) for noise in noises]


def in_clusters(clusters: int, each: int, seed: int) -> tuple[np.ndarray, list[Predictions], np.ndarray]:
    """Two equally good regressions whose errors are shared within a cluster of `each` rows."""
    random = np.random.default_rng(seed)
    codes = np.repeat(np.arange(clusters), each)
    truth = random.normal(size=len(codes))
    models = [
        Predictions(truth + random.normal(size=clusters)[codes] + 0.5 * random.normal(size=len(codes)))
        for _ in range(2)
    ]
    return truth, models, codes

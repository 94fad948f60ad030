"""The trivial baseline: what a first model has to beat before it may become champion."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation.metrics import Array, Predictions

# The constant that is best for the absolute error is the median; for the squared error it is the mean.
BEST_AT_THE_MEDIAN = ("mae", "mape")


def baseline_predictions(
    task_kind: Literal["classification", "regression"],
    train_truth: Array,
    rows: int,
    classes: int | None = None,
    metric: str | None = None,
) -> Predictions:
    """The same answer for each of `rows` rows, from the truth on the fit side alone.

    Classification: the class frequencies of `train_truth` as probabilities over `classes` classes (as many as the
    codes show, when not given), and the most frequent class. Regression: the mean, or the median for `mae` and `mape`.
    """
    train_truth = np.asarray(train_truth)
    if len(train_truth) == 0:
        raise DataError("the baseline needs at least one row on the fit side, found none")
    if task_kind == "regression":
        constant = np.median(train_truth) if metric in BEST_AT_THE_MEDIAN else np.mean(train_truth)
        return Predictions(np.full(rows, constant, dtype=np.float64))
    counts = np.bincount(train_truth, minlength=classes or 2)
    if classes is not None and len(counts) > classes:
        raise DataError(f"class codes must lie in 0..{classes - 1}, found {len(counts) - 1} on the fit side")
    frequencies = counts / counts.sum()
    return Predictions(np.full(rows, counts.argmax(), dtype=np.int64), np.tile(frequencies, (rows, 1)))

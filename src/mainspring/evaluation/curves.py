"""The numbers behind the report's plots, thinned to what a plot can show, and the threshold they suggest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from mainspring.errors import DataError
from mainspring.evaluation.metrics import METRICS, Array, SumMetric, metric_named

MOST_POINTS = 200


@dataclass(frozen=True)
class RocCurve:
    """From (0, 0) to (1, 1); a row is called positive when its score is at least the threshold."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]
    thresholds: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """By rising recall; a row is called positive when its score is at least the threshold."""

    recall: list[float]
    precision: list[float]
    thresholds: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class CalibrationCurve:
    """One entry a bin: what was predicted on average, what came true, its Wilson interval, and of how many rows."""

    predicted: list[float]
    observed: list[float]
    low: list[float]
    high: list[float]
    count: list[int]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def roc_curve(truth: Array, scores: Array, points: int = MOST_POINTS) -> RocCurve:
    """The ROC curve of `scores`, (n,), against `truth`, (n,) of 0 and 1. Raises `DataError` on one class only."""
    thresholds, true_positives, false_positives = _counts_at_thresholds(truth, scores)
    # The first point calls nothing positive: its threshold lies just above the highest score.
    thresholds = np.r_[np.nextafter(thresholds[0], np.inf), thresholds]
    true_rate = np.r_[0.0, true_positives / true_positives[-1]]
    false_rate = np.r_[0.0, false_positives / false_positives[-1]]
    kept = _evenly_along(true_rate + false_rate, points)
    return RocCurve(false_rate[kept].tolist(), true_rate[kept].tolist(), thresholds[kept].tolist())


def precision_recall_curve(truth: Array, scores: Array, points: int = MOST_POINTS) -> PrecisionRecallCurve:
    """The precision-recall curve of `scores`, (n,), against `truth`, (n,) of 0 and 1."""
    thresholds, true_positives, false_positives = _counts_at_thresholds(truth, scores)
    recall = true_positives / true_positives[-1]
    precision = true_positives / (true_positives + false_positives)
    kept = _evenly_along(recall, points)
    return PrecisionRecallCurve(recall[kept].tolist(), precision[kept].tolist(), thresholds[kept].tolist())


def calibration_curve(truth: Array, scores: Array, bins: int = 10, confidence: float = 0.95) -> CalibrationCurve:
    """How often what was predicted came true, in at most `bins` bins of equally many rows; equal scores stay together.

    `scores`: (n,), the probability that `truth`, (n,) of 0 and 1, is 1.
    """
    members = _quantile_bins(scores, bins)
    count = np.bincount(members)
    observed = np.bincount(members, truth) / count
    low, high = wilson_interval(observed, count, confidence)
    return CalibrationCurve(
        predicted=(np.bincount(members, scores) / count).tolist(),
        observed=observed.tolist(),
        low=low.tolist(),
        high=high.tolist(),
        count=count.tolist(),
    )


def expected_calibration_error(truth: Array, probabilities: Array, bins: int = 10) -> float:
    """The mean distance between predicted and observed over the calibration bins, weighted by their rows.

    `probabilities`: (n, k). Of two classes, of the positive one; of more, of the likeliest (Guo et al. 2017).
    """
    if probabilities.shape[1] == 2:
        scores, came_true = probabilities[:, 1], truth
    else:
        scores, came_true = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    curve = calibration_curve(came_true, scores, bins)
    apart = np.abs(np.array(curve.predicted) - curve.observed)
    return float(np.average(apart, weights=curve.count))


def confusion_matrix(truth: Array, predicted: Array, classes: int) -> Array:
    """Rows counted by true class (down) and predicted class (across): (classes, classes) int64."""
    cells = np.bincount(np.asarray(truth) * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


def wilson_interval(share: Array, count: Array, confidence: float = 0.95) -> tuple[Array, Array]:
    """Wilson's score interval (1927) of a share of `count` rows."""
    z = norm.ppf((1 + confidence) / 2)
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.clip(centre - reach, 0, 1), np.clip(centre + reach, 0, 1)


# What a metric is best served by when it does not itself depend on a threshold, or is best at a useless one
# (calling everything positive has a recall of 1). The area under the ROC curve goes with Youden's index.
_DECIDED_BY = {"roc_auc": "balanced_accuracy", "average_precision": "f1", "precision": "f1", "recall": "f1"}
_OF_PROBABILITIES = ("log_loss", "brier")


def threshold_for(metric: str, truth: Array, scores: Array) -> float:
    """The threshold on `scores`, (n,), at or above which class 1 is called, that does best for `metric` on these rows.

    Thresholds lie midway between neighbouring scores, so that a last digit lost on the way to the server changes no
    class; of equally good ones, that nearest to a half. Metrics of the probabilities themselves get a half.
    """
    if metric_named(metric).task != "classification":
        raise DataError(f"{metric} is a metric of regression: it has no decision threshold")
    if metric in _OF_PROBABILITIES:
        return 0.5
    decided_by = METRICS[_DECIDED_BY.get(metric, metric)]
    assert isinstance(decided_by, SumMetric)

    steps, true_positives, false_positives = _counts_at_thresholds(truth, scores)
    cuts = np.r_[(steps[:-1] + steps[1:]) / 2, max(0.0, steps[-1] / 2)]
    if steps[0] < 1:  # there is room for calling nothing positive
        cuts = np.r_[(steps[0] + 1) / 2, cuts]
        true_positives, false_positives = np.r_[0, true_positives], np.r_[0, false_positives]
    sums = _sums_for(decided_by.name, true_positives, false_positives)
    achieved = decided_by.combine(sums)
    best = cuts[achieved >= achieved.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def _sums_for(metric: str, true_positives: Array, false_positives: Array) -> Array:
    """The column sums of `metric`, one row a threshold, as its `contributions` would have added up."""
    positives, negatives = true_positives[-1], false_positives[-1]
    true_negatives = negatives - false_positives
    called = true_positives + false_positives
    every = np.full_like(called, positives + negatives)
    if metric == "accuracy":
        return np.column_stack([true_positives + true_negatives, every])
    if metric == "f1":
        return np.column_stack([np.full_like(called, positives), called, true_positives])
    return np.column_stack(
        [
            np.full_like(called, negatives),
            np.full_like(called, positives),
            every - called,
            called,
            true_negatives,
            true_positives,
        ]
    )


def _counts_at_thresholds(truth: Array, scores: Array) -> tuple[Array, Array, Array]:
    """The distinct scores from the highest down, and the true and false positives at or above each; all float64."""
    truth, scores = np.asarray(truth), np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise DataError("scores must be finite")
    if not ((truth == 0).any() and (truth == 1).any()):
        raise DataError(f"a curve needs rows of both classes, found {len(truth)} rows of one")
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    true_positives = np.cumsum(truth[order], dtype=np.float64)[ends]
    return falling[ends], true_positives, ends + 1 - true_positives


def _evenly_along(rising: Array, points: int) -> Array:
    """Indices of at most `points` entries, evenly apart in `rising`, the ends among them."""
    if len(rising) <= points:
        return np.arange(len(rising))
    wanted = np.linspace(rising[0], rising[-1], points - 1)
    return np.unique(np.r_[0, np.searchsorted(rising, wanted), len(rising) - 1])


def _quantile_bins(scores: Array, bins: int) -> Array:
    """The bin of each score, numbered 0, 1, … without gaps."""
    inner = np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1])
    return np.unique(np.searchsorted(inner, scores, side="right"), return_inverse=True)[1]

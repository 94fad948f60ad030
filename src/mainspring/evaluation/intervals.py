"""How sure a metric is: a value with an interval.

Where an exact or a well-studied interval exists it is used: Clopper & Pearson (1934) for a share of rows, the variance
of DeLong et al. (1988) on the logit scale for a binary area under the ROC curve (inside 0..1, and its coverage is good
near 1). Everything else, and everything in clusters, gets the BCa bootstrap; its jackknife is closed form, and
`estimates` draws one set of weights for all the metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta, norm

from mainspring.errors import DataError
from mainspring.evaluation.metrics import Array, Metric, Predictions, checked, metric_named, score
from mainspring.evaluation.resampling import (
    Statistic,
    bca_interval,
    cluster_codes,
    resample_weights,
    resamples_for,
    statistic,
)


@dataclass(frozen=True)
class Estimate:
    """A metric's value, a confidence interval around it, and the method that gave the interval."""

    value: float
    low: float
    high: float
    method: str

    def as_dict(self) -> dict[str, float | str]:
        """Ready for JSON."""
        return asdict(self)


def estimate(
    name: str,
    truth: Array,
    predictions: Predictions,
    *,
    clusters: Array | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The metric `name` with its interval; see `estimates`."""
    return estimates(
        [name], truth, predictions, clusters=clusters, confidence=confidence, resamples=resamples, seed=seed
    )[name]


def estimates(
    names: Sequence[str],
    truth: Array,
    predictions: Predictions,
    *,
    clusters: Array | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Each metric with its interval.

    `truth`: (n,). `clusters`: (n,) codes; the rows of one code (a customer, a day) are drawn together, because they
    are not independent. `resamples` is lowered by itself on many rows (above 35,000; the method says to how many).
    The same `seed` gives the same numbers. Raises `DataError` where a metric is undefined, as `score` does.
    """
    if not 0 < confidence < 1:
        raise DataError(f"confidence must lie between 0 and 1, found {confidence}")
    found: dict[str, Estimate] = {}
    to_resample: dict[str, Statistic] = {}
    values: dict[str, float] = {}
    for name in names:
        metric = metric_named(name)
        whole, clean = checked(metric, truth, predictions)
        values[name] = score(name, whole, clean)
        codes = cluster_codes(clusters, len(whole))
        known = None if codes is not None else _without_resampling(metric, whole, clean, values[name], confidence)
        if known is not None:
            found[name] = known
        else:
            to_resample[name] = statistic(metric, whole, clean, codes)
    found |= _by_bootstrap(to_resample, values, clusters is not None, confidence, resamples, seed)
    return {name: found[name] for name in names}


def _without_resampling(
    metric: Metric, truth: Array, predictions: Predictions, value: float, confidence: float
) -> Estimate | None:
    """The exact or analytic interval of independent rows, where there is one."""
    if metric.name == "accuracy":
        trials, successes = len(truth), int((truth == predictions.values).sum())
        return Estimate(value, *clopper_pearson(successes, trials, confidence), "Clopper–Pearson")
    if max(truth.max(), predictions.values.max()) > 1 or (
        predictions.probabilities is not None and predictions.probabilities.shape[1] > 2
    ):
        return None
    if metric.name in ("precision", "recall"):
        trials = int((predictions.values if metric.name == "precision" else truth).sum())
        successes = int((predictions.values * truth).sum())
        return Estimate(value, *clopper_pearson(successes, trials, confidence), "Clopper–Pearson")
    if metric.name == "roc_auc":
        return _area_interval(metric, truth, predictions, value, confidence)
    return None


def clopper_pearson(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """The exact interval of a share; everything from 0 to 1 when nothing was tried."""
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, successes, trials - successes + 1) if successes > 0 else 0.0
    high = beta.ppf(1 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)


def _area_interval(metric: Metric, truth: Array, predictions: Predictions, value: float, confidence: float) -> Estimate:
    positive = truth == 1
    if value in (0.0, 1.0):
        # No spread to estimate a variance from. But min(P, N) pairs can be formed that share no row, and all of them
        # were ranked alike: an exact, if wide, interval.
        pairs = int(min(positive.sum(), (~positive).sum()))
        return Estimate(value, *clopper_pearson(int(value) * pairs, pairs, confidence), "Clopper–Pearson (pairs)")
    influence = statistic(metric, truth, predictions).influence(np.ones((1, len(truth))))[0]
    # The delta method: d logit(a) / da = 1 / (a (1 - a)).
    reach = norm.ppf((1 + confidence) / 2) * delong_standard_error(positive, influence) / (value * (1 - value))
    return Estimate(value, float(expit(logit(value) - reach)), float(expit(logit(value) + reach)), "DeLong (logit)")


def delong_standard_error(positive: Array, influence: Array) -> float:
    """DeLong's standard error of an area, or of a difference of areas, from the influence of each row (n,).

    The influences are the placement values, centred and divided by how many rows are of their class; what is left to
    do is the unbiased variance within either class. Infinite when a class has a single row.
    """
    squares = 0.0
    for members in (influence[positive], influence[~positive]):
        if len(members) < 2:
            return float("inf")
        squares += float((members**2).sum()) * len(members) / (len(members) - 1)
    return float(np.sqrt(squares))


def _by_bootstrap(
    statistics: dict[str, Statistic],
    values: dict[str, float],
    clustered: bool,
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[str, Estimate]:
    if not statistics:
        return {}
    units = next(iter(statistics.values())).units
    size = max(each.size for each in statistics.values())
    drawn = resamples_for(size, resamples)
    chunks: dict[str, list[Array]] = {name: [] for name in statistics}
    for weights in resample_weights(units, drawn, seed, size):
        for name, each in statistics.items():
            chunks[name].append(each.values(weights))
    method = f"{'cluster bootstrap' if clustered else 'bootstrap'} (BCa, {drawn} resamples)"
    return {
        name: Estimate(values[name], *_bca(name, each, values[name], np.concatenate(chunks[name]), confidence), method)
        for name, each in statistics.items()
    }


def _bca(name: str, each: Statistic, value: float, resampled: Array, confidence: float) -> tuple[float, float]:
    defined = resampled[np.isfinite(resampled)]
    left_out = each.leave_one_out()
    left_out = left_out[np.isfinite(left_out)]
    if len(defined) < len(resampled) / 2 or len(left_out) < 2:
        raise DataError(
            f"{name} has no interval: it is undefined on most resamples of {each.units} rows or clusters; "
            "more of them are needed"
        )
    return bca_interval(value, left_out, defined, confidence)

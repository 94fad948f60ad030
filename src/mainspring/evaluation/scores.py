"""Scores of answers, from 0 (wrong) to 1 (right), question by question: their mean, and the comparison of two models.

A score is 1 less an error, so that all is the mean absolute error's; where every score is 0 or 1 it is the accuracy's,
whose interval and test are exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mainspring.evaluation.comparison import Comparison, compare
from mainspring.evaluation.intervals import Estimate, estimate
from mainspring.evaluation.metrics import Predictions


def mean_score(scores: np.ndarray, clusters: np.ndarray | None = None) -> Estimate:
    """The mean of `scores`, (n,), with its interval."""
    if _right_or_wrong(scores):
        return estimate("accuracy", np.ones(len(scores), np.int64), _classes(scores), clusters=clusters)
    return mean_cost(scores, clusters)


def mean_of_groups(scores: np.ndarray, groups: np.ndarray) -> Estimate:
    """As `mean_score`, of `scores` of which those of one of `groups`, (n,) codes, are not independent.

    Where all scores are alike, or there is one group, groups tell nothing of the spread: the interval is that of rows.
    """
    if len(set(groups.tolist())) > 1 and 0 < scores.mean() < 1:
        return mean_score(scores, groups)
    return mean_score(scores)


def mean_cost(costs: np.ndarray, clusters: np.ndarray | None = None) -> Estimate:
    """The mean of `costs`, (n,) and not negative, as tokens or calls, with its interval."""
    return estimate("mae", np.zeros(len(costs)), Predictions(costs.astype(np.float64)), clusters=clusters)


def compare_scores(
    metric: str,
    *,
    champion: np.ndarray,
    challenger: np.ndarray,
    clusters: np.ndarray | None = None,
    margin: float = 0.0,
    significance: float = 0.05,
) -> Comparison:
    """As `comparison.compare`, of the scores of both on the same questions: (n,) each.

    Raises:
        DataError: there are fewer than two questions or clusters.
    """
    exact = _right_or_wrong(champion) and _right_or_wrong(challenger)
    found = compare(
        "accuracy" if exact else "mae",
        np.ones(len(champion), np.int64 if exact else np.float64),
        champion=_classes(champion) if exact else Predictions(champion),
        challenger=_classes(challenger) if exact else Predictions(challenger),
        clusters=clusters,
        margin=margin,
        significance=significance,
    )
    return replace(found, metric=metric, champion=float(champion.mean()), challenger=float(challenger.mean()))


def _right_or_wrong(scores: np.ndarray) -> bool:
    return bool(np.isin(scores, (0, 1)).all())


def _classes(scores: np.ndarray) -> Predictions:
    return Predictions(scores.astype(np.int64))

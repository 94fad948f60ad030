"""Two ways to search on the same questions of several sets: which is better?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mainspring.evaluation.retrieval import Judged, compare_judged

METRICS = ("ndcg", "recall")
LEVEL = 0.025  # of a test to either side: 5 % of both, and intervals of 95 %


def compared(
    metric: str, clusters: Sequence[np.ndarray], base: Sequence[Judged], other: Sequence[Judged]
) -> list[dict[str, float]]:
    """A paired test for each set; `better` and `worse` are one-sided p-values after Holm's correction."""
    tests = [
        compare_judged(
            metric,
            champion=old,
            challenger=new,
            clusters=codes if len(np.unique(codes)) < len(codes) else None,
            significance=LEVEL,
        )
        for codes, old, new in zip(clusters, base, other, strict=True)
    ]
    better, worse = holm([test.p_better for test in tests]), holm([test.p_not_better for test in tests])
    return [
        {"difference": test.difference, "low": test.low, "high": test.high, "better": up, "worse": down}
        for test, up, down in zip(tests, better, worse, strict=True)
    ]


def holm(values: list[float]) -> list[float]:
    """p-values corrected for their number (Holm, 1979)."""
    order = np.argsort(values)
    stepped = np.maximum.accumulate(np.array(values)[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1)
    return corrected.tolist()


def on_average(
    metric: str,
    clusters: Sequence[np.ndarray],
    base: Sequence[Judged],
    other: Sequence[Judged],
    counted: Sequence[bool],
) -> dict[str, Any]:
    """The mean difference over the sets that are counted, each alike, with a 95 % interval for these sets: over their
    sections, as far as these are independent.
    """
    means, variances = [], []
    for codes, old, new, counts in zip(clusters, base, other, counted, strict=True):
        if counts:
            difference = new.of(metric) - old.of(metric)
            of_cluster = np.bincount(codes, difference - difference.mean())
            sections = len(np.unique(codes))
            means.append(difference.mean())
            variances.append((of_cluster**2).sum() / len(codes) ** 2 * sections / max(1, sections - 1))
    mean, error = float(np.mean(means)), float(np.sqrt(sum(variances)) / len(means))
    return {"difference": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error}

"""Do the passages that were found hold the answer? A probability from how they were found.

Four numbers tell: how near the nearest is in meaning, how much of the question's words the best by words has, how far
the first is ahead of those behind it, and whether meaning and words choose the same passage. A logistic rule makes a
probability of them, fitted (`tasks/answerability.py`) on questions with and without answers. Kamath, Jia and Liang
(2020, "Selective Question Answering under Domain Shift") do so with the features of a reading model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from mainspring.runtimes.index.found import Found

FEATURES = ("dense", "sparse", "ahead", "agreement")
LOOKED_AT = 5  # passages


class Answerability(msgspec.Struct, frozen=True, kw_only=True):
    """The rule: a weight for each of `FEATURES` and a bias, and the probability from which on to answer."""

    weights: tuple[float, float, float, float]
    bias: float
    threshold: float

    def probability(self, found: Sequence[Found]) -> float:
        """That the passages, best first, hold the answer; 0 of none."""
        if not found:
            return 0.0
        return 1 / (1 + math.exp(-float(features(found) @ np.array(self.weights) + self.bias)))


def features(found: Sequence[Found]) -> np.ndarray:
    """(4,): those of one question's passages, best first, one at least."""
    first = found[:LOOKED_AT]
    dense = np.array([one.dense for one in first])
    sparse = np.array([one.sparse for one in first])
    score = np.array([one.score for one in first])
    ahead = score[0] - score[1:].mean() if len(score) > 1 else 0.0
    agreement = sparse[dense.argmax()] / sparse.max() if sparse.max() > 0 else 0.0
    return np.array([dense.max(), sparse.max(), ahead, agreement])

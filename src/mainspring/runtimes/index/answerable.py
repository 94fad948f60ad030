"""Do the passages that were found hold the answer? A probability from how they were found.

Two numbers tell: how near the nearest is in meaning, and how far the first is ahead of what the question would find
anyway: the passages from the sixth on, which nobody reads. A logistic rule makes a probability of them, fitted
(`tasks/answerability.py`) on questions with and without answers. Kamath, Jia and Liang (2020, "Selective Question
Answering under Domain Shift") do so with the features of a reading model. `benchmarks/answerability.py` judges it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from mainspring.runtimes.index.found import Found

FEATURES = ("dense", "ahead")
LOOKED_AT = 20  # passages
_READ = 5  # of them


class Answerability(msgspec.Struct, frozen=True, kw_only=True):
    """The rule: a weight for each of `FEATURES` and a bias, and the probability from which on to answer."""

    weights: tuple[float, float]
    bias: float
    threshold: float

    def probability(self, found: Sequence[Found]) -> float:
        """That the passages, best first, hold the answer; 0 of none."""
        if not found:
            return 0.0
        return 1 / (1 + math.exp(-float(features(found) @ np.array(self.weights) + self.bias)))


def features(found: Sequence[Found]) -> np.ndarray:
    """(2,): those of one question's passages, best first, one at least."""
    read, behind = found[:_READ], found[_READ:LOOKED_AT] or found[-1:]
    return np.array([
        max(one.dense for one in read),
        found[0].score - np.mean([one.score for one in behind]),
    ])  # fmt: skip

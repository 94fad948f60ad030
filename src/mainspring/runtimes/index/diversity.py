"""Of what was found, what says something of its own."""

from __future__ import annotations

import numpy as np


def maximal_marginal_relevance(scores: np.ndarray, vectors: np.ndarray, k: int, diversity: float) -> list[int]:
    """The places of k that are good and unlike each other, in the order in which they are chosen.

    Each time the one with the largest (1 − diversity) · score − diversity · (its largest cosine with one that was
    chosen) is next. (Carbonell and Goldstein, 1998; their λ is 1 − diversity.)

    Args:
        scores: (n,), the larger the better.
        vectors: (n, width), of length 1.
        k: how many.
        diversity: from 0 (by the score alone) to 1.
    """
    chosen: list[int] = []
    nearest = np.zeros(len(scores))
    left = np.ones(len(scores), bool)
    while len(chosen) < min(k, len(scores)):
        value = np.where(left, (1 - diversity) * scores - diversity * nearest, -np.inf)
        best = int(np.argmax(value))  # of equal ones the first
        like = np.einsum("ij,j->i", vectors, vectors[best])
        nearest = np.maximum(nearest, like) if chosen else like
        left[best] = False
        chosen.append(best)
    return chosen

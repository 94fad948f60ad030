"""Ways to make one order of two scores: (q, n) float32 each, the cosine and BM25's part of what could be had."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mainspring.runtimes.index.diversity import maximal_marginal_relevance

DEEP = 100  # as long as the lists are that are fused
RRF_K = 60


def orders(scores: np.ndarray, same: np.ndarray, least: float = -np.inf) -> Iterator[list[int]]:
    """For each question the rows of the best passages above `least`, without those that say the same as one before."""
    for row in scores:
        many = min(4 * DEEP, len(row))
        best = np.argpartition(-row, many - 1)[:many]
        best = best[np.lexsort((best, -row[best]))]
        best = best[row[best] > least]
        _, first = np.unique(same[best], return_index=True)
        yield best[np.sort(first)][:DEEP].tolist()


def convex(dense: np.ndarray, words: np.ndarray, weight: float) -> np.ndarray:
    """As Mainspring's stores do (Bruch, Gai and Ingber, 2023)."""
    return weight * dense + (1 - weight) * words


def reciprocal_ranks(dense: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Reciprocal rank fusion of both lists (Cormack, Clarke and Büttcher, 2009)."""
    fused = np.zeros_like(dense)
    for scores in (dense, words):
        best = _best(scores)
        ranks = np.broadcast_to(np.arange(1, best.shape[1] + 1), best.shape)
        gains = np.where(np.take_along_axis(scores, best, 1) > 0, 1 / (RRF_K + ranks), 0).astype(np.float32)
        np.put_along_axis(fused, best, np.take_along_axis(fused, best, 1) + gains, 1)
    return fused


def min_max(dense: np.ndarray, words: np.ndarray, weight: float) -> np.ndarray:
    """Both lists stretched from 0 to 1, and added; what one of them does not have, has 0 there."""
    fused = np.zeros_like(dense)
    for scores, part in ((dense, weight), (words, 1 - weight)):
        best = _best(scores)
        values = np.take_along_axis(scores, best, 1)
        low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
        stretched = part * (values - low) / np.maximum(high - low, 1e-9)
        np.put_along_axis(fused, best, np.take_along_axis(fused, best, 1) + stretched, 1)
    return fused


def diverse(order: list[int], scores: np.ndarray, vectors: np.ndarray, diversity: float) -> list[int]:
    """The order with the first 50 chosen anew. `scores`: (n,); `vectors`: (n, width)."""
    head = order[:50]
    chosen = maximal_marginal_relevance(scores[head], vectors[head], len(head), diversity)
    return [head[at] for at in chosen] + order[50:]


def _best(scores: np.ndarray) -> np.ndarray:
    many = min(DEEP, scores.shape[1])
    best = np.argpartition(-scores, many - 1, axis=1)[:, :many]
    return np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable"), 1)

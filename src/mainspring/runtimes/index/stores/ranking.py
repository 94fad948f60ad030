"""The exact best of what a database finds.

A database gives candidates, by its own search. Their scores are computed again here, from the vectors that it gives
back: so every store gives the same two parts of a score, in the same precision, and equal passages in the same order.

How deep it must be asked for that is decided by the threshold algorithm (Fagin, Lotem and Naor, 2003): a passage that
is in neither of two lists scores at most as much as the last of each together. So long as the k-th best does not score
more, the lists are made longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from mainspring.runtimes.index.stores.store import Hit, Query, Sparse

DEEPEST = 16_384  # the most that Milvus gives, and far from what a question should need

_SPARE = 16  # beyond k, for those that are equal to the k-th
_GROWTH = 4
_NOISE = 1e-6  # of a database's float32 sums, beside ours


class Candidate(msgspec.Struct, frozen=True):
    """A passage as it is kept."""

    id: str
    vector: np.ndarray
    sparse: Sparse


# Asked for a depth: candidates, and the most that any passage can score which is not among them (None: all are there).
Ask: TypeAlias = Callable[[int], tuple[Sequence[Candidate], float | None]]


By: TypeAlias = Literal["dense", "sparse", "both"]


def asked_by(query: Query) -> By | None:
    """Which lists a question needs; None, where it is asked by words alone and has none."""
    if query.dense_weight == 0.0:
        return "sparse" if len(query.sparse.terms) else None
    return "both" if query.dense_weight < 1.0 and len(query.sparse.terms) else "dense"


def best(query: Query, k: int, ask: Ask, deepest: int = DEEPEST) -> list[Hit]:
    """The best k. Exact where the lists are; from a depth of `deepest` on it is what was found until then."""
    depth = min(k + _SPARE, deepest)
    while True:
        candidates, bound = ask(depth)
        hits = ranked(query, candidates)
        complete = bound is None or (len(hits) >= k and hits[k - 1].score > bound + _NOISE)
        if complete or depth >= deepest:
            return hits[:k]
        depth = min(depth * _GROWTH, deepest)


def ranked(query: Query, candidates: Sequence[Candidate]) -> list[Hit]:
    """All of them with their scores, best first, equal ones by id. By words alone, those with none are left out."""
    if not candidates:
        return []
    # Row by row, and not as a product of matrices, whose last bits depend on where a row stands.
    rows = np.stack([candidate.vector for candidate in candidates]).astype(np.float64)
    dense = (rows * query.dense.astype(np.float64)).sum(axis=1)
    weight = query.dense_weight
    hits = []
    for candidate, one in zip(candidates, dense.tolist(), strict=True):
        other = inner(query.sparse, candidate.sparse)
        if weight > 0 or other > 0:
            hits.append(Hit(candidate.id, weight * one + (1 - weight) * other, one, other, candidate.vector))
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))


def inner(asked: Sparse, kept: Sparse) -> float:
    """The inner product. `asked` has its terms in ascending order."""
    if not len(asked.terms) or not len(kept.terms):
        return 0.0
    order = np.argsort(kept.terms)
    terms, weights = kept.terms[order], kept.weights[order].astype(np.float64)
    at = np.minimum(np.searchsorted(asked.terms, terms), len(asked.terms) - 1)
    same = asked.terms[at] == terms
    return float((weights[same] * asked.weights[at[same]].astype(np.float64)).sum())


def deep_bound(query: Query, candidates: Sequence[Candidate], depth: int) -> float | None:
    """The most that a passage can score which is in neither list, where `candidates` are all of two lists of `depth`.

    A list is the candidates that are best by it: a passage that it does not have cannot be better than its last.
    """
    if len(candidates) < depth:
        return None
    hits = ranked(query, candidates)
    dense = sorted((hit.dense for hit in hits), reverse=True)[depth - 1]
    sparse = sorted((hit.sparse for hit in hits), reverse=True)[depth - 1]
    return query.dense_weight * dense + (1.0 - query.dense_weight) * sparse

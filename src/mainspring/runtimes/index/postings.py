"""Sparse vectors of passages, kept by term: a column (CSC) for each, so that a question reads only its own terms."""

from __future__ import annotations

import numpy as np

from mainspring.errors import RuntimeLoadError
from mainspring.runtimes.index.stores.store import Sparse

COLUMNS: dict[str, type[np.generic]] = {
    "terms": np.uint32, "starts": np.int64, "rows": np.int32, "weights": np.float32,
}  # fmt: skip
_PART = 1 << 22  # postings that are sorted at a time


class Postings:
    """The weights of `count` passages.

    Args:
        count: how many there are.
        terms: (t,) uint32, ascending.
        starts: (t + 1,) int64: where each term's postings begin in the next two.
        rows: (p,) int32: a passage's row, ascending within a term.
        weights: (p,) float32: what the term weighs there.

    Raises:
        RuntimeLoadError: they do not fit together.
    """

    def __init__(
        self, count: int, *, terms: np.ndarray, starts: np.ndarray, rows: np.ndarray, weights: np.ndarray
    ) -> None:
        if not (len(starts) == len(terms) + 1 and starts[-1] == len(rows) == len(weights)):
            raise RuntimeLoadError("the postings are damaged: their columns do not fit together")
        self._count = count
        self._terms = terms
        self._starts = starts
        self._rows = rows
        self._weights = weights

    def scores(self, question: Sparse) -> np.ndarray:
        """(count,) float32: the inner product with every passage."""
        scores = np.zeros(self._count, np.float32)
        for begin, end, weight in self._found(question):
            scores[self._rows[begin:end]] += weight * self._weights[begin:end]
        return scores

    def scores_of(self, question: Sparse, chosen: np.ndarray) -> np.ndarray:
        """(m,) float64: the inner product with the (m,) `chosen` rows."""
        scores = np.zeros(len(chosen))
        for begin, end, weight in self._found(question):
            rows = self._rows[begin:end]
            places = np.minimum(np.searchsorted(rows, chosen), len(rows) - 1)
            there = rows[places] == chosen
            scores[there] += np.float64(weight) * self._weights[begin:end][places[there]]
        return scores

    def _found(self, question: Sparse) -> list[tuple[int, int, np.float32]]:
        """Where the postings of the question's terms are, and what each weighs there; of those that have some."""
        places = np.searchsorted(self._terms, question.terms)
        found = []
        for place, term, weight in zip(places, question.terms, question.weights, strict=True):
            if place < len(self._terms) and self._terms[place] == term:
                found.append((int(self._starts[place]), int(self._starts[place + 1]), np.float32(weight)))
        return found


def by_term(counts: np.ndarray, terms: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of `Postings`, of passages that come one after the other.

    Args:
        counts: (n,): how many terms each passage has.
        terms: (p,) uint32: theirs.
        weights: (p,) float32.
    """
    vocabulary, frequencies = count_terms(terms)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(frequencies, dtype=np.int64)])
    rows, sorted_weights = np.empty(len(terms), np.int32), np.empty(len(terms), np.float32)
    ends = np.cumsum(counts, dtype=np.int64)
    free = starts[:-1].copy()  # where the next posting of each term goes
    for begin in range(0, len(terms), _PART):
        part = slice(begin, min(begin + _PART, len(terms)))
        columns = np.searchsorted(vocabulary, terms[part])
        order = np.argsort(columns, kind="stable")
        columns = columns[order]
        found, first, many = np.unique(columns, return_index=True, return_counts=True)
        places = free[columns] + np.arange(len(columns)) - np.repeat(first, many)
        rows[places] = np.searchsorted(ends, np.arange(part.start, part.stop), side="right")[order]
        sorted_weights[places] = weights[part][order]
        free[found] += many
    return {"terms": vocabulary, "starts": starts, "rows": rows, "weights": sorted_weights}


def count_terms(terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ones of `terms`, (t,) uint32, ascending, and how many of each there are, (t,) int32."""
    found, counts = np.empty(0, np.uint32), np.empty(0, np.int64)
    for begin in range(0, len(terms), _PART):
        more, many = np.unique(terms[begin : begin + _PART], return_counts=True)
        found, places = np.unique(np.concatenate([found, more]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([counts, many]), len(found))
    return found, counts.astype(np.int32)

"""BM25 as an inner product: what a term weighs in a passage, and what in a question.

The form is Lucene's (Robertson and Zaragoza, 2009; Kamphuis and others, 2020: "Which BM25 do you mean?"): idf is
ln(1 + (n − df + ½) / (df + ½)), never negative, and the weight in a passage tf / (tf + k1·(1 − b + b·length/average)),
without the factor k1 + 1 that changes no order, so that it is less than 1.
"""

from __future__ import annotations

import numpy as np

from mainspring.runtimes.index.stores.store import Sparse

FILE = "words.safetensors"  # terms, and in how many passages each is
K1 = 1.2
B = 0.75


class Words:
    """What is known of a collection's words.

    Args:
        count: how many passages there are.
        average: how many terms a passage has in the mean; 0 of no passages.
        terms: (t,) uint32, ascending: those that occur.
        frequencies: (t,) int32: in how many passages each does.
    """

    def __init__(self, count: int, average: float, terms: np.ndarray, frequencies: np.ndarray) -> None:
        self._count = count
        self._average = average
        self._terms = terms
        self._frequencies = frequencies

    def passage(self, terms: np.ndarray, counts: np.ndarray) -> Sparse:
        """What each term weighs in a passage that has it so often: more than 0, less than 1."""
        return Sparse(terms, weigh(counts, int(counts.sum()), self._average or 1.0))

    def question(self, terms: np.ndarray, counts: np.ndarray) -> Sparse:
        """What each term that occurs somewhere weighs in a question: its idf as a part of the sum of all.

        The sum has the terms that occur nowhere, too, with the idf of those (df = 0). The score then says how much of
        what was asked a passage covers: one that has "the" of "the flux capacitor" is a bad find, and must not look as
        good as one that has all words of another question. Without them its "the" would be the whole question, and
        count for as much against the vectors. It changes no order among passages by words alone.
        """
        frequencies = self._frequencies_of(terms)
        weights = counts * idf(frequencies, self._count)
        if total := weights.sum():
            weights /= total
        known = frequencies > 0
        return Sparse(terms[known], weights[known].astype(np.float32))

    def idf(self, terms: np.ndarray) -> np.ndarray:
        """float64: the inverse document frequency of these terms, (n,) uint32."""
        return idf(self._frequencies_of(terms), self._count)

    def _frequencies_of(self, terms: np.ndarray) -> np.ndarray:
        places = np.searchsorted(self._terms, terms)
        known = places < len(self._terms)
        known[known] = self._terms[places[known]] == terms[known]
        frequencies = np.zeros(len(terms), np.int64)
        frequencies[known] = self._frequencies[places[known]]
        return frequencies


def idf(frequencies: np.ndarray, count: int) -> np.ndarray:
    """The inverse document frequency of terms that so many of `count` passages have: float64, more than 0."""
    return np.log1p((count - frequencies + 0.5) / (frequencies + 0.5))


def weigh(counts: np.ndarray, length: int, average: float) -> np.ndarray:
    """float32: the weight of terms that occur so often in a passage of `length` terms, where it is `average`."""
    return (counts / (counts + K1 * (1 - B + B * length / average))).astype(np.float32)

"""Whether an encoder that is computed in a faster way still says the same: by its vectors, and by what they find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mainspring.evaluation.language import Limit

LEAST_COSINE = Limit("least cosine", "at least", 0.999)  # of a text's vector and the one in 32-bit arithmetic
LEAST_SAME = Limit("same among the ten nearest", "at least", 0.95)  # on average over the texts
_NEAREST = 10
_TIE = 1e-3  # of a cosine: texts that are this equally near may change places


@dataclass(frozen=True)
class VectorParity:
    """How near vectors are to those in 32-bit arithmetic.

    `cosines` (n,) are those of each text's two vectors. `same` is which part of a text's ten nearest others (of all,
    where there are no ten) are its nearest in 32-bit arithmetic too, on average.
    """

    cosines: np.ndarray
    same: float

    @classmethod
    def of(cls, expected: np.ndarray, found: np.ndarray) -> VectorParity:
        """Of (n, width) vectors of length 1, of at least two texts."""
        scores = _scores(expected)
        nearest = np.argsort(-_scores(found), axis=1)[:, : min(_NEAREST, len(found) - 1)]
        last = np.sort(scores, axis=1)[:, -nearest.shape[1]]
        same = np.take_along_axis(scores, nearest, axis=1) >= last[:, None] - _TIE
        return cls((expected * found).sum(-1), float(same.mean()))

    @property
    def passed(self) -> bool:
        """Whether the faster way may stand in for 32-bit arithmetic."""
        return LEAST_COSINE.allows(float(self.cosines.min())) and LEAST_SAME.allows(self.same)

    def __str__(self) -> str:
        return f"cosine {self.cosines.min():.5f} at the least, {self.same:.1%} of the nearest texts the same"


def _scores(vectors: np.ndarray) -> np.ndarray:
    """(n, n): how near each text is to each; itself is not among the others."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return scores

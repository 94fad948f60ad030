"""Made-up collections: vectors that lie in clusters, as those of texts do, and words as often as Zipf has them.

A vector is a point near one of the clusters' centres in a space of `_LATENT` dimensions, laid into `WIDTH` dimensions
with some noise. (Vectors of all-MiniLM-L6-v2 are that wide. Vectors that are uniform in all dimensions have no
neighbourhoods, and no graph finds its way in them.) Questions are further points of the same kind. Only NumPy is used,
so that every engine's process can read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

WIDTH = 384
K = 10
QUESTIONS = 500
_LATENT, _CLUSTERS, _SPREAD, _NOISE = 48, 2000, 0.6, 0.02
_WORDS, _VOCABULARY = 60, 200_000  # different words of a passage; of the collection
_ASKED = 6  # words of a question
_PART = 50_000


@dataclass(frozen=True)
class MadeUp:
    """A collection of `count` passages in files in `folder`."""

    folder: Path
    count: int

    @property
    def vectors(self) -> np.ndarray:
        """(count, WIDTH) float32, of length 1."""
        return np.load(self.folder / "vectors.npy", mmap_mode="r")

    @property
    def questions(self) -> np.ndarray:
        """(QUESTIONS, WIDTH) float32, of length 1."""
        return np.load(self.folder / "questions.npy")

    @property
    def terms(self) -> np.ndarray:
        """(count, up to 60) uint32, ascending in each row; a repeated one counts once."""
        return np.load(self.folder / "terms.npy", mmap_mode="r")

    @property
    def asked(self) -> np.ndarray:
        """(QUESTIONS, 6) uint32: words that stand together in some passage."""
        return np.load(self.folder / "asked.npy")

    @property
    def nearest(self) -> np.ndarray:
        """(QUESTIONS, K) int64: the rows with the largest inner products, by exhaustive search in float32."""
        return np.load(self.folder / "nearest.npy")


def made_up(folder: Path, count: int) -> MadeUp:
    """The collection; its files are made unless they are there."""
    collection = MadeUp(folder, count)
    if (folder / "nearest.npy").exists():
        return collection
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(count)
    frame = draw.standard_normal((_LATENT, WIDTH)).astype(np.float32) / np.sqrt(WIDTH)
    centres = draw.standard_normal((_CLUSTERS, _LATENT)).astype(np.float32)
    popularity = _zipf(_CLUSTERS, 0.7)

    def points(number: int) -> np.ndarray:
        latent = centres[draw.choice(_CLUSTERS, number, p=popularity)]
        latent = latent + _SPREAD * draw.standard_normal(latent.shape, np.float32)
        rows = latent @ frame + _NOISE * draw.standard_normal((number, WIDTH), np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    questions = points(QUESTIONS)
    shape = (count, WIDTH)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, shape)
    terms = np.lib.format.open_memmap(folder / "terms.npy", "w+", np.uint32, (count, _WORDS))
    likely = np.cumsum(_zipf(_VOCABULARY, 1.0))
    scores, nearest = np.full((QUESTIONS, K), -np.inf, np.float32), np.zeros((QUESTIONS, K), np.int64)
    for begin in range(0, count, _PART):
        end = min(count, begin + _PART)
        vectors[begin:end] = points(end - begin)
        terms[begin:end] = np.sort(np.searchsorted(likely, draw.random((end - begin, _WORDS))), axis=1)
        more = questions @ vectors[begin:end].T
        best = np.argpartition(more, -K, axis=1)[:, -K:]
        both = np.concatenate([scores, np.take_along_axis(more, best, 1)], axis=1)
        rows = np.concatenate([nearest, begin + best], axis=1)
        best = np.argsort(-both, axis=1)[:, :K]
        scores, nearest = np.take_along_axis(both, best, 1), np.take_along_axis(rows, best, 1)
    some = terms[draw.integers(0, count, QUESTIONS)]
    asked = np.sort(draw.permuted(some, axis=1)[:, :_ASKED], axis=1)
    np.save(folder / "questions.npy", questions)
    np.save(folder / "asked.npy", asked)
    np.save(folder / "nearest.npy", nearest)
    return collection


def _zipf(count: int, exponent: float) -> np.ndarray:
    weights = 1 / np.arange(1, count + 1) ** exponent
    return weights / weights.sum()

"""What every store of an index can do.

One collection of a store is one version of one index: it is filled, published as a whole, searched, and one day
dropped; it is never changed while anybody reads it.

What is searched for is one inner product. Of a passage with the unit vector `d` and the BM25 weights `w`, and a
question with the unit vector `q` and the weights `v` (each term's idf, divided by the sum of all), the score is

    dense_weight · q·d + (1 − dense_weight) · v·w        (each of both parts is at most 1)

so that every store that can add two inner products finds the same passages in the same order, by its own means. (A
convex combination of scores with theoretical bounds: Bruch, Gai and Ingber, 2023.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np

from mainspring.data.documents.document import Value
from mainspring.runtimes.index.filters import Filter


class Sparse(msgspec.Struct, frozen=True):
    """Weights of terms: `terms` uint32, ascending and each once, and `weights` float32, as many."""

    terms: np.ndarray
    weights: np.ndarray


class Entry(msgspec.Struct, frozen=True):
    """A passage as a store takes it. `id` is a sha256 in hexadecimal. `fields` are what filters may ask for."""

    id: str
    dense: np.ndarray
    sparse: Sparse
    fields: Mapping[str, Value]


class Query(msgspec.Struct, frozen=True):
    """A question: a unit vector, float32, and its terms. A `dense_weight` of 0 or 1 asks by one of both alone."""

    dense: np.ndarray
    sparse: Sparse
    dense_weight: float


class Hit(msgspec.Struct, frozen=True):
    """A passage that was found: its score, and the two parts of it before they are weighted. `vector` is its own."""

    id: str
    score: float
    dense: float
    sparse: float
    vector: np.ndarray


class Store(Protocol):
    """One collection. Its methods are called from threads; `search` from several at a time.

    Each raises StoreError (`mainspring.errors`), with what was tried and what to do, where the store cannot be reached
    or refuses.
    """

    def create(self, width: int) -> None:
        """Make the collection, for vectors of this width, anew: one of an earlier, killed fit is dropped."""

    def insert(self, entries: Sequence[Entry]) -> None:
        """Add passages. One whose id is there replaces it."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove passages; those that are not there are ignored."""

    def publish(self) -> None:
        """All are in: build what is built once, and return when searches see everything."""

    def count(self) -> int:
        """How many passages there are."""

    def ids(self) -> set[str]:
        """Their ids."""

    def search(self, query: Query, k: int, where: Filter | None = None) -> list[Hit]:
        """The best k, best first, equal ones by id. Fewer, where fewer are there.

        By words alone (a `dense_weight` of 0), a passage that has none of them is not found.
        """

    def drop(self) -> None:
        """Remove the collection, if it is there."""

    def close(self) -> None:
        """Let go of files and connections."""

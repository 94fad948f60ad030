"""The default store: files in the index's own folder, mapped into memory.

    store_rows.safetensors       ids, and how a row is found by one
    vectors.safetensors          (n, width) float16
    store_postings.safetensors   the sparse vectors, by term
    store_fields.safetensors     what filters ask for
    graph.faiss                  of many vectors: their graph, which can be built again from them

The best k by the weighted sum are found without computing it for all (the threshold algorithm; Fagin, Lotem and Naor,
2003): what is not among the nearest has no more by its vector than the last of those, and what it has by its words is
known of every passage. Those that could still be among the best are computed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mainspring.errors import StoreError
from mainspring.runtimes.index.columns import read_columns
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.lookup import COLUMNS as LOOKUP
from mainspring.runtimes.index.postings import COLUMNS as SPARSE
from mainspring.runtimes.index.postings import Postings
from mainspring.runtimes.index.stores.dense import EXACT, Dense, largest, open_dense, products
from mainspring.runtimes.index.stores.local_fields import Fields
from mainspring.runtimes.index.stores.local_files import FIELDS, FILES, POSTINGS, ROWS, VECTORS, Filling
from mainspring.runtimes.index.stores.store import Entry, Hit, Query

_POOL = 100  # of the nearest by either part, from which the search begins
_MOST = 4096  # passages whose vectors are fetched for their words alone, where the nearest are approximate anyway
_NOISE = 2e-6  # of sums in float32


class LocalStore:
    """A collection in a folder.

    It is filled by one, and then read by many. What was published is not changed any more: `create` makes it anew.

    Args:
        folder: where its files are.
        exact: up to how many vectors all are compared.
    """

    def __init__(self, folder: Path, *, exact: int = EXACT) -> None:
        self._folder = folder
        self._exact = exact
        self._filling: Filling | None = None
        self._published: _Published | None = None
        self._opening = threading.Lock()

    def create(self, width: int) -> None:
        """See `Store`."""
        self.drop()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._filling = Filling(self._folder, width, self._exact)

    def insert(self, entries: Sequence[Entry]) -> None:
        """See `Store`."""
        self._filled().insert(entries)

    def delete(self, ids: Sequence[str]) -> None:
        """See `Store`."""
        self._filled().delete(ids)

    def publish(self) -> None:
        """See `Store`."""
        self._filled().publish()
        self._filling = None

    def count(self) -> int:
        """See `Store`."""
        return len(self._ids())

    def ids(self) -> set[str]:
        """See `Store`."""
        return {row.tobytes().hex() for row in self._ids()}

    def search(self, query: Query, k: int, where: Filter | None = None) -> list[Hit]:
        """See `Store`."""
        return self._open().search(query, k, where)

    def drop(self) -> None:
        """See `Store`."""
        self.close()
        for name in FILES:
            (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """See `Store`. What was not published is gone."""
        if self._filling is not None:
            self._filling.remove()
        self._filling = self._published = None

    def _filled(self) -> Filling:
        if self._filling is None:
            raise StoreError(f"the collection in {self._folder} is not being filled: create it first")
        return self._filling

    def _ids(self) -> np.ndarray:
        return self._filling.ids() if self._filling is not None else self._open().ids

    def _open(self) -> _Published:
        with self._opening:
            if self._published is None:
                if not (self._folder / ROWS).is_file():
                    raise StoreError(f"there is no collection in {self._folder} that was published: fit the index")
                self._published = _Published(self._folder, self._exact)
            return self._published


class _Published:
    """The files, mapped."""

    def __init__(self, folder: Path, exact: int) -> None:
        self.ids = read_columns(folder / ROWS, {"ids": np.uint8, **LOOKUP})["ids"]
        count = len(self.ids)
        self._vectors = read_columns(folder / VECTORS, {"vectors": np.float16})["vectors"]
        fields = read_columns(folder / FIELDS)
        if len(self._vectors) != count or any(len(column) != count for column in fields.values()):
            raise StoreError(f"the files in {folder} do not fit together: fit the index again")
        self._fields = Fields(count, fields)
        self._postings = Postings(count, **read_columns(folder / POSTINGS, SPARSE))
        self._dense: Dense = open_dense(self._vectors, folder, exact)

    def search(self, query: Query, k: int, where: Filter | None) -> list[Hit]:
        may = None if where is None else self._fields.may(where)
        many = len(self.ids) if may is None else int(np.count_nonzero(may))
        k = min(k, many)
        if k <= 0:
            return []
        vector = np.ascontiguousarray(query.dense, np.float32)
        if query.dense_weight >= 1:
            return self._hits(query, *self._dense.nearest(vector, max(k, _POOL), may), k)
        words = self._postings.scores(query.sparse)
        if may is not None:
            words[~may] = 0
        if query.dense_weight <= 0:
            rows = np.flatnonzero(words)
            return self._hits(query, rows, words[rows], k)
        return self._hits(query, *self._either(vector, words, query.dense_weight, k, may, many), k)

    def _either(
        self, vector: np.ndarray, words: np.ndarray, weight: float, k: int, may: np.ndarray | None, many: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows among which the best k by the weighted sum are, and their sums."""
        pool = max(_POOL, 2 * k)
        rows, dense = self._dense.nearest(vector, pool, may)
        scores = weight * dense + (1 - weight) * words[rows]
        if len(rows) in (0, many):
            return rows, scores
        unseen = words.copy()
        unseen[rows] = 0
        # What is not among the nearest has at most `ceiling` by its vector, so it needs this much by its words:
        ceiling = weight * dense[-1]

        def needed() -> float:
            if len(rows) < k:  # of a graph in which the walk lost its way
                return 0.0
            kth = np.partition(scores, len(scores) - k)[len(scores) - k]
            return float(kth - ceiling - _NOISE) / (1 - weight)

        candidates = np.flatnonzero(unseen > max(needed(), 0))
        candidates = candidates[largest(unseen[candidates], len(candidates) if self._dense.exact else _MOST)]
        begin, step = 0, pool
        while begin < len(candidates) and unseen[candidates[begin]] > needed():
            part = candidates[begin : begin + step]
            rows = np.concatenate([rows, part])
            more = weight * products(self._vectors, part, vector) + (1 - weight) * words[part]
            scores = np.concatenate([scores, more])
            begin, step = begin + step, step * 2
        return rows, scores

    def _hits(self, query: Query, rows: np.ndarray, scores: np.ndarray, k: int) -> list[Hit]:
        """The best k of these rows, whose scores are known but for what float32 loses: they are computed anew."""
        if k < len(rows):
            rows = rows[scores > np.partition(scores, len(scores) - k)[len(scores) - k] - _NOISE]
        vectors = self._vectors[rows].astype(np.float32)
        # Row by row, and not as a product of matrices, whose last bits depend on where a row stands.
        dense = (vectors * query.dense.astype(np.float64)).sum(axis=1)
        words = self._postings.scores_of(query.sparse, rows)
        scores = query.dense_weight * dense + (1 - query.dense_weight) * words
        ids = [self.ids[row].tobytes().hex() for row in rows]
        order = sorted(range(len(rows)), key=lambda at: (-scores[at], ids[at]))[:k]
        return [Hit(ids[at], float(scores[at]), float(dense[at]), float(words[at]), vectors[at]) for at in order]

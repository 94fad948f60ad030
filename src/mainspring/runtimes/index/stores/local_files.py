"""The files of the local store, while it is filled: rows go to spools as they come, and become columns at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mainspring.runtimes.index.columns import Spools, write_columns
from mainspring.runtimes.index.lookup import Lookup, digests_of
from mainspring.runtimes.index.postings import by_term
from mainspring.runtimes.index.stores.dense import GRAPH, build_graph
from mainspring.runtimes.index.stores.local_fields import FieldsWriter
from mainspring.runtimes.index.stores.store import Entry

ROWS, VECTORS, POSTINGS, FIELDS = (
    f"{name}.safetensors" for name in ("store_rows", "vectors", "store_postings", "store_fields")
)
FILES = (ROWS, VECTORS, POSTINGS, FIELDS, GRAPH)
ID_BYTES = 32  # a sha256
_PARTIAL = "partial"


class Filling:
    """A local store that is being filled.

    What is removed or replaced is only noted, and left out at the end. Of more than `exact` vectors a graph is built.
    """

    def __init__(self, folder: Path, width: int, exact: int) -> None:
        self._folder = folder
        self._exact = exact
        self._spools = spools = Spools(folder / _PARTIAL)
        self._ids = spools.new(np.uint8, ID_BYTES)
        self._vectors = spools.new(np.float16, width)
        self._counts = spools.new(np.int32)
        self._terms = spools.new(np.uint32)
        self._weights = spools.new(np.float32)
        self._fields = FieldsWriter()
        self._removed: list[tuple[np.ndarray, int]] = []  # ids, and how many rows there were then

    def insert(self, entries: Sequence[Entry]) -> None:
        """Add rows."""
        if not entries:
            return
        self._ids.append(digests_of([entry.id for entry in entries], ID_BYTES))
        self._vectors.append(np.stack([entry.dense for entry in entries]))
        self._counts.append(np.array([len(entry.sparse.terms) for entry in entries]))
        self._terms.append(np.concatenate([entry.sparse.terms for entry in entries]))
        self._weights.append(np.concatenate([entry.sparse.weights for entry in entries]))
        self._fields.append([entry.fields for entry in entries])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove those that are there now."""
        if ids:
            self._removed.append((digests_of(ids, ID_BYTES), len(self._ids)))

    def ids(self) -> np.ndarray:
        """(n, 32) uint8: those that would be found."""
        return self._ids.values()[self._alive()]

    def publish(self) -> None:
        """Write the store's files."""
        alive = self._alive()
        whole = bool(alive.all())
        ids = self._ids.values()[alive]
        write_columns(self._folder / ROWS, {"ids": ids, **Lookup.of(ids).columns})
        write_columns(self._folder / FIELDS, self._fields.columns(slice(None) if whole else alive))
        counts, terms, weights = self._counts.values(), self._terms.values(), self._weights.values()
        vectors = self._vectors.values()
        if not whole:
            kept = np.repeat(alive, counts)
            counts, terms, weights = counts[alive], terms[kept], weights[kept]
            vectors = vectors[alive]
        write_columns(self._folder / POSTINGS, by_term(counts, terms, weights))
        write_columns(self._folder / VECTORS, {"vectors": vectors})
        if len(ids) > self._exact:
            build_graph(vectors, self._folder)
        self.remove()

    def remove(self) -> None:
        """Delete what was not published."""
        self._spools.remove()

    def _alive(self) -> np.ndarray:
        """(n,) bool: of each id the last row, unless it was removed after that."""
        ids = self._ids.values()
        alive = np.zeros(len(ids), bool)
        backwards = Lookup.of(ids[::-1])
        alive[len(ids) - 1 - backwards.rows(ids)] = True
        for removed, before in self._removed:
            rows = backwards.rows(removed)
            last = len(ids) - 1 - rows[rows >= 0]
            alive[last[last < before]] = False
        return alive

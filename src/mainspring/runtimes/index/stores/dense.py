"""The unit vectors that lie nearest to a question's: all compared, up to a size, and by a graph from there on.

Up to a size every one is compared (FAISS, float16; NumPy, float32, where there is no FAISS). Above, a graph of
neighbours (HNSW; Malkov and Yashunin, 2018) is walked, with a filter inside the walk. A filter that keeps few makes the
walk lose its way, so that those few are all compared instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mainspring.errors import MissingExtraError, StoreError, require

EXACT = 100_000  # vectors: 38 million numbers, some 5 ms on one core
GRAPH = "graph.faiss"
_FEW = 20_000  # kept by a filter: compared one by one
_LINKS = 16  # to each side, twice as many on the lowest level
_BUILD, _SEARCH = 128, 96  # how many candidates the walk keeps (efConstruction, efSearch)
_PART = 8192  # vectors at a time


class Dense(Protocol):
    """Vectors that are searched."""

    exact: bool

    def nearest(self, vector: np.ndarray, k: int, may: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The rows, (m,) int64, of the k largest inner products, and these, (m,) float32, descending.

        `may` (n,) bool says which rows may be found; m is less than k where fewer may.
        """


def open_dense(vectors: np.ndarray, folder: Path, exact: int = EXACT) -> Dense:
    """What searches the (n, width) float16 `vectors`: by the graph in `folder`, where there are more than `exact`."""
    try:
        faiss: Any = require("faiss", "retrieval")
    except MissingExtraError:
        return Compared(vectors)
    if len(vectors) <= exact:
        return _Exact(faiss, vectors)
    return _Graph(faiss, vectors, folder / GRAPH)


def build_graph(vectors: np.ndarray, folder: Path) -> None:
    """Write the graph of many vectors: minutes for a million. It can be built again from them at any time.

    Raises:
        MissingExtraError: FAISS is not installed.
    """
    faiss: Any = require("faiss", "retrieval")
    kind = faiss.ScalarQuantizer.QT_fp16
    graph = faiss.IndexHNSWSQ(vectors.shape[1], kind, _LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = _BUILD
    graph.hnsw.efSearch = _SEARCH
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    _fill(graph, vectors)
    faiss.write_index(graph, str(folder / GRAPH))


def products(vectors: np.ndarray, rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(m,) float32: the inner products of the chosen rows with the vector, a part of them at a time."""
    found = np.empty(len(rows), np.float32)
    for begin in range(0, len(rows), _PART):
        part = rows[begin : begin + _PART]
        # Not `@`: the threads of its library wait for each other longer than this takes.
        found[begin : begin + _PART] = np.einsum("ij,j->i", vectors[part].astype(np.float32), vector)
    return found


def largest(scores: np.ndarray, k: int) -> np.ndarray:
    """The places of the k largest scores, the largest first."""
    rest = len(scores) - k
    places = np.argpartition(scores, rest)[rest:] if rest > 0 else np.arange(len(scores))
    return places[np.argsort(-scores[places], kind="stable")]


class Compared:
    """Every vector is compared, by NumPy."""

    exact = True

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors.astype(np.float32)

    def nearest(self, vector: np.ndarray, k: int, may: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """See `Dense`."""
        scores = self._vectors @ vector
        rows = np.arange(len(scores)) if may is None else np.flatnonzero(may)
        best = rows[largest(scores[rows], k)]
        return best, scores[best]


class _Exact:
    """Every vector is compared, by FAISS."""

    exact = True

    def __init__(self, faiss: Any, vectors: np.ndarray) -> None:
        self._faiss = faiss
        kind = faiss.ScalarQuantizer.QT_fp16
        self._index = faiss.IndexScalarQuantizer(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        _fill(self._index, vectors)

    def nearest(self, vector: np.ndarray, k: int, may: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """See `Dense`."""
        parameters = None if may is None else self._faiss.SearchParameters(sel=_selector(self._faiss, may))
        return _search(self._faiss, self._index, vector, k, parameters)


class _Graph:
    """A graph of neighbours is walked, by FAISS."""

    exact = False

    def __init__(self, faiss: Any, vectors: np.ndarray, path: Path) -> None:
        self._faiss = faiss
        self._vectors = vectors
        try:
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise StoreError(f"{path} cannot be read ({_first_line(error)}): fit the index again") from None
        if self._index.ntotal != len(vectors) or self._index.d != vectors.shape[1]:
            raise StoreError(f"{path} is of other vectors than lie beside it: fit the index again")

    def nearest(self, vector: np.ndarray, k: int, may: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """See `Dense`."""
        if may is None:
            selector = None
        elif (kept := int(np.count_nonzero(may))) <= max(_FEW, len(may) // 50):
            rows = np.flatnonzero(may)
            scores = products(self._vectors, rows, vector)
            best = largest(scores, min(k, kept))
            return rows[best], scores[best]
        else:
            selector = _selector(self._faiss, may)
        parameters = self._faiss.SearchParametersHNSW(sel=selector, efSearch=max(_SEARCH, 2 * k))
        return _search(self._faiss, self._index, vector, k, parameters)


def _search(faiss: Any, index: Any, vector: np.ndarray, k: int, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    # One thread a question. Several gain nothing, and where the cores are busy they wait for each other: 25 ms instead
    # of 0.3 were seen. The setting is that of the thread that calls.
    faiss.omp_set_num_threads(1)
    scores, rows = index.search(vector[None], k, params=parameters)
    there = rows[0] >= 0  # -1 where there are no more
    return rows[0][there], scores[0][there]


def _selector(faiss: Any, may: np.ndarray) -> Any:
    return faiss.IDSelectorBitmap(np.packbits(may, bitorder="little"))


def _fill(index: Any, vectors: np.ndarray) -> None:
    index.train(np.zeros((1, vectors.shape[1]), np.float32))  # float16 has nothing to learn
    step = _PART * 8
    for begin in range(0, len(vectors), step):
        index.add(vectors[begin : begin + step].astype(np.float32))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]

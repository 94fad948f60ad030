"""One engine searches one made-up collection, and says in JSON how long that took and what it found. Run by
`benchmarks/search.py`, in the engine's own environment: engine.py ENGINE COLLECTION COUNT WORK

What is built is kept in WORK and loaded again, where the engine can.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from made_up import WIDTH, K, MadeUp

_WARM = 20  # questions that are not counted
_PART = 2000
_POOL = 100  # of each list, where a hybrid search fuses two

Search = Callable[[int], list[int]]  # the number of a question → rows


def idf(frequencies: np.ndarray, count: int) -> np.ndarray:
    return np.log1p((count - frequencies + 0.5) / (frequencies + 0.5))


def words(collection: MadeUp) -> Iterator[tuple[int, list[tuple[np.ndarray, np.ndarray]]]]:
    """Some passages at a time: the row of the first, and of each the terms and the weights (BM25) that it has."""
    terms = collection.terms
    for begin in range(0, collection.count, _PART):
        counted = [np.unique(row, return_counts=True) for row in np.array(terms[begin : begin + _PART])]
        # All are of one length, which is the average.
        yield begin, [(found, (counts / (counts + 1.2)).astype(np.float32)) for found, counts in counted]


def asked(collection: MadeUp) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each question the terms and their weights: idf, as a part of the sum of all."""
    wanted = np.unique(collection.asked)
    frequencies = np.zeros(len(wanted), np.int64)
    for begin in range(0, collection.count, 50_000):
        part = np.array(collection.terms[begin : begin + 50_000])
        part[:, 1:][part[:, 1:] == part[:, :-1]] = 2**32 - 1  # a repeated one counts once
        places = np.searchsorted(wanted, part.ravel())
        places[places == len(wanted)] = 0
        frequencies += np.bincount(places[wanted[places] == part.ravel()], minlength=len(wanted))
    found = []
    for row in collection.asked:
        terms = np.unique(row)
        weights = idf(frequencies[np.searchsorted(wanted, terms)], collection.count)
        found.append((terms, (weights / weights.sum()).astype(np.float32)))
    return found


# The engines -------------------------------------------------------------------------------------------------------


def mainspring(collection: MadeUp, work: Path) -> dict[str, Search]:
    from mainspring.runtimes.index.stores.local import LocalStore
    from mainspring.runtimes.index.stores.store import Entry, Query, Sparse

    store = LocalStore(work)
    if not (work / "done").exists():
        store.create(WIDTH)
        for begin, some in words(collection):
            vectors = np.array(collection.vectors[begin : begin + _PART])
            store.insert(
                [
                    Entry(hashlib.sha256(b"%d" % (begin + at)).hexdigest(), vectors[at], Sparse(*one), {})
                    for at, one in enumerate(some)
                ]
            )
        store.publish()
        (work / "done").touch()
    questions, terms = collection.questions, asked(collection)
    rows = {hashlib.sha256(b"%d" % at).hexdigest(): at for at in range(collection.count)}

    def search(weight: float) -> Search:
        queries = [Query(vector, Sparse(*one), weight) for vector, one in zip(questions, terms, strict=True)]
        return lambda number: [rows[hit.id] for hit in store.search(queries[number], K)]

    return {"dense": search(1.0), "hybrid": search(0.7)}


def faiss(collection: MadeUp, work: Path) -> dict[str, Search]:
    import faiss

    path = work / "index.faiss"
    if not path.exists():
        if collection.count <= 100_000:
            index = faiss.IndexFlatIP(WIDTH)
        else:
            index = faiss.IndexHNSWFlat(WIDTH, 16, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = 128
        index.add(np.asarray(collection.vectors))
        faiss.write_index(index, str(path))
        del index
    index = faiss.read_index(str(path))
    parameters = None if collection.count <= 100_000 else faiss.SearchParametersHNSW(efSearch=96)
    questions = collection.questions

    def search(number: int) -> list[int]:
        faiss.omp_set_num_threads(1)
        return index.search(questions[number : number + 1], K, params=parameters)[1][0].tolist()

    return {"dense": search}


def qdrant_edge(collection: MadeUp, work: Path) -> dict[str, Search]:
    import qdrant_edge as edge

    if not (work / "done").exists():
        config = edge.EdgeConfig(
            vectors={"dense": edge.EdgeVectorParams(size=WIDTH, distance=edge.Distance.Dot)},
            sparse_vectors={"bm25": edge.EdgeSparseVectorParams()},
        )
        shard = edge.EdgeShard.create(str(work), config)
        for begin, some in words(collection):
            vectors = np.array(collection.vectors[begin : begin + _PART])
            points = [
                edge.Point(
                    id=begin + at,
                    vector={
                        "dense": vectors[at].tolist(),
                        "bm25": edge.SparseVector(indices=terms.tolist(), values=weights.tolist()),
                    },
                    payload={},
                )
                for at, (terms, weights) in enumerate(some)
            ]
            shard.update(edge.UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.flush()
        shard.close()
        (work / "done").touch()
    shard = edge.EdgeShard.load(str(work))
    dense = [edge.Query.Nearest(vector.tolist(), using="dense") for vector in collection.questions]
    sparse = [
        edge.Query.Nearest(edge.SparseVector(indices=terms.tolist(), values=weights.tolist()), using="bm25")
        for terms, weights in asked(collection)
    ]

    def search(number: int) -> list[int]:
        return [point.id for point in shard.query(edge.QueryRequest(limit=K, query=dense[number]))]

    def hybrid(number: int) -> list[int]:
        both = [edge.Prefetch(limit=_POOL, query=one) for one in (dense[number], sparse[number])]
        request = edge.QueryRequest(limit=K, prefetches=both, query=edge.Fusion.Rrf(k=60))
        return [point.id for point in shard.query(request)]

    return {"dense": search, "hybrid": hybrid}


def txtai(collection: MadeUp, work: Path) -> dict[str, Search]:
    from txtai import Embeddings

    plain = {"method": "external", "transform": lambda given: np.array(given), "dimensions": WIDTH}
    embeddings = Embeddings(plain)
    if (work / "index" / "config.json").exists():
        embeddings.load(str(work / "index"), config=plain)
    else:
        embeddings.index((row, vector, None) for row, vector in enumerate(collection.vectors))
        embeddings.save(str(work / "index"))
    questions = collection.questions
    searches: dict[str, Search] = {
        "dense": lambda number: [int(row) for row, _ in embeddings.search(questions[number], K)]
    }
    if collection.count <= 100_000:
        searches["hybrid"] = _txtai_hybrid(Embeddings, collection)
    return searches


def _txtai_hybrid(embeddings_type: Any, collection: MadeUp) -> Search:
    """Texts of made-up words, whose vectors are known by the first of them."""
    passages = [" ".join((f"row{row}", *(f"w{term}" for term in one))) for row, one in enumerate(collection.terms)]
    texts = [" ".join((f"question{at}", *(f"w{term}" for term in one))) for at, one in enumerate(collection.asked)]
    known = dict(zip(passages, collection.vectors, strict=True)) | dict(zip(texts, collection.questions, strict=True))
    hybrid = embeddings_type(
        {"method": "external", "transform": lambda given: np.array([known[text] for text in given]), "hybrid": True}
    )
    hybrid.index(enumerate(passages))
    return lambda number: [int(row) for row, _ in hybrid.search(texts[number], K)]


# What is measured --------------------------------------------------------------------------------------------------


def measure(search: Search, count: int, threads: int) -> dict[str, Any]:
    for number in range(_WARM):
        search(number)
    seconds, found = [], []
    for number in range(count):
        began = time.perf_counter()
        found.append(search(number))
        seconds.append(time.perf_counter() - began)
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(search, range(count)))
        together = time.perf_counter() - began
    return {"milliseconds": [1000 * one for one in seconds], "per_second": count / together, "found": found}


ENGINES = {"mainspring": mainspring, "faiss": faiss, "qdrant-edge-py": qdrant_edge, "txtai": txtai}


def main() -> None:
    name, folder, count, work = sys.argv[1:]
    collection = MadeUp(Path(folder), int(count))
    Path(work).mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    searches = ENGINES[name](collection, Path(work))
    opened = time.perf_counter() - began
    questions = len(collection.questions)
    told = {kind: measure(search, questions, os.cpu_count() or 1) for kind, search in searches.items()}
    package = {"mainspring": "mainspring", "faiss": "faiss-cpu"}.get(name, name)
    print(json.dumps({"version": version(package), "seconds": opened, "searches": told}))


if __name__ == "__main__":
    sys.stdout.flush()
    main()

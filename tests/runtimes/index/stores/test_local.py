from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.errors import MainspringError, StoreError
from mainspring.runtimes.index.filters import Between, OneOf
from mainspring.runtimes.index.stores.dense import GRAPH, Compared, open_dense
from mainspring.runtimes.index.stores.local import LocalStore
from mainspring.runtimes.index.stores.local_files import FILES
from mainspring.runtimes.index.stores.store import Entry, Hit, Query, Sparse

WIDTH, TERMS = 4, 6


def name(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def entries(count: int, seed: int = 0, *, coarse: bool = False) -> list[Entry]:
    """Passages with made-up vectors and words; coarse ones are often equal."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, (count, WIDTH)) + 0.5 if coarse else rng.standard_normal((count, WIDTH))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    weights = (rng.random((count, TERMS)) * (rng.random((count, TERMS)) < 0.4)).astype(np.float32)
    return [
        Entry(
            name(at),
            vectors[at],
            Sparse(np.flatnonzero(weights[at]).astype(np.uint32), weights[at][weights[at] > 0]),
            {"number": at, "even": at % 2 == 0},
        )
        for at in range(count)
    ]


def question(seed: int, weight: float) -> Query:
    rng = np.random.default_rng(1000 + seed)
    vector = rng.standard_normal(WIDTH).astype(np.float32)
    terms = np.flatnonzero(rng.random(TERMS) < 0.5)
    weights = rng.random(len(terms)).astype(np.float32)
    return Query(
        vector / np.linalg.norm(vector), Sparse(terms.astype(np.uint32), weights / max(weights.sum(), 1)), weight
    )


def filled(folder: Path, rows: list[Entry], exact: int = 10_000) -> LocalStore:
    store = LocalStore(folder, exact=exact)
    store.create(WIDTH)
    store.insert(rows[: len(rows) // 2])
    store.insert(rows[len(rows) // 2 :])
    store.publish()
    return store


def scores(rows: list[Entry], query: Query) -> dict[str, float]:
    """Every passage's score, by the definition."""
    weights = dict(zip(query.sparse.terms.tolist(), query.sparse.weights.tolist(), strict=True))
    found = {}
    for row in rows:
        words = sum(
            weights.get(term, 0.0) * weight
            for term, weight in zip(row.sparse.terms.tolist(), row.sparse.weights.tolist(), strict=True)
        )
        if words or query.dense_weight:
            dense = float(row.dense @ query.dense)
            found[row.id] = query.dense_weight * dense + (1 - query.dense_weight) * words
    return found


def check(hits: list[Hit], expected: dict[str, float], k: int) -> None:
    best = sorted(expected.values(), reverse=True)[:k]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=2e-6)
    assert len({hit.id for hit in hits}) == len(hits)
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.id], abs=2e-6)
    assert [(-hit.score, hit.id) for hit in hits] == sorted((-hit.score, hit.id) for hit in hits)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.sampled_from([0, 1, 3, 50, 400, 1000]),
    k=st.sampled_from([1, 5, 60, 2000]),
    weight=st.sampled_from([0.0, 0.05, 0.3, 0.7, 0.95, 1.0]),
    coarse=st.booleans(),
    below=st.none() | st.sampled_from([0, 2, 300]),
)
def test_the_best_are_those_of_all(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, k: int, weight: float, coarse: bool, below: int
) -> None:
    rows = entries(count, seed, coarse=coarse)
    store = filled(tmp_path_factory.mktemp("store"), rows)
    query = question(seed, weight)
    where = None if below is None else Between("number", lt=below)
    hits = store.search(query, k, where)
    check(hits, scores(rows if below is None else rows[:below], query), k)
    for hit in hits:
        row = next(row for row in rows if row.id == hit.id)
        assert np.array_equal(hit.vector, row.dense)
        parts = query.dense_weight * hit.dense + (1 - query.dense_weight) * hit.sparse
        assert hit.score == pytest.approx(parts, abs=1e-6)
    store.close()


def test_a_graph_finds_nearly_all(tmp_path: Path) -> None:
    rows = entries(3000)
    store = filled(tmp_path, rows, exact=1000)
    assert (tmp_path / GRAPH).is_file()
    found = 0
    for seed in range(20):
        query = question(seed, 0.7)
        every = scores(rows, query)
        best = set(sorted(every, key=lambda id_: -every[id_])[:10])
        found += len(best & {hit.id for hit in store.search(query, 10)})
    assert found >= 195  # of 200
    # What few a filter keeps are all compared, and many are kept apart within the walk.
    query = question(1, 1.0)
    check(store.search(query, 5, OneOf("number", (7, 8, 9))), scores(rows[7:10], query), 5)
    even = store.search(query, 10, OneOf("even", (True,)))
    check(even, scores(rows[::2], query), 10)
    store.close()


def test_ways_to_compare_agree(tmp_path: Path) -> None:
    vectors = np.stack([row.dense for row in entries(500)]).astype(np.float16)
    query = question(3, 1.0).dense
    may = np.arange(500) % 3 == 0
    for kept in (None, may, np.zeros(500, bool)):
        rows, products = Compared(vectors).nearest(query, 20, kept)
        others, same = open_dense(vectors, tmp_path).nearest(query, 20, kept)
        assert rows.tolist() == others.tolist()
        np.testing.assert_allclose(products, same, atol=1e-6)


def test_replaced_and_removed_passages_are_gone(tmp_path: Path) -> None:
    first, second = entries(6), entries(6, seed=1)
    store = LocalStore(tmp_path)
    store.create(WIDTH)
    store.insert(first)
    store.insert(second[:2])
    store.delete([first[2].id, first[3].id, name(99)])
    store.insert([second[3]])
    expected = [*second[:2], second[3], *first[4:]]
    assert store.count() == 5
    assert store.ids() == {row.id for row in expected}
    store.publish()
    assert store.count() == 5
    query = question(0, 0.5)
    check(store.search(query, 10), scores(expected, query), 10)
    assert [hit.id for hit in store.search(query, 10, OneOf("number", (3,)))] == [name(3)]
    store.create(WIDTH)  # anew
    store.publish()
    assert store.count() == 0
    assert store.search(query, 3) == []
    store.drop()
    assert not [file for file in FILES if (tmp_path / file).exists()]


def test_what_was_not_published_is_not_there(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with pytest.raises(StoreError, match="create it first"):
        store.insert(entries(1))
    with pytest.raises(StoreError, match="published"):
        store.count()
    store.create(WIDTH)
    store.insert(entries(1))
    store.close()
    with pytest.raises(StoreError, match="published"):
        LocalStore(tmp_path).search(question(0, 0.5), 1)


def test_threads_search_at_a_time(tmp_path: Path) -> None:
    rows = entries(2000)
    filled(tmp_path, rows, exact=1000).close()
    store = LocalStore(tmp_path, exact=1000)
    alone = [[hit.id for hit in store.search(question(seed, 0.5), 10)] for seed in range(24)]
    again = LocalStore(tmp_path, exact=1000)  # opened by all of them at once
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda seed: [hit.id for hit in again.search(question(seed, 0.5), 10)], range(24))
        assert list(together) == alone


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    filled(tmp_path, entries(50), exact=10).close()
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        for damaged in (content[:-9], content[: len(content) // 2], b"", b"\xff" * len(content)):
            path.write_bytes(damaged)
            with pytest.raises(MainspringError, match="again"):
                LocalStore(tmp_path, exact=10).search(question(0, 0.5), 5)
        path.write_bytes(content)
    assert LocalStore(tmp_path, exact=10).search(question(0, 0.5), 5)

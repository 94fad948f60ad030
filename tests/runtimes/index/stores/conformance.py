"""What every store must do: one suite, run on each of them beside a plain computation of the same.

A test module makes a subclass, and a fixture `opening`: a function that opens the collection of a name, again and
again the same one. A store may refuse to be changed after `publish`; the suite does not ask it to.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from mainspring.data.documents.document import Value
from mainspring.errors import StoreError
from mainspring.runtimes.index.filters import All, AnyOf, Between, Filter, Not, OneOf, read_filter
from mainspring.runtimes.index.stores.store import Entry, Hit, Query, Sparse, Store

Opening = Callable[[str], Store]

WIDTH = 16
WEIGHTS = (1.0, 0.9, 0.5, 0.1, 0.0)
VOCABULARY = np.unique(np.random.default_rng(3).integers(0, 2**32 - 2, 60, dtype=np.uint32))
LONG = "Ein sehr langer Satz über Größe, 長い文, и ещё. " * 150  # 7,000 characters, about 10 kB
NONE = Sparse(np.zeros(0, np.uint32), np.zeros(0, np.float32))

_TOLERANCE = 2e-6


def sha256(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def unit(draw: np.random.Generator) -> np.ndarray:
    """A vector of length 1, but for what the rounding to float16 leaves: a store may keep no more than that."""
    vector = draw.standard_normal(WIDTH)
    return (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)


def words(draw: np.random.Generator, fewest: int, most: int) -> Sparse:
    terms = np.sort(draw.choice(VOCABULARY, draw.integers(fewest, most + 1), replace=False))
    return Sparse(terms, draw.uniform(0.05, 0.9, len(terms)).astype(np.float32))


def question(seed: int, dense_weight: float) -> Query:
    draw = np.random.default_rng([7, seed])
    sparse = words(draw, 1, 5)
    return Query(unit(draw), Sparse(sparse.terms, sparse.weights / sparse.weights.sum()), dense_weight)


def some_fields(number: int, draw: random.Random) -> dict[str, Value]:
    fields: dict[str, Value] = {"source": f"übersicht {number % 7}/\"q\" 'a' \\n.md", "page": number % 11}
    if number % 3:
        fields["year"] = draw.choice([2019, 2020, 2020.0, 2020.5, 2021, "2020", "unknown", True])
    if number % 4 == 0:
        fields["draft"] = draw.choice([True, False])
    if number % 5 == 0:
        fields['a.b [c] "d" $e é'] = draw.choice(["x", "y\nz", "", 1e-9, -3.5])
    if number % 50 == 0:
        fields["summary"] = LONG + str(number % 2)
    if number % 9 == 0:
        fields["size"] = draw.choice([-(10**15), 2**53, 0, -0.25, math.nan, math.inf])
    return fields


def entries(count: int, seed: int = 1) -> list[Entry]:
    """Of the last 30 every second one has the same vectors."""
    draw, other = np.random.default_rng(seed), random.Random(seed)
    made = [Entry(sha256(f"{seed} {at}"), unit(draw), words(draw, 0, 6), some_fields(at, other)) for at in range(count)]
    for at in range(count - 30, count):
        same = made[at % 2]
        made[at] = Entry(made[at].id, same.dense, same.sparse, made[at].fields)
    return made


def holds(where: Filter | None, fields: dict[str, Value]) -> bool:
    """What a filter means."""
    match where:
        case None:
            return True
        case OneOf(name, values):
            kept = fields.get(name)
            return any(isinstance(kept, bool) == isinstance(value, bool) and kept == value for value in values)
        case Between(name):
            kept = fields.get(name)
            if isinstance(kept, str | bool | None):
                return False
            return (
                (where.gt is None or kept > where.gt)
                and (where.gte is None or kept >= where.gte)
                and (where.lt is None or kept < where.lt)
                and (where.lte is None or kept <= where.lte)
            )
        case All(parts):
            return all(holds(part, fields) for part in parts)
        case AnyOf(parts):
            return any(holds(part, fields) for part in parts)
        case Not(part):
            return not holds(part, fields)


class Truth:
    """The parts of the scores of some passages, by plain sums: row by row, so that equal passages have equal ones."""

    def __init__(self, among: list[Entry]) -> None:
        self.among = among
        self.ids = {entry.id: at for at, entry in enumerate(among)}
        self.dense = np.stack([entry.dense for entry in among]).astype(np.float64)
        self.sparse = np.zeros((len(among), len(VOCABULARY)))
        for at, entry in enumerate(among):
            self.sparse[at, np.searchsorted(VOCABULARY, entry.sparse.terms)] = entry.sparse.weights

    def parts(self, query: Query) -> tuple[np.ndarray, np.ndarray]:
        known = np.isin(query.sparse.terms, VOCABULARY)
        columns = np.searchsorted(VOCABULARY, query.sparse.terms[known])
        weights = query.sparse.weights[known].astype(np.float64)
        return (self.dense * query.dense.astype(np.float64)).sum(1), (self.sparse[:, columns] * weights).sum(1)


_truths: dict[int, Truth] = {}  # by the list's id, which stays its own while the list is kept


def truth(among: list[Entry]) -> Truth:
    if id(among) not in _truths:
        _truths[id(among)] = Truth(among)
    return _truths[id(among)]


def check(store: Store, among: list[Entry], query: Query, k: int, where: Filter | None = None) -> list[Hit]:
    """Search, and compare with what should be found. Scores that are not told apart in float32 may change places; equal
    ones must not.
    """
    hits = store.search(query, k, where)
    known, weight = truth(among), query.dense_weight
    dense, sparse = known.parts(query)
    all_scores = (weight * dense + (1 - weight) * sparse).tolist()
    scores = {
        entry.id: score
        for entry, score, words in zip(among, all_scores, sparse.tolist(), strict=True)
        if holds(where, entry.fields) and (weight > 0 or words > 0)
    }
    told = f"dense_weight {query.dense_weight}, k {k}, where {where}"
    best = sorted(scores.values(), reverse=True)[:k]
    assert len({hit.id for hit in hits}) == len(hits) == len(best), told
    assert {hit.id for hit in hits} <= set(scores), told
    assert [scores[hit.id] for hit in hits] == pytest.approx(best, abs=_TOLERANCE), told
    assert [hit.score for hit in hits] == pytest.approx(best, abs=_TOLERANCE), told
    equal: dict[float, list[str]] = {}
    for name in sorted(scores):
        equal.setdefault(scores[name], []).append(name)
    found: dict[float, list[str]] = {}
    for hit in hits:
        found.setdefault(scores[hit.id], []).append(hit.id)
    assert all(names == equal[score][: len(names)] for score, names in found.items()), told
    for hit in hits:
        at = known.ids[hit.id]
        assert (hit.dense, hit.sparse) == pytest.approx((dense[at], sparse[at]), abs=_TOLERANCE), told
        np.testing.assert_array_equal(hit.vector, among[at].dense, strict=True)
    return hits


def random_filter(draw: random.Random, depth: int = 0) -> Filter:
    kind = draw.choice(["one", "one", "between", "between", *["all", "any", "not"] * (depth < 3)])
    field = draw.choice(["source", "page", "year", "draft", 'a.b [c] "d" $e é', "size", "nothing"])
    if kind == "one":
        known = ["übersicht 3/\"q\" 'a' \\n.md", 3, 2020, "2020", True, False, "x", "y\nz", "", -3.5, 2**53, "none"]
        return OneOf(field, tuple(draw.choices(known, k=draw.randint(1, 4))))
    if kind == "between":
        names = draw.sample(["gt", "gte", "lt", "lte"], draw.randint(0, 4))
        return Between(field, **{name: draw.choice([-1e15, -3.5, 0, 3, 2020, 2020.5, 1e300]) for name in names})
    if kind == "not":
        return Not(random_filter(draw, depth + 1))
    parts = tuple(random_filter(draw, depth + 1) for _ in range(draw.randint(1, 3)))
    return All(parts) if kind == "all" else AnyOf(parts)


class Conformance:
    """The suite. `count` is how many passages are searched: a store takes them in more than one part."""

    count = 600

    @pytest.fixture(scope="class")
    @classmethod
    def among(cls) -> list[Entry]:
        return entries(cls.count)

    @pytest.fixture(scope="class")
    @classmethod
    def filled(cls, opening: Opening, among: list[Entry]) -> Iterator[Store]:
        """Published, and opened again: searched only."""
        store = opening("filled")
        store.create(WIDTH)
        store.insert(among)
        store.publish()
        store.close()
        store = opening("filled")
        yield store
        store.close()

    def test_there_is_what_was_put_in(self, filled: Store, among: list[Entry]) -> None:
        assert filled.count() == len(among)
        assert filled.ids() == {entry.id for entry in among}

    @pytest.mark.parametrize("dense_weight", WEIGHTS)
    def test_the_best_are_found(self, filled: Store, among: list[Entry], dense_weight: float) -> None:
        for seed in range(3):
            for k in (1, 10, 40):
                check(filled, among, question(seed, dense_weight), k)

    @pytest.mark.parametrize("dense_weight", WEIGHTS)
    def test_more_than_there_are(self, filled: Store, among: list[Entry], dense_weight: float) -> None:
        hits = check(filled, among, question(9, dense_weight), 2 * len(among))
        assert len(hits) == len(among) if dense_weight else 0 < len(hits) < len(among)

    def test_equal_ones_are_ordered_by_id_also_where_they_are_cut(self, filled: Store, among: list[Entry]) -> None:
        for dense_weight in (1.0, 0.5):
            for same in among[:2]:
                query = Query(same.dense, same.sparse, dense_weight)
                for k in (1, 2, 5, 14, 15):
                    check(filled, among, query, k)

    def test_the_best_is_deep_in_both_lists(self, opening: Opening) -> None:
        """A hundred are better by meaning, and another hundred by words; by both together, one is the best."""
        term = VOCABULARY[:1]
        query = Query(np.eye(WIDTH, dtype=np.float32)[0], Sparse(term, np.ones(1, np.float32)), 0.5)

        def passage(name: str, dense: float, sparse: float) -> Entry:
            vector = np.zeros(WIDTH, np.float16)
            vector[:2] = dense, math.sqrt(1 - dense**2)
            words = Sparse(term, np.array([sparse], np.float32)) if sparse else NONE
            return Entry(sha256(name), vector.astype(np.float32), words, {})

        near = [passage(f"near {at}", 0.8 - at / 2000, 0.0) for at in range(100)]
        worded = [passage(f"worded {at}", 0.01, 0.8 - at / 2000) for at in range(100)]
        among = [*near, passage("both", 0.6, 0.6), *worded]
        store = opening("deep")
        store.create(WIDTH)
        store.insert(among)
        store.publish()
        assert check(store, among, query, 1)[0].id == sha256("both")
        check(store, among, query, 3)
        store.close()

    def test_many_equal_ones(self, opening: Opening) -> None:
        [one] = entries(31, seed=10)[:1]
        among = [msgspec.structs.replace(one, id=sha256(f"equal {at}")) for at in range(100)]
        store = opening("equal")
        store.create(WIDTH)
        store.insert(among)
        store.publish()
        for dense_weight in (1.0, 0.5):
            hits = check(store, among, Query(one.dense, one.sparse, dense_weight), 3)
            assert [hit.id for hit in hits] == sorted(entry.id for entry in among)[:3]
        store.close()

    def test_words_that_no_passage_has(self, filled: Store, among: list[Entry]) -> None:
        unknown = next(term for term in range(1, 1000) if term not in VOCABULARY)
        for sparse in (Sparse(np.array([unknown], np.uint32), np.ones(1, np.float32)), NONE):
            for dense_weight in (1.0, 0.4):
                check(filled, among, Query(question(1, 1.0).dense, sparse, dense_weight), 10)
            assert filled.search(Query(question(1, 1.0).dense, sparse, 0.0), 10) == []

    def test_nothing_is_wanted(self, filled: Store) -> None:
        assert filled.search(question(1, 0.5), 0) == []

    @pytest.mark.parametrize(
        "written",
        [
            {"source": "übersicht 3/\"q\" 'a' \\n.md"},
            {"source": ["übersicht 3/\"q\" 'a' \\n.md", "übersicht 4/\"q\" 'a' \\n.md", "nowhere"]},
            {"source": "nowhere"},
            {"nothing": 1},
            {"page": 4},
            {"page": 4.0},
            {"page": {"gt": 3, "lte": 5}},
            {"page": {"gte": 3, "lt": 5}},
            {"page": {"gt": 3, "gte": 3, "lt": 7, "lte": 7}},
            {"page": {"gt": 2, "gte": 3, "lt": 8, "lte": 7}},
            {"page": {"not": 4}},
            {"page": {"gte": 9, "not": [9, 10.0]}},
            {"year": 2020},
            {"year": "2020"},
            {"year": ["2020", 2021, True]},
            {"year": True},
            {"year": 1},
            {"year": {"not": ["unknown", 2020]}},
            {"year": {"lt": 2020.5}},
            {"not": {"year": {"gte": 0}}},
            {"draft": True},
            {"draft": False},
            {"draft": {"not": True}},
            {"draft": [True, False]},
            {'a.b [c] "d" $e é': ["x", ""]},
            {'a.b [c] "d" $e é': "y\nz"},
            {'a.b [c] "d" $e é': {"lt": 1e-8}},
            {"summary": LONG + "0"},
            {"size": {"gt": 1e15}},
            {"size": 2**53},
            {"size": {"lte": -0.25}},
            {"not": {"size": {"gte": -1e300}}},
            {"any": [{"page": 1}, {"year": "unknown", "draft": {"not": False}}]},
            {"not": {"any": [{"page": {"lt": 9}}, {"not": {"source": "übersicht 1/\"q\" 'a' \\n.md"}}]}},
        ],
        ids=lambda written: repr(written)[:60],
    )
    def test_filters(self, filled: Store, among: list[Entry], written: dict) -> None:
        check(filled, among, question(2, 0.6), 30, read_filter(written))

    def test_filters_of_all_kinds_in_each_other(self, filled: Store, among: list[Entry]) -> None:
        draw = random.Random(5)
        for number in range(20):
            check(filled, among, question(number, draw.choice(WEIGHTS)), 20, random_filter(draw))

    def test_filters_of_no_parts(self, filled: Store, among: list[Entry]) -> None:
        for where in (All(()), AnyOf(()), Not(All(())), Not(AnyOf(())), OneOf("page", ()), All((AnyOf(()), All(())))):
            check(filled, among, question(3, 0.5), 10, where)

    def test_searches_at_the_same_time(self, filled: Store, among: list[Entry]) -> None:
        queries = [question(seed, WEIGHTS[seed % 5]) for seed in range(24)]
        with ThreadPoolExecutor(6) as pool:
            for checked in [pool.submit(check, filled, among, query, 10) for query in queries]:
                checked.result()

    def test_passages_are_replaced_and_removed(self, opening: Opening) -> None:
        old, new = entries(40, seed=2), entries(40, seed=3)
        new = [msgspec.structs.replace(one, id=other.id) for one, other in zip(new, old, strict=True)]
        store = opening("changed")
        store.create(WIDTH)
        store.insert(old[:30])
        store.insert([*old[5:15], *new[5:15]])  # twice in one call: the last one holds
        store.insert([])
        store.delete([one.id for one in old[:3]])
        store.delete([old[3].id, sha256("never there")])
        store.delete([])
        kept = [old[4], *new[5:15], *old[15:30]]
        assert store.count() == len(kept)
        assert store.ids() == {one.id for one in kept}
        store.publish()
        for dense_weight in (1.0, 0.5, 0.0):
            check(store, kept, question(4, dense_weight), 100)
        store.close()

    def test_a_collection_of_nothing(self, opening: Opening) -> None:
        store = opening("empty")
        store.create(WIDTH)
        store.publish()
        assert (store.count(), store.ids()) == (0, set())
        for dense_weight in WEIGHTS:
            assert store.search(question(1, dense_weight), 10, OneOf("page", (1,))) == []
        store.close()

    def test_passages_without_words_and_fields(self, opening: Opening) -> None:
        bare = [Entry(one.id, one.dense, NONE, {}) for one in entries(40, seed=4)]
        store = opening("bare")
        store.create(WIDTH)
        store.insert(bare)
        store.publish()
        check(store, bare, question(1, 0.5), 10)
        check(store, bare, question(1, 0.5), 10, Not(OneOf("page", (1,))))
        assert store.search(question(1, 0.0), 10) == []
        store.close()

    def test_collections_do_not_know_of_each_other(self, opening: Opening) -> None:
        one, other = opening("first"), opening("second")
        some, others = entries(40, seed=5), entries(50, seed=6)
        for store, among in ((one, some), (other, others)):
            store.create(WIDTH)
            store.insert(among)
            store.publish()
        check(one, some, question(1, 0.5), 100)
        check(other, others, question(1, 0.5), 100)
        one.drop()
        check(other, others, question(2, 0.5), 100)
        assert other.count() == 50
        one.close()
        other.close()

    def test_a_collection_is_made_anew(self, opening: Opening) -> None:
        store = opening("anew")
        store.create(WIDTH)
        store.insert(entries(40, seed=7))
        store.close()  # as a fit that was killed
        store = opening("anew")
        store.create(WIDTH)
        fresh = entries(35, seed=8)
        store.insert(fresh)
        store.publish()
        assert store.ids() == {one.id for one in fresh}
        check(store, fresh, question(1, 0.5), 50)
        store.close()

    def test_what_was_dropped_is_gone(self, opening: Opening) -> None:
        store = opening("dropped")
        store.drop()  # it was never there
        store.create(WIDTH)
        store.insert(entries(35, seed=9))
        store.publish()
        store.close()
        store = opening("dropped")
        store.drop()
        store.drop()
        for use in (store.count, store.ids, lambda: store.search(question(1, 0.5), 1)):
            with pytest.raises(StoreError, match="fit"):
                use()
        store.close()

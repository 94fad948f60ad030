"""Passages judged by the places that they should cover."""

from __future__ import annotations

from itertools import pairwise
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.data.documents.questions import Relevant
from mainspring.errors import DataError
from mainspring.evaluation.gate import decide
from mainspring.evaluation.retrieval import compare_judged, covers, judge, ndcg_at, ranks, recall_at, reciprocal_rank

INF = np.inf


def at(begin: int, end: int, source: str = "a") -> Relevant:
    return Relevant(source, begin, end)


@pytest.mark.parametrize(
    ("passage", "place", "enough"),
    [
        (at(0, 100), at(40, 60), True),  # the quote lies in the passage
        (at(0, 50), at(40, 60), True),  # half of it
        (at(0, 49), at(40, 60), False),
        (at(0, 100), at(90, 1000), False),  # a tenth of the passage lies in a long section
        (at(0, 100), at(50, 1000), True),
        (at(300, 400), at(0, 1000), True),
        (at(0, 100), at(40, 60, "b"), False),
        (at(0, 100), at(100, 110), False),  # they touch
        (at(0, 100), at(50, 50), False),  # a place without text
    ],
)
def test_a_passage_covers_at_least_half_of_the_shorter_one(passage, place, enough):
    assert covers(passage, place) is enough
    assert covers(place, passage) is enough


def test_one_place():
    found = [at(0, 10, "b"), at(0, 10), at(10, 20), at(10, 20)]
    assert ranks(found, [at(12, 18)]).tolist() == [3]
    judged = judge([found], [[at(12, 18)]])
    assert judged.recall.tolist() == [1]
    assert judged.mrr.tolist() == [pytest.approx(1 / 3)]
    assert judged.ndcg.tolist() == [pytest.approx(1 / log2(4))]
    assert judged.first.tolist() == [3]


def test_several_places():
    known = ranks([at(0, 10), at(20, 30), at(0, 5, "b")], [at(20, 30), at(0, 10, "c"), at(1, 3)])
    assert known.tolist() == [1, 2, INF]
    assert recall_at(known, 5) == pytest.approx(2 / 3)
    assert recall_at(known, 1) == pytest.approx(1 / 3)
    assert reciprocal_rank(known) == 1
    best = 1 + 1 / log2(3) + 1 / log2(4)
    assert ndcg_at(known, 10) == pytest.approx((1 + 1 / log2(3)) / best)
    assert ndcg_at(known, 1) == 1  # no order has more at rank 1


def test_one_passage_with_all_the_places_is_as_good_as_the_best_order_and_not_better():
    known = ranks([at(0, 100)], [at(0, 10), at(20, 30), at(50, 60)])
    assert known.tolist() == [1, 1, 1]
    assert ndcg_at(known, 10) == 1


def test_what_is_said_again_earns_nothing():
    once = judge([[at(0, 10), at(50, 60)]], [[at(0, 10)]])
    again = judge([[at(0, 10), at(0, 10), at(0, 9)]], [[at(0, 10)]])
    assert once.ndcg.tolist() == again.ndcg.tolist() == [1]


def test_nothing_found():
    judged = judge([[], [at(0, 1)]], [[at(0, 1)], [at(5, 9)]])
    assert judged.ndcg.tolist() == judged.recall.tolist() == judged.mrr.tolist() == [0, 0]
    assert judged.first.tolist() == [INF, INF]


def test_what_cannot_be_judged():
    with pytest.raises(DataError, match="question 2 has no place"):
        judge([[], []], [[at(0, 1)], []])
    with pytest.raises(DataError, match="no questions with known places"):
        judge([], [])
    with pytest.raises(DataError, match="results of 1 questions, and places of 2"):
        judge([[]], [[at(0, 1)], [at(0, 1)]])


def test_intervals_and_paired_comparison():
    random = np.random.default_rng(0)
    places = [[at(10 * n, 10 * n + 10)] for n in range(80)]
    hits = random.integers(1, 4, 80)  # the rank at which each is found
    worse = judge([[at(0, 1, "x")] * (rank - 1) + known for rank, known in zip(hits, places, strict=True)], places)
    better = judge(places, places)
    estimate = worse.estimates()["ndcg"]
    assert estimate.value == pytest.approx(worse.ndcg.mean())
    assert estimate.low < estimate.value < estimate.high
    found = compare_judged("ndcg", champion=worse, challenger=better)
    assert found.metric == "ndcg"
    assert decide(found).decision == "promote"
    assert decide(compare_judged("mrr", champion=better, challenger=worse)).decision == "reject"
    clustered = worse.estimates(np.arange(80) // 8)["mrr"]
    assert "cluster" in clustered.method


places = st.builds(
    lambda source, begin, length: at(begin, begin + length, source),
    st.sampled_from("ab"),
    st.integers(0, 60),
    st.integers(1, 30),
)


@given(st.lists(places, max_size=12), st.lists(places, min_size=1, max_size=5))
def test_scores_lie_between_0_and_1_and_heed_no_order_of_places(found, known):
    judged = judge([found], [known])
    for metric in ("ndcg", "recall", "mrr"):
        assert 0 <= judged.of(metric)[0] <= 1
    turned = judge([found], [known[::-1]])
    assert all(np.array_equal(judged.of(metric), turned.of(metric)) for metric in ("ndcg", "recall", "mrr"))


@given(st.lists(places, min_size=1, max_size=8), st.lists(places, min_size=1, max_size=4), st.data())
def test_a_better_rank_is_never_worse(found, known, data):
    """What covers a place moved up by one, past what covers none."""
    helps = [any(covers(passage, place) for place in known) for passage in found]
    swaps = [n for n in range(1, len(found)) if helps[n] and not helps[n - 1]]
    if not swaps:
        return
    n = data.draw(st.sampled_from(swaps))
    moved = [*found[: n - 1], found[n], found[n - 1], *found[n + 1 :]]
    before, after = judge([found], [known]), judge([moved], [known])
    for metric in ("ndcg", "recall", "mrr"):
        assert after.of(metric)[0] >= before.of(metric)[0]


@given(st.sets(st.integers(1, 99)), st.integers(0, 98), st.integers(1, 100))
def test_whatever_the_cuts_each_place_is_covered_by_a_piece(cuts, begin, length):
    bounds = [0, *sorted(cuts), 100]
    pieces = [at(left, right) for left, right in pairwise(bounds)]
    place = at(begin, min(begin + length, 100))
    assert np.isfinite(ranks(pieces, [place])).all()

from __future__ import annotations

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.runtimes.index.postings import Postings, by_term, count_terms
from mainspring.runtimes.index.stores.store import Sparse
from mainspring.runtimes.index.words import Words, idf

TERMS = st.lists(st.integers(0, 20), min_size=1, max_size=30)


def collection(passages: list[list[int]]) -> tuple[Words, Postings]:
    counted = [np.unique(np.array(passage, np.uint32), return_counts=True) for passage in passages]
    terms, frequencies = count_terms(np.concatenate([terms for terms, _ in counted]))
    words = Words(len(passages), float(np.mean([len(passage) for passage in passages])), terms, frequencies)
    weights = np.concatenate([words.passage(*one).weights for one in counted])
    sizes = np.array([len(terms) for terms, _ in counted])
    return words, Postings(len(passages), **by_term(sizes, np.concatenate([terms for terms, _ in counted]), weights))


@settings(max_examples=30, deadline=None)
@given(st.lists(TERMS, min_size=1, max_size=30), st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_scores_are_those_of_bm25s(passages: list[list[int]], asked: list[int]) -> None:
    vocabulary = {str(term): term for term in range(21)}
    reference = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    reference.index(bm25s.tokenization.Tokenized(ids=passages, vocab=vocabulary), show_progress=False)
    known = [term for term in asked if any(term in passage for passage in passages)]
    words, postings = collection(passages)
    question = words.question(*np.unique(np.array(asked, np.uint32), return_counts=True))
    frequencies = np.array([sum(term in passage for passage in passages) for term in asked])
    total = idf(frequencies, len(passages)).sum()
    expected = reference.get_scores_from_ids(known) if known else np.zeros(len(passages))
    scores = postings.scores(question)
    np.testing.assert_allclose(scores * total, expected, rtol=1e-5, atol=1e-6)
    assert scores.max() < 1
    chosen = np.array([0, len(passages) - 1, len(passages) // 2])
    np.testing.assert_allclose(postings.scores_of(question, chosen), scores[chosen], rtol=1e-6)


def test_what_occurs_nowhere_takes_its_part_of_the_question() -> None:
    words, postings = collection([[1, 2], [1, 3], [1, 4]])
    covered = postings.scores(words.question(np.array([1, 2], np.uint32), np.ones(2, int)))
    half = postings.scores(words.question(np.array([1, 2, 9], np.uint32), np.ones(3, int)))
    assert half[0] < covered[0] / 1.5
    assert np.argsort(half).tolist() == np.argsort(covered).tolist()
    assert not postings.scores(words.question(np.array([9], np.uint32), np.ones(1, int))).any()
    assert not postings.scores(words.question(np.array([], np.uint32), np.array([], int))).any()


@given(st.lists(st.lists(st.integers(0, 9), max_size=6, unique=True), max_size=20))
def test_postings_are_the_transposed_passages(passages: list[list[int]]) -> None:
    rows = [(row, term) for row, passage in enumerate(passages) for term in sorted(passage)]
    terms = np.array([term for _, term in rows], np.uint32)
    weights = np.arange(1, len(rows) + 1, dtype=np.float32)
    columns = by_term(np.array([len(passage) for passage in passages], int), terms, weights)
    postings = Postings(len(passages), **columns)
    for term in range(10):
        expected = np.zeros(len(passages), np.float32)
        for (row, one), weight in zip(rows, weights, strict=True):
            if one == term:
                expected[row] = weight
        found = postings.scores(Sparse(np.array([term], np.uint32), np.ones(1, np.float32)))
        assert found.tolist() == expected.tolist()


def test_idf_is_never_negative() -> None:
    assert (idf(np.arange(0, 101), 100) > 0).all()
    assert idf(np.array([3]), 10)[0] == pytest.approx(np.log(1 + 7.5 / 3.5))

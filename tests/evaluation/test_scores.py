"""Scores of answers: their means, and the comparison of two models question by question."""

import numpy as np
import pytest

from mainspring.evaluation.gate import decide
from mainspring.evaluation.scores import compare_scores, mean_cost, mean_score

RANDOM = np.random.default_rng(0)


def test_right_or_wrong_is_compared_exactly():
    old, new = np.repeat([1.0, 0.0], 30), np.repeat([1.0, 0.0], [50, 10])
    found = compare_scores("choice_accuracy", champion=old, challenger=new)
    assert (found.metric, found.test) == ("choice_accuracy", "McNemar (exact)")
    assert (found.champion, found.challenger) == (0.5, pytest.approx(5 / 6))
    assert found.p_better == pytest.approx(0.5**20)
    assert decide(found).decision == "promote"
    assert decide(compare_scores("choice_accuracy", champion=new, challenger=old)).decision == "reject"


def test_scores_between_are_compared_by_their_means():
    old = RANDOM.random(100) / 2
    found = compare_scores("token_f1", champion=old, challenger=old + 0.3 + 0.1 * RANDOM.random(100), margin=0.1)
    assert found.challenger - found.champion == pytest.approx(found.difference)
    assert 0.3 < found.low < found.difference < found.high < 0.4
    assert decide(found).decision == "promote"
    reason = decide(compare_scores("token_f1", champion=old, challenger=old)).reason
    assert reason.startswith("token_f1 ")
    assert "neither better" in reason


def test_means_have_intervals():
    share = mean_score(np.repeat([1.0, 0.0], [30, 10]))
    assert (share.value, share.method) == (0.75, "Clopper–Pearson")
    tokens = mean_cost(RANDOM.integers(50, 150, 200))
    assert 50 < tokens.low < tokens.value < tokens.high < 150
    assert tokens.high - tokens.low < 20
    once = mean_cost(np.ones(40))
    assert (once.low, once.value, once.high) == (1.0, 1.0, 1.0)

"""When to answer: fitted on questions with and without answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.data.documents.passages import Passage
from mainspring.errors import DataError
from mainspring.evaluation.intervals import clopper_pearson
from mainspring.runtimes.index.answerable import Answerability, features
from mainspring.runtimes.index.found import Found
from mainspring.tasks.answerability import choose_threshold, fit_answerability, logistic


def found(*scores):
    """Passages with these (cosine, words) each."""
    passage = Passage(source="a", begin=0, end=1, text="a")
    return [
        Found(id=str(at), passage=passage, quote="a", score=(dense + words) / 2, dense=dense, sparse=words, title="")
        for at, (dense, words) in enumerate(scores)
    ]


def questions(count, seed=0):
    draw = np.random.default_rng(seed)
    holds = draw.random(count) < 0.5
    tops = np.where(holds, 0.7, 0.4) + draw.normal(0, 0.1, count)
    return [found((top, top / 2), (0.35, 0.3), (0.3, 0.1)) for top in tops], holds


def test_features_are_of_the_list_that_was_found():
    assert features(found((0.5, 0.2), (0.6, 0.4))) == pytest.approx([0.6, 0.35 - 0.5])
    assert features(found((0.5, 0.0))) == pytest.approx([0.5, 0.0])
    read, behind = [(0.5, 0.3), (0.2, 0.2), (0.2, 0.2), (0.2, 0.6), (0.2, 0.2)], [(0.1, 0.1), (0.3, 0.1)]
    assert features(found(*read, *behind)) == pytest.approx([0.5, 0.4 - 0.15])
    rule = Answerability(weights=(7.0, 10.0), bias=-5.0, threshold=0.5)
    assert rule.probability([]) == 0
    far, near = found((0.2, 0.1), (0.19, 0.2)), found((0.8, 0.6), (0.4, 0.2))
    assert 0 < rule.probability(far) < 0.5 < rule.probability(near)


def test_the_rule_parts_what_can_be_parted_and_keeps_its_bound_on_others():
    seen, holds = questions(300)
    fitted = fit_answerability(seen, holds, target=0.1)
    assert fitted.kept
    assert fitted.error <= fitted.bound <= 0.1
    assert fitted.answered > 0.7
    others, theirs = questions(2000, seed=1)
    answered = np.array([fitted.rule.probability(one) >= fitted.rule.threshold for one in others])
    assert (answered & ~theirs).sum() / answered.sum() < 0.1
    assert answered[theirs].mean() == pytest.approx(fitted.answered, abs=0.1)


def test_what_cannot_be_parted_does_not_keep_the_bound():
    seen, holds = questions(60)
    fitted = fit_answerability(seen, np.random.default_rng(2).permutation(holds), target=0.05)
    assert not fitted.kept
    assert fitted.bound > 0.05


def test_too_few_questions_are_refused():
    seen, holds = questions(40)
    with pytest.raises(DataError, match="at least 10 of either"):
        fit_answerability(seen, holds & (np.arange(40) < 12))
    with pytest.raises(DataError, match="0 questions have"):
        fit_answerability([[]] * 40, holds)


def test_the_logistic_rule_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(0)
    values = draw.normal(size=(400, 3))
    truth = values @ [1.0, -2.0, 0.0] + draw.logistic(size=400) > 0.5
    scaled = (values - values.mean(0)) / values.std(0)
    theirs = LogisticRegression(C=1 / (1e-2 * 400), class_weight="balanced", tol=1e-10).fit(scaled, truth)
    weights, bias = logistic(values, truth)
    np.testing.assert_allclose(values @ weights + bias, theirs.decision_function(scaled), atol=1e-4)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.floats(0.05, 0.9))
def test_a_threshold_that_is_kept_has_its_bound(pairs, target):
    probabilities, truth = np.array([p for p, _ in pairs]), np.array([t for _, t in pairs])
    threshold, error, bound, kept = choose_threshold(probabilities, truth, target, 0.95)
    answered = probabilities >= threshold
    assert error == pytest.approx(np.mean(~truth[answered]))
    assert bound == pytest.approx(clopper_pearson(int((~truth[answered]).sum()), int(answered.sum()), 0.9)[1])
    assert kept == (bound <= target)

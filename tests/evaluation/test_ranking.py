import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.evaluation.metrics import METRICS

from .simulated import binary, multiclass

RANKINGS = ["roc_auc", "average_precision"]


@pytest.mark.parametrize("name", RANKINGS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), many=st.booleans())
def test_influence_is_the_derivative_by_each_weight(name, seed, many):
    truth, predictions = multiclass(40, 3, seed) if many else _tied(seed)
    ranking = METRICS[name].ranking(truth, predictions)
    weights = np.random.default_rng(seed).uniform(0.5, 2, len(truth))
    nudges = 1e-5 * np.eye(len(truth))
    numeric = (ranking.values(weights + nudges) - ranking.values(weights - nudges)) / 2e-5
    np.testing.assert_allclose(ranking.influence(weights), numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", RANKINGS)
def test_many_weightings_at_once_are_each_alone(name):
    truth, predictions = multiclass(60, 3, seed=0)
    ranking = METRICS[name].ranking(truth, predictions)
    weights = np.random.default_rng(0).integers(0, 3, (5, 60)).astype(float)
    np.testing.assert_array_equal(ranking.values(weights), [ranking.values(row) for row in weights])
    np.testing.assert_array_equal(ranking.influence(weights), [ranking.influence(row) for row in weights])


@pytest.mark.parametrize("name", RANKINGS)
def test_is_undefined_and_says_so_when_no_positive_row_weighs_anything(name):
    truth, predictions = _tied(0)
    assert np.isnan(METRICS[name].ranking(truth, predictions).values((truth == 0).astype(float)))


def test_a_class_without_rows_is_left_out_of_the_mean():
    truth, predictions = multiclass(60, 3, seed=0)
    ranking = METRICS["roc_auc"].ranking(truth, predictions)
    without = (truth != 2).astype(float)
    expected = np.mean([each.values(without) for each in ranking.rankings[:2]])
    assert ranking.values(without) == pytest.approx(expected, abs=1e-15)


def _tied(seed):
    truth, (predictions,) = binary(40, [1.0], seed)
    return truth, type(predictions)(predictions.values, np.round(predictions.probabilities, 1))

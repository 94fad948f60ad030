import numpy as np
import pytest

from mainspring.errors import DataError
from mainspring.evaluation.baseline import baseline_predictions
from mainspring.evaluation.metrics import score


def test_a_classifier_says_the_frequencies():
    found = baseline_predictions("classification", np.array([0, 1, 1, 1]), 2, classes=3, metric="log_loss")
    np.testing.assert_array_equal(found.values, [1, 1])
    np.testing.assert_array_equal(found.probabilities, [[0.25, 0.75, 0], [0.25, 0.75, 0]])


def test_it_orders_nothing():
    found = baseline_predictions("classification", np.array([0, 1, 1]), 4)
    assert score("roc_auc", np.array([0, 1, 0, 1]), found) == 0.5


@pytest.mark.parametrize(("metric", "constant"), [("rmse", 4.0), ("r2", 4.0), ("mae", 2.0), ("mape", 2.0)])
def test_a_regression_says_the_constant_that_suits_the_metric(metric, constant):
    found = baseline_predictions("regression", np.array([1.0, 2.0, 9.0]), 3, metric=metric)
    np.testing.assert_array_equal(found.values, [constant] * 3)
    assert found.probabilities is None


def test_refuses_what_it_cannot_stand_for():
    with pytest.raises(DataError, match="at least one row"):
        baseline_predictions("regression", np.array([]), 3)
    with pytest.raises(DataError, match=r"0\.\.1, found 2"):
        baseline_predictions("classification", np.array([0, 2]), 3, classes=2)

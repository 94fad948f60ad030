import json

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.errors import DataError
from mainspring.evaluation.curves import (
    calibration_curve,
    confusion_matrix,
    expected_calibration_error,
    precision_recall_curve,
    roc_curve,
    threshold_for,
    wilson_interval,
)
from mainspring.evaluation.metrics import Predictions, score

from .simulated import binary, multiclass


def rows(count=120, seed=0, digits=2):
    truth, (predictions,) = binary(count, [1.0], seed)
    return truth, np.round(predictions.probabilities[:, 1], digits)


def test_roc_curve_is_that_of_scikit_learn():
    truth, scores = rows()
    found = roc_curve(truth, scores)
    false_rate, true_rate, thresholds = reference.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false_positive_rate, false_rate, atol=1e-15)
    np.testing.assert_allclose(found.true_positive_rate, true_rate, atol=1e-15)
    np.testing.assert_array_equal(found.thresholds[1:], thresholds[1:])
    assert found.thresholds[0] > scores.max()


def test_precision_recall_curve_is_that_of_scikit_learn():
    truth, scores = rows()
    found = precision_recall_curve(truth, scores)
    precision, recall, thresholds = reference.precision_recall_curve(truth, scores)
    np.testing.assert_allclose(found.precision, precision[-2::-1], atol=1e-15)
    np.testing.assert_allclose(found.recall, recall[-2::-1], atol=1e-15)
    np.testing.assert_array_equal(found.thresholds, thresholds[::-1])


@pytest.mark.parametrize("curve", [roc_curve, precision_recall_curve])
def test_long_curves_are_thinned_and_keep_their_ends_and_area(curve):
    truth, scores = rows(5000, digits=12)
    whole, thin = curve(truth, scores, points=10**6).as_dict(), curve(truth, scores).as_dict()
    json.dumps(thin, allow_nan=False)
    x, y = ("false_positive_rate", "true_positive_rate") if curve is roc_curve else ("recall", "precision")
    assert 100 < len(thin[x]) <= 200
    assert (thin[x][0], thin[x][-1], thin[y][-1]) == (whole[x][0], whole[x][-1], whole[y][-1])
    assert np.trapezoid(thin[y], thin[x]) == pytest.approx(np.trapezoid(whole[y], whole[x]), abs=0.003)


def test_a_curve_needs_both_classes():
    for curve in (roc_curve, precision_recall_curve):
        with pytest.raises(DataError, match="both classes"):
            curve(np.zeros(5), np.linspace(0, 1, 5))
    with pytest.raises(DataError, match="finite"):
        roc_curve(np.array([0, 1]), np.array([0.5, np.nan]))


def test_calibration_curve_is_that_of_scikit_learn():
    truth, scores = rows(500, digits=12)
    found = calibration_curve(truth, scores)
    observed, predicted = sklearn.calibration.calibration_curve(truth, scores, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(found.observed, observed, atol=1e-12)
    np.testing.assert_allclose(found.predicted, predicted, atol=1e-12)
    assert found.count == [50] * 10
    assert all(low < share < high for low, share, high in zip(found.low, found.observed, found.high, strict=True))


def test_equal_scores_share_a_bin():
    found = calibration_curve(np.array([0, 1, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5, 0.9]), bins=5)
    assert found.count == [4, 1]


def test_wilson_interval_is_that_of_scipy():
    from scipy.stats import binomtest

    for successes, trials in ((0, 7), (3, 7), (7, 7)):
        expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
        found = wilson_interval(np.array([successes / trials]), np.array([trials]))
        assert (found[0][0], found[1][0]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_calibration_error():
    probabilities = np.repeat([[0.8, 0.2], [0.3, 0.7]], 50, axis=0)
    honest = np.r_[np.repeat([1, 0], [10, 40]), np.repeat([1, 0], [35, 15])]
    assert expected_calibration_error(honest, probabilities) == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(1 - honest, probabilities) == pytest.approx(0.5)
    truth, predictions = multiclass(200, 3, seed=0)
    assert 0 < expected_calibration_error(truth, predictions.probabilities) < 1


def test_confusion_matrix_is_that_of_scikit_learn():
    truth, predictions = multiclass(200, 4, seed=0)
    expected = reference.confusion_matrix(truth, predictions.values, labels=range(5))
    np.testing.assert_array_equal(confusion_matrix(truth, predictions.values, 5), expected)


@pytest.mark.parametrize(
    ("metric", "decided_by"),
    [
        ("accuracy", "accuracy"),
        ("f1", "f1"),
        ("balanced_accuracy", "balanced_accuracy"),
        ("mcc", "mcc"),
        ("roc_auc", "balanced_accuracy"),
        ("average_precision", "f1"),
        ("precision", "f1"),
        ("recall", "f1"),
    ],
)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_other_threshold_does_better(metric, decided_by, seed):
    truth, scores = rows(40, seed)

    def achieved(threshold):
        return score(decided_by, truth, Predictions((scores >= threshold).astype(int)))

    found = threshold_for(metric, truth, scores)
    assert achieved(found) == pytest.approx(max(achieved(t) for t in [*np.unique(scores), 2.0]), abs=1e-12)
    assert np.abs(scores - found).min() > 1e-4 or found == 0  # midway: never on a score


def test_thresholds_that_are_given():
    truth, scores = rows()
    assert threshold_for("log_loss", truth, scores) == 0.5
    assert threshold_for("accuracy", np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.9, 0.95])) == pytest.approx(0.55)
    # Nothing but noise, and few positive rows: best is to call none positive.
    assert threshold_for("accuracy", np.array([1, 0, 0, 0]), np.array([0.1, 0.2, 0.3, 0.4])) == pytest.approx(0.7)
    with pytest.raises(DataError, match="regression"):
        threshold_for("rmse", truth, scores)

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.errors import DataError
from mainspring.evaluation.metrics import (
    CLASSIFICATION_METRICS,
    METRICS,
    REGRESSION_METRICS,
    Predictions,
    score,
)

from .simulated import binary, multiclass, regression

TIGHT = {"rel": 1e-12, "abs": 1e-12}


def by_scikit_learn(name, truth, predictions, weights):
    """The same metric by `sklearn.metrics`."""
    values, probabilities = predictions.values, predictions.probabilities
    many = probabilities is not None and probabilities.shape[1] > 2
    average = "macro" if many else "binary"
    scores = None if probabilities is None else probabilities if many else probabilities[:, 1]
    calls = {
        "roc_auc": lambda: reference.roc_auc_score(truth, scores, multi_class="ovr", sample_weight=weights),
        "average_precision": lambda: reference.average_precision_score(truth, scores, sample_weight=weights),
        "log_loss": lambda: reference.log_loss(truth, probabilities, sample_weight=weights),
        "brier": lambda: reference.brier_score_loss(truth, scores, sample_weight=weights),
        "accuracy": lambda: reference.accuracy_score(truth, values, sample_weight=weights),
        "balanced_accuracy": lambda: reference.balanced_accuracy_score(truth, values, sample_weight=weights),
        "f1": lambda: reference.f1_score(truth, values, average=average, sample_weight=weights, zero_division=0),
        "precision": lambda: reference.precision_score(
            truth, values, average=average, sample_weight=weights, zero_division=0
        ),
        "recall": lambda: reference.recall_score(
            truth, values, average=average, sample_weight=weights, zero_division=0
        ),
        "mcc": lambda: reference.matthews_corrcoef(truth, values, sample_weight=weights),
        "rmse": lambda: reference.root_mean_squared_error(truth, values, sample_weight=weights),
        "mae": lambda: reference.mean_absolute_error(truth, values, sample_weight=weights),
        "r2": lambda: reference.r2_score(truth, values, sample_weight=weights),
        "mape": lambda: reference.mean_absolute_percentage_error(truth, values, sample_weight=weights),
    }
    return calls[name]()


def rows_for(name, case):
    if name in REGRESSION_METRICS:
        truth, (predictions,) = regression(300, [0.7], seed=1)
        return truth + (1e4 if case == "many" else 0), Predictions(predictions.values + (1e4 if case == "many" else 0))
    if case == "many":
        return multiclass(300, 4, seed=1)
    truth, (predictions,) = binary(300, [1.0], seed=1)
    tied = np.round(predictions.probabilities, 1)
    return truth, Predictions(predictions.values, tied)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", ["two", "many"])
@pytest.mark.parametrize("name", METRICS)
def test_agrees_with_scikit_learn(name, case, weighted):
    truth, predictions = rows_for(name, case)
    weights = np.random.default_rng(2).random(len(truth)) if weighted else None
    assert score(name, truth, predictions, weights) == pytest.approx(
        by_scikit_learn(name, truth, predictions, weights), **TIGHT
    )


@pytest.mark.parametrize("name", ["f1", "precision", "recall", "mcc", "accuracy"])
def test_agrees_with_scikit_learn_when_nothing_is_called_positive(name):
    truth = np.array([0, 1, 0, 1])
    predictions = Predictions(np.zeros(4, dtype=np.int64))
    assert score(name, truth, predictions) == by_scikit_learn(name, truth, predictions, None)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), case=st.sampled_from(["two", "many"]), name=st.sampled_from(list(METRICS)))
def test_a_weight_is_a_number_of_copies(seed, case, name):
    truth, predictions = rows_for(name, case)
    weights = np.random.default_rng(seed).integers(0, 4, len(truth))
    copies = np.repeat(np.arange(len(truth)), weights)
    probabilities = predictions.probabilities
    copied = Predictions(predictions.values[copies], None if probabilities is None else probabilities[copies])
    assert score(name, truth, predictions, weights) == pytest.approx(score(name, truth[copies], copied), **TIGHT)


def test_the_names_are_pinned():
    assert CLASSIFICATION_METRICS == (
        "roc_auc", "average_precision", "log_loss", "brier", "accuracy", "balanced_accuracy", "f1", "precision",
        "recall", "mcc",
    )  # fmt: skip
    assert REGRESSION_METRICS == ("rmse", "mae", "r2", "mape")
    assert {name for name, metric in METRICS.items() if not metric.greater_is_better} == {
        "log_loss", "brier", "rmse", "mae", "mape",
    }  # fmt: skip


CODES = np.array([0, 1, 1])
GOOD = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])


@pytest.mark.parametrize(
    ("name", "truth", "predictions", "message"),
    [
        ("accuracy", [], Predictions(np.array([])), "at least one row"),
        ("rmse", [], Predictions(np.array([])), "at least one row"),
        ("roc_auc", [1, 1, 1], Predictions(CODES, GOOD), "true class is 1"),
        ("average_precision", [0, 0, 0], Predictions(CODES, GOOD), "true class is 0"),
        ("r2", [2.0, 2.0, 2.0], Predictions(np.array([1.0, 2.0, 3.0])), "does not vary"),
        ("r2", [0.1, 0.1, 0.1], Predictions(np.array([1.0, 2.0, 3.0])), "does not vary"),
        ("rmse", [1.0, np.nan], Predictions(np.array([1.0, 2.0])), "finite, row 1"),
        ("rmse", [1.0, 2.0], Predictions(np.array([np.inf, 2.0])), "finite, row 0"),
        ("accuracy", [0, 1], Predictions(CODES), "2 true values but 3"),
        ("accuracy", [0, 1, -1], Predictions(CODES), "0..1, found -1"),
        ("accuracy", [0, 1, 0.5], Predictions(CODES), "whole class codes, row 2"),
        ("accuracy", ["a", "b", "c"], Predictions(CODES), "must be numbers"),
        ("log_loss", [0, 1, 1], Predictions(CODES), "needs the probability"),
        ("log_loss", [0, 1, 2], Predictions(CODES, GOOD), "0..1, found 0..2"),
        ("log_loss", [0, 1, 1], Predictions(CODES, GOOD * np.nan), "row 0"),
        ("log_loss", [0, 1, 1], Predictions(CODES, GOOD * 0.5), "add up to 1"),
        ("log_loss", [0, 1, 1], Predictions(CODES, GOOD[:, :1]), "two or more classes"),
        ("roc", [0, 1, 1], Predictions(CODES, GOOD), "the metrics are roc_auc"),
    ],
)
def test_refuses_what_has_no_value(name, truth, predictions, message):
    with pytest.raises(DataError, match=message):
        score(name, np.array(truth), predictions)


@pytest.mark.parametrize("weights", [[1, 1], [1, -1, 1], [1, np.nan, 1]])
def test_refuses_bad_weights(weights):
    with pytest.raises(DataError, match="weights"):
        score("accuracy", CODES, Predictions(CODES), np.array(weights))


def test_no_weight_at_all_has_no_value():
    with pytest.raises(DataError, match="not defined"):
        score("accuracy", CODES, Predictions(CODES), np.zeros(3))

import json

import numpy as np
import pytest
from scipy import stats

from mainspring.errors import DataError
from mainspring.evaluation import resampling
from mainspring.evaluation.intervals import clopper_pearson, estimate, estimates
from mainspring.evaluation.metrics import CLASSIFICATION_METRICS, METRICS, REGRESSION_METRICS, Predictions, score

from .simulated import binary, in_clusters, multiclass, regression


def test_accuracy_precision_and_recall_are_exact():
    truth, (predictions,) = binary(80, [1.0], seed=0)
    called, both = predictions.values.sum(), (predictions.values * truth).sum()
    for name, successes, trials in (
        ("accuracy", (truth == predictions.values).sum(), 80),
        ("precision", both, called),
        ("recall", both, truth.sum()),
    ):
        found = estimate(name, truth, predictions)
        expected = stats.binomtest(int(successes), int(trials)).proportion_ci(0.95, method="exact")
        assert found.method == "Clopper–Pearson"
        assert found.value == successes / trials
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (0, 5), (5, 5)])
def test_clopper_pearson_at_the_ends(successes, trials):
    low, high = clopper_pearson(successes, trials, 0.95)
    assert low == (0 if successes == 0 else pytest.approx(0.025 ** (1 / trials)))
    assert high == (1 if successes == trials else pytest.approx(1 - 0.025 ** (1 / trials)))


def test_area_has_the_variance_of_delong():
    """Against the definition: placement values by comparing every pair of a positive and a negative row."""
    truth, (predictions,) = binary(60, [1.0], seed=1)
    scores = np.round(predictions.probabilities[:, 1], 1)
    predictions = Predictions(predictions.values, np.column_stack([1 - scores, scores]))
    positive, negative = scores[truth == 1], scores[truth == 0]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    area = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / len(positive) + wins.mean(axis=0).var(ddof=1) / len(negative)
    reach = 1.959963984540054 * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    found = estimate("roc_auc", truth, predictions)
    assert found.method == "DeLong (logit)"
    assert found.value == pytest.approx(area, abs=1e-12)
    assert found.low == pytest.approx(1 / (1 + np.exp(reach - logit)), abs=1e-12)
    assert found.high == pytest.approx(1 / (1 + np.exp(-reach - logit)), abs=1e-12)


def test_a_perfect_area_is_not_believed_to_be_certain():
    scores = np.array([0.1, 0.2, 0.3, 0.7, 0.8])
    predictions = Predictions((scores > 0.5).astype(int), np.column_stack([1 - scores, scores]))
    found = estimate("roc_auc", np.array([0, 0, 0, 1, 1]), predictions)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(np.sqrt(0.025))  # two pairs that share no row
    turned = estimate("roc_auc", np.array([1, 1, 1, 0, 0]), predictions)
    assert (turned.value, turned.low, turned.high) == (0.0, 0.0, pytest.approx(1 - np.sqrt(0.025)))


def test_one_positive_row_says_next_to_nothing():
    scores = np.array([0.1, 0.9, 0.3, 0.7])
    predictions = Predictions((scores > 0.5).astype(int), np.column_stack([1 - scores, scores]))
    found = estimate("roc_auc", np.array([0, 0, 0, 1]), predictions)
    assert (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("case", ["binary", "multiclass", "regression"])
def test_every_metric_has_an_interval_ready_for_json(case, clustered):
    names = REGRESSION_METRICS if case == "regression" else CLASSIFICATION_METRICS
    if case == "multiclass":
        truth, predictions = multiclass(90, 3, seed=0)
    else:
        truth, (predictions,) = (binary if case == "binary" else regression)(90, [0.8], seed=0)
    clusters = np.arange(90) % 15 if clustered else None
    found = estimates(names, truth, predictions, clusters=clusters, resamples=300)
    assert list(found) == list(names)
    for name, each in found.items():
        assert each.value == score(name, truth, predictions)
        assert each.low < each.value < each.high
        assert ("cluster" in each.method) == clustered
        assert set(json.loads(json.dumps(each.as_dict(), allow_nan=False))) == {"value", "low", "high", "method"}


def test_the_same_seed_gives_the_same_interval_and_another_metric_changes_nothing():
    truth, (predictions,) = binary(100, [1.0], seed=0)
    alone = estimate("f1", truth, predictions, resamples=200)
    assert estimates(["brier", "f1"], truth, predictions, resamples=200)["f1"] == alone
    assert estimate("f1", truth, predictions, resamples=200, seed=1) != alone


def test_fewer_resamples_are_owned_up_to(monkeypatch):
    monkeypatch.setattr(resampling, "CELLS_IN_ALL", 100_000)
    truth, (predictions,) = regression(150, [1.0], seed=0)
    assert estimate("mae", truth, predictions).method == "bootstrap (BCa, 666 resamples)"


def test_refuses_what_has_no_interval():
    truth, (predictions,) = regression(2, [1.0], seed=0)
    with pytest.raises(DataError, match="most resamples"):
        estimate("r2", truth, predictions)
    with pytest.raises(DataError, match="most resamples"):
        estimate("mae", truth, predictions, clusters=np.zeros(2))
    with pytest.raises(DataError, match="confidence"):
        estimate("mae", truth, predictions, confidence=95)
    with pytest.raises(DataError, match="not defined"):
        estimate("r2", np.ones(3), Predictions(np.ones(3)))


# The truth of each simulated metric, from two million rows.
def coverage(name, true_value, draw, confidence, simulations=250):
    inside = 0
    for seed in range(simulations):
        truth, predictions, clusters = draw(seed)
        found = estimate(name, truth, predictions, clusters=clusters, confidence=confidence, resamples=300, seed=seed)
        inside += found.low <= true_value <= found.high
    return inside / simulations


def _binary(seed):
    truth, (predictions,) = binary(100, [1.0], seed)
    return truth, predictions, None


def _clustered(seed):
    truth, (predictions, _), clusters = in_clusters(12, 8, seed)
    return truth, predictions, clusters


@pytest.fixture(scope="module")
def population():
    truth, (predictions,) = binary(400_000, [1.0], seed=99)
    return truth, predictions


@pytest.mark.parametrize("name", ["roc_auc", "f1", "log_loss", "average_precision"])
def test_intervals_cover_the_true_value(name, population):
    true_value = score(name, *population)
    assert 0.90 <= coverage(name, true_value, _binary, 0.95) <= 0.99


def test_cluster_intervals_cover_the_true_value_and_those_that_ignore_the_clusters_do_not():
    true_value = np.sqrt(1 + 0.25)
    assert 0.88 <= coverage("rmse", true_value, _clustered, 0.95) <= 0.99
    assert coverage("rmse", true_value, lambda seed: (*_clustered(seed)[:2], None), 0.95) < 0.85


def test_the_coverage_check_can_fail(population):
    assert coverage("f1", score("f1", *population), _binary, 0.6) < 0.80


def test_every_metric_is_one_of_two_kinds():
    assert set(METRICS) == {*CLASSIFICATION_METRICS, *REGRESSION_METRICS}

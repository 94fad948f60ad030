import numpy as np
import pytest
from scipy import stats

from mainspring.errors import DataError
from mainspring.evaluation import resampling
from mainspring.evaluation.metrics import METRICS, REGRESSION_METRICS, Predictions, score
from mainspring.evaluation.resampling import (
    DifferenceStatistic,
    bca_interval,
    cluster_codes,
    degrees_of_freedom,
    resample_weights,
    resamples_for,
    standard_error,
    standard_errors,
    statistic,
)

from .simulated import binary, multiclass, regression


def rows_for(name):
    if name in REGRESSION_METRICS:
        truth, (predictions,) = regression(60, [0.7], seed=3)
        return truth, predictions
    return multiclass(60, 3, seed=3)


def subset(predictions, rows):
    probabilities = predictions.probabilities
    return Predictions(predictions.values[rows], None if probabilities is None else probabilities[rows])


@pytest.mark.parametrize("name", METRICS)
def test_a_cluster_weighs_as_its_rows_do(name):
    truth, predictions = rows_for(name)
    clusters = np.arange(60) % 7
    weights = np.random.default_rng(0).integers(1, 4, (4, 7)).astype(float)
    found = statistic(METRICS[name], truth, predictions, clusters).values(weights)
    expected = [score(name, truth, predictions, row[clusters]) for row in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("name", METRICS)
def test_influence_is_the_derivative_by_each_weight(name, clustered):
    truth, predictions = rows_for(name)
    units = 7 if clustered else 60
    each = statistic(METRICS[name], truth, predictions, np.arange(60) % 7 if clustered else None)
    weights = np.random.default_rng(0).uniform(0.5, 2, units)
    nudges = 1e-5 * np.eye(units)
    numeric = (each.values(weights + nudges) - each.values(weights - nudges)) / 2e-5
    np.testing.assert_allclose(each.influence(weights[None])[0], numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", METRICS)
def test_leaving_a_cluster_out_is_leaving_its_rows_out(name):
    truth, predictions = rows_for(name)
    clusters = np.arange(60) % 7
    found = statistic(METRICS[name], truth, predictions, clusters).leave_one_out()
    expected = [score(name, truth[clusters != c], subset(predictions, clusters != c)) for c in range(7)]
    # Exact for sums; to first order for rankings.
    np.testing.assert_allclose(found, expected, atol=1e-12 if hasattr(METRICS[name], "combine") else 0.02)


def test_standard_errors_are_those_of_a_mean():
    truth, (predictions,) = regression(50, [1.0], seed=0)
    mae = statistic(METRICS["mae"], truth, predictions)
    expected = stats.sem(np.abs(truth - predictions.values))
    assert standard_error(mae.leave_one_out()) == pytest.approx(expected, rel=1e-12)
    every = np.ones((1, 50))
    assert standard_errors(mae.influence(every), every)[0] == pytest.approx(expected, rel=1e-7)


def test_heavy_tails_leave_fewer_degrees_of_freedom():
    random = np.random.default_rng(0)
    assert degrees_of_freedom(random.normal(size=100_000)) == pytest.approx(100_000, rel=0.03)
    assert degrees_of_freedom(random.laplace(size=100_000)) == pytest.approx(2 * 100_000 / 5, rel=0.1)
    assert degrees_of_freedom(np.array([-1.0, 1.0] * 5)) == 9  # never more than the units allow
    assert degrees_of_freedom(np.r_[np.zeros(99), 1.0]) == pytest.approx(2.06, abs=0.01)
    assert degrees_of_freedom(np.ones(4)) == 3


def test_one_unit_has_no_standard_error():
    assert standard_error(np.array([0.3])) == np.inf
    assert standard_error(np.array([0.3, np.nan])) == np.inf


def test_weights_are_draws_with_replacement_whatever_the_chunks(monkeypatch):
    drawn = np.concatenate(list(resample_weights(50, 400, seed=1, size=50)))
    assert drawn.shape == (400, 50)
    assert (drawn.sum(axis=1) == 50).all()
    assert drawn.var() == pytest.approx(1 - 1 / 50, abs=0.03)
    monkeypatch.setattr(resampling, "CELLS_PER_CHUNK", 333)
    chunks = list(resample_weights(50, 400, seed=1, size=50))
    assert max(map(len, chunks)) == 6
    np.testing.assert_array_equal(np.concatenate(chunks), drawn)


def test_many_rows_get_fewer_resamples_but_never_too_few():
    assert resamples_for(1_000, 2000) == 2000
    assert resamples_for(70_000, 2000) == 1000
    assert resamples_for(10_000_000, 2000) == 500
    assert resamples_for(10_000_000, 100) == 100


def test_bca_agrees_with_scipy():
    truth, (predictions,) = regression(400, [1.0], seed=5)
    errors = (truth - predictions.values) ** 2
    mean = statistic(METRICS["rmse"], truth, predictions)
    resampled = np.concatenate([mean.values(weights) for weights in resample_weights(400, 9999, 0, 400)])
    ours = bca_interval(score("rmse", truth, predictions), mean.leave_one_out(), resampled, 0.95)
    theirs = stats.bootstrap(
        (errors,), lambda x, axis: np.sqrt(x.mean(axis=axis)), n_resamples=9999, method="BCa", rng=1, vectorized=True
    ).confidence_interval
    width = theirs.high - theirs.low
    np.testing.assert_allclose(ours, theirs, atol=0.03 * width)
    plain = np.quantile(resampled, [0.025, 0.975]) + 0.1 * width
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(plain, theirs, atol=0.03 * width)


def test_a_difference_is_oriented():
    truth, (good, bad) = binary(100, [0.1, 3.0], seed=0)
    every = np.ones((1, 100))
    for name in ("log_loss", "roc_auc"):
        metric = METRICS[name]
        paired = DifferenceStatistic(statistic(metric, truth, good), statistic(metric, truth, bad), sign=metric.sign)
        assert paired.values(every)[0] > 0
        assert paired.size == 200


def test_clusters_are_renumbered_and_checked():
    np.testing.assert_array_equal(cluster_codes(np.array([7, 3, 7]), 3), [1, 0, 1])
    assert cluster_codes(None, 3) is None
    with pytest.raises(DataError, match="each of the 4 rows"):
        cluster_codes(np.array([7, 3, 7]), 4)

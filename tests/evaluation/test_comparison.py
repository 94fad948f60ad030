import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mainspring.errors import DataError
from mainspring.evaluation.comparison import compare
from mainspring.evaluation.metrics import CLASSIFICATION_METRICS, METRICS, REGRESSION_METRICS, Predictions, score

from .simulated import binary, in_clusters, multiclass, regression


def pair_for(name, rows, seed, noises=(1.0, 1.0)):
    simulate = regression if name in REGRESSION_METRICS else binary
    truth, (champion, challenger) = simulate(rows, list(noises), seed)
    return truth, champion, challenger


def test_delong_agrees_with_its_definition():
    """Placement values by comparing every pair of a positive and a negative row; with ties."""
    truth, champion, challenger = pair_for("roc_auc", 80, seed=1, noises=(1.5, 0.8))
    rounded = [np.round(model.probabilities[:, 1], 1) for model in (champion, challenger)]
    models = [Predictions((s >= 0.5).astype(int), np.column_stack([1 - s, s])) for s in rounded]
    wins = [(s[truth == 1][:, None] > s[truth == 0]) + 0.5 * (s[truth == 1][:, None] == s[truth == 0]) for s in rounded]
    gain = wins[1] - wins[0]
    positives, negatives = gain.shape
    error = np.sqrt(gain.mean(axis=1).var(ddof=1) / positives + gain.mean(axis=0).var(ddof=1) / negatives)

    found = compare("roc_auc", truth, champion=models[0], challenger=models[1])
    assert found.test == "DeLong"
    assert found.difference == pytest.approx(gain.mean(), abs=1e-12)
    freedom = min(positives, negatives) - 1
    assert found.p_better == pytest.approx(stats.t.sf(gain.mean() / error, freedom), abs=1e-12)
    assert found.p_better + found.p_not_better == pytest.approx(1)
    assert found.low == pytest.approx(gain.mean() - stats.t.ppf(0.95, freedom) * error, abs=1e-12)


def right_and_wrong(both, champion_only, challenger_only, neither):
    right = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [both, champion_only, challenger_only, neither], axis=0)
    return np.ones(len(right), dtype=int), Predictions(right[:, 0]), Predictions(right[:, 1])


def test_mcnemar_is_the_binomial_test():
    # The 2 × 2 table of Agresti, Categorical Data Analysis, 10.1 (approval ratings): 150 against 86.
    truth, champion, challenger = right_and_wrong(794, 86, 150, 570)
    found = compare("accuracy", truth, champion=champion, challenger=challenger)
    assert found.test == "McNemar (exact)"
    assert found.difference == pytest.approx(0.04)
    assert found.p_better == pytest.approx(stats.binomtest(150, 236, alternative="greater").pvalue, rel=1e-9)
    assert found.p_not_better == pytest.approx(stats.binomtest(150, 236, alternative="less").pvalue, rel=1e-9)
    # Agresti's 95 % Wald interval of the same table is 0.022 to 0.058; ours here has 95 % as well.
    two_sided = compare("accuracy", truth, champion=champion, challenger=challenger, significance=0.025)
    assert (two_sided.low, two_sided.high) == pytest.approx((0.022, 0.058), abs=2e-3)


def test_mcnemar_and_its_interval_agree_in_every_small_table():
    for split in range(1, 31):
        for gained in range(split + 1):
            found = compare_table(right_and_wrong(5, split - gained, gained, 30 - split))
            assert (found.p_better <= 0.05) == (found.low > 0), (split, gained)
            assert (found.p_not_better <= 0.05) == (found.high < 0), (split, gained)
            assert found.low <= found.difference <= found.high


def compare_table(table):
    truth, champion, challenger = table
    return compare("accuracy", truth, champion=champion, challenger=challenger)


def test_the_test_fits_the_question():
    truth, champion, challenger = pair_for("accuracy", 60, seed=0)
    clusters = np.arange(60) % 10

    def test_of(name, **options):
        return compare(name, truth, champion=champion, challenger=challenger, resamples=200, **options).test

    assert test_of("accuracy") == "McNemar (exact)"
    assert test_of("roc_auc", margin=0.01) == "DeLong"
    assert test_of("accuracy", margin=0.01) == "paired bootstrap (studentised)"
    assert test_of("log_loss") == "paired bootstrap (studentised)"
    for name in ("accuracy", "roc_auc", "f1"):
        assert test_of(name, clusters=clusters) == "paired cluster bootstrap (studentised)"


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("name", METRICS)
def test_is_oriented_ready_for_json_and_mirrored_when_the_models_change_places(name, clustered):
    truth, champion, challenger = pair_for(name, 90, seed=3, noises=(2.0, 0.7))
    clusters = np.arange(90) % 15 if clustered else None
    found = compare(name, truth, champion=champion, challenger=challenger, clusters=clusters, resamples=300)
    assert found.challenger == score(name, truth, challenger)
    assert found.difference == METRICS[name].sign * (found.challenger - found.champion)
    assert found.difference > 0
    assert found.low < found.difference < found.high
    assert found.clusters == (15 if clustered else None)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["confidence"] == pytest.approx(0.9)

    turned = compare(name, truth, champion=challenger, challenger=champion, clusters=clusters, resamples=300)
    assert turned.difference == -found.difference
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-7)
    assert turned.p_better == pytest.approx(found.p_not_better, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    name=st.sampled_from(["log_loss", "f1", "rmse", "r2", "roc_auc", "average_precision"]),
    margin=st.floats(-0.2, 0.2),
    significance=st.sampled_from([0.01, 0.05, 0.2]),
    clustered=st.booleans(),
)
def test_p_values_agree_with_the_interval(seed, name, margin, significance, clustered):
    truth, champion, challenger = pair_for(name, 60, seed, noises=(1.0, 0.8))
    found = compare(
        name,
        truth,
        champion=champion,
        challenger=challenger,
        clusters=np.arange(60) % 12 if clustered else None,
        margin=margin,
        significance=significance,
        resamples=399,
        seed=seed,
    )
    assert (found.p_better <= significance) == (found.low > margin)
    assert (found.p_not_better <= significance) == (found.high < margin)
    assert 0 < found.p_better <= 1
    assert 0 < found.p_not_better <= 1


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("name", METRICS)
def test_identical_predictions_are_never_significant(name, clustered):
    truth, champion, _ = pair_for(name, 60, seed=0)
    clusters = np.arange(60) % 12 if clustered else None
    for margin in (0.0, 0.01, -0.01):
        found = compare(name, truth, champion=champion, challenger=champion, clusters=clusters, margin=margin)
        assert found.difference == 0
        assert min(found.p_better, found.p_not_better) > 0.05


def test_a_gain_that_is_the_same_on_every_row_is_a_run_of_coins():
    truth = np.arange(12.0)
    found = compare("mae", truth, champion=Predictions(truth + 2), challenger=Predictions(truth + 1))
    assert (found.difference, found.low, found.high) == (1, 1, 1)
    assert (found.p_better, found.p_not_better) == (0.5**12, 1.0)
    short = compare("mae", truth[:3], champion=Predictions(truth[:3] + 2), challenger=Predictions(truth[:3] + 1))
    assert short.p_better > 0.05


def test_several_classes():
    truth, champion = multiclass(120, 4, seed=0)
    sharper = champion.probabilities + 0.3 * np.eye(4)[truth]
    sharper /= sharper.sum(axis=1, keepdims=True)
    for name in CLASSIFICATION_METRICS:
        found = compare(
            name, truth, champion=champion, challenger=Predictions(sharper.argmax(axis=1), sharper), resamples=300
        )
        assert found.p_better <= 0.05


def test_refuses_what_cannot_be_compared():
    truth, champion, challenger = pair_for("roc_auc", 60, seed=0)
    with pytest.raises(DataError, match="significance"):
        compare("roc_auc", truth, champion=champion, challenger=challenger, significance=0.95)
    with pytest.raises(DataError, match="at least two clusters"):
        compare("f1", truth, champion=champion, challenger=challenger, clusters=np.zeros(60, dtype=int))
    with pytest.raises(DataError, match="one code for each"):
        compare("f1", truth, champion=champion, challenger=challenger, clusters=np.zeros(59, dtype=int))
    with pytest.raises(DataError, match="59 predictions"):
        compare("f1", truth, champion=champion, challenger=Predictions(challenger.values[1:]))
    third = Predictions(challenger.values, np.column_stack([challenger.probabilities, np.zeros(60)]))
    with pytest.raises(DataError, match="the same classes"):
        compare("log_loss", truth, champion=champion, challenger=third)


def promoted(name, rows, noises, simulations):
    """How often the challenger is called better."""
    p_values = []
    for seed in range(simulations):
        truth, champion, challenger = pair_for(name, rows, seed, noises)
        found = compare(name, truth, champion=champion, challenger=challenger, resamples=300, seed=seed)
        p_values.append(found.p_better)
    return np.mean(np.array(p_values) <= 0.05)


# 0.05 and three standard errors of 400 simulations.
HIGHEST_RATE = 0.083


@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "log_loss", "f1", "rmse"])
def test_equal_models_are_seldom_called_better_and_better_ones_often_are(name):
    assert promoted(name, 60, (1.0, 1.0), 400) <= HIGHEST_RATE
    assert promoted(name, 300, (4.0, 0.1), 40) >= 0.9  # the check above can fail


def test_clusters_are_not_taken_for_rows():
    def rate(simulations, ignored):
        p_values = []
        for seed in range(simulations):
            truth, (champion, challenger), clusters = in_clusters(8, 10, seed)
            found = compare(
                "rmse",
                truth,
                champion=champion,
                challenger=challenger,
                clusters=None if ignored else clusters,
                resamples=300,
                seed=seed,
            )
            p_values.append(found.p_better)
        return np.mean(np.array(p_values) <= 0.05)

    assert rate(400, ignored=False) <= HIGHEST_RATE
    assert rate(200, ignored=True) > 0.15

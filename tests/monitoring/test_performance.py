import msgspec
import numpy as np
import pytest

from mainspring.evaluation.intervals import estimate
from mainspring.evaluation.metrics import CLASSIFICATION_METRICS, Predictions, score
from mainspring.monitoring.performance import (
    Measured,
    Skill,
    as_predictions,
    estimated_finding,
    expect,
    measure,
    measured_finding,
    skill_of,
)
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Schema, Target

BINARY = Schema((), Target("late", (False, True)))
THREE = Schema((), Target("kind", ("a", "b", "c")))


def draw(n, seed, classes=2, shift=0.0, overconfident=1.0):
    """Outputs, and truth drawn from the true chances; overconfident outputs say more than these."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(n, classes)) * 1.2 + shift * np.arange(classes)

    def chances(scores):
        each = np.exp(scores)
        return each / each.sum(axis=1, keepdims=True)

    true = chances(scores)
    truth = (random.random(n)[:, None] > np.cumsum(true, axis=1)).sum(axis=1)
    said = chances(scores * overconfident)
    texts = np.array(["false", "true"] if classes == 2 else ["a", "b", "c"], dtype=object)
    return Outputs(labels=texts[said.argmax(axis=1)], probabilities=said), np.minimum(truth, classes - 1)


def skill(metric, classes=2, **changes):
    outputs, truth = draw(6000, 0, classes, **changes)
    found = skill_of(BINARY if classes == 2 else THREE, metric, outputs, truth, truth)
    assert found is not None
    return found


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy"])
def test_the_standard_error_is_that_of_the_interval(metric):
    outputs, truth = draw(2000, 1)
    predictions = as_predictions(outputs, BINARY)
    found, known = measure(metric, truth, predictions), estimate(metric, truth, predictions)
    assert found.value == known.value
    assert 2 * 1.96 * found.error == pytest.approx(known.high - known.low, rel=0.05)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("metric", CLASSIFICATION_METRICS)
@pytest.mark.parametrize("overconfident", [1.0, 2.5])
def test_the_estimate_without_labels_is_what_labels_then_show(metric, classes, overconfident):
    """On inputs that moved, and from probabilities that are not calibrated."""
    before = skill(metric, classes, overconfident=overconfident)
    outputs, truth = draw(6000, 1, classes, shift=0.5, overconfident=overconfident)
    predictions = as_predictions(outputs, BINARY if classes == 2 else THREE)
    estimated, measured = expect(metric, predictions, before.calibration), measure(metric, truth, predictions)
    tolerance = 4 * np.hypot(measured.error, before.measured.error)
    assert estimated.value == pytest.approx(measured.value, abs=tolerance)
    assert before.estimated.value == pytest.approx(before.measured.value, abs=3 * before.measured.error)


def test_uncalibrated_confidence_would_mislead():
    before = skill("log_loss", overconfident=2.5)
    outputs, truth = draw(6000, 1, overconfident=2.5)
    confident = outputs.probabilities.max(axis=1)
    assert -np.mean(np.log(confident) * confident + np.log(1 - confident) * (1 - confident)) < 0.7 * score(
        "log_loss", truth, as_predictions(outputs, BINARY)
    )
    now = expect("log_loss", as_predictions(outputs, BINARY), before.calibration)
    assert now.value == pytest.approx(score("log_loss", truth, as_predictions(outputs, BINARY)), rel=0.1)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "mcc"])
def test_worse_is_found_and_better_is_not(metric):
    before = skill(metric)
    outputs, truth = draw(2000, 1)
    predictions = as_predictions(outputs, BINARY)
    same = measured_finding(before, truth, predictions)
    assert same.p_value > 0.001
    spoilt = np.where(np.arange(2000) % 4 == 0, 1 - truth, truth)  # the meaning of a quarter of the rows has changed
    worse = measured_finding(before, spoilt, predictions)
    assert worse.p_value < 1e-6
    lost = abs(score(metric, spoilt, predictions) - before.measured.value)
    assert worse.effect == pytest.approx(lost / abs(before.measured.value - before.trivial))
    better = measured_finding(before, (outputs.labels == "true").astype(int), predictions)
    assert better.effect == 0
    assert better.p_value > 0.999
    assert (worse.subject, worse.name, worse.rows, worse.matters) == ("performance", metric, 2000, 1.0)
    assert worse.detail["low"] < worse.detail["value"] < worse.detail["high"]


def test_less_certain_rows_are_estimated_to_be_worse():
    before = skill("accuracy")
    outputs, _ = draw(4000, 1)
    near = np.abs(outputs.probabilities[:, 1] - 0.5) < 0.2
    predictions = as_predictions(outputs, BINARY)
    unsure = Predictions(predictions.values[near], predictions.probabilities[near])
    finding = estimated_finding(before, unsure)
    assert finding.subject == "estimated"
    assert finding.effect > 0.3
    assert finding.p_value < 1e-6
    same = estimated_finding(before, predictions)
    assert same.effect < 0.1
    assert same.p_value > 0.001


def test_the_meaning_of_the_inputs_cannot_be_estimated():
    """What the docstring warns of: concept drift is not seen without labels."""
    before = skill("accuracy")
    outputs, _ = draw(2000, 1)  # whatever the labels will be
    assert estimated_finding(before, as_predictions(outputs, BINARY)).p_value > 0.001


def test_without_skill_there_is_none_to_lose_a_share_of():
    truth = np.arange(400) % 2
    predictions = Predictions(truth, np.column_stack([1 - truth, truth]).astype(np.float64))
    none = Skill("accuracy", Measured(0.5, 0.025), 0.5)
    assert measured_finding(none, truth, Predictions(1 - truth, predictions.probabilities)).effect == pytest.approx(20)
    assert measured_finding(none, truth, predictions).effect == 0
    assert estimated_finding(none, predictions) is None


def test_perfect_and_still_perfect_is_no_news():
    perfect = Skill("accuracy", Measured(1.0, 0.0), 0.5)
    truth = np.arange(400) % 2
    assert measured_finding(perfect, truth, Predictions(truth)).p_value >= 0.5
    assert measured_finding(perfect, truth, Predictions(np.where(np.arange(400) < 80, 1 - truth, truth))).p_value < 1e-9


def test_one_class_has_no_area():
    outputs, truth = draw(300, 1)
    assert measured_finding(skill("roc_auc"), np.zeros(300), as_predictions(outputs, BINARY)) is None
    assert skill_of(BINARY, "roc_auc", outputs, np.zeros(300, np.int64), truth) is None


def test_a_regression_is_measured_and_not_estimated():
    random = np.random.default_rng(0)
    truth = random.normal(size=2000)
    schema = Schema((), Target("y"))
    found = skill_of(schema, "rmse", Outputs(values=truth + random.normal(size=2000) / 2), truth, truth)
    assert found.estimated is None
    assert found.trivial == pytest.approx(1, abs=0.05)
    worse = measured_finding(found, truth, Predictions(truth + random.normal(size=2000) * 0.6))
    assert worse.effect == pytest.approx(0.2, abs=0.05)
    assert worse.p_value < 1e-6


def test_many_rows_are_estimated_by_some():
    found = skill("roc_auc")
    outputs, _ = draw(450_000, 1)
    predictions = as_predictions(outputs, BINARY)
    some = expect("roc_auc", predictions, found.calibration)
    every_third = Predictions(predictions.values[::3], predictions.probabilities[::3])
    assert some == expect("roc_auc", every_third, found.calibration)


def test_skill_is_json():
    found = skill("roc_auc", 3)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Skill) == found

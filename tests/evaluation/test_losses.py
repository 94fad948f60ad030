import numpy as np
import pytest

from mainspring.errors import DataError
from mainspring.evaluation.losses import losses
from mainspring.evaluation.metrics import CLASSIFICATION_METRICS, METRICS, REGRESSION_METRICS, Predictions, score
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Schema, Target

CLASSES = Schema((), Target("kind", ("no", "yes")))
NUMBERS = Schema((), Target("size"))
TRUTH = np.array([0.0, 1.0, 1.0, np.nan, 0.0])
POSITIVE = np.array([0.2, 0.9, 0.4, 0.5, 0.6])
CLASSIFIED = Outputs(
    labels=np.where(POSITIVE >= 0.5, "yes", "no").astype(object),
    probabilities=np.column_stack([1 - POSITIVE, POSITIVE]),
)
ESTIMATED = Outputs(values=np.array([1.0, 2.0, 3.5, 9.0, -1.0]))
KNOWN = ~np.isnan(TRUTH)


@pytest.mark.parametrize("metric", ["log_loss", "brier", "accuracy"])
def test_the_mean_loss_is_the_metric_where_it_is_a_mean_over_rows(metric):
    found = losses(metric, CLASSES, CLASSIFIED, TRUTH)
    predictions = Predictions((POSITIVE >= 0.5).astype(np.int64)[KNOWN], CLASSIFIED.probabilities[KNOWN])
    wanted = score(metric, TRUTH[KNOWN].astype(np.int64), predictions)
    assert np.isnan(found).tolist() == (~KNOWN).tolist()
    assert found[KNOWN].mean() == pytest.approx(1 - wanted if metric == "accuracy" else wanted, rel=1e-12)


@pytest.mark.parametrize("metric", ["mae", "mape", "rmse"])
def test_the_mean_loss_of_numbers_is_the_metric(metric):
    truth = np.array([1.5, 2.0, 3.0, np.nan, -2.0])
    found = losses(metric, NUMBERS, ESTIMATED, truth)[KNOWN].mean()
    wanted = score(metric, truth[KNOWN], Predictions(ESTIMATED.values[KNOWN]))
    assert found == pytest.approx(wanted**2 if metric == "rmse" else wanted, rel=1e-12)


def test_every_metric_has_a_loss_of_its_own_task_only():
    for metric in METRICS:
        of_classes = metric in CLASSIFICATION_METRICS
        right, wrong = ((CLASSES, CLASSIFIED), (NUMBERS, ESTIMATED))[:: 1 if of_classes else -1]
        assert np.isfinite(losses(metric, *right, TRUTH)[KNOWN]).all()
        with pytest.raises(DataError, match=metric):
            losses(metric, *wrong, TRUTH)
    assert set(METRICS) == {*CLASSIFICATION_METRICS, *REGRESSION_METRICS}


def test_losses_are_bounded_where_one_row_could_outweigh_all_others():
    sure = Outputs(labels=np.array(["no"], object), probabilities=np.array([[1.0, 0.0]]))
    assert losses("roc_auc", CLASSES, sure, np.array([1.0])) == pytest.approx([-np.log(0.001)])
    assert losses("mape", NUMBERS, Outputs(values=np.array([5.0])), np.array([0.0])).tolist() == [10.0]


def test_losses_of_labels_that_are_no_text_and_of_many_classes():
    schema = Schema((), Target("late", (False, True)))
    outputs = Outputs(labels=np.array(["true", "false"], object), probabilities=np.array([[0.1, 0.9], [0.8, 0.2]]))
    assert losses("f1", schema, outputs, np.array([1.0, 1.0])).tolist() == [0.0, 1.0]
    schema = Schema((), Target("kind", ("a", "b", "c")))
    outputs = Outputs(labels=np.array(["c"], object), probabilities=np.array([[0.2, 0.3, 0.5]]))
    assert losses("brier", schema, outputs, np.array([0.0])) == pytest.approx([0.64 + 0.09 + 0.25])

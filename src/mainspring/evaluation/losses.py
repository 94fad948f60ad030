"""The loss of each row that stands for a metric, so that scores can be compared as rows come in.

A metric such as ROC AUC has no value for one row, and what has none for one row cannot be tallied. So each metric has
a loss that tells the same where it matters: a model that ranks or calls rows better has the lesser one. For a
mean over rows (log loss, Brier, accuracy, mean absolute error) it is the metric itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation.metrics import MACHINE_EPSILON
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Schema, label_text

LEAST_PROBABILITY = 0.001  # a row's log loss is at most 6.9, however sure the model was
GREATEST_RELATIVE_ERROR = 10.0


def losses(metric: str, schema: Schema, outputs: Outputs, truth: np.ndarray) -> np.ndarray:
    """The loss of each row that stands for `metric`: (n,) float64, less is better; NaN where there is no truth.

    Metrics of probabilities or of their order: the log loss, of a probability of at least 0.001. `brier`: the squared
    distance. Metrics of classes: 1 for a wrong one. `rmse` and `r2`: the squared error; `mae`: the absolute error; both
    without a bound, for none is known beforehand. `mape`: the relative error, at most 10.

    Args:
        metric: a name of `evaluation.metrics.METRICS`.
        schema: the version's own, whose labels `outputs` and `truth` are in.
        outputs: what the version said of n rows.
        truth: (n,) float64, codes into the schema's labels or numbers; NaN where there is none yet.

    Raises:
        DataError: the metric is none of this task.
    """
    of_metric = (_CLASS_LOSSES if schema.target.labels else _NUMBER_LOSSES).get(metric)
    if of_metric is None:
        task = "classification" if schema.target.labels else "regression"
        raise DataError(f"{metric!r} is not a metric of {task}, and {schema.target.name!r} is the target of one")
    known = ~np.isnan(truth)
    found = np.full(len(truth), np.nan)
    if schema.target.labels:
        assert outputs.probabilities is not None
        assert outputs.labels is not None
        texts = np.array([label_text(label) for label in schema.target.labels], dtype=object)
        codes = truth[known].astype(np.int64)
        found[known] = of_metric(outputs.probabilities[known], outputs.labels[known] == texts[codes], codes)
    else:
        assert outputs.values is not None
        found[known] = of_metric(outputs.values[known], truth[known])
    return found


def _log_loss(probabilities: np.ndarray, right: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return -np.log(np.clip(probabilities[np.arange(len(codes)), codes], LEAST_PROBABILITY, 1.0))


def _brier(probabilities: np.ndarray, right: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Of two classes the customary half, as in the metric."""
    distances = ((probabilities - np.eye(probabilities.shape[1])[codes]) ** 2).sum(axis=1)
    return distances / 2 if probabilities.shape[1] == 2 else distances


def _wrong(probabilities: np.ndarray, right: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return 1.0 - right.astype(np.float64)


def _squared(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return (values - truth) ** 2


def _absolute(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.abs(values - truth)


def _relative(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.minimum(np.abs(values - truth) / np.maximum(np.abs(truth), MACHINE_EPSILON), GREATEST_RELATIVE_ERROR)


_Loss = Callable[..., np.ndarray]
_CLASS_LOSSES: dict[str, _Loss] = {
    **dict.fromkeys(("log_loss", "roc_auc", "average_precision"), _log_loss),
    **dict.fromkeys(("accuracy", "balanced_accuracy", "f1", "precision", "recall", "mcc"), _wrong),
    "brier": _brier,
}
_NUMBER_LOSSES: dict[str, _Loss] = {"rmse": _squared, "r2": _squared, "mae": _absolute, "mape": _relative}

"""How well the model does on live rows: measured where labels have come, estimated where they have not.

*Measured*: the metric on the labelled rows against that on the held-out rows; both with a standard error from the
influence of each row (see `evaluation.resampling`), the test one-sided: worse. *Estimated*, for classification only:
confidence-based performance estimation (CBPE; Białek et al., "Estimating Model Performance Under Covariate Shift
Without Labels", 2024, and NannyML's documentation). A calibrated probability says how often each answer will turn out
right, so that the expected metric needs no label: each row counts once for every class that it may belong to, weighted
by that class's probability. It holds as long as the inputs move only to where the model has been (covariate shift):
if the meaning of the inputs changes (concept drift), no look at inputs can tell. There is no such estimate for
regression, whose answers carry no probability.

The effect is the share of the skill that was lost: |reference - now| / |reference - trivial baseline|, where the
distance to the baseline counts as at least its standard error.
"""

from __future__ import annotations

import msgspec
import numpy as np
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from mainspring.errors import DataError
from mainspring.evaluation.baseline import baseline_predictions
from mainspring.evaluation.metrics import Predictions, checked, metric_named, score
from mainspring.evaluation.resampling import standard_errors, statistic
from mainspring.monitoring.observations import Finding, Subject
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Schema, label_text

Array = np.ndarray
_WIDTH = float(norm.ppf(0.975))
_MOST_CELLS = 400_000  # rows times classes that an estimate looks at


class Measured(msgspec.Struct, frozen=True):
    """A metric's value and its standard error."""

    value: float
    error: float


class Calibration(msgspec.Struct, frozen=True):
    """A rising step from a class's probability to its share of the held-out rows: points to interpolate between."""

    probability: list[float]
    share: list[float]


class Skill(msgspec.Struct, frozen=True):
    """How well a version did on the held-out rows: as measured, as estimated there in the way in which live rows are
    (None where it cannot be), and the `trivial` baseline's value. `calibration` has an entry for each class.
    """

    metric: str
    measured: Measured
    trivial: float
    estimated: Measured | None = None
    calibration: list[Calibration] = []


def skill_of(schema: Schema, metric: str, outputs: Outputs, truth: Array, fit_truth: Array) -> Skill | None:
    """The skill on the held-out rows; None where the metric is not defined on them, as with a single class.

    `truth` and `fit_truth`, (m,) and (n,): codes into the schema's labels, or numbers.
    """
    labels = schema.target.labels
    predictions = as_predictions(outputs, schema)
    base = fit_truth if len(fit_truth) else truth
    try:
        measured = measure(metric, truth, predictions)
        kind = metric_named(metric).task
        base = base.astype(np.int64) if labels else base
        trivial = score(metric, truth, baseline_predictions(kind, base, len(truth), len(labels) or None, metric))
    except DataError:
        return None
    if predictions.probabilities is None:
        return Skill(metric, measured, trivial)
    calibration = [_calibrate(predictions.probabilities[:, code], truth == code) for code in range(len(labels))]
    return Skill(metric, measured, trivial, expect(metric, predictions, calibration), calibration)


def as_predictions(outputs: Outputs, schema: Schema) -> Predictions:
    """A version's outputs as predictions over its own labels."""
    if outputs.values is not None:
        return Predictions(outputs.values)
    assert outputs.labels is not None
    codes = {label_text(label): code for code, label in enumerate(schema.target.labels)}
    return Predictions(np.array([codes[text] for text in outputs.labels], dtype=np.int64), outputs.probabilities)


def measure(metric: str, truth: Array, predictions: Predictions) -> Measured:
    """The metric on labelled rows; DataError where it is undefined."""
    value = score(metric, truth, predictions)
    each = statistic(metric_named(metric), *checked(metric_named(metric), truth, predictions))
    weights = np.ones((1, each.units))
    return Measured(value, float(standard_errors(each.influence(weights), weights)[0]))


def expect(metric: str, predictions: Predictions, calibration: list[Calibration]) -> Measured | None:
    """The metric that the calibrated probabilities promise; None where it is undefined.

    Where rows times classes are very many, evenly spaced rows stand for all.
    """
    assert predictions.probabilities is not None
    rows, classes = predictions.probabilities.shape
    some = np.arange(0, rows, 1 + rows * classes // _MOST_CELLS)
    chances = _calibrated(predictions.probabilities[some], calibration)
    truth = np.tile(np.arange(classes), len(some))
    each_class = Predictions(
        np.repeat(predictions.values[some], classes), np.repeat(predictions.probabilities[some], classes, axis=0)
    )
    found = metric_named(metric)
    each = statistic(found, *checked(found, truth, each_class))
    weights = chances.reshape(1, -1)
    value = float(each.values(weights)[0])
    if not np.isfinite(value):
        return None
    # What a row adds is the sum over the classes that it may belong to.
    influence = (each.influence(weights) * weights).reshape(len(some), classes).sum(axis=1)
    error = float(standard_errors(influence[None], np.ones((1, len(some))))[0])
    return Measured(value, error)


def measured_finding(skill: Skill, truth: Array, predictions: Predictions) -> Finding | None:
    """The metric on labelled live rows against the held-out rows'; None where it is undefined."""
    try:
        now = measure(skill.metric, truth, predictions)
    except DataError:
        return None
    sign = metric_named(skill.metric).sign
    return _finding("performance", "measured metric", skill, skill.measured, now, len(truth), sign)


def measured_score(scores: Array) -> Measured:
    """The mean of `scores`, (n,) from 0 to 1; its error as though one more were wrong and one right, for that none of
    a few was wrong does not mean that none ever is.
    """
    return Measured(float(scores.mean()), float(np.std([*scores, 0.0, 1.0], ddof=1)) / len(scores) ** 0.5)


def score_finding(skill: Skill, scores: Array) -> Finding:
    """The mean score of labelled live answers, (n,), against that of the held-out questions."""
    now = measured_score(scores)
    return _finding("performance", "measured metric", skill, skill.measured, now, len(scores), sign=1)


def estimated_finding(skill: Skill, predictions: Predictions) -> Finding | None:
    """The metric that live rows promise against what the held-out rows promised; None where there is no estimate."""
    if skill.estimated is None or (now := expect(skill.metric, predictions, skill.calibration)) is None:
        return None
    rows, sign = len(predictions.values), metric_named(skill.metric).sign
    return _finding("estimated", "confidence-based estimate", skill, skill.estimated, now, rows, sign)


def _finding(
    subject: Subject, test: str, skill: Skill, reference: Measured, now: Measured, rows: int, sign: int
) -> Finding:
    lost = sign * (reference.value - now.value)
    error = float(np.hypot(reference.error, now.error))
    p_value = float(norm.sf(lost / error)) if error > 0 else float(lost <= 0)
    # A model hardly better than the baseline has no skill to lose a share of: then noise is the measure.
    skill_there = max(abs(reference.value - skill.trivial), reference.error, np.finfo(np.float64).tiny)
    return Finding(
        subject=subject,
        name=skill.metric,
        test=test,
        effect=max(0.0, lost) / skill_there,
        p_value=p_value,
        rows=rows,
        matters=1.0,
        was=f"{reference.value:.4g}",
        now=f"{now.value:.4g}",
        detail={
            "value": now.value,
            "low": now.value - _WIDTH * now.error,
            "high": now.value + _WIDTH * now.error,
            "reference": reference.value,
            "reference_low": reference.value - _WIDTH * reference.error,
            "reference_high": reference.value + _WIDTH * reference.error,
            "trivial": skill.trivial,
        },
    )


def _calibrate(probability: Array, is_class: Array) -> Calibration:
    fitted = IsotonicRegression(out_of_bounds="clip").fit(probability, is_class.astype(np.float64))
    return Calibration(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist())


def _calibrated(probabilities: Array, calibration: list[Calibration]) -> Array:
    """Calibrated class by class, and scaled so that each row adds up to 1: (n, k) → (n, k)."""
    found = np.column_stack(
        [
            np.interp(column, each.probability, each.share)
            for column, each in zip(probabilities.T, calibration, strict=True)
        ]
    )
    total = found.sum(axis=1, keepdims=True)
    return np.where(total > 0, found / np.where(total > 0, total, 1.0), probabilities)

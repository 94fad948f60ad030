"""The metrics: what "better" means, written so that uncertainty about it is cheap.

Nearly every metric is a function of weighted column sums of per-row contributions: accuracy is hits over rows, F1 is
made of three counts, R² of four sums. Written that way (`SumMetric`), a bootstrap is one matrix product of weights and
contributions, the jackknife is closed form, a group of rows is one summed row, and two models share their weights.
Metrics of the *order* of the scores (`RankMetric`) sort once and then take any weights in linear time.

Class codes are 0..k-1. With two classes the positive one is code 1; with more, a metric that is about one class is the
plain mean over the classes (macro), one class against the rest. Values agree with `sklearn.metrics` to 1e-12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation.ranking import AveragePrecision, MacroRanking, Ranking, RocAuc

Array = np.ndarray
MACHINE_EPSILON = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said about n rows.

    `values`: (n,), class codes (int64) of a classifier, numbers (float64) of a regression.
    `probabilities`: (n, k) float64, one column a class in the order of the codes; None for a regression.
    """

    values: Array
    probabilities: Array | None = None


@dataclass(frozen=True)
class Metric:
    """What every metric says of itself."""

    name: str
    task: Literal["classification", "regression"]
    greater_is_better: bool
    needs_probabilities: bool
    description: str

    @property
    def sign(self) -> int:
        """+1 or -1: times this, greater is better."""
        return 1 if self.greater_is_better else -1


@dataclass(frozen=True)
class SumMetric(Metric):
    """A metric that is a function of column sums.

    `contributions(truth, predictions)` gives (n, c) float64, `combine(sums)` takes (..., c) to (...), NaN where the
    metric is undefined. `combine` never changes when all its sums are scaled: weights need not add up to n.
    """

    contributions: Callable[[Array, Predictions], Array]
    combine: Callable[[Array], Array]


@dataclass(frozen=True)
class RankMetric(Metric):
    """A metric of the order of the scores: the macro mean of one `Ranking` a class."""

    one_against_rest: type[Ranking]

    def ranking(self, truth: Array, predictions: Predictions) -> MacroRanking:
        """Sort once, for every class that counts."""
        probabilities = probabilities_of(predictions)
        return MacroRanking(
            [self.one_against_rest(truth == code, probabilities[:, code]) for code in classes_that_count(probabilities)]
        )


def probabilities_of(predictions: Predictions) -> Array:
    """The probabilities of predictions that `checked` has passed for a metric that needs them."""
    assert predictions.probabilities is not None
    return predictions.probabilities


def classes_that_count(probabilities: Array) -> range:
    """The classes a macro mean runs over: the positive one of two, all of more."""
    count = probabilities.shape[1]
    return range(1, 2) if count == 2 else range(count)


def class_count(truth: Array, predictions: Predictions) -> int:
    """How many classes there are: the columns of the probabilities, or else as many as the codes show (at least 2)."""
    if predictions.probabilities is not None:
        return predictions.probabilities.shape[1]
    return max(2, int(truth.max()) + 1, int(predictions.values.max()) + 1)


def checked(metric: Metric, truth: Array, predictions: Predictions) -> tuple[Array, Predictions]:
    """Truth and predictions as clean arrays, or a `DataError` that says what is wrong with them."""
    dtype = np.int64 if metric.task == "classification" else np.float64
    whole = _column("the truth", truth, dtype)
    values = _column("the predictions", predictions.values, dtype)
    rows = len(whole)
    if rows == 0:
        raise DataError(f"{metric.name} needs at least one row, found none")
    if len(values) != rows:
        raise DataError(f"{metric.name}: {rows} true values but {len(values)} predictions; they must be the same rows")
    probabilities = None
    if metric.task == "classification":
        if predictions.probabilities is not None:
            probabilities = _checked_probabilities(metric, predictions.probabilities, rows)
        elif metric.needs_probabilities:
            raise DataError(f"{metric.name} needs the probability of each class, found class codes only")
    clean = Predictions(values, probabilities)
    if metric.task == "classification":
        lowest, highest = min(whole.min(), values.min()), max(whole.max(), values.max())
        if lowest < 0 or highest >= class_count(whole, clean):
            raise DataError(
                f"{metric.name}: class codes must lie in 0..{class_count(whole, clean) - 1}, found {lowest}..{highest}"
            )
    return whole, clean


def _column(what: str, given: Array, dtype: type) -> Array:
    found = np.asarray(given)
    if found.ndim != 1:
        raise DataError(f"{what} must be one column, found the shape {found.shape}")
    if found.dtype.kind not in "biuf":
        raise DataError(f"{what} must be numbers (class codes for a classifier), found {found.dtype}")
    if not np.isfinite(found).all():
        raise DataError(f"{what} must be finite, row {int(np.argmin(np.isfinite(found)))} is not")
    column: Array = found.astype(dtype)
    if dtype is np.int64 and not (column == found).all():
        raise DataError(f"{what} must be whole class codes, row {int(np.argmin(column == found))} is not")
    return column


def _checked_probabilities(metric: Metric, given: Array, rows: int) -> Array:
    probabilities = np.asarray(given, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.shape[0] != rows or probabilities.shape[1] < 2:
        raise DataError(
            f"{metric.name}: probabilities must be {rows} rows by two or more classes, found {probabilities.shape}"
        )
    # Written so that NaN fails too.
    fits = ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all(axis=1)
    fits &= np.abs(probabilities.sum(axis=1) - 1) <= 1e-3
    if not fits.all():
        row = int(np.argmin(fits))
        raise DataError(
            f"{metric.name}: probabilities must lie in 0..1 and add up to 1 in each row, "
            f"row {row} is {probabilities[row].tolist()}"
        )
    return probabilities


def score(name: str, truth: Array, predictions: Predictions, weights: Array | None = None) -> float:
    """The metric `name` of `predictions` against `truth`, (n,); `weights`, (n,), say how much each row counts.

    Raises `DataError` where the metric is undefined: no rows, one class only for `roc_auc`, a constant truth for `r2`.

    >>> score("accuracy", np.array([0, 1, 1]), Predictions(np.array([0, 1, 0])))
    0.6666666666666666
    """
    metric = metric_named(name)
    truth, predictions = checked(metric, truth, predictions)
    weights = np.ones(len(truth)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape != truth.shape or not (np.isfinite(weights) & (weights >= 0)).all():
        raise DataError(f"{name}: weights must be {len(truth)} finite numbers of at least 0")
    if isinstance(metric, SumMetric):
        value = metric.combine(weights @ metric.contributions(truth, predictions))
    else:
        assert isinstance(metric, RankMetric)
        value = metric.ranking(truth, predictions).values(weights)
    if not np.isfinite(value):
        raise DataError(undefined(metric, truth))
    return float(value)


def undefined(metric: Metric, truth: Array) -> str:
    """Why `metric` has no value on these rows, as a sentence."""
    if metric.task == "classification":
        found = ", ".join(map(str, np.unique(truth)[:5]))
        return f"{metric.name} is not defined on {len(truth)} rows whose true class is {found}: more classes are needed"
    return f"{metric.name} is not defined on {len(truth)} rows whose true value does not vary"


def metric_named(name: str) -> Metric:
    """The metric of this name, or a `DataError` that lists the names there are."""
    if name not in METRICS:
        raise DataError(f"there is no metric {name!r}; the metrics are {', '.join(METRICS)}")
    return METRICS[name]


# Contributions -------------------------------------------------------------------------------------------------------


def _mean_of(rows: Array) -> Array:
    """Contributions of a weighted mean: the row itself, and its weight. (n,) → (n, 2)."""
    return np.column_stack([rows, np.ones(len(rows))])


def _one_hot(codes: Array, classes: int) -> Array:
    return (codes[:, None] == np.arange(classes)).astype(np.float64)


def _log_losses(truth: Array, predictions: Predictions) -> Array:
    of_truth = probabilities_of(predictions)[np.arange(len(truth)), truth]
    return _mean_of(-np.log(np.clip(of_truth, MACHINE_EPSILON, 1 - MACHINE_EPSILON)))


def _squared_distances(truth: Array, predictions: Predictions) -> Array:
    probabilities = probabilities_of(predictions)
    if probabilities.shape[1] == 2:  # the customary half: Brier's own sum counts the error of both classes
        return _mean_of((probabilities[:, 1] - truth) ** 2)
    return _mean_of(((probabilities - _one_hot(truth, probabilities.shape[1])) ** 2).sum(axis=1))


def _hits(truth: Array, predictions: Predictions) -> Array:
    return _mean_of((truth == predictions.values).astype(np.float64))


def _counts_by_class(truth: Array, predictions: Predictions) -> Array:
    """True, predicted, and both at once, of every class: (n, 3k)."""
    classes = class_count(truth, predictions)
    true, predicted = _one_hot(truth, classes), _one_hot(predictions.values, classes)
    return np.hstack([true, predicted, true * predicted])


def _counts_of_interest(truth: Array, predictions: Predictions) -> Array:
    """As `_counts_by_class`, but of two classes the positive one only: (n, 3) or (n, 3k)."""
    counts = _counts_by_class(truth, predictions)
    return counts[:, 1::2] if counts.shape[1] == 6 else counts


def _squared_errors(truth: Array, predictions: Predictions) -> Array:
    return _mean_of((truth - predictions.values) ** 2)


def _absolute_errors(truth: Array, predictions: Predictions) -> Array:
    return _mean_of(np.abs(truth - predictions.values))


def _relative_errors(truth: Array, predictions: Predictions) -> Array:
    return _mean_of(np.abs(truth - predictions.values) / np.maximum(np.abs(truth), MACHINE_EPSILON))


def _errors_and_spread(truth: Array, predictions: Predictions) -> Array:
    # R² does not change when the truth is shifted; centred, its sum of squares loses no digits.
    centred = truth - truth.mean()
    return np.column_stack([(truth - predictions.values) ** 2, centred, centred**2, np.ones(len(truth))])


# Combinations of the sums --------------------------------------------------------------------------------------------


def _ratio(above: Array, below: Array, otherwise: float) -> Array:
    """`above / below`, and `otherwise` where `below` is not positive."""
    positive = below > 0
    return np.where(positive, above / np.where(positive, below, 1.0), otherwise)


def _mean(sums: Array) -> Array:
    return _ratio(sums[..., 0], sums[..., 1], np.nan)


def _root_mean(sums: Array) -> Array:
    # Not below 0, where a numerical derivative may step.
    return np.sqrt(np.maximum(_mean(sums), 0.0))


def _explained(sums: Array) -> Array:
    errors, total, squares, weight = np.moveaxis(sums, -1, 0)
    spread = squares - _ratio(total**2, weight, np.nan)
    # What is left of a constant truth is rounding error.
    return 1 - _ratio(errors, np.where(spread > 1e-12 * squares, spread, 0.0), np.nan)


def _by_class(sums: Array) -> tuple[Array, Array, Array]:
    """True, predicted and both, each (..., classes)."""
    shaped = sums.reshape(*sums.shape[:-1], 3, -1)
    return shaped[..., 0, :], shaped[..., 1, :], shaped[..., 2, :]


def _macro(of_class: Array, counts: Array) -> Array:
    """The mean over the classes that occur; 0, as scikit-learn has it, where none does."""
    occurs = counts > 0
    return _ratio((of_class * occurs).sum(axis=-1), occurs.sum(axis=-1), 0.0)


def _precision(sums: Array) -> Array:
    true, predicted, both = _by_class(sums)
    return _macro(_ratio(both, predicted, 0.0), true + predicted)


def _recall(sums: Array) -> Array:
    true, predicted, both = _by_class(sums)
    return _macro(_ratio(both, true, 0.0), true + predicted)


def _f1(sums: Array) -> Array:
    true, predicted, both = _by_class(sums)
    return _macro(_ratio(2 * both, true + predicted, 0.0), true + predicted)


def _balanced_accuracy(sums: Array) -> Array:
    true, _, both = _by_class(sums)
    return _macro(_ratio(both, true, 0.0), true)


def _mcc(sums: Array) -> Array:
    """Gorodkin's correlation of k classes (2004), Matthews' own for two; 0 where either side never varies."""
    true, predicted, both = _by_class(sums)
    total = true.sum(axis=-1)
    covariance = both.sum(axis=-1) * total - (true * predicted).sum(axis=-1)
    spreads = (total**2 - (true**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    return _ratio(covariance, np.sqrt(np.maximum(spreads, 0.0)), 0.0)


# The table -----------------------------------------------------------------------------------------------------------

HIGH, LOW = True, False  # which is better
PROBABILITIES, CODES = True, False  # what a metric of classification looks at

_OF_ORDER = tuple(
    RankMetric(name, "classification", HIGH, PROBABILITIES, description, ranking)
    for name, description, ranking in (
        ("roc_auc", "chance that a positive row outranks a negative one", RocAuc),
        ("average_precision", "precision averaged over the recall levels", AveragePrecision),
    )
)
_OF_CLASSES = tuple(
    SumMetric(name, "classification", better, looks_at, description, contributions, combine)
    for name, better, looks_at, description, contributions, combine in (
        ("log_loss", LOW, PROBABILITIES, "mean -log of the probability of the true class", _log_losses, _mean),
        ("brier", LOW, PROBABILITIES, "mean squared error of the probabilities", _squared_distances, _mean),
        ("accuracy", HIGH, CODES, "share of rows whose class is right", _hits, _mean),
        ("balanced_accuracy", HIGH, CODES, "mean recall of all classes", _counts_by_class, _balanced_accuracy),
        ("f1", HIGH, CODES, "harmonic mean of precision and recall", _counts_of_interest, _f1),
        ("precision", HIGH, CODES, "share of rows called positive that are", _counts_of_interest, _precision),
        ("recall", HIGH, CODES, "share of positive rows that are called so", _counts_of_interest, _recall),
        ("mcc", HIGH, CODES, "correlation of predicted and true classes (Matthews)", _counts_by_class, _mcc),
    )
)
_OF_NUMBERS = tuple(
    SumMetric(name, "regression", better, False, description, contributions, combine)
    for name, better, description, contributions, combine in (
        ("rmse", LOW, "root of the mean squared error", _squared_errors, _root_mean),
        ("mae", LOW, "mean absolute error", _absolute_errors, _mean),
        ("r2", HIGH, "share of the variance explained", _errors_and_spread, _explained),
        ("mape", LOW, "mean absolute error relative to the true value", _relative_errors, _mean),
    )
)

CLASSIFICATION_METRICS: tuple[str, ...] = tuple(metric.name for metric in (*_OF_ORDER, *_OF_CLASSES))
REGRESSION_METRICS: tuple[str, ...] = tuple(metric.name for metric in _OF_NUMBERS)
METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_OF_ORDER, *_OF_CLASSES, *_OF_NUMBERS)}

"""Classification and regression on a table: search, calibrate, choose the threshold, fit on all that may be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mainspring.data import splits
from mainspring.data.dataset import Dataset
from mainspring.errors import DataError
from mainspring.evaluation.curves import threshold_for
from mainspring.evaluation.metrics import Predictions, score
from mainspring.registry.versions import Ingredient, Recipe
from mainspring.schema import Schema
from mainspring.spec import ClassificationSpec, TabularSpec
from mainspring.tasks.candidates import KINDS
from mainspring.tasks.features import fit_transform
from mainspring.tasks.model import Calibration, FittedModel, decide
from mainspring.tasks.search import Fold, Rows, Search, Trial, fit_member, predictions, prepare, run_trial, search

SEARCH_ROWS = 40_000
_ENOUGH_OUT_OF_FOLD = 2000  # to calibrate and to choose a threshold
_LEARNING_SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)

Progress = Callable[[Trial, Trial], None]
Places = tuple[np.ndarray, np.ndarray, np.ndarray]  # of a fold: to train on, to validate on, to stop early by


@dataclass(frozen=True)
class LearningPoint:
    """How a fit on so many rows does on rows that it saw, and on rows that it did not (a score a fold)."""

    rows: int
    train: float
    validation: tuple[float, ...]


@dataclass(frozen=True)
class Fitted:
    """What a fit gives.

    `out_of_fold` are the predictions, calibrated and decided, of the searched rows while they were held out, with their
    `out_of_fold_truth`.
    """

    model: FittedModel
    metric: str
    search: Search
    out_of_fold: Predictions
    out_of_fold_truth: np.ndarray
    learning_curve: tuple[LearningPoint, ...]


def default_metric(schema: Schema) -> str:
    """What "better" means where the spec does not say: ROC AUC for two classes, log loss for more, RMSE for numbers."""
    if not schema.target.labels:
        return "rmse"
    return "roc_auc" if len(schema.target.labels) == 2 else "log_loss"


def metric_of(spec: TabularSpec, schema: Schema) -> str:
    """The metric that the spec names, or the default."""
    return getattr(spec, "metric", None) or default_metric(schema)


def fit(
    dataset: Dataset,
    spec: TabularSpec,
    *,
    progress: Progress = lambda trial, best: None,
    learning_curve: bool = True,
) -> Fitted:
    """Fit the best candidate on all rows of `dataset`, which must be the fit side of the split alone.

    Raises:
        DataError: there is nothing to learn from.
    """
    schema, metric = _inputs(dataset), metric_of(spec, dataset.schema)
    some = _searched(dataset)
    rows = _rows(some, schema, spec)
    folds = prepare(rows, _folds(some, spec), spec.seed)
    found = search(
        rows,
        folds,
        kinds=spec.candidates,
        metric=metric,
        trials=spec.budget.trials,
        seconds=spec.budget.seconds,
        seed=spec.seed,
        progress=progress,
    )
    curve = _learning_curve(rows, folds, found, metric, spec.seed) if learning_curve else ()
    return _fitted(dataset, spec, schema, rows, found, curve)


def refit(dataset: Dataset, spec: TabularSpec, recipe: Recipe) -> Fitted:
    """Fit what an earlier search chose, the same kinds with the same parameters and weights, on other rows.

    Calibration, threshold and rounds of boosting are found anew. The last folds (with `time`: the newest) do for that,
    as many as together hold out 2,000 rows.

    Raises:
        DataError: there is nothing to learn from.
    """
    schema, metric = _inputs(dataset), metric_of(spec, dataset.schema)
    some = _searched(dataset)
    rows = _rows(some, schema, spec)
    folds = prepare(rows, _last(_folds(some, spec), _ENOUGH_OUT_OF_FOLD), spec.seed)
    chosen = tuple(
        (run_trial(KINDS[one.kind], one.parameters, rows, folds, metric, seed=spec.seed), one.weight)
        for one in recipe.ingredients
    )
    out_of_fold = np.asarray(sum(weight * trial.out_of_fold for trial, weight in chosen))
    found = Search(metric, tuple(trial for trial, _ in chosen), chosen, out_of_fold)
    return _fitted(dataset, spec, schema, rows, found, ())


def recipe_of(found: Search) -> Recipe:
    """What the search chose, for `refit`."""
    return Recipe(tuple(Ingredient(trial.kind, trial.parameters, weight) for trial, weight in found.chosen))


def _inputs(dataset: Dataset) -> Schema:
    features = tuple(column for column in dataset.schema.features if column.kind != "identifier")
    if not features:
        raise DataError("no column is left to learn from: see what was dropped, and override kinds in the spec")
    return Schema(features, dataset.schema.target)


def _fitted(
    dataset: Dataset, spec: TabularSpec, schema: Schema, rows: Rows, found: Search, curve: tuple[LearningPoint, ...]
) -> Fitted:
    """Calibrate and decide on rows out of fold, and fit the chosen members on all of `dataset`."""
    known = ~np.isnan(found.out_of_fold[:, 0])
    held_out, truth = found.out_of_fold[known], rows.truth[known]
    calibration = threshold = None
    if rows.classes:
        calibration = Calibration.fit(held_out, truth)
        held_out = calibration.apply(held_out)
        if rows.classes == 2:
            threshold = threshold_for(found.metric, truth, held_out[:, 1])
    model = _final(dataset, schema, spec, found)
    return Fitted(
        model=replace(model, calibration=calibration, threshold=threshold),
        metric=found.metric,
        search=found,
        out_of_fold=decide(held_out, threshold) if rows.classes else predictions(held_out, 0),
        out_of_fold_truth=truth,
        learning_curve=curve,
    )


def _rows(dataset: Dataset, schema: Schema, spec: TabularSpec) -> Rows:
    columns = {column.name: dataset.columns[column.name] for column in schema.features}
    weights = None
    if isinstance(spec, ClassificationSpec) and spec.class_weight == "balanced":
        counts = np.bincount(dataset.truth, minlength=len(schema.target.labels))
        weights = len(dataset) / (np.count_nonzero(counts) * np.maximum(counts, 1))[dataset.truth]
    return Rows(schema, columns, dataset.truth, weights)


def _searched(dataset: Dataset) -> Dataset:
    """At most SEARCH_ROWS of the rows, chosen by their content; whole groups, and in the order of the data."""
    if len(dataset) <= SEARCH_ROWS:
        return dataset
    keys = dataset.hashes
    if dataset.group is not None:
        _, group = np.unique(dataset.group, return_inverse=True)
        first = np.full(group.max() + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
        np.minimum.at(first, group, dataset.hashes)
        keys = first[group]
    # The split is by the same hashes: mixed once more, they are independent of it.
    keys = keys * np.uint64(0x9E3779B97F4A7C15)
    return dataset.take(np.sort(np.argsort(keys, kind="stable")[:SEARCH_ROWS]))


def _folds(dataset: Dataset, spec: TabularSpec) -> list[Places]:
    def of_one_class(rows: np.ndarray) -> bool:
        return bool(dataset.schema.target.labels) and len(np.unique(dataset.truth[rows])) < 2

    made = []
    for train, validation in splits.folds(dataset, spec.folds, spec.seed):
        if of_one_class(train) or of_one_class(validation):
            continue  # as in a quiet time: with one class there is nothing to learn, or nothing to judge by
        _, watched = splits.inner_split(dataset, train, spec.seed)
        made.append((train, validation, np.flatnonzero(np.isin(train, watched))))
    if not made:
        raise DataError(
            f"no fold has two classes of {dataset.schema.target.name!r} both to learn and to judge by: add rows, or "
            f"change `{'time' if spec.time else 'group' if spec.group else 'folds'}`"
        )
    return made


def _last(folds: list[Places], rows: int) -> list[Places]:
    """The last of the folds, as few as hold out so many rows; all, where they hold out fewer."""
    held_out = np.cumsum([len(validation) for _, validation, _ in reversed(folds)])
    return folds[-1 - int(np.searchsorted(held_out, rows)) :]


def _final(dataset: Dataset, schema: Schema, spec: TabularSpec, found: Search) -> FittedModel:
    rows = _rows(dataset, schema, spec)
    featurizer, matrix = fit_transform(rows.columns, schema.features, rows.encoding_target(), seed=spec.seed)
    members = []
    for trial, weight in found.chosen:
        member = fit_member(KINDS[trial.kind], trial.parameters, rows, matrix, seed=spec.seed)
        members.append(replace(member, weight=weight))
    used = set(featurizer.sources)  # a text without a usual word gives nothing to learn from
    features = tuple(column for column in schema.features if column.name in used)
    return FittedModel(Schema(features, schema.target), featurizer, tuple(members))


def _learning_curve(rows: Rows, folds: list[Fold], found: Search, metric: str, seed: int) -> tuple[LearningPoint, ...]:
    """The heaviest chosen member, fitted on growing shares of each fold's training rows."""
    trial = max(found.chosen, key=lambda pair: pair[1])[0]
    kind = KINDS[trial.kind]
    points: list[LearningPoint] = []
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(fold.train)) for fold in folds]
    for share in _LEARNING_SHARES:
        train_scores, scores, sizes = [], [], []
        for fold, order in list(zip(folds, orders, strict=True))[-2:]:  # two folds show the trend
            some = np.sort(order[: max(20, int(share * len(order)))])
            try:
                member = fit_member(kind, trial.parameters, rows.take(fold.train[some]), fold.matrix[some], seed=seed)
                raw = member.predict(fold.validation_matrix, rows.classes)
                seen = member.predict(fold.matrix[some], rows.classes)
                scores.append(score(metric, rows.truth[fold.validation], predictions(raw, rows.classes)))
                train_scores.append(score(metric, rows.truth[fold.train[some]], predictions(seen, rows.classes)))
            except DataError:
                continue  # so few rows that only one class is among them
            sizes.append(len(some))
        if scores and (not points or np.mean(sizes) > points[-1].rows):  # few rows: two shares may be the same rows
            points.append(LearningPoint(int(np.mean(sizes)), float(np.mean(train_scores)), tuple(scores)))
    return tuple(points)

"""Gathering the numbers of a fit into its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mainspring.data.dataset import Dataset
from mainspring.errors import DataError
from mainspring.evaluation import curves
from mainspring.evaluation.metrics import METRICS, Predictions
from mainspring.lifecycle import judge
from mainspring.lifecycle.importance import permutation_importance
from mainspring.lifecycle.report import CrossValidation, DataSection, LearningLine, Report, TrialLine
from mainspring.registry.versions import Manifest
from mainspring.runtimes.onnx import OnnxRuntime
from mainspring.schema import label_text
from mainspring.tasks.search import Search
from mainspring.tasks.tabular import Fitted

_POINTS = 500
_BINS = 40


def parameters(found: Search) -> dict[str, Any]:
    """The chosen members' parameters, as `boosting.depth` and `boosting-2.depth`; in a blend with their weights."""
    flat: dict[str, Any] = {}
    kinds: list[str] = []
    for trial, weight in found.chosen:
        kinds.append(trial.kind)
        again = kinds.count(trial.kind)  # a blend can hold several of a kind
        prefix = trial.kind if again == 1 else f"{trial.kind}-{again}"
        if len(found.chosen) > 1:
            flat[f"{prefix}.weight"] = round(weight, 4)
        flat |= {f"{prefix}.{key}": value for key, value in trial.parameters.items()}
    return flat


def assemble(
    manifest: Manifest,
    dataset: Dataset,
    fitted: Fitted,
    holdout: Dataset,
    served: Predictions,
    trivial: Predictions,
    runtime: OnnxRuntime,
    seconds: float,
) -> Report:
    """The report of a version that is about to be published.

    Args:
        manifest: what is known of it so far.
        dataset: all rows.
        fitted: the fit.
        holdout: the held-out rows.
        served: the exported graph's predictions of them.
        trivial: the baseline's.
        runtime: the exported graph.
        seconds: how long the fit took.
    """
    lineage, target = manifest.lineage, manifest.schema.target
    return Report(
        project=manifest.project,
        model=manifest.model,
        version=manifest.version,
        task=manifest.task,
        created=manifest.created,
        target=target.name,
        labels=[label_text(label) for label in target.labels],
        metric=manifest.metric,
        greater_is_better=METRICS[manifest.metric].greater_is_better,
        candidate=manifest.candidate,
        threshold=manifest.threshold,
        data=DataSection(
            rows=lineage.rows,
            fit_rows=lineage.fit_rows,
            holdout_rows=lineage.holdout_rows,
            split=lineage.split["method"],
            features={column.name: column.kind for column in manifest.schema.features},
            notes=list(dataset.notes),
        ),
        trials=_trials(fitted.search),
        pruned=fitted.search.pruned,
        seconds=seconds,
        cross_validation=_cross_validation(fitted.search, lineage.split["method"]),
        learning_curve=[
            LearningLine(
                point.rows, point.train, float(np.mean(point.validation)), min(point.validation), max(point.validation)
            )
            for point in fitted.learning_curve
        ],
        holdout=manifest.metrics,
        baseline={name: estimate.as_dict() for name, estimate in judge.scores(holdout, trivial).items()},
        curves=_curves(holdout.truth, served, len(target.labels)),
        importance=permutation_importance(runtime, holdout, manifest.metric, seed=lineage.seed),
        parity=manifest.parity,
        verdict=manifest.verdict,
        kept_from=manifest.recipe.kept_from if manifest.recipe else None,
    )


def _trials(found: Search) -> list[TrialLine]:
    weights = {id(trial): weight for trial, weight in found.chosen}
    return [
        TrialLine(
            trial.kind,
            trial.parameters,
            trial.score,
            _spread(trial.scores),
            float(np.mean(trial.train_scores)),
            trial.seconds,
            weights.get(id(trial), 0.0),
        )
        for trial in found.trials
    ]


def _cross_validation(found: Search, split: str) -> CrossValidation:
    """The chosen members' scores, weighted as in the blend. (A blend's own scores on these rows would flatter it.)"""
    scores = np.sum([weight * np.array(trial.scores) for trial, weight in found.chosen], axis=0)
    train = float(sum(weight * np.mean(trial.train_scores) for trial, weight in found.chosen))
    sign = 1.0 if METRICS[found.metric].greater_is_better else -1.0
    mean = float(np.mean(scores))
    method = {"time": "expanding window in time", "group": "grouped"}.get(split, "stratified by content")
    return CrossValidation(len(scores), method, scores.tolist(), mean, _spread(scores), train, sign * (train - mean))


def _spread(scores: Sequence[float] | np.ndarray) -> float | None:
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else None


def _curves(truth: np.ndarray, served: Predictions, classes: int) -> dict[str, Any]:
    if not classes:
        return _residuals(truth, served.values)
    assert served.probabilities is not None
    found: dict[str, Any] = {"confusion": curves.confusion_matrix(truth, served.values, classes).tolist()}
    if classes == 2:
        positive = served.probabilities[:, 1]
        try:
            found["roc"] = curves.roc_curve(truth, positive).as_dict()
            found["precision_recall"] = curves.precision_recall_curve(truth, positive).as_dict()
        except DataError:
            return found  # one class only among the held-out rows
        found["calibration"] = curves.calibration_curve(truth, positive).as_dict()
    found["expected_calibration_error"] = curves.expected_calibration_error(truth, served.probabilities)
    return found


def _residuals(truth: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    residuals = values - truth
    low, high = np.quantile(residuals, [0.005, 0.995])
    counts, edges = np.histogram(np.clip(residuals, low, high), bins=_BINS)
    some = np.linspace(0, len(truth) - 1, min(_POINTS, len(truth))).astype(int)
    return {
        "residuals": {
            "edges": edges.tolist(),
            "counts": counts.tolist(),
            "mean": float(residuals.mean()),
            "spread": float(residuals.std()),
            "quantiles": {str(level): float(np.quantile(residuals, level)) for level in (0.05, 0.5, 0.95)},
        },
        "predicted": {"truth": truth[some].tolist(), "predicted": values[some].tolist()},
    }

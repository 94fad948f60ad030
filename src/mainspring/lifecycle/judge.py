"""Judging a version on rows that no model in question was fitted on: scores with intervals, and the gate's verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import numpy as np

from mainspring.data.conform import conform
from mainspring.data.dataset import Dataset
from mainspring.data.splits import Split
from mainspring.errors import DataError, MainspringError
from mainspring.evaluation import comparison, gate
from mainspring.evaluation.baseline import baseline_predictions
from mainspring.evaluation.intervals import Estimate, estimates
from mainspring.evaluation.metrics import CLASSIFICATION_METRICS, REGRESSION_METRICS, Predictions, score
from mainspring.registry import versions
from mainspring.registry.versions import Version
from mainspring.runtimes.onnx import FILE_NAME, OnnxRuntime, Outputs
from mainspring.schema import Schema, label_text
from mainspring.spec import GateSpec, Project

TIME_BLOCKS = 100  # rows near in time are alike, so that they are resampled in blocks


@dataclass(frozen=True)
class Served:
    """A loaded version, able to answer for a data set whose schema may have moved on."""

    runtime: OnnxRuntime
    split: Split

    @classmethod
    def load(cls, version: Version) -> Served:
        """Load a published version for judging."""
        runtime = OnnxRuntime(version.file(FILE_NAME), version.manifest.schema, threads=0)
        return cls(runtime, msgspec.convert(version.manifest.lineage.split, Split))

    def predict(self, dataset: Dataset) -> Predictions:
        """What the version says of the rows, with classes in the order of the data set's labels.

        Raises:
            DataError: the data no longer has what the version takes, or its target is another.
        """
        schema = self.runtime.schema
        columns = conform(dataset.table, schema.features)
        return aligned(self.runtime.predict_in_chunks(columns), schema, dataset.schema)


def aligned(outputs: Outputs, schema: Schema, wanted: Schema) -> Predictions:
    """A version's outputs as predictions over the labels of `wanted`; a label that it does not know gets 0."""
    if schema.target.name != wanted.target.name or bool(schema.target.labels) != bool(wanted.target.labels):
        raise DataError(f"it predicts {schema.target.name!r}, and the data's target is {wanted.target.name!r}")
    if outputs.values is not None:
        return Predictions(values=outputs.values, probabilities=None)
    codes = {label_text(label): code for code, label in enumerate(wanted.target.labels)}
    texts = [label_text(label) for label in schema.target.labels]
    if gone := [text for text in texts if text not in codes]:
        raise DataError(f"it predicts labels that the data no longer has: {', '.join(gone)}")
    assert outputs.probabilities is not None
    assert outputs.labels is not None
    probabilities = np.zeros((len(outputs), len(codes)))
    probabilities[:, [codes[text] for text in texts]] = outputs.probabilities
    values = np.array([codes[text] for text in outputs.labels], dtype=np.int64)
    return Predictions(values=values, probabilities=probabilities)


def clusters(dataset: Dataset) -> np.ndarray | None:
    """Which rows are resampled together: a group's, or a stretch of time's; None where rows are independent."""
    if dataset.group is not None:
        return np.unique(dataset.group, return_inverse=True)[1]
    if dataset.time is None:
        return None
    blocks = min(TIME_BLOCKS, max(1, len(dataset) // 10))
    edges = np.quantile(dataset.time, np.linspace(0, 1, blocks + 1)[1:-1])
    return np.unique(np.searchsorted(edges, dataset.time, side="left"), return_inverse=True)[1]


def scores(dataset: Dataset, predictions: Predictions) -> dict[str, Estimate]:
    """Every metric of the task with its interval; one that these rows cannot give (as with one class) is left out."""
    names = CLASSIFICATION_METRICS if dataset.schema.target.labels else REGRESSION_METRICS
    defined = [name for name in names if _is_defined(name, dataset, predictions)]
    return estimates(defined, dataset.truth, predictions, clusters=clusters(dataset))


def _is_defined(metric: str, dataset: Dataset, predictions: Predictions) -> bool:
    try:
        score(metric, dataset.truth, predictions)
    except DataError:
        return False
    return True


def baseline(dataset: Dataset, fit_truth: np.ndarray, metric: str) -> Predictions:
    """The trivial baseline's predictions of the rows of `dataset`."""
    labels = dataset.schema.target.labels
    kind: Literal["classification", "regression"] = "classification" if labels else "regression"
    return baseline_predictions(kind, fit_truth, len(dataset), len(labels) or None, metric)


def against_baseline(
    dataset: Dataset, challenger: Predictions, trivial: Predictions, metric: str, spec: GateSpec
) -> dict[str, Any]:
    """The gate for a first champion: better than the baseline, whatever margin is asked of later ones."""
    return _decide(dataset, trivial, challenger, metric, replace_margin(spec, 0.0), "baseline")


def against_champion(
    project: Project, model: str, champion: str, dataset: Dataset, challenger: Predictions, metric: str
) -> dict[str, Any]:
    """The gate for every later one, on those rows of `dataset` that the champion was not fitted on either.

    A champion that is lost or damaged cannot be compared with, so that the verdict is left to people.

    Args:
        project: whose spec has the margin and the significance.
        model: the model.
        champion: the version that is live.
        dataset: the challenger's holdout.
        challenger: its predictions of these rows.
        metric: what "better" means.
    """
    against = f"version {champion}"
    try:
        live = versions.load(project.state, model, champion)
        live.verify()
        served = Served.load(live)
        unseen = np.flatnonzero(served.split.is_holdout(dataset.table))
        if not len(unseen):
            return undecided(against, f"the champion, {against}, was fitted on all of the held-out rows")
        rows = dataset.take(unseen)
        champion_predictions = served.predict(rows)
    except MainspringError as error:
        return undecided(against, f"the champion, {against}, cannot be compared: {error}")
    gate_spec = project.models[model].gate
    return _decide(rows, champion_predictions, take(challenger, unseen), metric, gate_spec, against)


def _decide(
    dataset: Dataset, champion: Predictions, challenger: Predictions, metric: str, spec: GateSpec, against: str
) -> dict[str, Any]:
    try:
        found = comparison.compare(
            metric,
            dataset.truth,
            champion=champion,
            challenger=challenger,
            clusters=clusters(dataset),
            margin=spec.margin,
            significance=spec.significance,
        )
    except DataError as error:
        return undecided(against, str(error))
    return {**gate.decide(found).as_dict(), "against": against}


def undecided(against: str, reason: str) -> dict[str, Any]:
    """The verdict where no comparison can be made."""
    return {"decision": "insufficient evidence", "reason": reason, "comparison": None, "against": against}


def replace_margin(spec: GateSpec, margin: float) -> GateSpec:
    """The same gate with another margin."""
    return spec.model_copy(update={"margin": margin})


def take(predictions: Predictions, rows: np.ndarray) -> Predictions:
    """Some of the rows."""
    probabilities = predictions.probabilities
    return replace(
        predictions,
        values=predictions.values[rows],
        probabilities=None if probabilities is None else probabilities[rows],
    )

"""A model of a table: fit, export, prove, judge, write down."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mainspring.data import dataset as data
from mainspring.data import splits
from mainspring.data.dataset import Dataset
from mainspring.errors import ParityError
from mainspring.evaluation import parity
from mainspring.evaluation.metrics import Predictions
from mainspring.lifecycle import judge, lineage, report_page, reporting
from mainspring.lifecycle.progress import Prepared, Watcher
from mainspring.monitoring import profiles
from mainspring.monitoring.privacy import Private, conceal, concealed_schema
from mainspring.registry import desired, versions
from mainspring.registry.versions import Golden, Manifest, Recipe, Version
from mainspring.runtimes import golden
from mainspring.runtimes.onnx import FILE_NAME, OnnxRuntime, Outputs
from mainspring.runtimes.records import RecordCodec
from mainspring.schema import Schema, label_text
from mainspring.spec import Project, TabularSpec
from mainspring.tasks import tabular
from mainspring.tasks.model import FittedModel
from mainspring.tasks.search import Trial
from mainspring.tasks.stress import stress_rows
from mainspring.tasks.tabular import Fitted

TOLERANCE = 1e-5
_GOLDEN_ROWS = 24
_HARD_GOLDEN_ROWS = 72


@dataclass(frozen=True)
class Material:
    """What a version is made from: rows, the spec to fit by, and, of a renewal, how its rows were chosen.

    `newest` is (n,) bool: rows of live traffic. Where enough of them are held out, these alone are judged on, for they
    tell what the world is like now. `recipe` is what to fit anew; where there is none, candidates are searched.
    """

    dataset: Dataset
    spec: TabularSpec
    policy: dict[str, Any] | None = None
    newest: np.ndarray | None = None
    recipe: Recipe | None = None


def prepare(project: Project, model: str, watcher: Watcher) -> Prepared:
    """Read the data, and see what a version would be made from.

    Raises:
        DataError: the data cannot be read, or is not what the spec says.
    """
    watcher.step(model, "reading the data")
    dataset = data.load(project, model)
    for note in dataset.notes:
        watcher.note(model, note)
    print_of_now = lineage.fingerprint(project, model, dataset.fingerprint)
    material = Material(dataset, project.table(model))
    return Prepared(print_of_now, lambda staged: make(project, model, material, print_of_now, staged, watcher))


def make(
    project: Project,
    model: str,
    material: Material,
    print_of_now: lineage.Fingerprint,
    staged: Path,
    watcher: Watcher,
) -> Version:
    """Fit, export, prove, judge, write down, publish."""
    dataset, spec, began = material.dataset, material.spec, time.perf_counter()
    split = splits.hold_out(dataset, spec)
    held_out = split.is_holdout(dataset.table)
    judged = held_out
    if material.newest is not None and (held_out & material.newest).sum() >= spec.monitor.rows:
        judged = held_out & material.newest
    fit_side, holdout = dataset.take(~held_out), dataset.take(judged)
    metric = tabular.metric_of(spec, dataset.schema)
    fitted, recipe = _fitted(model, material, fit_side, len(holdout), metric, watcher)
    schema = fitted.model.schema
    watcher.step(model, f"exporting {fitted.search.name} and proving that it answers the same")
    (staged / FILE_NAME).write_bytes(fitted.model.to_onnx())
    runtime = OnnxRuntime(staged / FILE_NAME, schema, threads=0)
    proof, outputs = _prove(fitted.model, runtime, holdout)
    watcher.step(model, "judging it on the held-out rows")
    served = judge.aligned(outputs, schema, dataset.schema)
    estimates = judge.scores(holdout, served)
    trivial = judge.baseline(holdout, fit_side.truth, metric)
    champion = desired.read(project.state).champion(model)
    if champion is None:
        verdict = judge.against_baseline(holdout, served, trivial, metric, spec.gate)
    else:
        verdict = judge.against_champion(project, model, champion, holdout, served, metric)
    (staged / versions.GOLDEN).write_bytes(msgspec.json.encode(_golden(fitted.model, runtime, holdout)))
    manifest = Manifest(
        project=project.name,
        model=model,
        version=versions.next_name(project.state, model),
        task=spec.task,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        schema=schema,
        lineage=print_of_now.lineage(
            rows=len(dataset),
            fit_rows=len(fit_side),
            holdout_rows=len(holdout),
            split=msgspec.to_builtins(split),
            policy=material.policy,
            seed=spec.seed,
        ),
        candidate=fitted.search.name,
        parameters=reporting.parameters(fitted.search),
        metric=metric,
        metrics={name: estimate.as_dict() for name, estimate in estimates.items()},
        parity=proof.as_dict(),
        verdict=verdict,
        threshold=fitted.model.threshold,
        recipe=recipe,
    )
    watcher.step(model, "writing the report")
    full = reporting.assemble(manifest, dataset, fitted, holdout, served, trivial, runtime, time.perf_counter() - began)
    (staged / versions.REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(full)))
    (staged / versions.REPORT_PAGE).write_text(report_page.render(full), encoding="utf-8")
    private = Private.of(project, model)
    reference = profiles.build(
        concealed_schema(schema, private),
        metric,
        fit=conceal(fit_side.columns, private),
        fit_truth=fit_side.truth,
        held_out=conceal(holdout.columns, private),
        outputs=outputs,
        truth=holdout.truth,
        importance={column.column: max(0.0, column.mean) for column in full.importance},
        seed=spec.seed,
    )
    profiles.save(reference, staged)
    return versions.publish(staged, manifest)


def _fitted(
    model: str, material: Material, fit_side: Dataset, held_out: int, metric: str, watcher: Watcher
) -> tuple[Fitted, Recipe]:
    """The recipe fitted anew, or the best of a search; and what to fit next time."""
    on = f"on {len(fit_side):,} rows; {held_out:,} are held out"
    if material.recipe is not None:
        watcher.step(model, f"fitting the recipe of version {material.recipe.kept_from} {on}")
        fitted = tabular.refit(fit_side, material.spec, material.recipe)
        return fitted, msgspec.structs.replace(tabular.recipe_of(fitted.search), kept_from=material.recipe.kept_from)
    watcher.step(model, f"trying candidates {on}")
    count = 0

    def progress(trial: Trial, best: Trial) -> None:
        nonlocal count
        count += 1
        watcher.trial(model, metric, trial, best, count)

    fitted = tabular.fit(fit_side, material.spec, progress=progress)
    return fitted, tabular.recipe_of(fitted.search)


def _prove(fitted: FittedModel, runtime: OnnxRuntime, holdout: Dataset) -> tuple[parity.Parity, Outputs]:
    """Compare the graph with the estimators on every held-out row and on stress rows; its answers to the former.

    Raises:
        ParityError: they differ.
    """
    columns = {column.name: holdout.columns[column.name] for column in fitted.schema.features}
    hard = stress_rows(columns, fitted.schema)
    everything = {name: np.concatenate([column, hard[name]]) for name, column in columns.items()}
    expected, served = fitted.predict(everything), runtime.predict_in_chunks(everything)
    if expected.probabilities is not None and served.probabilities is not None:
        proof = parity.check_probabilities(
            expected.probabilities, served.probabilities, threshold=fitted.threshold, tolerance=TOLERANCE
        )
        _prove_labels(fitted, expected, served)
    else:
        assert served.values is not None
        proof = parity.check_values(expected.values, served.values, tolerance=TOLERANCE)
    rows = slice(len(holdout))

    def first(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[rows]

    return proof, Outputs(first(served.labels), first(served.probabilities), first(served.values))


def _prove_labels(fitted: FittedModel, expected: Predictions, served: Outputs) -> None:
    """The graph's `label` is the class that the estimators decide for, wherever that is no matter of a last bit."""
    labels = _as_outputs(expected, fitted.schema).labels
    assert labels is not None
    assert served.labels is not None
    wrong = np.flatnonzero((served.labels != labels) & (_margin(expected, fitted.threshold) > TOLERANCE))
    if len(wrong):
        row = wrong[0]
        raise ParityError(f"row {row} is served as {served.labels[row]!r}, and was fitted as {labels[row]!r}")


def _margin(predictions: Predictions, threshold: float | None) -> np.ndarray:
    """How far each row is from being decided otherwise: (n,)."""
    assert predictions.probabilities is not None
    if threshold is not None:
        return np.abs(predictions.probabilities[:, 1] - threshold)
    ranked = np.sort(predictions.probabilities, axis=1)
    return ranked[:, -1] - ranked[:, -2]


def _golden(fitted: FittedModel, runtime: OnnxRuntime, holdout: Dataset) -> Golden:
    """Examples whose answers come from the fitted estimators; the graph just made is the first that must give them.

    A row on the very edge between two classes is left out: another machine's last bit may decide it.
    """
    schema, codec = fitted.schema, RecordCodec(fitted.schema)
    some = np.unique(np.linspace(0, len(holdout) - 1, _GOLDEN_ROWS).astype(int))
    real = {column.name: holdout.columns[column.name][some] for column in schema.features}
    hard = stress_rows(real, schema, missing=False)
    few = np.unique(np.linspace(0, len(next(iter(hard.values()))) - 1, _HARD_GOLDEN_ROWS).astype(int))
    hard = {name: column[few] for name, column in hard.items()}
    columns = {name: np.concatenate([column, hard[name]]) for name, column in real.items()}
    expected = fitted.predict(columns)
    if expected.probabilities is not None:
        clear = _margin(expected, fitted.threshold) > 10 * TOLERANCE
        columns = {name: column[clear] for name, column in columns.items()}
        expected = judge.take(expected, np.flatnonzero(clear))
    answers = codec.outputs(_as_outputs(expected, schema))
    made = Golden(codec.records(columns), answers, TOLERANCE)
    made = msgspec.json.decode(msgspec.json.encode(made), type=Golden)
    golden.check(runtime, codec, made.records, made.answers, made.tolerance)
    return made


def _as_outputs(predictions: Predictions, schema: Schema) -> Outputs:
    if predictions.probabilities is None:
        return Outputs(values=predictions.values)
    texts = np.array([label_text(label) for label in schema.target.labels], dtype=object)
    return Outputs(labels=texts[predictions.values], probabilities=predictions.probabilities)

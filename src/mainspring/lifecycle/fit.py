"""Fit what is stale: data to a published version, judged, and promoted if the gate says so."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from mainspring.data import dataset as data
from mainspring.data import splits
from mainspring.data.dataset import Dataset
from mainspring.errors import MainspringError, ParityError, RegistryError
from mainspring.evaluation import parity
from mainspring.evaluation.metrics import Predictions
from mainspring.lifecycle import follow, judge, lineage, promote, report_page, reporting
from mainspring.monitoring import profiles
from mainspring.monitoring.privacy import Private, conceal, concealed_schema
from mainspring.registry import desired, history, tracking, versions
from mainspring.registry.files import lock
from mainspring.registry.versions import Golden, Lineage, Manifest, Recipe, Version
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

Outcome = Literal["promoted", "trial", "kept", "unchanged", "failed"]


@dataclass(frozen=True)
class Result:
    """What became of one model. `kept`: a version was made, and the gate did not let it through; `trial`: it did, and
    the version has to show itself in live traffic.
    """

    model: str
    outcome: Outcome
    version: str | None
    message: str
    seconds: float = 0.0
    verdict: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None


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


class Watcher:
    """Told how a fit goes along; the command line's watcher draws it."""

    def step(self, model: str, what: str) -> None:
        """A step begins."""

    def note(self, model: str, what: str) -> None:
        """Something that the user should know."""

    def trial(self, model: str, metric: str, trial: Trial, best: Trial, done: int) -> None:
        """A trial of the search ended."""


def fit(
    project: Project, models: Sequence[str] = (), *, force: bool = False, watcher: Watcher | None = None
) -> list[Result]:
    """Fit those of `models` (all, where none is named) that are stale. One that fails does not stop the others.

    Raises:
        SpecError: a model that does not exist is named.
    """
    for name in models:
        project.model(name)
    return [_fit_safely(project, name, force, watcher or Watcher()) for name in models or project.models]


def _fit_safely(project: Project, model: str, force: bool, watcher: Watcher) -> Result:
    began = time.perf_counter()
    try:
        with lock(versions.models_folder(project.state, model) / ".fit.lock", what=f"a fit of {model}"):
            return _fit(project, model, force, watcher, began)
    except (MainspringError, OSError) as error:  # a full disk, say, which need not be full for the next model
        return Result(model, "failed", None, str(error), time.perf_counter() - began)


def _fit(project: Project, model: str, force: bool, watcher: Watcher, began: float) -> Result:
    watcher.step(model, "reading the data")
    dataset = data.load(project, model)
    for note in dataset.notes:
        watcher.note(model, note)
    print_of_now = lineage.fingerprint(project, model, dataset.fingerprint)
    made = versions.load_all(project.state, model)
    store = tracking.connect(project)
    if store:
        for version in made:  # what a killed fit, or one without MLflow, did not record
            store.record(version)
    same = [version for version in made if print_of_now.matches(version)]
    if same and not force:
        return _unchanged(project, same[-1], began)
    if store:
        catch_up(project, store, model, watcher)
    with versions.staging(project.state, model) as staged:
        version = make(project, model, Material(dataset, project.table(model)), print_of_now, staged, watcher)
    record(project, version, store, watcher)
    return _conclude(project, version, store, time.perf_counter() - began)


def record(project: Project, version: Version, store: tracking.Tracking | None, watcher: Watcher) -> None:
    """Note a new version in the history and in MLflow."""
    manifest = version.manifest
    detail = f"{manifest.candidate}, {manifest.recipe}: {manifest.verdict['reason']}"
    history.append(project.state, manifest.model, "fit", version.name, detail, decision=manifest.verdict["decision"])
    if store:
        watcher.step(manifest.model, "recording in MLflow")
        store.record(version)


def catch_up(project: Project, store: tracking.Tracking, model: str, watcher: Watcher) -> None:
    """Judge against the champion that MLflow names: its alias may have been moved while nothing followed it."""
    try:
        follow.follow_once(project, store, model)
    except RegistryError as error:
        watcher.note(model, str(error))


def _unchanged(project: Project, version: Version, began: float) -> Result:
    """Nothing to fit; but a fit that was killed before its promotion is carried to its end."""
    model, name = version.manifest.model, version.name
    champion = desired.read(project.state).champion(model)
    # A version that was tried in live traffic has its promotion decided there.
    decided = (*history.CHAMPION_CHANGES, "rollout")
    promoted = {event.version for event in history.read(project.state, model) if event.kind in decided}
    against = "baseline" if champion is None else f"version {champion}"
    verdict = version.manifest.verdict
    if verdict["decision"] == "promote" and name not in promoted and verdict["against"] == against:
        return _conclude(project, version, None, time.perf_counter() - began)
    live = "which is live" if champion == name else f"{verdict['decision']}; live is version {champion or 'none'}"
    message = f"data, spec and code are as they were for version {name} ({live}): nothing to do"
    return Result(model, "unchanged", name, message, time.perf_counter() - began, verdict)


def _conclude(project: Project, version: Version, store: tracking.Tracking | None, seconds: float) -> Result:
    manifest = version.manifest
    if manifest.verdict["decision"] == "promote":
        promote.promote(project, manifest.model, version.name, reason=manifest.verdict["reason"], watched=True)
        outcome: Outcome = "promoted"
    else:
        if store:
            store.set_alias(manifest.model, tracking.CHALLENGER, version.name)
        outcome = "kept"
    reason = manifest.verdict["reason"]
    return Result(manifest.model, outcome, version.name, reason, seconds, manifest.verdict, manifest.metrics)


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
        lineage=Lineage(
            data=print_of_now.data,
            spec=print_of_now.spec,
            code=print_of_now.code,
            rows=len(dataset),
            fit_rows=len(fit_side),
            holdout_rows=len(holdout),
            split=msgspec.to_builtins(split),
            policy=material.policy,
            seed=spec.seed,
            python=platform.python_version(),
            libraries=lineage.libraries(),
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

"""Fit what is stale: data to a published version, judged, and promoted if the gate says so."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from mainspring.errors import MainspringError, RegistryError
from mainspring.files import lock
from mainspring.lifecycle import follow, promote
from mainspring.lifecycle.letting_in import let_in
from mainspring.lifecycle.progress import Outcome, Prepared, Result, Watcher
from mainspring.registry import desired, history, tracking, versions
from mainspring.registry.versions import Version
from mainspring.spec import Project
from mainspring.spec.references import in_order


def fit(
    project: Project, models: Sequence[str] = (), *, force: bool = False, watcher: Watcher | None = None
) -> list[Result]:
    """Fit those of `models` (all, where none is named) that are stale, a prompt program after those that it
    asks. One that fails does not stop the others.

    Raises:
        SpecError: a model that does not exist is named.
    """
    for name in models:
        project.model(name)
    chosen = in_order(project.models, models or project.models)
    return [_fit_safely(project, name, force, watcher or Watcher()) for name in chosen]


def only_fit(project: Project, model: str) -> AbstractContextManager[None]:
    """One fit or renewal of a model at a time; BusyError while there is another."""
    return lock(versions.models_folder(project.state, model) / ".fit.lock", what=f"a fit of {model}")


def _fit_safely(project: Project, model: str, force: bool, watcher: Watcher) -> Result:
    began = time.perf_counter()
    try:
        with only_fit(project, model):
            return _fit(project, model, force, watcher, began)
    except (MainspringError, OSError) as error:  # a full disk, say, which need not be full for the next model
        return Result(model, "failed", None, str(error), time.perf_counter() - began)


def _fit(project: Project, model: str, force: bool, watcher: Watcher, began: float) -> Result:
    prepared = _prepare(project, model, watcher)
    made = versions.load_all(project.state, model)
    store = tracking.connect(project)
    if store:
        for version in made:  # what a killed fit, or one without MLflow, did not record
            store.record(version)
    same = [version for version in made if prepared.fingerprint.matches(version)]
    if same and not force:
        return _unchanged(project, same[-1], began)
    if store:
        catch_up(project, store, model, watcher)
    with versions.staging(project.state, model) as staged:
        version = prepared.make(staged)
    record(project, version, store, watcher)
    return _conclude(project, version, store, time.perf_counter() - began)


def _prepare(project: Project, model: str, watcher: Watcher) -> Prepared:
    """See what there is to fit from, and how it is done with this kind of model."""
    if model in project.languages:
        from mainspring.lifecycle import language

        return language.prepare(project, model, watcher)
    if model in project.prompts:
        from mainspring.lifecycle import prompt

        return prompt.prepare(project, model, watcher)
    if model in project.retrievals:
        from mainspring.lifecycle import retrieval

        return retrieval.prepare(project, model, watcher)
    from mainspring.lifecycle import tables

    return tables.prepare(project, model, watcher)


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
    # A table's challenger is tried in live traffic by a renewal. What a language model or a prompt changes with is a
    # person's work as a rule, not rows that came: their fits are tried, too.
    if manifest.model not in project.tables and desired.read(project.state).champion(manifest.model) is not None:
        return let_in(project, version, store, seconds)
    if manifest.verdict["decision"] == "promote":
        promote.promote(project, manifest.model, version.name, reason=manifest.verdict["reason"], watched=True)
        outcome: Outcome = "promoted"
    else:
        if store:
            store.set_alias(manifest.model, tracking.CHALLENGER, version.name)
        outcome = "kept"
    reason = manifest.verdict["reason"]
    return Result(manifest.model, outcome, version.name, reason, seconds, manifest.verdict, manifest.metrics)

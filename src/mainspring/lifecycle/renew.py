"""Renewal: one turn of the loop. A challenger on the policy's data → the gate → promotion, or a trial in live traffic.

The policy (`[models.NAME.renew]`) says which rows a challenger learns from: all history, the newest stretch of it, or
what came since the change that raised the alarm; in each case with the live rows whose true label has come by feedback.
The newest of these rows are held out, and where enough of them are live, they alone are judged on. The champion's
recipe is fitted anew on them, unless there is a reason to search: see `terms`.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pyarrow as pa

from mainspring.data import dataset as data
from mainspring.data.dataset import Dataset
from mainspring.data.fingerprints import table_fingerprint
from mainspring.data.splits import Split
from mainspring.errors import MainspringError, RegistryError
from mainspring.files import lock
from mainspring.lifecycle import fit, lineage
from mainspring.lifecycle.letting_in import let_in
from mainspring.lifecycle.lineage import Fingerprint
from mainspring.lifecycle.progress import Result, Watcher
from mainspring.lifecycle.tables import Material, make
from mainspring.lifecycle.terms import Terms, terms
from mainspring.monitoring import log
from mainspring.monitoring.privacy import Private
from mainspring.registry import desired, history, tracking, versions
from mainspring.registry.versions import Recipe, Version
from mainspring.schema import Schema
from mainspring.spec import Project, TabularSpec


def renew(
    project: Project,
    model: str,
    *,
    reason: str,
    since: int | None = None,
    search: bool = False,
    watcher: Watcher | None = None,
) -> Result:
    """Fit a challenger of `model` on the policy's data, and let it in as far as the evidence goes.

    Args:
        project: the project.
        model: one that has a champion.
        reason: why, for the history: "by hand", an alarm's message, …
        since: when the world changed, in microseconds since 1970 UTC; for the policy `since-change`.
        search: try candidates, also where the champion's recipe could be kept.
        watcher: told how it goes along.

    Raises:
        SpecError: there is no such model, or its policy needs `time`.
        BusyError: the model is being fitted already.
    """
    spec, began, watcher = project.table(model), time.perf_counter(), watcher or Watcher()
    if spec.renew.data != "all" and spec.time is None:
        raise project.mistake(
            ("models", model, "renew", "data"), f"{spec.renew.data!r} needs models.{model}.time, the column of time"
        )
    with lock(versions.models_folder(project.state, model) / ".fit.lock", what=f"a fit of {model}"):
        # The beginning is noted too: a renewal that takes the whole machine down must not be begun at once again.
        history.append(project.state, model, "renew", "", reason, phase="begin")
        try:
            result = _renew(project, model, since, search, watcher, began)
        except (MainspringError, OSError) as error:  # a full disk, say
            result = Result(model, "failed", None, str(error), time.perf_counter() - began)
        seconds = round(time.perf_counter() - began, 1)
        detail = f"{result.outcome}: {result.message}"
        version = result.version or ""
        history.append(project.state, model, "renew", version, detail, phase="end", seconds=seconds)
    return result


def _renew(project: Project, model: str, since: int | None, search: bool, watcher: Watcher, began: float) -> Result:
    store = tracking.connect(project)
    if store:
        fit.catch_up(project, store, model, watcher)
    champion = desired.read(project.state).champion(model)
    if champion is None:
        raise RegistryError(f"{model} has no champion to renew yet: run `mainspring fit {model}`")
    watcher.step(model, "reading the data")
    spec = project.tables[model]
    live = _live_rows(project, spec, model, champion, watcher)
    dataset = data.load(project, model, live)
    beaten = versions.load(project.state, model, champion)
    split = msgspec.convert(beaten.manifest.lineage.split, Split)
    found = terms(spec, dataset.time, changed=since, seen_until=split.seen_until)
    for note in found.notes:
        watcher.note(model, note)
    print_of_now = lineage.fingerprint(project, model, dataset.fingerprint)
    recipe = None if search or found.search else _kept(beaten, print_of_now, watcher)
    material = _material(dataset, spec, live, found, recipe)
    for version in versions.load_all(project.state, model):
        done = _rows(version.manifest.lineage.policy) == _rows(material.policy)
        if done and print_of_now.matches(version) and (recipe is not None or _was_searched(version)):
            message = f"no row has come since version {version.name} was fitted on the same: nothing to renew with"
            return Result(model, "unchanged", version.name, message, time.perf_counter() - began)
    with versions.staging(project.state, model) as staged:
        version = make(project, model, material, print_of_now, staged, watcher)
    fit.record(project, version, store, watcher)
    return let_in(project, version, store, time.perf_counter() - began)


def _live_rows(project: Project, spec: TabularSpec, model: str, champion: str, watcher: Watcher) -> pa.Table | None:
    """Answered rows whose true label has come; None where the policy does not want them, or the data cannot have them.

    A private column, which the log has not or only as a hash, is missing in them.
    """
    if not spec.renew.feedback:
        return None
    if spec.group is not None:
        watcher.note(model, f"live rows are not learned from: they have no {spec.group}, which keeps rows together")
        return None
    whole = versions.load(project.state, model, champion).manifest.schema
    private = Private.of(project, model).rules
    schema = Schema(tuple(column for column in whole.features if column.name not in private), whole.target)
    logged = log.read(project, model, schema)
    labelled = log.as_table(logged, schema, spec.time)
    if labelled.num_rows:
        watcher.note(model, f"{labelled.num_rows:,} live rows have their label by feedback")
    return labelled


def _kept(champion: Version, print_of_now: Fingerprint, watcher: Watcher) -> Recipe | None:
    """The champion's recipe, to be fitted anew; None where it may be out of date or is not known, and why is told."""
    manifest = champion.manifest
    if manifest.recipe is None:
        why = f"version {champion.name} is of a time when recipes were not kept"
    elif manifest.lineage.spec != print_of_now.spec:
        why = f"the spec has changed since version {champion.name} was fitted"
    elif manifest.lineage.code != print_of_now.code:
        why = f"the code has changed since version {champion.name} was fitted"
    else:
        return msgspec.structs.replace(manifest.recipe, kept_from=champion.name)
    watcher.note(manifest.model, f"{why}: candidates are searched")
    return None


def _was_searched(version: Version) -> bool:
    recipe = version.manifest.recipe
    return recipe is None or recipe.kept_from is None


def _material(
    dataset: Dataset, spec: TabularSpec, live: pa.Table | None, found: Terms, recipe: Recipe | None
) -> Material:
    """The rows of the policy, what to make of them, and all of it as the lineage keeps it."""
    if found.since is not None and dataset.time is not None:
        dataset = dataset.take(dataset.time >= found.since)
    described: dict[str, Any] = {"data": spec.renew.data, "from": found.since}
    if live is not None and live.num_rows:
        described["live"] = table_fingerprint(live)
    changed = {name for name in ("candidates", "budget", "holdout") if getattr(found.spec, name) != getattr(spec, name)}
    described |= found.spec.model_dump(include=changed, mode="json")
    return Material(dataset, found.spec, described, dataset.live, recipe)


def _rows(policy: dict[str, Any] | None) -> tuple[Any, Any]:
    """What a policy says of the rows: from when on, and which live ones. A fit's, which is None: all, and no live."""
    return (policy.get("from"), policy.get("live")) if policy else (None, None)

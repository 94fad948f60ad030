"""Renewal: one turn of the loop. A challenger on the policy's data → the gate → promotion, or a trial in live traffic.

The policy (`[models.NAME.renew]`) says which rows a challenger learns from: all history, the newest stretch of it, or
what came since the change that raised the alarm; in each case with the live rows whose true label has come by feedback.
The newest of these rows are held out, and where enough of them are live, they alone are judged on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from mainspring.data import dataset as data
from mainspring.data.dataset import Dataset
from mainspring.data.fingerprints import table_fingerprint
from mainspring.data.splits import Split
from mainspring.errors import MainspringError, RegistryError
from mainspring.lifecycle import fit, lineage, promote
from mainspring.lifecycle.fit import Material, Result, Watcher
from mainspring.monitoring import log
from mainspring.monitoring.privacy import Private
from mainspring.registry import desired, history, tracking, versions
from mainspring.registry.files import lock
from mainspring.registry.versions import Version
from mainspring.schema import Schema
from mainspring.spec import Project, TabularSpec

LEAST_ROWS = 1000  # since a change, before which all history teaches more
_ENOUGH_TO_JUDGE = 2000
_MICROSECONDS = 1_000_000


def renew(
    project: Project, model: str, *, reason: str, since: int | None = None, watcher: Watcher | None = None
) -> Result:
    """Fit a challenger of `model` on the policy's data, and let it in as far as the evidence goes.

    Args:
        project: the project.
        model: one that has a champion.
        reason: why, for the history: "by hand", an alarm's message, …
        since: when the world changed, in microseconds since 1970 UTC; for the policy `since-change`.
        watcher: told how it goes along.

    Raises:
        SpecError: there is no such model, or its policy needs `time`.
        BusyError: the model is being fitted already.
    """
    spec, began, watcher = project.model(model), time.perf_counter(), watcher or Watcher()
    if spec.renew.data != "all" and spec.time is None:
        raise project.mistake(
            ("models", model, "renew", "data"), f"{spec.renew.data!r} needs models.{model}.time, the column of time"
        )
    with lock(versions.models_folder(project.state, model) / ".fit.lock", what=f"a fit of {model}"):
        # The beginning is noted too: a renewal that takes the whole machine down must not be begun at once again.
        history.append(project.state, model, "renew", "", reason, phase="begin")
        try:
            result = _renew(project, model, since, watcher, began)
        except (MainspringError, OSError) as error:  # a full disk, say
            result = Result(model, "failed", None, str(error), time.perf_counter() - began)
        seconds = round(time.perf_counter() - began, 1)
        detail = f"{result.outcome}: {result.message}"
        version = result.version or ""
        history.append(project.state, model, "renew", version, detail, phase="end", seconds=seconds)
    return result


def _renew(project: Project, model: str, since: int | None, watcher: Watcher, began: float) -> Result:
    store = tracking.connect(project)
    if store:
        fit.catch_up(project, store, model, watcher)
    champion = desired.read(project.state).champion(model)
    if champion is None:
        raise RegistryError(f"{model} has no champion to renew yet: run `mainspring fit {model}`")
    watcher.step(model, "reading the data")
    spec = project.models[model]
    live = _live_rows(project, spec, model, champion, watcher)
    dataset = data.load(project, model, live)
    split = msgspec.convert(versions.load(project.state, model, champion).manifest.lineage.split, Split)
    material = _chosen(dataset, spec, live, since, split.seen_until, lambda note: watcher.note(model, note))
    print_of_now = lineage.fingerprint(project, model, dataset.fingerprint)
    for version in versions.load_all(project.state, model):
        if print_of_now.matches(version) and _rows(version.manifest.lineage.policy) == _rows(material.policy):
            message = f"no row has come since version {version.name} was fitted on the same: nothing to renew with"
            return Result(model, "unchanged", version.name, message, time.perf_counter() - began)
    with versions.staging(project.state, model) as staged:
        version = fit.make(project, model, material, print_of_now, staged, watcher)
    fit.record(project, version, store, watcher)
    return _let_in(project, spec, version, store, time.perf_counter() - began)


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


def _chosen(
    dataset: Dataset,
    spec: TabularSpec,
    live: pa.Table | None,
    since: int | None,
    seen_until: int,
    note: Callable[[str], None],
) -> Material:
    """The rows of the policy, and the spec with the renewal's own candidates and budget."""
    policy, times, start = spec.renew, dataset.time, None
    if policy.data == "window" and times is not None and policy.window is not None:
        start = int(times.max() - policy.window * _MICROSECONDS)
    elif policy.data == "since-change" and times is not None and since is not None:
        rows = int((times >= since).sum())
        if rows >= LEAST_ROWS:
            start = since
        else:
            note(f"only {rows:,} rows came since the change, fewer than {LEAST_ROWS:,}: all history is used")
    if start is not None and times is not None:
        dataset = dataset.take(times >= start)
        note(f"{len(dataset):,} rows since {_day(start)} are used")
    described: dict[str, Any] = {"data": policy.data, "from": start}
    if live is not None and live.num_rows:
        described["live"] = table_fingerprint(live)
    own: dict[str, Any] = {"candidates": policy.candidates, "budget": policy.budget}
    if dataset.time is not None:
        own["holdout"] = share_to_judge_by(dataset.time, seen_until, spec.holdout)
    changed = spec.model_copy(update={key: value for key, value in own.items() if value is not None})
    described |= changed.model_dump(include={key for key, value in own.items() if value is not None}, mode="json")
    return Material(dataset, changed, described, dataset.live)


def _rows(policy: dict[str, Any] | None) -> tuple[Any, Any]:
    """What a policy says of the rows: from when on, and which live ones. A fit's, which is None: all, and no live."""
    return (policy.get("from"), policy.get("live")) if policy else (None, None)


def share_to_judge_by(times: np.ndarray, seen_until: int, holdout: float) -> float:
    """The share of dated rows that a renewal holds out: of those alone that came after the champion's data ended.

    The newest rows are what a renewal is for. Were the usual share of all rows held out, then after a long history
    none of the new ones would be left to learn from. Of few new ones, half are held out, for a verdict needs rows.

    Args:
        times: (n,) int64 microseconds since 1970 UTC.
        seen_until: the newest time in the champion's data.
        holdout: the share that the spec asks for.
    """
    new = int((times > seen_until).sum())
    if not new:
        return holdout
    return max(holdout * new, min(_ENOUGH_TO_JUDGE, new / 2)) / len(times)


def _let_in(
    project: Project, spec: TabularSpec, version: Version, store: tracking.Tracking | None, seconds: float
) -> Result:
    """By the verdict and the policy: promoted, tried in live traffic first, or kept."""
    model, rollout = version.manifest.model, spec.renew.rollout
    verdict, metrics = version.manifest.verdict, version.manifest.metrics
    passed = verdict["decision"] == "promote"
    if passed and rollout == "full":
        promote.promote(project, model, version.name, reason=verdict["reason"], watched=True)
        return Result(model, "promoted", version.name, verdict["reason"], seconds, verdict, metrics)
    if store:
        store.set_alias(model, tracking.CHALLENGER, version.name)
    if not passed:
        return Result(model, "kept", version.name, verdict["reason"], seconds, verdict, metrics)
    if rollout == "shadow":
        desired.set_shadow(project.state, model, version.name)
        what = "answers beside the champion, unheard"
    else:
        desired.set_canary(project.state, model, version.name, spec.renew.share)
        what = f"takes {spec.renew.share:.0%} of the traffic"
    message = f"{verdict['reason']}; it {what} for {spec.renew.trial:,.0f} s before it is promoted"
    history.append(project.state, model, "rollout", version.name, message, phase="begin", rollout=rollout)
    return Result(model, "trial", version.name, message, seconds, verdict, metrics)


def _day(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / _MICROSECONDS, UTC).date().isoformat()

"""Renewal: one turn of the loop. A challenger on the policy's data → the gate → promotion, or a trial in live traffic.

The policy (`[models.NAME.renew]`) says which rows a challenger learns from: all history, the newest stretch of it, or
what came since the change that raised the alarm; in each case with the live rows whose true label has come by feedback.
What a challenger is made from, by the kind of model: see `turns`.
"""

from __future__ import annotations

import time

from mainspring.errors import MainspringError, RegistryError
from mainspring.lifecycle import fit
from mainspring.lifecycle.letting_in import let_in
from mainspring.lifecycle.progress import Result, Watcher
from mainspring.lifecycle.turns import turn
from mainspring.registry import desired, history, tracking, versions
from mainspring.spec import DataSpec, Project


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
    spec, began, watcher = project.model(model), time.perf_counter(), watcher or Watcher()
    if isinstance(spec, DataSpec) and spec.renew.data != "all" and spec.time is None:
        raise project.mistake(
            ("models", model, "renew", "data"), f"{spec.renew.data!r} needs models.{model}.time, the column of time"
        )
    with fit.only_fit(project, model):
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
    made = turn(project, versions.load(project.state, model, champion), since, search, watcher)
    for version in versions.load_all(project.state, model):
        if made.made_before(version):
            return Result(model, "unchanged", version.name, made.nothing_new(version), time.perf_counter() - began)
    with versions.staging(project.state, model) as staged:
        version = made.make(staged)
    fit.record(project, version, store, watcher)
    return let_in(project, version, store, time.perf_counter() - began)

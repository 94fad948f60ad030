"""What a renewal makes a challenger from, by the kind of model.

Of a table and of a prompt program: the rows of the policy, with the live rows whose true label has come by feedback.
Where enough of those are held out, they alone are judged on. Of a table the champion's recipe is fitted anew on them,
unless there is a reason to search (see `terms`); of a prompt, strategies and examples are tried as in any fit. A
language model learns nothing from rows: it is made anew where its weights are others, and a collection where its
documents are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from mainspring.data import dataset as data
from mainspring.data.dataset import Dataset
from mainspring.data.fingerprints import table_fingerprint
from mainspring.data.splits import Split
from mainspring.lifecycle import lineage
from mainspring.lifecycle.lineage import Fingerprint
from mainspring.lifecycle.progress import Watcher
from mainspring.lifecycle.terms import Terms, terms
from mainspring.monitoring import log
from mainspring.monitoring.privacy import Private
from mainspring.registry.versions import Recipe, Version
from mainspring.schema import Schema
from mainspring.spec import DataSpec, Project

_Spec = TypeVar("_Spec", bound=DataSpec)


@dataclass(frozen=True)
class Turn:
    """What a challenger would be made from, as a fingerprint and the `policy` (None where no row is learned from), and
    how: `make` writes it into a staged folder. `searched`: its kind and parameters are not the champion's, but found.
    """

    fingerprint: Fingerprint
    make: Callable[[Path], Version]
    policy: dict[str, Any] | None = None
    searched: bool = False

    def made_before(self, version: Version) -> bool:
        """Whether `version` was made from the same."""
        same = _rows(version.manifest.lineage.policy) == _rows(self.policy) and self.fingerprint.matches(version)
        return same and (not self.searched or _was_searched(version))

    def nothing_new(self, version: Version) -> str:
        """The sentence for that."""
        if self.policy is None:
            return f"all that it is made of is as it was for version {version.name}: nothing to renew with"
        return f"no row has come since version {version.name} was fitted on the same: nothing to renew with"


def turn(project: Project, champion: Version, since: int | None, search: bool, watcher: Watcher) -> Turn:
    """What a challenger of `champion` would be made from now.

    Args:
        project: the project.
        champion: the version that is live.
        since: when the world changed, in microseconds since 1970 UTC, if that is known.
        search: try candidates, also where the champion's recipe could be kept.
        watcher: told how it goes along.

    Raises:
        MainspringError: data, a prompt or weights cannot be had.
    """
    model = champion.manifest.model
    if model in project.tables:
        return _of_table(project, champion, since, search, watcher)
    if model in project.prompts:
        return _of_prompt(project, champion, since, watcher)
    if model in project.retrievals:
        from mainspring.lifecycle import retrieval

        prepared = retrieval.prepare(project, model, watcher)
    else:
        from mainspring.lifecycle import language

        prepared = language.prepare(project, model, watcher)
    return Turn(prepared.fingerprint, prepared.make)


def _of_table(project: Project, champion: Version, since: int | None, search: bool, watcher: Watcher) -> Turn:
    from mainspring.lifecycle.tables import Material, make

    model = champion.manifest.model
    spec = project.table(model)
    watcher.step(model, "reading the data")
    live = _live_rows(project, champion, watcher)
    dataset = data.load(project, model, live)
    found = _terms(spec, champion, dataset, since, watcher)
    print_of_now = lineage.fingerprint(project, model, dataset.fingerprint)
    recipe = None if search or found.search else _kept(champion, print_of_now, watcher)
    policy, some = _policy(spec, live, found), dataset.take(_chosen(dataset, found))
    material = Material(some, found.spec, policy, some.live, recipe)
    return Turn(
        print_of_now,
        lambda staged: make(project, model, material, print_of_now, staged, watcher),
        policy,
        searched=recipe is None,
    )


def _of_prompt(project: Project, champion: Version, since: int | None, watcher: Watcher) -> Turn:
    from mainspring.lifecycle import prompt

    model = champion.manifest.model
    spec = project.prompt(model)
    live = _live_rows(project, champion, watcher)
    everything = prompt.read_material(project, model, watcher, live)
    print_of_now = prompt.fingerprint(project, model, everything)
    dataset = everything.questions.dataset
    found = _terms(spec, champion, dataset, since, watcher)
    policy, some = _policy(spec, live, found), everything.questions.take(_chosen(dataset, found))
    material = replace(everything, questions=some, spec=found.spec, policy=policy)
    return Turn(
        print_of_now, lambda staged: prompt.make(project, model, material, print_of_now, staged, watcher), policy
    )


def _terms(spec: _Spec, champion: Version, dataset: Dataset, since: int | None, watcher: Watcher) -> Terms[_Spec]:
    split = msgspec.convert(champion.manifest.lineage.split, Split)
    found = terms(spec, dataset.time, changed=since, seen_until=split.seen_until)
    for note in found.notes:
        watcher.note(champion.manifest.model, note)
    return found


def _chosen(dataset: Dataset, found: Terms[_Spec]) -> np.ndarray:
    """The rows of the policy: (n,) bool."""
    if found.since is None or dataset.time is None:
        return np.ones(len(dataset), bool)
    return dataset.time >= found.since


def _policy(spec: _Spec, live: pa.Table | None, found: Terms[_Spec]) -> dict[str, Any]:
    """The rows of the policy, and what to make of them, as the lineage keeps it."""
    described: dict[str, Any] = {"data": spec.renew.data, "from": found.since}
    if live is not None and live.num_rows:
        described["live"] = table_fingerprint(live)
    before, after = spec.model_dump(mode="json"), found.spec.model_dump(mode="json")
    return described | {name: value for name, value in after.items() if value != before[name]}


def _live_rows(project: Project, champion: Version, watcher: Watcher) -> pa.Table | None:
    """Answered rows whose true label has come; None where the policy does not want them, or the data cannot have them.

    A private column, which the log has not or only as a hash, is missing in them; so a prompt cannot have them then.
    """
    model = champion.manifest.model
    spec = project.of_data(model)
    if not spec.renew.feedback:
        return None
    if spec.group is not None:
        watcher.note(model, f"live rows are not learned from: they have no {spec.group}, which keeps rows together")
        return None
    if model in project.prompts:
        from mainspring.lifecycle.prompt_log import as_questions

        labelled = as_questions(project, champion)
        if labelled is None:
            watcher.note(model, "live rows are not learned from: a variable or the answer is private")
            return None
    else:
        whole, private = champion.manifest.schema, Private.of(project, model).rules
        schema = Schema(tuple(column for column in whole.features if column.name not in private), whole.target)
        labelled = log.as_table(log.read(project, model, schema), schema, spec.time)
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


def _rows(policy: dict[str, Any] | None) -> tuple[Any, Any]:
    """What a policy says of the rows: from when on, and which live ones. A fit's, which is None: all, and no live."""
    return (policy.get("from"), policy.get("live")) if policy else (None, None)

"""What is watched of a model's live traffic: how its log is read, and what is looked at, by the kind of model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec
import pyarrow as pa

from mainspring.monitoring import log, profiles, summary
from mainspring.monitoring.examine import EVERYTHING, LABELLED
from mainspring.monitoring.log import Logged
from mainspring.monitoring.looks import MakeLook
from mainspring.monitoring.observations import Rows
from mainspring.monitoring.privacy import Private, concealed_schema
from mainspring.monitoring.profiles import Reference
from mainspring.registry import versions
from mainspring.registry.versions import PROFILE, Version
from mainspring.schema import Schema
from mainspring.spec import Project

Learn: TypeAlias = Callable[[Rows], Reference]


@dataclass(frozen=True)
class Watched:
    """A version of a model. `read(since=…, until=…)` gives its rows; `everything` is looked at in the windows of all
    rows, `labelled` in those of the rows whose label has come. Without a `reference`, `learn` makes it of the first
    window.
    """

    version: str
    schema: Schema
    reference: Reference | None
    read: Callable[..., Logged]
    everything: tuple[MakeLook, ...] = EVERYTHING
    labelled: tuple[MakeLook, ...] = LABELLED
    learn: Learn | None = None


def watched(project: Project, model: str, name: str) -> Watched:
    """What is watched of version `name`.

    Raises:
        RegistryError: its files are damaged, or it has no profile.
    """
    version = versions.load(project.state, model, name)
    version.verify()
    if model in project.retrievals:
        return _of_retrieval(project, version)
    schema = concealed_schema(version.manifest.schema, Private.of(project, model))
    reference = profiles.load(version)
    if model in project.prompts:
        from mainspring.lifecycle.prompt_log import ProgramLog
        from mainspring.monitoring.answers import Told, Worth
        from mainspring.monitoring.looks import Inputs

        read = ProgramLog(project, version).read
        return Watched(name, schema, reference, read, (Inputs, Told), (Worth,))
    return Watched(name, schema, reference, partial(log.read, project, model, schema, version=name))


def _of_retrieval(project: Project, version: Version) -> Watched:
    from mainspring.lifecycle.search_log import QuestionEmbedder, SearchLog
    from mainspring.monitoring.retrieval import Questions, Searches, learned

    model, embed = version.manifest.model, QuestionEmbedder(project.state, version)
    kept = summary.folder(project.state, model) / f"reference-{version.name}"
    # It is made of development questions; where there were none, of the first window, which a restart must not move.
    with_questions = PROFILE in version.manifest.files
    reference = profiles.load(version) if with_questions else _kept(kept)

    def learn(rows: Rows) -> Reference:
        found = learned(rows, embed=embed)
        shutil.rmtree(kept, ignore_errors=True)  # a damaged one, or half of one
        kept.mkdir(parents=True)
        profiles.save(found, kept)
        return found

    threshold = reference.profile.threshold if reference else None
    read, looks = SearchLog(project, version, threshold).read, (partial(Questions, embed=embed), Searches)
    return Watched(version.name, version.manifest.schema, reference, read, looks, (), learn)


def _kept(folder: Path) -> Reference | None:
    try:
        return profiles.read(folder)
    except (OSError, msgspec.DecodeError, pa.ArrowException):
        return None

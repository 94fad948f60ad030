"""What is watched of a model's live traffic: how its log is read, and what is looked at, by the kind of model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mainspring.monitoring import log, profiles
from mainspring.monitoring.examine import EVERYTHING, LABELLED
from mainspring.monitoring.log import Logged
from mainspring.monitoring.looks import Look
from mainspring.monitoring.privacy import Private, concealed_schema
from mainspring.monitoring.profiles import Reference
from mainspring.registry import versions
from mainspring.schema import Schema
from mainspring.spec import Project


@dataclass(frozen=True)
class Watched:
    """A version of a model. `read(since=…, until=…)` gives its rows; `everything` is looked at in the windows of all
    rows, `labelled` in those of the rows whose label has come.
    """

    version: str
    schema: Schema
    reference: Reference
    read: Callable[..., Logged]
    everything: tuple[type[Look], ...] = EVERYTHING
    labelled: tuple[type[Look], ...] = LABELLED


def watched(project: Project, model: str, name: str) -> Watched:
    """What is watched of version `name`.

    Raises:
        RegistryError: its files are damaged, or it has no profile.
    """
    version = versions.load(project.state, model, name)
    version.verify()
    schema = concealed_schema(version.manifest.schema, Private.of(project, model))
    reference = profiles.load(version)
    if model in project.prompts:
        from mainspring.lifecycle.prompt_log import ProgramLog
        from mainspring.monitoring.answers import Told, Worth
        from mainspring.monitoring.looks import Inputs

        read = ProgramLog(project, version).read
        return Watched(name, schema, reference, read, (Inputs, Told), (Worth,))
    return Watched(name, schema, reference, partial(log.read, project, model, schema, version=name))

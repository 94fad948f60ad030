"""`mainspring.toml`: the one file that declares a project.

It is read into frozen pydantic models. A mistake is one line that names the key, what is allowed, what was found and
where; several mistakes are reported together, so that one run shows them all. Keys that depend on data (a file, a
column) are checked when the data is read, by the same messages: see `Project.mistake`.

project     the whole file: `load(folder)` and `parse(text, folder)` give a `Project`
models      `[models.NAME]`: what is fitted, judged, watched and renewed
retrieval   collections of documents among them
tasks       every task, and the class of its spec
references  models that name other models
values      what one value may be: "90d", "4MB", 40 trials or "10m"
mistakes    what pydantic finds, in our words
toml_lines  the line in which each key begins
"""

from mainspring.spec.mistakes import FILE_NAME
from mainspring.spec.models import (
    AnsweringSpec,
    ChatSpec,
    ClassificationSpec,
    ColumnSpec,
    CompletionSpec,
    DataSpec,
    EmbeddingSpec,
    GateSpec,
    LanguageSpec,
    ModelSpec,
    MonitorSpec,
    PromptSpec,
    RegressionSpec,
    RemoteSpec,
    RenewSpec,
    TabularSpec,
)
from mainspring.spec.project import LogSpec, Project, ProjectSpec, ServingSpec, TrackingSpec, load, parse
from mainspring.spec.retrieval import RetrievalSpec, StoreSpec
from mainspring.spec.tasks import TASKS
from mainspring.spec.values import Budget, Seconds, Window

__all__ = [
    "FILE_NAME",
    "TASKS",
    "AnsweringSpec",
    "Budget",
    "ChatSpec",
    "ClassificationSpec",
    "ColumnSpec",
    "CompletionSpec",
    "DataSpec",
    "EmbeddingSpec",
    "GateSpec",
    "LanguageSpec",
    "LogSpec",
    "ModelSpec",
    "MonitorSpec",
    "Project",
    "ProjectSpec",
    "PromptSpec",
    "RegressionSpec",
    "RemoteSpec",
    "RenewSpec",
    "RetrievalSpec",
    "Seconds",
    "ServingSpec",
    "StoreSpec",
    "TabularSpec",
    "TrackingSpec",
    "Window",
    "load",
    "parse",
]

"""The whole of `mainspring.toml`: its tables beside the models, and how it is read into a `Project`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, PrivateAttr, ValidationError

from mainspring.errors import SpecError
from mainspring.spec.mistakes import FILE_NAME, Mistake, choices, explain, message
from mainspring.spec.models import DataSpec, LanguageSpec, ModelSpec, PromptSpec, TabularSpec
from mainspring.spec.references import wrong_references
from mainspring.spec.retrieval import RetrievalSpec
from mainspring.spec.tasks import TASKS
from mainspring.spec.toml_lines import Key, line_numbers
from mainspring.spec.values import Bytes, Name, Seconds, Strict

STATE_FOLDER = ".mainspring"

_Model = TypeVar("_Model", bound=Strict)


class ServingSpec(Strict):
    """Where the gateway listens, and its limits.

    A prediction has `timeout`. A language model's answer may take as long as its tokens do; what is bounded is its
    silence, before the first piece and between two: `generation_timeout`.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    max_body: Bytes = 4 * 1000**2
    max_rows: Annotated[int, Field(ge=1)] = 10_000
    timeout: Seconds = 10.0
    generation_timeout: Seconds = 300.0
    queue: Annotated[int, Field(ge=1)] = 256
    default_model: str | None = None


class LogSpec(Strict):
    """The prediction log: whether, where its Parquet files go (a folder, or a URL of any file system that pyarrow or
    fsspec knows), and how long and how much is kept.
    """

    enabled: bool = True
    store: str | None = None
    keep: Seconds = 90 * 86_400.0
    keep_size: Bytes = 10 * 1000**3


class TrackingSpec(Strict):
    """Where MLflow keeps runs and the registry: a file of the project's own, or a server."""

    uri: str | None = None


class ProjectSpec(Strict):
    """`[project]`."""

    name: Name
    description: str | None = None


class _Document(Strict):
    project: ProjectSpec
    serving: ServingSpec = ServingSpec()
    log: LogSpec = LogSpec()
    tracking: TrackingSpec = TrackingSpec()
    models: dict[Name, dict[str, Any]] = Field(default_factory=dict)


class Project(Strict):
    """A project: the folder, and what its `mainspring.toml` says."""

    folder: Path
    project: ProjectSpec
    serving: ServingSpec
    log: LogSpec
    tracking: TrackingSpec
    models: dict[str, ModelSpec]
    _lines: dict[Key, int] = PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """The project's name."""
        return self.project.name

    @property
    def state(self) -> Path:
        """The folder in which Mainspring keeps what it makes."""
        return self.folder / STATE_FOLDER

    @property
    def tables(self) -> dict[str, TabularSpec]:
        """The models of tables."""
        return {name: model for name, model in self.models.items() if isinstance(model, TabularSpec)}

    @property
    def languages(self) -> dict[str, LanguageSpec]:
        """The language models."""
        return {name: model for name, model in self.models.items() if isinstance(model, LanguageSpec)}

    @property
    def prompts(self) -> dict[str, PromptSpec]:
        """The prompt programs."""
        return {name: model for name, model in self.models.items() if isinstance(model, PromptSpec)}

    @property
    def retrievals(self) -> dict[str, RetrievalSpec]:
        """The collections of documents."""
        return {name: model for name, model in self.models.items() if isinstance(model, RetrievalSpec)}

    @property
    def of_rows(self) -> dict[str, DataSpec]:
        """The models that learn from rows, and are asked with rows: of tables, and prompt programs."""
        return {name: model for name, model in self.models.items() if isinstance(model, DataSpec)}

    @property
    def watched(self) -> dict[str, ModelSpec]:
        """The models whose live traffic is compared with that of their fit: those of rows, and of documents."""
        return {name: model for name, model in self.models.items() if isinstance(model, DataSpec | RetrievalSpec)}

    def table(self, name: str) -> TabularSpec:
        """The model of a table called `name`; SpecError if there is none, or if it is of another kind."""
        found = self.model(name)
        if isinstance(found, TabularSpec):
            return found
        raise SpecError(f"{name} is a {found.task} model: this is for models of tables, {_names(self.tables)}")

    def of_data(self, name: str) -> DataSpec:
        """The model called `name`, which has data: of a table, or a prompt program; SpecError if there is none."""
        found = self.model(name)
        if isinstance(found, DataSpec):
            return found
        there = _names(self.of_rows)
        raise SpecError(f"{name} is a {found.task} model: this is for models of tables and prompts, {there}")

    def prompt(self, name: str) -> PromptSpec:
        """The prompt program called `name`; SpecError if there is none, or if it is of another kind."""
        found = self.model(name)
        if isinstance(found, PromptSpec):
            return found
        raise SpecError(f"{name} is a {found.task} model: this is for prompts, {_names(self.prompts)}")

    def retrieval(self, name: str) -> RetrievalSpec:
        """The collection of documents called `name`; SpecError if there is none, or if it is of another kind."""
        found = self.model(name)
        if isinstance(found, RetrievalSpec):
            return found
        raise SpecError(
            f"{name} is a {found.task} model: this is for collections of documents, {_names(self.retrievals)}"
        )

    def language(self, name: str) -> LanguageSpec:
        """The language model called `name`; SpecError if there is none, or if it is of another kind."""
        found = self.model(name)
        if isinstance(found, LanguageSpec):
            return found
        raise SpecError(f"{name} is a {found.task} model: this is for language models, {_names(self.languages)}")

    def model(self, name: str) -> ModelSpec:
        """The model called `name`; SpecError, with the names there are, if there is none."""
        if name in self.models:
            return self.models[name]
        raise SpecError(f"no model {name!r} in {self.folder / FILE_NAME}{choices(name, self.models)}")

    def mistake(self, key: Key, problem: str) -> SpecError:
        """The error for a key whose value turned out wrong later, as when its file is missing."""
        return SpecError(message((key, problem), self._lines))


def _names(models: Iterable[str]) -> str:
    return f"here {', '.join(models)}" if models else "of which there are none here"


def load(folder: Path | str = ".") -> Project:
    """Read `mainspring.toml` in `folder`.

    Raises:
        SpecError: with one line for each mistake.
    """
    folder = Path(folder).resolve()
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except (FileNotFoundError, NotADirectoryError):
        raise SpecError(
            f"no {FILE_NAME} in {folder}: go to a project's folder, name one with --project, or make one with "
            "`mainspring init DIR`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read: {error}") from None
    return parse(text, folder)


def parse(text: str, folder: Path) -> Project:
    """The project that `text` declares; `folder` is what its paths are relative to.

    Raises:
        SpecError: with one line for each mistake.
    """
    raw, lines = _toml(text), line_numbers(text)
    mistakes: list[Mistake] = []
    document = _validated(_Document, raw, (), mistakes)
    tables = raw.get("models", {})
    models: dict[str, ModelSpec] = {}
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if isinstance(table, dict) and (model := _model(table, ("models", name), mistakes)):  # else reported above
            models[name] = model
    if isinstance(tables, dict):
        mistakes += wrong_references(models, tables)
    if document and document.serving.default_model not in (None, *tables):
        found = document.serving.default_model
        mistakes.append((("serving", "default_model"), f"{found!r} is not a model{choices(str(found), tables)}"))
    if mistakes or document is None:
        raise SpecError("\n".join(message(mistake, lines) for mistake in mistakes))
    project = Project(
        folder=folder,
        project=document.project,
        serving=document.serving,
        log=document.log,
        tracking=document.tracking,
        models=models,
    )
    project._lines.update(lines)
    return project


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or a number of too many digits
        raise SpecError(f"{FILE_NAME} is not valid TOML: {error}") from None
    except RecursionError:
        raise SpecError(f"{FILE_NAME} cannot be read: its lists and tables are nested too deeply") from None


def _model(table: dict[str, Any], key: Key, mistakes: list[Mistake]) -> ModelSpec | None:
    """The model at `key`, read by the class of its task; None, and its mistakes added, if there are any."""
    task = table.get("task")
    if task is None:
        mistakes.append((key, f"the key 'task' is missing; allowed: {', '.join(TASKS)}"))
    elif not isinstance(task, str) or task not in TASKS:
        mistakes.append(((*key, "task"), f"{task!r} is not a task{choices(str(task), TASKS)}"))
    else:
        return _validated(TASKS[task], table, key, mistakes)
    return None


def _validated(model: type[_Model], table: dict[str, Any], key: Key, mistakes: list[Mistake]) -> _Model | None:
    """The `table` at `key` as a `model`; None, and its mistakes added, if there are any."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        mistakes += explain(error, model, key)
        return None

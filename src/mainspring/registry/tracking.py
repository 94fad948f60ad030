"""MLflow: runs, plots, registered versions, and the aliases `champion` and `challenger`.

Mainspring's version folders hold what is served; MLflow holds what people look at, and the alias that says which
version is the champion. Anybody may move it with any MLflow client, and that is a promotion (`lifecycle.follow` carries
it out). A version there carries the tag `mainspring.version`, for MLflow counts its versions itself.

In the project's own database a model is registered under its name; on a server that projects share, as `PROJECT.MODEL`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from mainspring.errors import RegistryError, TrackingError, require
from mainspring.files import lock
from mainspring.registry.versions import REPORT, Version
from mainspring.spec import Project

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
CHALLENGER = "challenger"
VERSION_TAG = "mainspring.version"
PROJECT_TAG = "mainspring.project"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_MOST_TAG = 5000
_MOST_ARTIFACT = 50 * 1000**2  # bytes: weights of language models stay in the version's folder
_MOST_PARAMETER = 500  # characters that MLflow takes of a parameter's value


def connect(project: Project) -> Tracking | None:
    """The project's tracking; None where MLflow is not installed and the spec names no server.

    Raises:
        MissingExtraError: the spec names a server, and MLflow is not installed.
        TrackingError: it does not answer.
    """
    if project.tracking.uri is None and find_spec("mlflow") is None:
        return None
    return Tracking(project)


class Tracking:
    """What Mainspring asks of MLflow."""

    def __init__(self, project: Project) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine that was not asked for
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a lost server costs seconds, not minutes
        mlflow = require("mlflow", "tracking")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._project = project
        self._embedded = project.tracking.uri is None
        self.uri = tracking_uri(project)
        project.state.mkdir(parents=True, exist_ok=True)
        # The follower and a fit start together, and MLflow lets only one process at a time make its tables.
        making = lock(project.state / ".tracking.lock", what="the opening of MLflow's store", timeout=120.0)
        self._file = _DatabaseFile.of(self.uri)
        with making, self._answering():
            uri = self._file.uri() if self._file else self.uri
            self._client: MlflowClient = mlflow.MlflowClient(uri, uri)
            self._experiment = self._find_experiment()
            if self._file:
                self._file.opened()

    def registered_name(self, model: str) -> str:
        """What `model` is called in MLflow."""
        return model if self._embedded else f"{self._project.name}.{model}"

    def champion(self, model: str) -> str | None:
        """The version that the alias `champion` names; None if there is no such alias.

        Raises:
            RegistryError: it names a version that Mainspring did not make.
        """
        from mlflow.exceptions import MlflowException

        name = self.registered_name(model)
        with self._answering():
            try:
                found = self._client.get_model_version_by_alias(name, CHAMPION)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        version = found.tags.get(VERSION_TAG)
        if version is None:
            raise RegistryError(
                f"the alias {CHAMPION!r} of {name!r} in MLflow is on version {found.version}, which Mainspring did not "
                "make: move it to one that has the tag mainspring.version"
            )
        return version

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Put `alias` on `version`."""
        name = self.registered_name(model)
        with self._answering():
            self._client.set_registered_model_alias(name, alias, self._registered(model)[version])

    def tag(self, model: str, version: str, name: str, text: str) -> None:
        """Note something on a version; one that MLflow does not know is left out."""
        with self._answering():
            known = self._registered(model).get(version)
            if known is not None:
                registered = self.registered_name(model)
                self._client.set_model_version_tag(registered, known, f"mainspring.{name}", text[:_MOST_TAG])

    def record(self, version: Version) -> None:
        """Keep a version: its run with parameters, metrics and files, and the registered version. Done once only."""
        manifest = version.manifest
        model = manifest.model
        with self._answering():
            if manifest.version in self._registered(model):
                return
            run = self._client.create_run(
                self._experiment,
                run_name=f"{model} {manifest.version}",
                tags={VERSION_TAG: manifest.version, PROJECT_TAG: self._project.name, "mainspring.model": model},
            ).info.run_id
            self._log(run, version)
            self._client.set_terminated(run)
            self._client.create_model_version(
                self.registered_name(model),
                source=f"runs:/{run}/version",
                run_id=run,
                tags={VERSION_TAG: manifest.version, "mainspring.verdict": manifest.verdict["decision"]},
                description=manifest.verdict["reason"],
            )

    def _log(self, run: str, version: Version) -> None:
        from mlflow.entities import Metric, Param

        manifest = version.manifest
        now = int(version.folder.stat().st_mtime * 1000)
        parameters: dict[str, Any] = {"candidate": manifest.candidate, "metric": manifest.metric}
        parameters |= {f"lineage.{key}": getattr(manifest.lineage, key) for key in ("data", "spec", "code", "rows")}
        parameters |= manifest.parameters
        metrics = [Metric(name, estimate["value"], now, 0) for name, estimate in manifest.metrics.items()]
        for step, trial in enumerate(_trials(version)):
            metrics.append(Metric(f"search.{manifest.metric}", trial, now, step))
        self._client.log_batch(
            run, metrics, [Param(key, str(value)[:_MOST_PARAMETER]) for key, value in parameters.items()]
        )
        for file in sorted(path for path in version.folder.rglob("*") if path.is_file()):
            if file.stat().st_size <= _MOST_ARTIFACT:
                place = Path("version") / file.relative_to(version.folder).parent
                self._client.log_artifact(run, str(file), place.as_posix())

    def _registered(self, model: str) -> dict[str, str]:
        """Mainspring's version → MLflow's; the model is registered if it was not."""
        from mlflow.exceptions import MlflowException

        name = self.registered_name(model)
        try:
            self._client.create_registered_model(name, tags={PROJECT_TAG: self._project.name})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._client.search_model_versions(f"name = '{name}'", max_results=10_000)
        return {entry.tags[VERSION_TAG]: str(entry.version) for entry in found if VERSION_TAG in entry.tags}

    def _find_experiment(self) -> str:
        name = self._project.name
        # A server says where files go; with a database MLflow would put them into the folder that one happens to be in.
        is_database = self.uri.startswith(_DATABASES)
        location = (self._project.state / "mlartifacts").as_uri() if is_database else None
        found = self._client.get_experiment_by_name(name)
        if found and location and found.artifact_location != location:
            # The project's folder was moved or copied, and MLflow goes on writing to where it was.
            name = f"{name} in {self._project.folder}"
            found = self._client.get_experiment_by_name(name)
        if found:
            return found.experiment_id
        return self._client.create_experiment(name, artifact_location=location)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Whatever MLflow or its database raises becomes one error that says where it was sought."""
        if self._file and self._file.was_replaced():
            raise TrackingError(
                f"MLflow's database {self._file.path} was deleted or replaced: it has to be opened anew"
            )
        try:
            yield
        except (RegistryError, TrackingError):
            raise
        except Exception as error:  # MLflow lets errors of SQLAlchemy, requests and its own through
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TrackingError(f"MLflow at {_without_secrets(self.uri)} failed: {self._clean(first)}") from error

    def _clean(self, text: str) -> str:
        """`text` without the user and password of the store's address."""
        user, at, _ = self.uri.partition("://")[2].rpartition("@")
        return text.replace(user + at, "") if user else text


class _DatabaseFile:
    """An SQLite database, and whether it is still the file that was opened.

    MLflow keeps a file open by its URI for as long as the process lives. One that was deleted would go on answering
    with the champions of then, and the follower would carry them over. What is put in its place needs another URI:
    another spelling of the same path does.
    """

    _opened: ClassVar[dict[Path, list[int]]] = {}  # the inodes of the files that this process had open at a path

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode: int | None = None

    @classmethod
    def of(cls, uri: str) -> _DatabaseFile | None:
        """The file of an SQLite URI; None of any other."""
        return cls(Path(uri.removeprefix("sqlite:///"))) if uri.startswith("sqlite:///") else None

    def uri(self) -> str:
        """What to open: a name that MLflow has not in its memory, unless it means this very file there."""
        had = self._opened.setdefault(self.path, [])
        spelling = len(had) - 1 if had and had[-1] == self._now() else len(had)
        return f"sqlite:///{self.path.parent}/{'./' * spelling}{self.path.name}"

    def opened(self) -> None:
        """Remember the file that is there now."""
        self._inode = self._now()
        had = self._opened[self.path]
        if self._inode is not None and had[-1:] != [self._inode]:
            had.append(self._inode)

    def was_replaced(self) -> bool:
        """Whether another file is there than the one that was opened, or none."""
        return self._inode is not None and self._now() != self._inode

    def _now(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return None


def tracking_uri(project: Project) -> str:
    """Where MLflow keeps the project's runs: the spec's server, or a database in the project's state folder."""
    uri = project.tracking.uri
    if uri is None:
        return f"sqlite:///{project.state / 'mlflow.db'}"
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_absolute():
        return f"sqlite:///{project.folder / uri.removeprefix('sqlite:///')}"
    return os.path.expandvars(uri)


def _trials(version: Version) -> list[float]:
    """The search's scores, in the order in which they were tried."""
    if REPORT not in version.manifest.files:
        return []
    report = msgspec.json.decode(version.file(REPORT).read_bytes())
    return [trial["score"] for trial in report.get("trials", [])]


def _without_secrets(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else uri

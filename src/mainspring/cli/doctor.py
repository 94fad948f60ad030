"""`mainspring doctor`."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import click

from mainspring import spec
from mainspring.cli.options import json_option, print_json, project_option
from mainspring.errors import MainspringError

_EXTRAS = {
    "tabular": ("numpy", "pyarrow", "sklearn", "xgboost", "optuna", "skl2onnx", "onnxmltools", "onnxruntime"),
    "serve": ("fastapi", "uvicorn", "httptools", "onnxruntime", "prometheus_client"),
    "tracking": ("mlflow", "sqlalchemy", "alembic"),
    "sql": ("sqlalchemy", "psycopg"),
}
_RETRIEVAL = (
    *("charset_normalizer", "docx", "faiss", "markdown_it", "mdit_py_plugins", "pyarrow", "pypdfium2", "scipy"),
    *("Stemmer", "tokenizers", "yaml"),
)
_LEAST_FREE = 1_000_000_000


@dataclass(frozen=True)
class Check:
    """One thing looked at. `remedy` says what to do where it is not well."""

    what: str
    well: bool
    found: str
    remedy: str = ""


@click.command()
@project_option
@json_option
def doctor(folder: Path, as_json: bool) -> None:
    """Check what this machine and project have and lack, each with its remedy. Ends with 1 if something is wrong."""
    checks = [*_machine(), *_project(folder)]
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        from rich.console import Console

        console = Console(highlight=False)
        for check in checks:
            mark = "[green]✓[/]" if check.well else "[red]✗[/]"
            console.print(mark, end=" ")
            console.print(f"{check.what}: {check.found}", markup=False, soft_wrap=True)
            if not check.well:
                console.print(f"  → {check.remedy}", markup=False, style="yellow")
    if not all(check.well for check in checks):
        sys.exit(1)


def _machine() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    for extra, modules in _EXTRAS.items():
        yield _extra(extra, modules)
    both = [name for name in ("xgboost", "xgboost-cpu") if _installed(name)]
    if len(both) == 2:
        yield Check("XGBoost", False, "both xgboost and xgboost-cpu", "pip uninstall both, then install one of them")
    yield Check("processors", True, str(os.cpu_count()))


def _extra(extra: str, modules: tuple[str, ...]) -> Check:
    missing = [module for module in modules if find_spec(module) is None]
    found = f"lacks {', '.join(missing)}" if missing else "installed"
    return Check(f"extra [{extra}]", not missing, found, f"pip install 'mainspring[{extra}]', if you need it")


def _project(folder: Path) -> Iterator[Check]:
    try:
        project = spec.load(folder)
    except MainspringError as error:
        yield Check("project", False, str(error), "mend mainspring.toml, or go to a project's folder")
        return
    yield Check("project", True, f"{project.name}, models: {', '.join(project.models) or 'none'}")
    if project.retrievals:
        yield _extra("retrieval", _RETRIEVAL)
    there = project.state if project.state.exists() else project.folder
    yield Check("state folder", os.access(there, os.W_OK), str(project.state), f"make {there} writable")
    free = shutil.disk_usage(there).free
    yield Check("disk", free > _LEAST_FREE, f"{free / 1e9:.1f} GB free", "free at least 1 GB")
    if find_spec("pyarrow"):
        for name in project.of_rows:
            yield _try(f"data of {name}", partial(_rows, project, name))
        for name in project.retrievals:
            yield _try(f"documents of {name}", partial(_documents, project, name))
    if find_spec("mlflow"):
        yield _try("MLflow", partial(_tracking, project))
    for name in project.models:
        yield _try(f"champion of {name}", partial(_champion, project, name))
    yield _try("port", partial(_port, project))


def _try(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, True, look())
    except (MainspringError, OSError) as error:
        return Check(what, False, "not well", str(error))


def _rows(project: spec.Project, model: str) -> str:
    from mainspring.data.readers import read

    table = read(project, model)
    return f"{table.num_rows:,} rows, {table.num_columns} columns"


def _documents(project: spec.Project, model: str) -> str:
    from mainspring.data.documents.collection import collect

    return f"{len(collect(project, model)):,}"


def _tracking(project: spec.Project) -> str:
    from mainspring.registry import tracking

    store = tracking.connect(project)
    return store.uri if store else "not used"


def _champion(project: spec.Project, model: str) -> str:
    from mainspring.registry import desired, versions

    champion = desired.read(project.state).champion(model)
    if champion is None:
        return "none yet: mainspring fit"
    versions.load(project.state, model, champion).verify()
    return f"version {champion}, every file as it was written"


def _port(project: spec.Project) -> str:
    host, port = project.serving.host, project.serving.port
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        return (
            f"{host}:{port} is not free ({error.strerror}): if that is no gateway of yours, choose another with --port"
        )
    return f"{host}:{port} is free"


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True

"""What tests share: one small fitted project, copies of it, and processes that do not outlive their test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

# Read when the libraries are loaded, here and in every process that a test starts. Small tables need no second thread,
# and threads that wait for each other on a busy machine make these fits many times slower.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import guard
from projects import CHEAP, make_project, make_rows, respecify, spoil_labels, write_rows

from mainspring import spec
from mainspring.spec import Project


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, but not what MLflow should mend: it uses a loader that SQLAlchemy 2.1 deprecates.

    What the tests start ends with them, also where they are killed.
    """
    guard.begin()
    hypothesis.settings.register_profile("suite", deadline=None)  # how long an example takes is the machine's affair
    hypothesis.settings.load_profile("suite")
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:mlflow.*")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose first version is live. Nothing in it may be changed: take `fitted` for that."""
    from mainspring.lifecycle.fit import fit

    project = make_project(tmp_path_factory.mktemp("template") / "orders")
    [result] = fit(project)
    assert result.outcome == "promoted", result.message
    return project


@pytest.fixture(scope="session")
def spoilt(template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Version 1 is good, and version 2, fitted on spoilt labels, was rejected."""
    from mainspring.lifecycle.fit import fit

    folder = tmp_path_factory.mktemp("spoilt") / "orders"
    shutil.copytree(template.folder, folder)
    project = respecify(spec.load(folder), *CHEAP)
    spoil_labels(project)
    [result] = fit(project)
    assert result.outcome == "kept", result.message
    return project


@pytest.fixture(scope="session")
def poor(spoilt: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The spoilt version 2 is live, promoted by hand; the data is good again and has one row more: a fit will win."""
    from mainspring.lifecycle import promote

    folder = tmp_path_factory.mktemp("poor") / "orders"
    shutil.copytree(spoilt.folder, folder)
    project = spec.load(folder)
    promote.promote(project, "late", "2", reason="promoted by hand")
    write_rows(folder / "orders.csv", [*make_rows(), *make_rows(1, seed=99)])
    return project


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Project], Project]:
    """Copies a project with all its state."""

    def copy(project: Project) -> Project:
        folder = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(project.folder, folder)
        return spec.load(folder)

    return copy


@pytest.fixture
def fitted(template: Project, copy_of: Callable[[Project], Project]) -> Project:
    """A copy of `template` of a test's own."""
    return copy_of(template)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python ARGUMENTS` as a process that does not outlive the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, *arguments], text=True, **options)
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

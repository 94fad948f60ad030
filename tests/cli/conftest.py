from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mainspring.spec import Project


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def in_folder(project: Project) -> tuple[str, Path]:
    return "--project", project.folder


@pytest.fixture(scope="session")
def mainspring() -> Callable[..., Ended]:
    """Runs the command in a process of its own: `mainspring("fit", "--json", cwd=folder)`."""

    def run(*arguments: str | Path, cwd: Path | None = None, given: str = "") -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "mainspring.cli", *map(str, arguments)],
            cwd=cwd,
            input=given,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    return run

"""Options that many commands have, and how results are printed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainspring.errors import SpecError

if TYPE_CHECKING:
    from mainspring.spec import Project

PROMOTED_NOTHING = 3  # the exit code for: done, but the gate said no

project_option: Callable[..., Any] = click.option(
    "--project",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("."),
    help="The project's folder.  [default: the current one]",
)
json_option: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def require_rows(project: Project, model: str, instead: str) -> None:
    """SpecError where `model` is not asked with rows; it says what is possible `instead`."""
    task = project.model(model).task
    if model not in project.of_rows:
        raise SpecError(f"{model} is a {task} model, {instead}")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def number(value: float | None) -> str:
    """A number as people like it: four digits that count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def interval(estimate: dict[str, Any]) -> str:
    """`0.7098 (0.6835 to 0.7375)`."""
    return f"{number(estimate['value'])} ({number(estimate['low'])} to {number(estimate['high'])})"

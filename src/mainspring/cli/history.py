"""`mainspring history`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mainspring import spec
from mainspring.cli.options import json_option, print_json, project_option

if TYPE_CHECKING:
    from mainspring.registry.history import Event

_STYLES = {"promote": "green", "rollback": "red", "alarm": "yellow", "renew": "cyan", "rollout": "cyan"}
_SHORT = 40  # a detail that fits beside its headline


@click.command()
@click.argument("model", required=False)
@click.option("--last", type=click.IntRange(1), default=50, show_default=True, help="How many events.")
@project_option
@json_option
def history(model: str | None, last: int, folder: Path, as_json: bool) -> None:
    """Show what happened, oldest first: fits, alarms, renewals, trials, promotions, rollbacks."""
    from mainspring.registry import history as registry

    project = spec.load(folder)
    if model is not None:
        project.model(model)
    events = registry.read(project.state, model)[-last:]
    if as_json:
        print_json({"project": project.name, "events": events})
        return
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console, said = Console(highlight=False), ""
    if not events:
        console.print("Nothing has happened yet: run `mainspring fit`.")
    for event in events:
        when = event.time[:19].replace("T", " ")
        headline = _headline(event, named=model is None)
        detail = _unless_said(event.detail, said)
        beside = f": {detail}" if detail and len(detail) < _SHORT else ""
        style = f"bold {_STYLES.get(event.kind, '')}"
        console.print(Text.assemble((f"{when}  ", "dim"), (headline, style), beside))
        if detail and not beside:
            console.print(Padding(Text(detail), (0, 0, 0, 4)))
        said = event.detail


def _headline(event: Event, *, named: bool) -> str:
    phase = event.data.get("phase")
    parts = (event.model if named else "", f"{event.kind} {phase}s" if phase else event.kind)
    return " ".join(part for part in (*parts, event.version and f"version {event.version}") if part)


def _unless_said(detail: str, said: str) -> str:
    """The detail; a verdict that the event before has told already is not told again."""
    outcome, _, reason = detail.partition(": ")
    if said.endswith(detail):
        return ""
    return outcome if reason and said.endswith(reason) else detail

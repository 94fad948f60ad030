"""`mainspring history`."""

from __future__ import annotations

from pathlib import Path

import click

from mainspring import spec
from mainspring.cli.options import json_option, print_json, project_option

_STYLES = {"promote": "green", "rollback": "red", "alarm": "yellow", "renew": "cyan", "rollout": "cyan"}


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
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("time (UTC)", "model", "event", "version", "what happened"):
        table.add_column(heading, overflow="fold")
    for event in events:
        phase = event.data.get("phase")
        kind = f"{event.kind} {phase}s" if phase else event.kind
        style = _STYLES.get(event.kind, "")
        when = event.time[:19].replace("T", " ")
        table.add_row(when, event.model, Text(kind, style), event.version or "–", Text(event.detail))
    Console(highlight=False).print(table if events else "Nothing has happened yet: run `mainspring fit`.")

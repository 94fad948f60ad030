"""`mainspring drift`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mainspring import spec
from mainspring.cli.options import json_option, print_json, project_option
from mainspring.errors import SpecError, require

if TYPE_CHECKING:
    from rich.console import Console

    from mainspring.monitoring.observations import Finding, WindowReport


@click.command()
@click.argument("model")
@click.option("--all", "everything", is_flag=True, help="Show every finding, not only the 15 largest.")
@project_option
@json_option
def drift(model: str, everything: bool, folder: Path, as_json: bool) -> None:
    """Show how live traffic differs from what MODEL was fitted on: alarms, and the newest window's findings."""
    project = spec.load(folder)
    task = project.model(model).task
    if model not in project.watched:
        raise SpecError(
            f"{model} is a {task} model, and drift is looked for in rows and searches: what traffic is like is in the "
            "gateway's /metrics and the prediction log, what its versions are worth in "
            f"`mainspring evaluate {model}`"
        )
    require("pyarrow", "tabular")
    from rich.console import Console

    from mainspring.lifecycle import monitor
    from mainspring.monitoring import summary

    alarms = monitor.alarms_now(project, model)
    reports = monitor.reports(summary.folder(project.state, model))
    if as_json:
        print_json({"model": model, "alarms": alarms, "reports": reports})
        return
    console = Console(highlight=False)
    for alarm in alarms:
        console.print("[yellow]alarm[/]  ", end="")
        console.print(alarm.message, markup=False, soft_wrap=True)
    if not reports:
        window = project.models[model].monitor.window
        needed = f"{window.rows:,} predictions" if window.rows else f"{window.seconds:,.0f} s of traffic"
        console.print(f"{model}: no window is complete yet; the first needs {needed} (see `mainspring status`)")
        return
    if not alarms:
        console.print(f"[green]no alarm[/]  in {len(reports)} windows")
    _print(console, reports[-1], None if everything else 15)


def _print(console: Console, report: WindowReport, most: int | None) -> None:
    from rich.table import Table

    title = f"version {report.version}, {report.rows:,} rows from {_time(report.start)} to {_time(report.end)}"
    if not report.enough:
        console.print(f"{title}: too few rows to judge")
        return
    table = Table(title=title, title_justify="left")
    for heading in ("what", "name", "test", "effect", "p", "was", "now", "importance"):
        table.add_column(heading, justify="right" if heading in ("effect", "p", "importance") else "left")
    ordered = sorted(report.findings, key=lambda finding: (-finding.deviates, -finding.effect))
    for finding in ordered[:most]:
        table.add_row(*_cells(finding), style="yellow" if finding.deviates else "")
    console.print(table)
    if most and len(ordered) > most:
        console.print(f"{len(ordered) - most} smaller ones: --all", style="dim")


def _cells(finding: Finding) -> tuple[str, ...]:
    p_value = "<1e-12" if finding.p_value < 1e-12 else f"{finding.p_value:.2g}"
    numbers = f"{finding.effect:.3f}", p_value
    return (finding.subject, finding.name, finding.test, *numbers, finding.was, finding.now, f"{finding.matters:.0%}")


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")

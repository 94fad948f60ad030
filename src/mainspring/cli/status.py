"""`mainspring status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainspring import spec
from mainspring.cli.options import interval, json_option, print_json, project_option
from mainspring.errors import RegistryError

if TYPE_CHECKING:
    from mainspring.registry.desired import DesiredModel
    from mainspring.runtimes.language.process import ProcessStatus


@click.command()
@project_option
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Show what is live, since when, and on what evidence."""
    project = spec.load(folder)
    models = [_model(project, name) for name in project.models]
    if as_json:
        print_json({"project": project.name, "models": models})
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(title=project.name, title_justify="left")
    for heading in ("model", "champion", "since", "score", "versions"):
        table.add_column(heading)
    for model in models:
        champion, since = model["champion"] or "–", (model["since"] or "–")[:19].replace("T", " ")
        score = f"{model['metric']} {interval(model['score'])}" if model["score"] else "–"
        table.add_row(model["model"], champion, since, score, str(len(model["versions"])))
    console.print(table)
    for model in models:
        evidence = model["evidence"] or f"none yet: mainspring fit {model['model']}"
        console.print(f"{model['model']}: {evidence}", markup=False, soft_wrap=True)
        if model["trial"]:
            console.print(f"  [cyan]on trial[/]  {model['trial']}", soft_wrap=True)
        for engine in model["engines"]:
            console.print(
                f"  engine of version {engine.version}: {_engine(engine.process)}", markup=False, soft_wrap=True
            )
        for alarm in model["alarms"]:
            console.print("  [yellow]alarm[/]  ", end="")
            console.print(alarm.message, markup=False, soft_wrap=True)
    console.print("What happened: mainspring history. How live traffic differs: mainspring drift MODEL.", style="dim")


def _model(project: spec.Project, name: str) -> dict[str, Any]:
    from mainspring.monitoring import summary
    from mainspring.registry import desired, history, versions

    entry = desired.read(project.state).models.get(name)
    made = versions.names(project.state, name)
    events = history.read(project.state, name)
    found: dict[str, Any] = {"model": name, "champion": None, "since": None, "metric": None, "score": None}
    found |= {"evidence": None, "versions": made, "last_event": events[-1] if events else None}
    found |= {"trial": None, "alarms": [], "engines": []}
    if name in project.languages or name in project.retrievals:
        from mainspring.serving.engines import status as engines

        found["engines"] = [engine for engine in engines.read(project.state) if engine.model == name]
    if entry is None:
        return found
    found |= {"champion": entry.champion, "since": entry.since, "trial": _trial(entry)}
    found["alarms"] = summary.read(project.state, name).alarms
    try:
        manifest = versions.load(project.state, name, entry.champion).manifest
    except RegistryError as error:
        return found | {"evidence": str(error)}
    promoted = [event for event in events if event.kind in history.CHAMPION_CHANGES and event.version == entry.champion]
    return found | {
        "metric": manifest.metric,
        "score": manifest.metrics.get(manifest.metric),
        "evidence": promoted[-1].detail if promoted else manifest.verdict["reason"],
    }


def _engine(process: ProcessStatus) -> str:
    """How an engine is, in words."""
    said = f"{process.state} since {process.since[:19].replace('T', ' ')}"
    if process.pid is not None:
        said += f" as process {process.pid}"
    if process.info is not None:
        said += f"; {process.info.engine}, {process.info.detail} ({process.info.why})"
    if process.restarts:
        times = "once" if process.restarts == 1 else f"{process.restarts} times"
        said += f"; started again {times}, since it {process.reason}"
    return said


def _trial(entry: DesiredModel) -> str | None:
    """What is being tried in live traffic, in words."""
    if entry.shadow is not None:
        return f"version {entry.shadow} answers beside the champion, unheard"
    return (
        ", ".join(f"version {route.version} takes {route.share:.0%} of the traffic" for route in entry.routes[1:])
        or None
    )

"""`mainspring renew`."""

from __future__ import annotations

from pathlib import Path

import click

from mainspring import spec
from mainspring.cli.fit import conclude, watcher
from mainspring.cli.options import json_option, project_option
from mainspring.errors import require
from mainspring.spec.references import in_order


@click.command()
@click.argument("models", nargs=-1)
@click.option("--reason", help='Why, for the history.  [default: what the monitoring says, or "by hand"]')
@click.option("--since", type=int, help="When the world changed: microseconds since 1970 UTC.  [default: the alarm's]")
@click.option("--search", is_flag=True, help="Search candidates anew, instead of keeping the champion's recipe.")
@project_option
@json_option
def renew(
    models: tuple[str, ...], reason: str | None, since: int | None, search: bool, folder: Path, as_json: bool
) -> None:
    """One turn of the loop: look for drift, fit a challenger, judge it, let it in if the gate says so.

    Without MODELS, all that have a champion. It renews also where nothing has moved: you asked. The challenger of a
    table is the champion's recipe fitted anew, unless [models.MODEL.renew] says what to search. A prompt is fitted as
    ever, and a language model is made anew where its weights are others.
    """
    from rich.console import Console

    project = spec.load(folder)
    for model in models:
        project.model(model)
    require("sklearn", "tabular")
    from mainspring.lifecycle.monitor import alarms_now
    from mainspring.lifecycle.renew import renew as renew_model
    from mainspring.registry import desired

    told, results = watcher(Console(stderr=True, highlight=False)), []
    live = [model for model in desired.read(project.state).models if model in project.models]
    if not (models or live):
        click.echo("no model has a champion: there is nothing to renew", err=True)
    for model in in_order(project.models, models or live):
        alarms = alarms_now(project, model) if model in project.watched and not reason else []
        why = reason or (alarms[0].message if alarms else "by hand")
        changed = since if since is not None or not alarms else min(alarm.since for alarm in alarms)
        results.append(renew_model(project, model, reason=why, since=changed, search=search, watcher=told))
    conclude(project, results, as_json)

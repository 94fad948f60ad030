"""`mainspring evaluate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from mainspring import spec
from mainspring.cli.options import json_option, number, print_json, project_option
from mainspring.errors import require


@click.command()
@click.argument("model")
@click.option("--version", help="Which version.  [default: the champion]")
@click.option(
    "--questions",
    type=click.IntRange(1),
    help="A model with knowledge: how many are asked.  [default: 40; all of one that quotes]",
)
@click.option("--judge", help="A chat model that says, too, what it thinks of the answers of a model with knowledge.")
@project_option
@json_option
def evaluate(
    model: str, version: str | None, questions: int | None, judge: str | None, folder: Path, as_json: bool
) -> None:
    """Score MODEL on held-out rows or questions, and the data as it is now: every metric with its interval.

    A version that is not the champion is compared with it on the same rows. Of a language model: what its fit measured;
    one with knowledge answers a sample of the questions that its documents were not tuned on.
    """
    project = spec.load(folder)
    if model in project.languages:
        from mainspring.cli.evaluate_language import evaluate_language

        evaluate_language(project, model, version, questions, judge, as_json)
        return
    project.model(model)
    if questions is not None or judge is not None:
        raise click.UsageError("--questions and --judge are for chat models with knowledge")
    if model in project.retrievals:
        require("faiss", "retrieval")
        require("scipy", "retrieval")
    else:
        project.of_data(model)
        require("sklearn", "tabular")
    from mainspring.lifecycle.evaluate import evaluate as score

    found = score(project, model, version)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    from rich.console import Console
    from rich.table import Table

    live = "the champion" if found.version == found.champion else f"champion: {found.champion or 'none'}"
    table = Table(
        title=f"{model} version {found.version} ({live}), {found.rows:,} held-out {found.of}", title_justify="left"
    )
    for heading in ("metric", "value", "95 % interval", "method"):
        table.add_column(heading)
    for name, estimate in found.metrics.items():
        style = "bold" if name == found.metric else None
        bounds = f"{number(estimate['low'])} to {number(estimate['high'])}"
        table.add_row(name, number(estimate["value"]), bounds, estimate["method"], style=style)
    console = Console(highlight=False)
    console.print(table)
    if found.verdict:
        console.print(f"against the champion: {found.verdict['decision']}: {found.verdict['reason']}", markup=False)
    console.print(f"report: {found.report}", markup=False, soft_wrap=True)

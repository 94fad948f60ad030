"""`mainspring fit`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mainspring import spec
from mainspring.cli.options import PROMOTED_NOTHING, interval, json_option, number, print_json, project_option
from mainspring.errors import require

if TYPE_CHECKING:
    from rich.console import Console

    from mainspring.lifecycle.progress import Result, Watcher
    from mainspring.tasks.search import Trial

_MARKS = {"promoted": "[green]✓ promoted", "kept": "[yellow]• kept, not promoted", "unchanged": "[dim]= unchanged"}
_MARKS["trial"] = "[cyan]• on trial in live traffic"
_MARKS["failed"] = "[red]✗ failed"


@click.command()
@click.argument("models", nargs=-1)
@click.option("--force", is_flag=True, help="Fit also what is not stale.")
@project_option
@json_option
def fit(models: tuple[str, ...], force: bool, folder: Path, as_json: bool) -> None:
    """Fit what is stale (its data, spec or code changed), judge it, and promote it if the gate says so.

    Without MODELS, all of the project's. Progress goes to standard error.
    """
    from rich.console import Console

    project = spec.load(folder)
    for name in models:
        project.model(name)
    if not project.models:
        raise click.UsageError(f"{project.folder / spec.FILE_NAME} declares no models: add a table [models.NAME]")
    fitted = [project.model(name) for name in models or project.models]
    for module in ("numpy", "sklearn", "pyarrow", "skl2onnx", "matplotlib"):
        if any(isinstance(model, spec.DataSpec) for model in fitted):
            require(module, "tabular")
    from mainspring.lifecycle.fit import fit as fit_models

    console = Console(stderr=True, highlight=False)
    results = fit_models(project, models, force=force, watcher=watcher(console))
    conclude(project, results, as_json)


def conclude(project: spec.Project, results: list[Result], as_json: bool) -> None:
    """Print what became of each model, and end with the exit code that says so."""
    from rich.console import Console

    if as_json:
        print_json({"models": [dataclasses.asdict(result) for result in results]})
    else:
        _print(Console(highlight=False), project, results)
    if any(result.outcome == "failed" for result in results):
        sys.exit(1)
    if any(result.outcome == "kept" for result in results):
        sys.exit(PROMOTED_NOTHING)


def watcher(console: Console) -> Watcher:
    """Draws how a fit goes along."""
    from mainspring.lifecycle.progress import Watcher

    class Printer(Watcher):
        def step(self, model: str, what: str) -> None:
            console.print(f"[bold]{model}[/bold]  {what}")

        def note(self, model: str, what: str) -> None:
            console.print("  [yellow]note[/]  ", end="")
            console.print(what, markup=False, soft_wrap=True)

        def trial(self, model: str, metric: str, trial: Trial, best: Trial, done: int) -> None:
            console.print(
                f"  [dim]{done:>3}[/dim]  {trial.kind:<9} {metric} {number(trial.score):<8} "
                f"[dim]{trial.seconds:6.1f} s[/dim]   best so far {number(best.score)} ({best.kind})"
            )

    return Printer()


def _print(console: Console, project: spec.Project, results: list[Result]) -> None:
    for result in results:
        version = f" version {result.version}" if result.version else ""
        console.print(f"\n{_MARKS[result.outcome]}[/]  [bold]{result.model}[/bold]{version}  ({result.seconds:.1f} s)")
        console.print(f"  {result.message}", markup=False, soft_wrap=True)
        if result.metrics:
            for name, estimate in result.metrics.items():
                console.print(f"    {name:<18} {interval(estimate)}", markup=False)
        report = project.state / "models" / result.model / str(result.version) / "report.html"
        if result.metrics is not None and report.exists():
            console.print(f"  report: {report}", markup=False, soft_wrap=True)

"""`mainspring evaluate` of a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mainspring.cli.options import number, print_json
from mainspring.spec import Project

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mainspring.lifecycle.evaluate_language import LanguageEvaluation

_FIGURES = ("agreement", "perplexity_ratio", "mean_divergence", "tail_divergence")


def evaluate_language(
    project: Project, model: str, version: str | None, questions: int | None, judge: str | None, as_json: bool
) -> None:
    """Print what is known of the champion, or of `version`; one with knowledge is asked `questions`."""
    from rich.console import Console

    from mainspring.lifecycle.evaluate_language import evaluate

    with Console(stderr=True).status("evaluating") as status:
        found = evaluate(project, model, version, questions=questions, judge=judge, say=status.update)
    if as_json:
        print_json(found.as_dict())
        return
    console = Console(highlight=False)
    _print(console, found)


def _print(console: Console, found: LanguageEvaluation) -> None:
    from rich.table import Table

    from mainspring.lifecycle.language_report import assistant_told, facts
    from mainspring.lifecycle.wording import measured

    manifest = found.manifest
    live = "the champion" if manifest.version == found.champion else f"champion: {found.champion or 'none'}"
    title = f"{manifest.model} version {manifest.version} ({live}), {manifest.task}"
    if found.metrics:
        table = Table(title=title, title_justify="left")
        interval = "least and greatest" if manifest.metric == "cosine" else "95 % interval"
        for heading in ("metric", "value", interval, "limit"):
            table.add_column(heading)
        for name, estimate in found.metrics.items():
            style = "bold" if name == manifest.metric else None
            value, bounds, _ = measured(estimate)
            table.add_row(name, value, bounds, found.limits.get(name, ""), style=style)
        console.print(table)
    else:
        console.print(title, style="italic")
    if found.report.ways:
        console.print(_ways(found))
    for told in [found.why, *(assistant_told(found.report.assistant) if found.report.assistant else [])]:
        console.print(told, markup=False, soft_wrap=True)
    for name, value in facts(manifest, found.report):
        console.print(f"{name}: {value}", markup=False, soft_wrap=True)
    console.print(f"{found.verdict['decision']}: {found.verdict['reason']}", markup=False, soft_wrap=True)
    made = found.page or f"none: it was made before there were any; mainspring fit {manifest.model} --force makes one"
    console.print(f"report: {made}", markup=False, soft_wrap=True)


def _ways(found: LanguageEvaluation) -> Table:
    """The ways that were tried, the fastest first."""
    from rich.table import Table

    table = Table(title="ways that were tried, the fastest first", title_justify="left")
    for heading in ("way", "agreement", "perplexity ratio", "mean KL", "tail KL", ""):
        table.add_column(heading)
    for way in found.report.ways:
        figures = [number(getattr(way, name).value) for name in _FIGURES]
        said = "served" if way.passed else "says something else"
        table.add_row(way.name, *figures, said, style="bold" if way.passed else None)
    return table

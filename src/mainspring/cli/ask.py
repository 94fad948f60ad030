"""`mainspring ask`."""

from __future__ import annotations

from pathlib import Path

import click

from mainspring.cli.options import json_option, print_json, project_option
from mainspring.cli.sources import filter_of, place, print_citations


@click.command()
@click.argument("model")
@click.argument("question")
@click.option("-k", "count", type=click.IntRange(1, 100), help="From how many passages.  [default: the model's own]")
@click.option(
    "--filter", "filter_", metavar="JSON", help='From which: {"source": "fares.md"}, {"year": {"gte": 2020}}.'
)
@click.option("--version", help="Which version.  [default: the champion]")
@project_option
@json_option
def ask(
    model: str,
    question: str,
    count: int | None,
    filter_: str | None,
    version: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Ask MODEL, a chat model with knowledge or a collection of documents, and print the answer with its sources.

    A collection is quoted. A running service of the project answers; else the models are loaded here.

    Example: mainspring ask desk "may I bring my cat?"
    """
    from mainspring.use import OpenProject

    where, project = filter_of(filter_), OpenProject(folder)
    project.declared.model(model)
    quoted = model in project.declared.retrievals
    asked = project.documents(model, version) if quoted else project.model(model, version)
    with asked:
        found = asked.ask(question, k=count, filter=where)
        index = asked.opened
        places = [place(index, one.document, one.path, one.place[0], one.page) for one in found.citations]
        name = asked.version.name
    if as_json:
        import msgspec

        print_json({"model": model, "version": name, **msgspec.structs.asdict(found)})
        return
    from rich.console import Console
    from rich.panel import Panel

    console = Console(highlight=False, markup=False)
    console.print(Panel(found.answer, title="not in the documents" if found.abstained else None, title_align="left"))
    cited = [(one.number, where, one.quote) for one, where in zip(found.citations, places, strict=True)]
    print_citations(console, cited)

"""`mainspring search`."""

from __future__ import annotations

from pathlib import Path

import click

from mainspring.cli.options import json_option, print_json, project_option
from mainspring.cli.sources import filter_of, place


@click.command()
@click.argument("model")
@click.argument("question")
@click.option("-k", "count", type=click.IntRange(1, 100), default=5, show_default=True, help="How many passages.")
@click.option(
    "--filter", "filter_", metavar="JSON", help='Which ones: {"source": "fares.md"}, {"year": {"gte": 2020}}.'
)
@click.option("--version", help="Which version.  [default: the champion]")
@project_option
@json_option
def search(
    model: str, question: str, count: int, filter_: str | None, version: str | None, folder: Path, as_json: bool
) -> None:
    """Find the passages of the collection MODEL that answer QUESTION, best first.

    Example: mainspring search handbook "may I bring my cat?"
    """
    from mainspring.serving.retrieval.results import PassageFound
    from mainspring.use import OpenProject

    where = filter_of(filter_)
    with OpenProject(folder).documents(model, version) as documents:
        found = documents.search(question, count, where)
        index = documents.opened
        places = [
            place(index, one.passage.source, one.passage.path, one.passage.begin, one.passage.page)
            for one in found.found
        ]
        name = documents.version.name
    if as_json:
        passages = [PassageFound.of(one) for one in found.found]
        told = {"answerable": found.answerable, "threshold": found.threshold}
        print_json({"model": model, "version": name, "passages": passages, **told})
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    if not found.found:
        console.print("nothing was found")
        return
    table = Table(show_lines=True)
    for heading in ("score", "place", "passage"):
        table.add_column(heading, justify="right" if heading == "score" else "left", overflow="fold")
    for one, where_it_is in zip(found.found, places, strict=True):
        table.add_row(f"{one.score:.3f}", where_it_is, one.passage.text)
    console.print(table)
    if found.answerable is not None:
        console.print(f"The answer is there with a probability of {found.answerable:.0%}.")

"""`mainspring pull`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainspring.cli.options import json_option, print_json

if TYPE_CHECKING:
    from mainspring.weights import Weights
    from mainspring.weights.progress import Progress


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "as_list", is_flag=True, help="Show the catalogue and what of it is here; fetch nothing.")
@click.option("--force", is_flag=True, help="Fetch a catalogue's weights also if they are here.")
@json_option
def pull(names: tuple[str, ...], as_list: bool, force: bool, as_json: bool) -> None:
    """Fetch pretrained weights into the user's cache folder, and verify them.

    NAME is of the catalogue, or a repository of the Hugging Face hub: org/name[/file.gguf][@revision].
    Progress goes to standard error.
    """
    if as_list and not names:
        _list(as_json)
    elif as_list or not names:
        raise click.UsageError("give one NAME or more to fetch, or --list to see what there is")
    else:
        found = [_pull(name, force) for name in names]
        if as_json:
            print_json({"weights": [_json(weights) for weights in found]})
        else:
            for weights in found:
                _print(weights)


def _pull(name: str, force: bool) -> Weights:
    from mainspring.weights import resolve

    with _progress(name) as progress:
        return resolve(name, Path(), progress, force=force)


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """A bar for one download, on standard error; it is only drawn where a person sees it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    from mainspring.weights.progress import Progress

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())

    class Shown(Progress):
        def say(self, what: str) -> None:
            console.print("[yellow]note[/]  ", end="")
            console.print(what, markup=False, soft_wrap=True)

        def bytes(self, done: int, total: int) -> None:
            if bars.tasks:
                bars.update(bars.tasks[0].id, completed=done, total=total)
            else:
                bars.add_task(name, completed=done, total=total)

    with Bars(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        yield Shown()


def _print(weights: Weights) -> None:
    licence = weights.licence or "licence not known: see where it comes from"
    click.echo(f"{click.style('✓', fg='green')} {weights.name}  {_size(weights.bytes)}, {weights.kind}, {licence}")
    click.echo(f"  from {weights.source}, sha256 {weights.identity}\n  {weights.path}")


def _json(weights: Weights) -> dict[str, Any]:
    return dataclasses.asdict(weights) | {"path": str(weights.path)}


def _list(as_json: bool) -> None:
    from mainspring.weights import cache, catalogue

    entries = sorted(catalogue.load().items())
    here = {name for name, entry in entries if cache.kept(name, entry)}
    if as_json:
        rows = [
            {
                "name": name,
                "title": entry.title,
                "kind": entry.kind,
                "licence": entry.licence,
                "bytes": entry.bytes,
                "identity": entry.identity,
                "sources": [str(source) for source in entry.sources],
                "here": name in here,
            }
            for name, entry in entries
        ]
        print_json({"cache": str(cache.folder()), "weights": rows})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "what it is", "size", "licence", "here", box=None, header_style="bold", pad_edge=False)
    for name, entry in entries:
        table.add_row(name, entry.title, _size(entry.bytes), entry.licence, "[green]✓[/]" if name in here else "")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"\ncache folder: {cache.folder()}", markup=False, soft_wrap=True)


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"

"""Where passages stand, for people in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from mainspring.errors import RequestError

if TYPE_CHECKING:
    from rich.console import Console

    from mainspring.runtimes.index.index import Index

_WITH_LINES = frozenset((".md", ".markdown", ".rst", ".txt", ".html", ".htm"))  # whose text is the file's own


def filter_of(written: str | None) -> dict[str, Any] | None:
    """The filter that was given as JSON; a usage error, if it is none."""
    if written is None:
        return None
    import msgspec

    from mainspring.runtimes.index.filters import read_filter

    try:
        found = msgspec.json.decode(written)
        read_filter(found)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--filter is not JSON: {error}") from None
    except RequestError as error:
        raise click.UsageError(f"--{error.place}: {error}") from None
    return found


def place(index: Index | None, document: str, path: Sequence[str], begin: int, page: int | None) -> str:
    """`handbook/fares.md:12, Fares > Refunds`: the file with its line (of an `index`) or page, the headings."""
    where = document
    if page is not None:
        where += f", page {page}"
    elif index is not None and PurePath(document).suffix.lower() in _WITH_LINES:
        where += f":{index.text(document).count(chr(10), 0, begin) + 1}"
    return ", ".join(part for part in (where, " > ".join(path)) if part)


def print_citations(console: Console, cited: Sequence[tuple[int, str, str]]) -> None:
    """The sources of an answer: number, place, and what stands there."""
    from rich.text import Text

    shown: dict[tuple[int, str], list[str]] = {}
    for number, where, quote in cited:
        shown.setdefault((number, where), []).append(" ".join(quote.split()))
    for (number, where), quotes in shown.items():
        console.print(Text(f"[{number}] {where}", style="cyan"), soft_wrap=True)
        for quote in dict.fromkeys(quotes):
            console.print(Text(f"    “{quote}”", style="dim"))

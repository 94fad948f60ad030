"""`mainspring chat`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mainspring.cli.options import project_option
from mainspring.cli.sources import place, print_citations

if TYPE_CHECKING:
    from mainspring.runtimes.language.protocol import Citation, Message
    from mainspring.use import LanguageModel

_HELP = "Ctrl-C stops an answer, Ctrl-D ends. /new begins anew, /help shows this."


@click.command()
@click.argument("model")
@click.option("--version", help="Which version.  [default: the champion]")
@click.option("--system", help="What the model is told before anything else.")
@click.option("--temperature", type=click.FloatRange(0.0, 2.0), default=0.7, show_default=True, help="0 is greedy.")
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="The longest answer.")
@project_option
def chat(
    model: str, version: str | None, system: str | None, temperature: float, max_tokens: int, folder: Path
) -> None:
    """Talk to MODEL in the terminal. A running service of the project answers; else the model is loaded here.

    An answer from documents is shown with its sources. What comes on standard input, where that is no terminal, is one
    message, and the answer ends the command.
    """
    from mainspring.use import OpenProject

    begin: list[Message] = [{"role": "system", "content": system}] if system else []
    with OpenProject(folder).model(model, version) as asked:
        if not sys.stdin.isatty():
            _answer(asked, [*begin, {"role": "user", "content": sys.stdin.read()}], temperature, max_tokens)
            return
        _talk(asked, begin, temperature, max_tokens)


def _talk(model: LanguageModel, begin: list[Message], temperature: float, max_tokens: int) -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 -- gives `input` a history and line editing

    manifest = model.version.manifest
    click.secho(f"{manifest.model}, version {manifest.version} ({manifest.candidate}). {_HELP}", dim=True)
    messages = list(begin)
    while True:
        try:
            said = input("› ").strip()
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            continue
        if said in ("/new", "/help"):
            if said == "/new":
                messages = list(begin)
            click.secho("a new conversation" if said == "/new" else _HELP, dim=True)
        elif said:
            messages.append({"role": "user", "content": said})
            messages.append({"role": "assistant", "content": _answer(model, messages, temperature, max_tokens)})


def _answer(model: LanguageModel, messages: list[Message], temperature: float, max_tokens: int) -> str:
    """Print the answer as it comes, and its sources; what there is of it when Ctrl-C comes."""
    answer = ""
    cited: list[Citation] = []
    stream = model.deltas(messages, temperature=temperature, max_tokens=max_tokens)
    try:
        for piece in stream:
            answer += piece.text
            cited += piece.citations
            click.echo(piece.text, nl=False)
            sys.stdout.flush()
    except KeyboardInterrupt:
        stream.close()  # type: ignore[attr-defined]
        click.secho(" (stopped)", dim=True, nl=False)
    click.echo()
    if cited:
        from rich.console import Console

        index = model.opened
        paths = {one.passage: () if index is None else index.passage(one.passage).path for one in cited}
        shown = [
            (one.number, place(index, one.source, paths[one.passage], one.place[0], one.page), one.quote)
            for one in cited
        ]
        print_citations(Console(highlight=False, markup=False), shown)
    return answer

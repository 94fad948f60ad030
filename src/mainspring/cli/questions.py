"""`mainspring questions`."""

from __future__ import annotations

from pathlib import Path

import click

from mainspring import spec
from mainspring.cli.options import json_option, print_json, project_option
from mainspring.errors import MainspringError


@click.command()
@click.argument("model")
@click.option("--by", "writer", required=True, help="The chat model of this project that asks.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file, JSON lines.")
@click.option("-n", "number", type=click.IntRange(min=1), default=100, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the passages that are asked about.")
@project_option
@json_option
def questions(model: str, writer: str, out: Path, number: int, seed: int, folder: Path, as_json: bool) -> None:
    """Have a language model write questions about the documents of MODEL, where people's are not at hand.

    Each is kept only if a search finds the place that it was made from. So they tell which of two ways to search is
    better, and flatter both. Read them, throw out the bad ones, and add some that the documents don't answer.
    """
    project = spec.load(folder)
    if out.exists():
        raise MainspringError(f"{out} is there already: name another file, or remove it")
    from rich.console import Console

    from mainspring.lifecycle.new_questions import make

    with Console(stderr=True).status("writing questions") as status:
        made = make(
            project, model, writer, out, number=number, seed=seed,
            tell=lambda kept: status.update(f"writing questions: {kept} of {number} kept"),
        )  # fmt: skip
    dropped = sum(made.dropped.values())
    if as_json:
        print_json({"out": str(out), "kept": len(made.questions), "dropped": made.dropped})
        return
    console = Console(highlight=False)
    console.print(f"{out}: {len(made.questions)} questions, {dropped} left out", markup=False)
    for reason, count in sorted(made.dropped.items(), key=lambda item: -item[1]):
        console.print(f"  {count:>4}  {reason}", markup=False)
    console.print(
        f"Read them, throw out the bad ones, add some without an answer (source null), and then: "
        f'questions = "{out}" in [models.{model}]',
        markup=False,
        soft_wrap=True,
    )

"""`mainspring replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainspring import spec
from mainspring.cli.options import json_option, print_json, project_option, require_rows
from mainspring.errors import SpecError, require

if TYPE_CHECKING:
    from mainspring.lifecycle.replay_result import Replay


class _Duration(click.ParamType):
    """`30d`, `12h`; and `month`, where it is allowed."""

    name = "duration"

    def __init__(self, *, months: bool) -> None:
        self._months = months

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if self._months and value == "month":
            return value
        if value in ("0", 0.0):
            return 0.0
        from pydantic import TypeAdapter

        try:
            return TypeAdapter(spec.Seconds).validate_python(value)
        except ValueError:
            also = ' or "month"' if self._months else ""
            self.fail(f'{value!r} is not a duration such as "30d" or "12h"{also}', parameter, context)


@click.command()
@click.argument("model")
@click.option("--every", type=_Duration(months=True), help="A period: month, 30d, 12h.  [default: by the data's span]")
@click.option("--start", type=click.IntRange(min=1), default=2, show_default=True, help="Periods to fit on first.")
@click.option("--label-delay", type=_Duration(months=False), default=0.0, help="Until a label is known.  [default: 0]")
@click.option(
    "--rows", type=click.IntRange(min=100), default=30_000, show_default=True, help="Most rows to fit on at once."
)
@project_option
@json_option
def replay(model: str, every: Any, start: int, label_delay: float, rows: int, folder: Path, as_json: bool) -> None:
    """Play the dated history of MODEL through the loop: would renewing on drift have paid?

    The first periods fit a champion; the rest is played as if it were live, by four policies: never renew, always (each
    period), on drift, and an oracle that chooses in hindsight. Every promotion goes through the gate. Nothing that is
    live is touched. Progress goes to standard error.
    """
    from rich.console import Console

    project = spec.load(folder)
    instead = f"which has no dated history to be fitted on: `mainspring evaluate {model}` tells what is known of it"
    require_rows(project, model, instead)
    if model in project.prompts:
        why = "a replay would fit it again and again, and ask the chat model all of its questions each time"
        raise SpecError(f"{model} is a prompt model: {why}; what is known of it tells `mainspring evaluate {model}`")
    for module in ("sklearn", "skl2onnx", "matplotlib"):
        require(module, "tabular")
    from mainspring.lifecycle import replay as replaying

    progress = Console(stderr=True, highlight=False)
    # A terminal has one line for each event; the page tells it whole.
    width: dict[str, Any] = {"no_wrap": True, "overflow": "ellipsis"} if progress.is_terminal else {"soft_wrap": True}

    def told(what: str) -> None:
        progress.print(what, style="dim", markup=False, **width)

    settings = replaying.Settings(every, start, label_delay, rows)
    found = replaying.replay(project, model, settings, told=told)
    if as_json:
        print_json(found)
        return
    _print(Console(highlight=False), found)
    page = project.state / "models" / model / replaying.PAGE
    Console(highlight=False).print(f"page: {page}", markup=False, soft_wrap=True)


def _print(console: Any, found: Replay) -> None:
    from rich.table import Table

    from mainspring.lifecycle.replay_page import cell, marks, measured_of
    from mainspring.lifecycle.replay_result import POLICIES
    from mainspring.lifecycle.wording import duration, metric_name

    name = metric_name(found.metric)
    table = Table(title=f"{found.model}: {name} by period", title_justify="left")
    table.add_column("period")
    table.add_column("rows", justify="right")
    for policy in POLICIES:
        table.add_column(policy, justify="right")
    for place, period in enumerate(found.periods):
        cells = [f"{cell(found, one, place)} {marks(found, one, period.start, period.end):<2}" for one in POLICIES]
        table.add_row(period.name, f"{period.rows:,}", *cells)
    console.print(table)
    console.print("▲ promoted (of the oracle: another version is best)  △ challenger not promoted  ! alarm\n")
    summary = Table(title="policies", title_justify="left")
    for heading in ("policy", name, "95 % interval", "renewals", "fits", "alarms", "fitting"):
        summary.add_column(heading)
    for policy in POLICIES:
        result = found.policies[policy]
        fits, fitting = (str(result.challengers), duration(result.fit_seconds)) if policy != "oracle" else ("–", "–")
        summary.add_row(policy, *measured_of(result), str(result.renewals), fits, str(result.alarms), fitting)
    console.print(summary)
    console.print(found.verdict, markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(note, markup=False, soft_wrap=True, style="dim")

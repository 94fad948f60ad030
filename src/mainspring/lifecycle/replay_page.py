"""The replay as one page of HTML: the verdict, the scores over time, what it cost, and what happened.

Made as the report of a version is (see `report_page` and `drawing`), and dressed by the same style sheet.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from mainspring.lifecycle.drawing import INK, MUTED, ONE, SOFT, TWO, drawn
from mainspring.lifecycle.replay_result import POLICIES, PolicyName, PolicyResult, Replay
from mainspring.lifecycle.report_page import Plot
from mainspring.lifecycle.wording import count, date, decimals_for, duration, fixed, measured, metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What each line of the drawing looks like: its colour, its dashes, and where among the others it stands in a period.
_LINES = {
    "never": (MUTED, (0, (1.5, 1.5)), -0.18),
    "always": (TWO, "-", -0.06),
    "drift": (ONE, "-", 0.06),
    "oracle": (SOFT, (0, (4, 2)), 0.18),
}
_WIDTH = 8.2


def render(replay: Replay) -> str:
    """The page, as the text of a UTF-8 HTML file."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"count": count, "duration": duration, "svg": Markup}
    template = environment.from_string(_resource("replay.html.jinja"))
    return template.render(
        replay=replay,
        style=Markup(style()),
        date=date(replay.created),
        metric=metric_name(replay.metric),
        policies=[(name, replay.policies[name], measured_of(replay.policies[name])) for name in POLICIES],
        rows=[
            (period, [(cell(replay, name, place), marks(replay, name, period.start, period.end)) for name in POLICIES])
            for place, period in enumerate(replay.periods)
        ],
        plots=[
            Plot("Score over time", _scores(replay), _SCORES_TOLD, pans=True),
            Plot("What it cost", _cost(replay), "Seconds of fitting challengers, and how many there were.", pans=True),
        ],
        day=lambda moment: moment[:10],
        delay=_delay,
    )


_SCORES_TOLD = (
    "Each period's score with its 95 % interval. Triangles: a challenger was promoted in that period (of the oracle: "
    "another version was best). Crosses below: an alarm was raised."
)


def _resource(name: str) -> str:
    return (files("mainspring.lifecycle") / name).read_text("utf-8")


def style() -> str:
    """The style sheet of the report of a version: one for all pages."""
    sheet = _resource("report.html.jinja")
    return sheet[sheet.index("<style>") : sheet.index("</style>") + len("</style>")]


def measured_of(result: PolicyResult) -> tuple[str, str]:
    """The score and its interval, to the digits that the interval warrants."""
    if result.score is None:
        return "–", "–"
    value, interval, _ = measured({"value": result.score, "low": result.low, "high": result.high})
    return value, interval


def cell(replay: Replay, policy: PolicyName, place: int) -> str:
    """One score, to the digits that the period's interval warrants."""
    score = replay.policies[policy].scores[place]
    known = score.low is not None and score.high is not None
    width = (score.high - score.low) / 2 if score.low is not None and score.high is not None else np.nan
    return fixed(score.value, decimals_for(width) if known else 4)


def marks(replay: Replay, policy: PolicyName, start: str, end: str) -> str:
    """What happened to a policy in a period: ▲ promoted, △ kept or failed, ! alarm; or another version chosen."""
    kinds = [event.kind for event in replay.policies[policy].events if start <= event.time < end]
    found = "!" if "alarm" in kinds else ""
    if "promoted" in kinds or "chosen" in kinds:
        return found + "▲"
    return found + "△" if "kept" in kinds or "failed" in kinds else found


def _delay(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds / 86_400:.3g} days" if seconds >= 86_400 else duration(seconds)


def _scores(replay: Replay) -> str:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for name in POLICIES:
            _line(axes, replay, name)
        places = range(len(replay.periods))
        step = max(1, len(replay.periods) // 12)
        axes.set_xticks(list(places)[::step], [period.name for period in replay.periods][::step])
        axes.set(ylabel=metric_name(replay.metric))
        axes.grid(axis="x", visible=False)
        alarmed = [p for p in places if "!" in marks(replay, "drift", replay.periods[p].start, replay.periods[p].end)]
        floor = axes.get_ylim()[0]
        axes.plot(alarmed, [floor] * len(alarmed), "x", color=ONE, markersize=6, clip_on=False, label="alarm")
        axes.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0))

    told = "; ".join(f"{name} {measured_of(replay.policies[name])[0]}" for name in POLICIES)
    return drawn("scores", f"{metric_name(replay.metric)} by period. {told}", (_WIDTH, 3.6), draw)


def _line(axes: Axes, replay: Replay, name: PolicyName) -> None:
    colour, dashes, aside = _LINES[name]
    result = replay.policies[name]
    places = np.arange(len(result.scores)) + aside
    values, lows, highs = (
        np.array([getattr(score, part) for score in result.scores], dtype=np.float64)
        for part in ("value", "low", "high")
    )
    axes.plot(places, values, color=colour, linestyle=dashes, linewidth=1.6, label=name)
    axes.vlines(places, lows, highs, color=colour, linewidth=1.2, alpha=0.5)
    new = ["▲" in marks(replay, name, period.start, period.end) for period in replay.periods]
    axes.plot(places[new], values[new], "^", color=colour, markersize=6)


def _cost(replay: Replay) -> str:
    names = [name for name in POLICIES if name != "oracle"]  # the oracle chooses among the others' fits

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        seconds = [replay.policies[name].fit_seconds for name in names]
        axes.barh(range(len(names)), seconds, height=0.55, color=[_LINES[name][0] for name in names])
        for place, name in enumerate(names):
            result = replay.policies[name]
            said = f" {duration(result.fit_seconds)}, {result.challengers} fits, {result.renewals} promoted"
            axes.text(seconds[place], place, said, va="center", color=INK, fontsize=8.5)
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="seconds of fitting", xlim=(0, 1.45 * max([*seconds, 1.0])))
        axes.grid(axis="y", visible=False)

    told = "; ".join(f"{name} {duration(replay.policies[name].fit_seconds)}" for name in names)
    return drawn("cost", f"Fitting: {told}", (_WIDTH, 1.6), draw)

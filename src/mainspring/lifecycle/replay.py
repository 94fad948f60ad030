"""Replay: would renewing on drift have paid? Dated history is played through the loop as if it were live.

The first periods fit a champion. Then, in the order of time, each policy's champion answers rows that it was never
fitted on, the real monitoring looks at them window by window, and challengers go through the real gate. What the
policies reached is compared on the same rows.

Nothing is used before its time: a fit sees rows whose label was known by then, judges on the newest of them, and
answers only later ones. Only the kind of each column (number, category, …) is found on all of the history.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from mainspring.data import dataset as data
from mainspring.errors import DataError
from mainspring.evaluation.metrics import METRICS
from mainspring.files import write_atomically
from mainspring.lifecycle import periods as cutting
from mainspring.lifecycle import policies, replay_page
from mainspring.lifecycle.importance import permutation_importance
from mainspring.lifecycle.paid import beside, in_a_sentence
from mainspring.lifecycle.periods import MICROSECONDS, Every, Period, moment
from mainspring.lifecycle.policies import Course, Watching
from mainspring.lifecycle.refits import Fit, History
from mainspring.lifecycle.replay_result import (
    POLICIES,
    Answered,
    Event,
    Paid,
    PeriodLine,
    PolicyName,
    PolicyResult,
    Replay,
    Score,
    VersionLine,
)
from mainspring.lifecycle.replay_scores import Measure, combined, measure
from mainspring.monitoring import profiles
from mainspring.monitoring.alarms import Watch
from mainspring.monitoring.examine import examine
from mainspring.monitoring.observations import Alarm, Rows
from mainspring.registry import versions
from mainspring.spec import MonitorSpec, Project

RESULT = "replay.json"
PAGE = "replay.html"
MOST_ROWS = 30_000
_BESIDE: tuple[PolicyName, ...] = ("never", "always")


@dataclass(frozen=True)
class Settings:
    """How a replay is played.

    `every`: the length of a period, in seconds or calendar months; None: months, or a twelfth of a short history.
    `first`: how many periods fit the initial champion. `label_delay`: seconds until a row's label is known.
    `most_rows`: how many rows a fit learns from, and a verdict is reached on, at most.
    """

    every: Every | None = None
    first: int = 2
    label_delay: float = 0.0
    most_rows: int = MOST_ROWS


class Monitored:
    """The real monitoring of one champion: its reference profile, the tests of each window, and the watch."""

    def __init__(self, history: History, fit: Fit, settings: MonitorSpec) -> None:
        held_out = history.rows.take(fit.held_out)
        names = [column.name for column in fit.runtime.schema.features]
        found = permutation_importance(fit.runtime, held_out, history.metric, seed=history.spec.seed)
        self._fit, self._settings = fit, settings
        self._watch = Watch(settings)
        self._reference = profiles.build(
            fit.runtime.schema,
            history.metric,
            fit={name: history.rows.columns[name][fit.fit_rows] for name in names},
            fit_truth=history.rows.truth[fit.fit_rows],
            held_out={name: held_out.columns[name] for name in names},
            outputs=fit.answers(fit.held_out),
            truth=held_out.truth,
            importance={one.column: max(0.0, one.mean) for one in found},
            seed=history.spec.seed,
        )

    def look(self, rows: Rows) -> list[Alarm]:
        """Examine the next window; the alarms that it raised."""
        fit = self._fit
        return self._watch.feed(examine(self._reference, fit.runtime.schema, rows, self._settings, fit.version))

    @property
    def active(self) -> list[Alarm]:
        """The alarms that hold now."""
        return self._watch.active


def replay(
    project: Project,
    model: str,
    settings: Settings = Settings(),
    *,
    told: Callable[[str], None] = lambda what: None,
    watch: Callable[[History, Fit], Watching] | None = None,
) -> Replay:
    """Play the history of `model`; write and return what the policies reached.

    Args:
        project: the project.
        model: one with `time`.
        settings: how it is played.
        told: is told how it goes along, a line at a time.
        watch: another monitoring of a champion than the real one.

    Raises:
        SpecError: there is no such model, or it has no `time`.
        DataError: the history is too short to fit a first champion and play on.
    """
    began, spec = time.perf_counter(), project.table(model)
    if spec.time is None:
        raise project.mistake(("models", model), "`time`, the column that orders the rows, is needed to replay")
    told("reading the history")
    history = History(data.load(project, model), spec, most_rows=settings.most_rows, label_delay=settings.label_delay)
    every = settings.every or cutting.default_every(history.times)
    everything = cutting.cut(history.times, every)
    if not 0 < settings.first < len(everything):
        raise DataError(
            f"the history has {len(everything)} periods, and the first {settings.first} are to fit on: at least one "
            "has to be left to play (fewer with --start, or shorter ones with --every)"
        )
    first, later = everything[: settings.first], everything[settings.first :]
    told(f"fitting the first champion on {first[0].name} to {first[-1].name}")
    champion = history.first(later[0].start)
    courses = _play(history, champion, later, watch or _monitored, told)
    found = _scored(project, model, history, first, later, courses)
    notes = _notes(history, settings)
    result = msgspec.structs.replace(found, notes=notes, seconds=time.perf_counter() - began)
    _write(versions.models_folder(project.state, model), result)
    return result


def _monitored(history: History, fit: Fit) -> Watching:
    return Monitored(history, fit, history.spec.monitor)


def _play(
    history: History,
    champion: Fit,
    later: Sequence[Period],
    watch: Callable[[History, Fit], Watching],
    told: Callable[[str], None],
) -> dict[PolicyName, Course]:
    def say(event: Event) -> None:
        version = f"version {event.version} " if event.version else ""
        told(f"{event.time[:10]}  {event.policy}: {version}{event.kind}: {event.detail}")

    courses: dict[PolicyName, Course] = {name: Course(name, say) for name in POLICIES}
    policies.never(courses["never"], champion, later)
    policies.always(courses["always"], history, champion, later)
    policies.drift(courses["drift"], history, champion, later, lambda fit: watch(history, fit))
    told("choosing in hindsight")
    others = [course for name, course in courses.items() if name != "oracle"]
    policies.oracle(courses["oracle"], history, later, others)
    return courses


def _scored(
    project: Project,
    model: str,
    history: History,
    first: Sequence[Period],
    later: Sequence[Period],
    courses: dict[PolicyName, Course],
) -> Replay:
    everyone = list(courses.values())
    results = {name: _result(history, later, course, everyone) for name, course in courses.items()}
    cut = [piece for period in later for piece in policies.pieces(period, everyone)]
    paid: dict[PolicyName, Paid] = {name: beside(history, cut, courses["drift"], courses[name]) for name in _BESIDE}
    return Replay(
        project=project.name,
        model=model,
        metric=history.metric,
        greater_is_better=METRICS[history.metric].greater_is_better,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        notes=[],
        first=[period.name for period in first],
        periods=[_line(history, period) for period in later],
        policies=results,
        paid=paid,
        verdict=in_a_sentence(paid, courses["drift"]),
        versions=[_version(fit) for fit in history.fits],
        events=sorted((event for result in results.values() for event in result.events), key=lambda event: event.time),
    )


def _line(history: History, period: Period) -> PeriodLine:
    rows = period.rows(history.times)
    return PeriodLine(period.name, moment(period.start), moment(period.end), rows.stop - rows.start)


def _version(fit: Fit) -> VersionLine:
    return VersionLine(
        version=fit.version,
        at=moment(fit.at),
        since=None if fit.since is None else moment(fit.since),
        fit_rows=len(fit.fit_rows),
        held_out_rows=len(fit.held_out),
        newest=moment(fit.newest),
        seconds=fit.seconds,
    )


def _result(history: History, later: Sequence[Period], course: Course, everyone: Sequence[Course]) -> PolicyResult:
    measures: list[Measure | None] = []
    scores = []
    for period in later:
        found = combined([_measured(history, piece, course) for piece in policies.pieces(period, everyone)])
        rows = period.rows(history.times)
        measures.append(found)
        low, high = found.bounds if found else (None, None)
        versions_ = ", ".join(answer.fit.version for answer in course.within(period))
        value = found.value if found else None
        scores.append(Score(period.name, value, low, high, rows.stop - rows.start, versions_))
    total = combined(measures)
    low, high = total.bounds if total else (None, None)
    delays = [(alarm.raised - alarm.since) / MICROSECONDS for alarm in course.alarms]
    return PolicyResult(
        score=total.value if total else None,
        low=low,
        high=high,
        renewals=course.renewals,
        challengers=len(course.challengers),
        alarms=len(course.alarms),
        alarm_delay_seconds=float(np.median(delays)) if delays else None,
        fit_seconds=course.fit_seconds,
        scores=scores,
        answered=[Answered(moment(one.start), moment(one.end), one.fit.version) for one in course.answers],
        events=course.events,
    )


def _measured(history: History, piece: Period, course: Course) -> Measure | None:
    rows = piece.rows(history.times)
    if rows.start == rows.stop:
        return None
    return measure(history.metric, history.rows.truth[rows], course.predictions(history, piece), history.times[rows])


def _notes(history: History, settings: Settings) -> list[str]:
    searched = any(fit.recipe.kept_from is None for fit in history.fits[1:])
    notes = [
        "Every promotion went through the gate, and a champion answered only rows that came after its fit.",
        "Challengers were searched for, as `renew` says." if searched else "Challengers kept the champion's recipe.",
    ]
    if history.capped:
        notes.append(
            f"Of more than {settings.most_rows:,} rows, so many were chosen by content to fit on, and to judge by."
        )
    if settings.label_delay:
        notes.append(f"Labels became known {settings.label_delay / 86_400:g} days after their row.")
    return notes


def _write(folder: Path, result: Replay) -> None:
    write_atomically(folder / RESULT, msgspec.json.format(msgspec.json.encode(result)))
    write_atomically(folder / PAGE, replay_page.render(result).encode("utf-8"))

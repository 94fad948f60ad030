"""When to renew? Four answers, each played through the same history.

    never    the first champion for ever
    always   a challenger at the end of every period
    drift    a challenger while an alarm holds, at the end of a monitoring window
    oracle   in hindsight: in each piece of time, cut wherever any of the others switched, the best of all models that
             existed when it began. It cannot be had. It is an upper bound by construction: no policy scores better in
             any piece. And it is an optimistic one, for it chooses by the very rows that it is scored on

A challenger becomes champion only through the gate, in `always` as in `drift`. Fitting takes no time in the replay:
a challenger that is promoted answers from the moment at which it was fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np

from mainspring.errors import DataError
from mainspring.evaluation.metrics import METRICS, Predictions, score
from mainspring.lifecycle.periods import MICROSECONDS, Period, moment, next_window
from mainspring.lifecycle.refits import Fit, History
from mainspring.lifecycle.replay_result import Event, PolicyName
from mainspring.monitoring.observations import Alarm, Rows

_DAY = 86_400 * MICROSECONDS


@dataclass(frozen=True)
class Answer:
    """`fit` answered the rows from `start` up to, not including, `end`."""

    start: int
    end: int
    fit: Fit


@dataclass
class Course:
    """What a policy did, as it goes along: who answered when, its challengers, its alarms, its events."""

    policy: PolicyName
    told: Callable[[Event], None] = lambda event: None
    answers: list[Answer] = field(default_factory=list)
    challengers: list[Fit] = field(default_factory=list)
    renewals: int = 0
    alarms: list[Alarm] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def answer(self, start: int, end: int, fit: Fit) -> None:
        """`fit` answered from `start` to `end`, which follows what was before."""
        if self.answers and self.answers[-1].fit is fit:
            start = self.answers.pop().start
        self.answers.append(Answer(start, end, fit))

    @property
    def fit_seconds(self) -> float:
        """What its challengers cost, also those that another policy shares."""
        return sum(fit.seconds for fit in self.challengers)

    def within(self, period: Period) -> list[Answer]:
        """The answers of a period, cut to its bounds."""
        return [
            Answer(max(one.start, period.start), min(one.end, period.end), one.fit)
            for one in self.answers
            if one.start < period.end and one.end > period.start
        ]

    def predictions(self, history: History, period: Period) -> Predictions:
        """What it said of the period's rows, by whichever champion answered them."""
        parts = []
        for answer in self.within(period):
            rows = Period("", answer.start, answer.end).rows(history.times)
            if rows.stop > rows.start:
                parts.append(answer.fit.predictions(rows))
        values = np.concatenate([part.values for part in parts])
        if parts[0].probabilities is None:
            return Predictions(values=values, probabilities=None)
        return Predictions(values, np.concatenate([part.probabilities for part in parts]))

    def note(self, time: int, kind: str, version: str, detail: str) -> None:
        """Remember an event, and tell it."""
        self.events.append(Event(moment(time), self.policy, kind, version, detail))  # type: ignore[arg-type]
        self.told(self.events[-1])

    def challenge(self, history: History, champion: Fit, now: int, changed: int | None = None) -> Fit:
        """Fit a challenger and ask the gate: who is champion from `now` on. `changed`: since when an alarm holds."""
        try:
            challenger = history.renewal(champion, now, changed)
        except DataError as error:
            self.note(now, "failed", "", str(error))
            return champion
        self.challengers.append(challenger)
        verdict = history.judge(champion, challenger)
        promoted = verdict["decision"] == "promote"
        self.renewals += promoted
        self.note(now, "promoted" if promoted else "kept", challenger.version, str(verdict["reason"]))
        return challenger if promoted else champion


def pieces(period: Period, courses: Sequence[Course]) -> list[Period]:
    """A period cut wherever any policy changed its champion: within a piece, each policy's answers are of one version.

    Rows are only ranked against rows that the same version answered: probabilities of two versions differ in scale.
    """
    starts = {
        answer.start for course in courses for answer in course.answers if period.start < answer.start < period.end
    }
    edges = [period.start, *sorted(starts), period.end]
    return [Period(period.name, start, end) for start, end in pairwise(edges)]


class Watching(Protocol):
    """The monitoring of one champion."""

    def look(self, rows: Rows) -> list[Alarm]:
        """Examine the next window; the alarms that it raised."""

    @property
    def active(self) -> list[Alarm]:
        """The alarms that hold now."""


def never(course: Course, champion: Fit, periods: Sequence[Period]) -> Course:
    """The first champion answers everything."""
    course.answer(periods[0].start, periods[-1].end, champion)
    return course


def always(course: Course, history: History, champion: Fit, periods: Sequence[Period]) -> Course:
    """A challenger at the end of every period but the last, after which there is nothing to answer."""
    for period, following in zip(periods, [*periods[1:], None], strict=True):
        course.answer(period.start, period.end if following is None else following.start, champion)
        if following is not None:
            champion = course.challenge(history, champion, following.start)
    return course


def drift(
    course: Course, history: History, champion: Fit, periods: Sequence[Period], watch: Callable[[Fit], Watching]
) -> Course:
    """A challenger at the end of each window at which an alarm holds, within the limits of `renew`.

    Args:
        course: to be filled.
        history: all rows.
        champion: the first one.
        periods: all that is to be played.
        watch: the monitoring of a champion that has just gone live.
    """
    now, end = periods[0].start, periods[-1].end
    watching, tried = watch(champion), list[int]()
    while now < end:
        window = next_window(history.times, now, end, history.spec.monitor.window)
        course.answer(window.start, window.end, champion)
        rows, now = window.rows(history.times), window.end
        if rows.start == rows.stop:
            continue
        for alarm in watching.look(as_live(history, champion, rows, now)):
            course.alarms.append(alarm)
            course.note(now, "alarm", champion.version, alarm.message)
        if now < end and watching.active and _may_renew(history, tried, now):
            tried.append(now)
            before = champion
            champion = course.challenge(history, champion, now, min(alarm.since for alarm in watching.active))
            if champion is not before:
                watching = watch(champion)
    return course


def oracle(course: Course, history: History, periods: Sequence[Period], others: Sequence[Course]) -> Course:
    """In each piece, the best of the fits made until it began; ties go to the one that answered before.

    Args:
        course: to be filled.
        history: all rows, with every fit that the other policies made.
        periods: all that is to be played.
        others: the courses of the other policies, whose switches cut the pieces.
    """
    sign = METRICS[history.metric].sign
    answered = history.fits[0]
    for piece in (piece for period in periods for piece in pieces(period, others)):
        rows = piece.rows(history.times)

        def quality(fit: Fit, rows: slice = rows) -> float:
            return sign * score(history.metric, history.rows.truth[rows], fit.predictions(rows))

        best = answered
        with suppress(DataError):  # the metric is undefined in this piece, as where all rows are of one class
            best = max([answered, *(fit for fit in history.fits if fit.at <= piece.start)], key=quality)
        if best is not answered:
            course.renewals += 1
            course.note(piece.start, "chosen", best.version, f"the best, at least until {moment(piece.end)[:10]}")
        course.answer(piece.start, piece.end, best)
        answered = best
    course.challengers = history.fits[1:]
    return course


def as_live(history: History, fit: Fit, rows: slice, now: int) -> Rows:
    """A window as monitoring gets it: inputs, answers, and the labels that are known before `now`."""
    inputs = {column.name: history.rows.columns[column.name][rows] for column in fit.runtime.schema.features}
    return Rows(history.times[rows], inputs, fit.outputs(rows), history.truth(rows, now))


def _may_renew(history: History, tried: Sequence[int], now: int) -> bool:
    renew = history.spec.renew
    rested = not tried or now - tried[-1] >= renew.cooldown * MICROSECONDS
    return rested and sum(now - one < _DAY for one in tried) < renew.per_day

"""Watches the live traffic of one model: the prediction log, window by window, against the champion's reference.

Two watches run beside each other, for inputs and outputs are known at once and true labels come later: one over the
windows of all rows, one over the windows of the rows whose label has come (in the order in which they were answered).
What was found, and how far it got, lies in `.mainspring/monitor/MODEL/`, so that a restart goes on where it stopped:

    state.json      how far each watch got, and its alarms
    reports.jsonl   the newest reports, one line a window
    summary.json    the alarms that hold, for gateways and `status`
    reference-N/    of a collection of documents that was fitted without questions: the first window of version N

Of a collection the documents are watched, too: an alarm holds as long as they are others than those that were indexed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from mainspring.errors import BusyError
from mainspring.files import lock, write_atomically
from mainspring.lifecycle.watched import Watched, watched
from mainspring.monitoring import summary
from mainspring.monitoring.alarms import Watch, WatchState
from mainspring.monitoring.examine import examine
from mainspring.monitoring.observations import Alarm, Rows, WindowReport
from mainspring.monitoring.summary import AlarmLine, Summary
from mainspring.registry import desired, history
from mainspring.spec import MonitorSpec, Project, Window

if TYPE_CHECKING:
    from mainspring.monitoring.documents import DocumentWatch

MICROSECONDS = 1_000_000
_MOST_REPORTS = 400
_SETTLE = 2 * MICROSECONDS  # a worker writes its rows several times a second; after this they are in the log


class Progress(msgspec.Struct, frozen=True):
    """How far one watch got: rows up to the time `until` (microseconds since 1970 UTC) were examined."""

    until: int = 0
    watch: WatchState = WatchState()


class State(msgspec.Struct, frozen=True):
    """What is kept between looks; it begins anew with each champion."""

    version: str = ""
    all: Progress = Progress()
    labelled: Progress = Progress()
    documents: Alarm | None = None


class Turn(msgspec.Struct, frozen=True):
    """What one look brought: the alarms that hold now, and the windows examined."""

    alarms: list[Alarm]
    reports: list[WindowReport]


class Monitor:
    """Looks after one model. One process at a time: see `look`."""

    def __init__(self, project: Project, model: str) -> None:
        self._project, self._model = project, model
        self._settings = project.models[model].monitor
        self.folder = summary.folder(project.state, model)
        self._watched: Watched | None = None
        self._documents: DocumentWatch | None = None
        if model in project.retrievals:
            from mainspring.monitoring.documents import DocumentWatch

            self._documents = DocumentWatch(project, model)

    @property
    def settled(self) -> bool:
        """Whether nobody seems to be in the middle of changing documents."""
        return self._documents is None or self._documents.settled

    def look(self, now: int | None = None) -> Turn:
        """Examine the windows that have become complete by `now` (microseconds since 1970 UTC; the clock's by default).

        Raises:
            BusyError: another process is looking.
            RegistryError: the champion's files are damaged.
        """
        now = time.time_ns() // 1000 if now is None else now
        champion = desired.read(self._project.state).champion(self._model)
        if champion is None:
            return Turn([], [])
        with lock(self.folder / ".lock", what=f"the monitoring of {self._model}"):
            before = read_state(self.folder)
            state = before
            if state.version != champion:
                since = _champion_since(self._project, self._model)
                state = State(champion, Progress(since), Progress(since))
            everything, first = self._follow(state.all, champion, now, labelled=False)
            labelled, second = self._follow(state.labelled, champion, now, labelled=True)
            stale = self._stale(state.documents, champion, now)
            after, reports = State(champion, everything, labelled, stale), first + second
            alarms = active(self._settings, after)
            if reports:
                _keep(self.folder / "reports.jsonl", reports)
            if after != before:
                self._summarise(champion, everything.until, alarms)
                write_atomically(self.folder / "state.json", msgspec.json.encode(after))
        return Turn(alarms, reports)

    def _follow(
        self, progress: Progress, champion: str, now: int, *, labelled: bool
    ) -> tuple[Progress, list[WindowReport]]:
        if self._watched is None or self._watched.version != champion:
            self._watched = watched(self._project, self._model, champion)
        seen = self._watched
        if labelled and not seen.labelled:
            return progress, []
        rows = seen.read(since=progress.until + 1, until=now - _SETTLE).rows
        if labelled:
            rows = take(rows, ~np.isnan(rows.truth))
        over = now - _SETTLE
        if labelled:  # labels come late: a stretch of time is over when one of a later row has come
            over = int(rows.time[-1]) if len(rows) else 0
        watch, reports, until = Watch(self._settings, progress.watch), [], progress.until
        for window, end in windows(rows, self._settings.window, progress.until, over):
            until = end
            if not len(window):
                continue
            if seen.reference is None:
                if len(window) >= self._settings.rows and seen.learn is not None:
                    seen = self._watched = replace(seen, reference=seen.learn(window))
                continue
            looks = seen.labelled if labelled else seen.everything
            if not labelled:  # the labels that have come by now are the other watch's
                window = replace(window, truth=np.full(len(window), np.nan))
            report = examine(seen.reference, seen.schema, window, self._settings, champion, looks)
            reports.append(report)
            raised = watch.feed(report)
            self._note(champion, raised, watch.ended)
        return Progress(until, watch.state), reports

    def _stale(self, before: Alarm | None, champion: str, now: int) -> Alarm | None:
        """The alarm that the documents are others than those of the champion; None where they are not."""
        if self._documents is None:
            return None
        found = self._documents.look(champion)
        if found is None:
            self._note(champion, [], [before] if before else [])
            return None
        finding = found.finding
        since, raised = (before.since, before.raised) if before else (now, now)
        alarm = Alarm(finding=finding, since=since, raised=raised, windows=1, message=finding.now)
        self._note(champion, [] if before else [alarm], [])
        return alarm

    def _note(self, champion: str, raised: list[Alarm], ended: list[Alarm]) -> None:
        """Into the history."""
        for alarm in raised:
            finding = alarm.finding
            history.append(
                self._project.state,
                self._model,
                "alarm",
                champion,
                alarm.message,
                subject=finding.subject,
                name=finding.name,
                effect=finding.effect,
                since=alarm.since,
            )
        for alarm in ended:
            finding = alarm.finding
            history.append(
                self._project.state,
                self._model,
                "calm",
                champion,
                f"{finding.name}: as at fit again",
                subject=finding.subject,
                name=finding.name,
            )

    def _summarise(self, champion: str, until: int, alarms: list[Alarm]) -> None:
        """What the gateways and `status` show."""
        lines = [
            AlarmLine(
                one.finding.subject, one.finding.name, one.finding.effect, one.finding.matters, one.since, one.message
            )
            for one in alarms
        ]
        summary.write(self._project.state, self._model, Summary(champion, until, lines))


def alarms_now(project: Project, model: str) -> list[Alarm]:
    """The alarms that hold, after a look at what has come; where another process looks, as it left them."""
    try:
        return Monitor(project, model).look().alarms
    except BusyError:
        return active(project.models[model].monitor, read_state(summary.folder(project.state, model)))


def read_state(where: Path) -> State:
    """The state in the folder `where`; a new one where there is none, or it is damaged."""
    try:
        return msgspec.json.decode((where / "state.json").read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return State()


def active(settings: MonitorSpec, state: State) -> list[Alarm]:
    """The alarms that hold, what matters most first."""
    alarms = [state.documents] if state.documents else []
    alarms += [alarm for part in (state.all, state.labelled) for alarm in Watch(settings, part.watch).active]
    return sorted(alarms, key=lambda alarm: -alarm.finding.matters)


def reports(where: Path) -> list[WindowReport]:
    """The newest reports, oldest first. A line torn by a kill is left out."""
    try:
        lines = (where / "reports.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=WindowReport))
        except msgspec.DecodeError:
            continue
    return found


def windows(rows: Rows, size: Window, start: int, now: int) -> Iterator[tuple[Rows, int]]:
    """The complete windows of `rows`, which are in order of time, and the time at which each ends.

    By count, a window ends with the row that fills it, and those of the same time; by time, the windows follow one
    another from `start` (or from the first row, where `start` is 0) and are complete when they are over.
    """
    if size.rows is not None:
        begin = 0
        while begin + size.rows <= len(rows):
            end = int(np.searchsorted(rows.time, rows.time[begin + size.rows - 1], side="right"))
            yield take(rows, slice(begin, end)), int(rows.time[end - 1])
            begin = end
        return
    assert size.seconds is not None
    length = int(size.seconds * MICROSECONDS)
    if not start:
        if not len(rows):
            return
        start = int(rows.time[0]) - 1
    while start + length <= now:
        first, last = np.searchsorted(rows.time, [start, start + length], side="right")
        yield take(rows, slice(int(first), int(last))), start + length
        start += length


def take(rows: Rows, some: Any) -> Rows:
    """Some of the rows: a slice, or (n,) bool."""
    outputs = rows.outputs

    def part(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[some]

    return Rows(
        time=rows.time[some],
        columns={name: values[some] for name, values in rows.columns.items()},
        outputs=type(outputs)(part(outputs.labels), part(outputs.probabilities), part(outputs.values)),
        truth=rows.truth[some],
    )


def _champion_since(project: Project, model: str) -> int:
    since = desired.read(project.state).models[model].since
    return int(datetime.fromisoformat(since).timestamp() * MICROSECONDS)


def _keep(path: Path, reports: list[WindowReport]) -> None:
    """Add to the newest reports."""
    before: list[bytes] = []
    if path.exists():
        before = path.read_bytes().splitlines()
    lines = [*before, *(msgspec.json.encode(report) for report in reports)][-_MOST_REPORTS:]
    write_atomically(path, b"\n".join(lines) + b"\n")

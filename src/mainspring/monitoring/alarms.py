"""From reports to alarms: what deviates in several windows in a row is an alarm, once, until it is calm again.

One window can be odd: a holiday, a batch job, a sensor that was off. An alarm therefore takes `monitor.persistence`
deviating windows in a row, in the same direction where the move has one, and as many calm ones end it. A window without
rows enough for a test says nothing for or against.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from mainspring.monitoring.observations import Alarm, Finding, WindowReport
from mainspring.spec import MonitorSpec

_SMALLEST_P = 1e-12  # below, a p-value says more of the approximation than of the data


class Track(msgspec.Struct, frozen=True):
    """One thing that is watched: `windows` deviating ones in a row since `since`, in `direction` (0: none), or `calm`
    ones in a row while an alarm is active.
    """

    windows: int = 0
    since: int = 0
    direction: int = 0
    calm: int = 0
    alarm: Alarm | None = None


class WatchState(msgspec.Struct, frozen=True):
    """What a watch remembers between windows: the version watched, and a track for each "subject/name"."""

    version: str = ""
    tracks: dict[str, Track] = {}


_NOTHING_YET = WatchState()


class Watch:
    """Takes reports, one after another in time. `state` is plain data: a watch that is given it goes on from there.

    `ended` has the alarms that the last report ended.
    """

    def __init__(self, settings: MonitorSpec, state: WatchState = _NOTHING_YET) -> None:
        self.settings = settings
        self.state = state
        self.ended: list[Alarm] = []

    @property
    def active(self) -> list[Alarm]:
        """The alarms that hold now, the most important first, each with the last finding that kept it up."""
        alarms = [track.alarm for track in self.state.tracks.values() if track.alarm]
        return sorted(alarms, key=lambda alarm: (-alarm.finding.matters, -alarm.finding.effect))

    def feed(self, report: WindowReport) -> list[Alarm]:
        """Take the next window's report; the alarms that it newly raised, the most important first.

        The first report of another version starts anew, for its reference is another.
        """
        self.ended = []
        before = self.state.tracks if report.version == self.state.version else {}
        tracks, raised = dict(before), []
        for finding in report.findings:
            if finding.rows < self.settings.rows:
                continue
            key = f"{finding.subject}/{finding.name}"
            old = before.get(key, Track())
            new = self._deviating(old, finding, report) if finding.deviates else self._calm(old)
            if new.alarm and not old.alarm:
                raised.append(new.alarm)
            if old.alarm and not new.alarm:
                self.ended.append(old.alarm)
            tracks[key] = new
        kept = {key: track for key, track in tracks.items() if track != Track()}
        self.state = WatchState(report.version, kept)
        return sorted(raised, key=lambda alarm: (-alarm.finding.matters, -alarm.finding.effect))

    def _deviating(self, old: Track, finding: Finding, report: WindowReport) -> Track:
        direction = finding.detail.get("direction", 0)
        goes_on = old.windows > 0 and old.direction * direction >= 0
        windows, since = (old.windows + 1, old.since) if goes_on else (1, report.start)
        if old.alarm:  # which stays, whichever way it moves now
            windows, since = old.alarm.windows + 1, old.alarm.since
        alarm = None
        if old.alarm or windows >= self.settings.persistence:
            raised = old.alarm.raised if old.alarm else report.end
            alarm = Alarm(
                finding=finding, since=since, raised=raised, windows=windows, message=message(finding, windows, since)
            )
        return Track(windows, since, direction or (old.direction if goes_on else 0), 0, alarm)

    def _calm(self, old: Track) -> Track:
        if old.alarm is None or old.calm + 1 >= self.settings.persistence:
            return Track()
        return msgspec.structs.replace(old, windows=0, direction=0, calm=old.calm + 1)


def message(finding: Finding, windows: int, since: int) -> str:
    """What moved, by how much, since when, and how much it matters, in one sentence.

    `since`: microseconds since 1970 UTC.
    """
    began = datetime.fromtimestamp(since / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
    p_value = f"p < {_SMALLEST_P:.0e}" if finding.p_value < _SMALLEST_P else f"p = {finding.p_value:.1g}"
    length = f"in {windows} windows since {began}" if windows > 1 else f"in a window since {began}"
    said = f"{_moved(finding)} ({_effect(finding)}, {p_value}), {length}"
    if finding.subject in ("feature", "missing", "unseen", "range"):
        said += f"; it carries {100 * finding.matters:.2g} % of the model's importance"
    return said


def _moved(finding: Finding) -> str:
    name, change = finding.name, f"{finding.was} → {finding.now}"
    if finding.subject == "missing":
        often = "more" if finding.detail.get("direction", 1) > 0 else "less"
        return f"{name} is missing {often} often: {change} of rows"
    return {
        "feature": f"{name} moved: {_short(finding)}",
        "unseen": f"{name} has categories that the model does not know: {change} of rows",
        "range": f"{name} is outside of the range that the model knows: {change} of rows",
        "prediction": f"the predictions moved ({name}): {_short(finding)}",
        "label": f"the true labels ({name}) moved: {_short(finding)}",
        "multivariate": f"the inputs moved together: a classifier tells these rows from the reference, {change}",
        "performance": f"{name} got worse: {change}",
        "estimated": f"{name} is estimated to have got worse: {change}",
        "questions": f"the questions moved: a classifier tells their vectors from the reference, {change}",
        "search": f"what is found moved ({name}): {_short(finding)}",
        "documents": finding.now,
    }[finding.subject]


def _short(finding: Finding) -> str:
    """Was and now without saying "mean", or the category, twice."""
    words, _, _ = finding.was.rpartition(" ")
    now = finding.now
    while words and not now.startswith(f"{words} "):
        words, _, _ = words.rpartition(" ")
    return f"{finding.was} → {now[len(words) :].strip()}"


def _effect(finding: Finding) -> str:
    if finding.subject in ("performance", "estimated"):
        return f"{100 * finding.effect:.2g} % of its skill lost"
    name = {"Kolmogorov-Smirnov": "KS distance", "chi-squared": "JS distance", "domain classifier": "2 x area - 1"}
    return f"{name.get(finding.test, 'change')} {finding.effect:.2g}"

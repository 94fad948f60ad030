"""Replays of histories whose truth is known: one that changes in the middle, and one that does not."""

from __future__ import annotations

import csv
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mainspring import spec
from mainspring.errors import DataError, SpecError
from mainspring.lifecycle import periods, replay
from mainspring.lifecycle.refits import History, as_of
from mainspring.lifecycle.replay_result import Replay
from mainspring.lifecycle.replay_scores import Measure, combined
from mainspring.spec import Project, Window

DAY = 86_400 * 10**6
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
DAYS, A_DAY = 60, 60
CHANGE = 30
TOML = """\
[project]
name = "shop"

[models.late]
task = "classification"
data = "orders.csv"
target = "late"
time = "at"
candidates = ["linear"]
budget = 1
folds = 2

[models.late.monitor]
window = "3d"
rows = 100

[models.late.renew]
data = "window"
window = "8d"
cooldown = "1h"

[models.timeless]
task = "classification"
data = "orders.csv"
target = "late"
"""


def make(folder: Path, *, change: int | None, seed: int = 1) -> Project:
    """Orders over 60 days; from the day `change` on, what made them late makes them punctual."""
    draw = random.Random(seed)
    folder.mkdir()
    (folder / "mainspring.toml").write_text(TOML)
    with (folder / "orders.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["at", "size", "heat", "late"])
        for row in range(DAYS * A_DAY):
            size, heat = round(draw.gauss(0, 1), 4), round(draw.gauss(0, 1), 4)
            turned = -1 if change is not None and row // A_DAY >= change else 1
            late = draw.random() < 1 / (1 + math.exp(-turned * (2 * size + heat)))
            at = BEGIN + timedelta(days=row / A_DAY)
            table.writerow([at.isoformat(timespec="seconds"), size, heat, str(late).lower()])
    return spec.load(folder)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Replay]:
    project = make(tmp_path_factory.mktemp("changed") / "shop", change=CHANGE)
    return project, replay.replay(project, "late", replay.Settings(every=10 * 86_400.0))


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    project = make(tmp_path_factory.mktemp("steady") / "shop", change=None)
    return replay.replay(project, "late", replay.Settings(every=10 * 86_400.0))


def day_of(moment: str) -> float:
    return (datetime.fromisoformat(moment) - BEGIN) / timedelta(days=1)


def test_a_change_raises_an_alarm_and_renewing_on_it_pays(changed: tuple[Project, Replay]) -> None:
    _, found = changed
    drift = found.policies["drift"]
    alarms = [day_of(event.time) for event in drift.events if event.kind == "alarm"]
    renewed = [day_of(event.time) for event in drift.events if event.kind == "promoted"]
    assert min(alarms) > CHANGE
    assert renewed
    assert min(renewed) >= min(alarms)
    assert drift.renewals == len(renewed)
    assert drift.alarm_delay_seconds is not None
    assert 0 < drift.alarm_delay_seconds < 10 * 86_400
    assert found.paid["never"].verdict == "paid"
    assert found.paid["never"].low is not None
    assert 0 < found.paid["never"].low < (found.paid["never"].difference or 0)
    assert "paid" in found.verdict


def test_a_steady_history_is_left_alone(steady: Replay) -> None:
    drift = steady.policies["drift"]
    assert (drift.renewals, drift.challengers, drift.alarms) == (0, 0, 0)
    assert drift.alarm_delay_seconds is None
    assert drift.scores == steady.policies["never"].scores
    assert steady.paid["never"].difference == 0
    assert steady.paid["never"].verdict == "not enough evidence"
    assert steady.verdict.startswith("Drift never called for a renewal")
    assert steady.policies["always"].challengers == 3  # after three of the four later periods


def test_nothing_is_used_before_its_time(changed: tuple[Project, Replay]) -> None:
    _, found = changed
    newest = {line.version: line.newest for line in found.versions}
    for policy in found.policies.values():
        assert policy.answered[0].start == found.periods[0].start
        assert policy.answered[-1].end == found.periods[-1].end
        for one, following in zip(policy.answered, policy.answered[1:], strict=False):
            assert one.end == following.start
        for one in policy.answered:
            assert newest[one.version] < one.start
    assert len(found.versions) > 3


def test_no_policy_beats_the_oracle_in_any_period(changed: tuple[Project, Replay]) -> None:
    _, found = changed
    oracle = found.policies["oracle"]
    for policy in found.policies.values():
        for best, score in zip(oracle.scores, policy.scores, strict=True):
            assert best.value is not None
            assert score.value is not None
            assert best.value >= score.value - 1e-12
    assert (oracle.score or 0) > (found.policies["drift"].score or 0)


def test_the_score_is_the_mean_over_periods_by_rows(changed: tuple[Project, Replay]) -> None:
    _, found = changed
    for policy in found.policies.values():
        rows = [score.rows for score in policy.scores]
        values = [score.value or 0 for score in policy.scores]
        assert policy.score == pytest.approx(np.average(values, weights=rows))
        assert policy.low is not None
        assert policy.high is not None
        assert policy.low < policy.score < policy.high


def test_the_result_and_its_page_are_written_and_nothing_live_is_touched(changed: tuple[Project, Replay]) -> None:
    project, found = changed
    folder = project.state / "models" / "late"
    assert sorted(path.name for path in folder.iterdir()) == [replay.PAGE, replay.RESULT]
    assert msgspec.json.decode((folder / replay.RESULT).read_bytes(), type=Replay) == found
    page = (folder / replay.PAGE).read_text()
    assert page.count("<svg") == 2
    assert "would renewing on drift have paid" in page
    assert not (project.state / "desired.json").exists()


def test_a_label_is_not_known_before_its_delay(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", change=CHANGE)
    history = History(replay.data.load(project, "late"), project.models["late"], most_rows=10_000, label_delay=86_400.0)
    now = int(history.times[0]) + 20 * DAY
    assert history.times[history.known(now)].max() < now - DAY
    assert history.times[history.known(now, now - 5 * DAY)].min() == now - 5 * DAY
    window = slice(18 * A_DAY, 20 * A_DAY)
    unknown = np.isnan(history.truth(window, now))
    assert unknown.tolist() == [False] * A_DAY + [True] * A_DAY
    fit = history.first(now)
    assert fit is history.first(now)
    assert fit.newest < now - DAY
    with pytest.raises(ValueError, match="was made after"):
        fit.outputs(slice(0, 10))


def test_a_fit_sees_only_levels_and_bounds_of_its_own_rows(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", change=None)
    whole = replay.data.load(project, "late")
    some = as_of(whole.take(whole.columns["size"] < 0))
    assert some.schema.feature("size").high == some.columns["size"].max() < 0
    assert whole.schema.feature("size").high == whole.columns["size"].max() > 0


def test_a_fit_and_a_verdict_keep_to_the_most_rows(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", change=None)
    history = History(replay.data.load(project, "late"), project.models["late"], most_rows=500, label_delay=0.0)
    before, after = (history.first(int(history.times[0]) + days * DAY) for days in (20, 40))
    assert len(before.fit_rows) == len(after.fit_rows) == 500
    assert history.judge(before, after)["comparison"]["rows"] == 480  # the newest fifth
    assert history.capped


def test_a_model_without_time_cannot_be_replayed(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", change=None)
    with pytest.raises(SpecError, match=r"models\.timeless.*time.*is needed to replay"):
        replay.replay(project, "timeless")


def test_a_history_too_short_says_what_to_do(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", change=None)
    with pytest.raises(DataError, match="--start"):
        replay.replay(project, "late", replay.Settings(every=10 * 86_400.0, first=6))
    with pytest.raises(DataError, match="shorter --every"):
        replay.replay(project, "late", replay.Settings(every=1000 * 86_400.0))


def test_periods_are_calendar_months_or_lengths_of_time() -> None:
    times = np.array(["2024-01-15", "2024-01-31", "2024-02-01", "2024-04-30"], "datetime64[us]").astype(np.int64)
    months = periods.cut(times, "month")
    assert [period.name for period in months] == ["2024-01", "2024-02", "2024-04"]  # without the empty one
    assert [period.rows(times) for period in months] == [slice(0, 2), slice(2, 3), slice(3, 4)]
    weeks = periods.cut(times, 7 * 86_400.0)
    assert weeks[0].start == times[0]
    assert all((period.end - period.start) == 7 * DAY for period in weeks)
    assert periods.default_every(np.array([0, 365 * DAY])) == "month"
    assert periods.default_every(np.array([0, 12 * DAY])) == 86_400.0


def test_a_window_of_rows_does_not_tear_rows_of_one_time_apart() -> None:
    times = np.array([0, 1, 2, 2, 2, 3])
    window = periods.next_window(times, 1, 100, Window(rows=2))
    assert (window.start, window.end) == (1, 3)
    assert periods.next_window(times, 3, 100, Window(rows=2)).end == 100
    assert periods.next_window(times, 0, 100, Window(seconds=5e-6)).end == 5


def test_means_over_periods_are_weighted_by_rows_and_leave_out_what_is_undefined() -> None:
    mean = combined([Measure(1.0, 0.3, 10, 100), None, Measure(0.0, 0.1, 10, 300)])
    assert mean is not None
    assert mean.value == pytest.approx(0.25)
    assert mean.error == pytest.approx(math.hypot(0.25 * 0.3, 0.75 * 0.1))
    assert combined([None]) is None

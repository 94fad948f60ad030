from __future__ import annotations

import time

import numpy as np
import pytest
from projects import respecify

from mainspring.errors import BusyError
from mainspring.files import lock
from mainspring.lifecycle import monitor
from mainspring.lifecycle.monitor import Monitor, windows
from mainspring.monitoring import summary
from mainspring.monitoring.observations import Rows
from mainspring.registry import history
from mainspring.runtimes.onnx import Outputs
from mainspring.spec import Window

from .live import answer, label_all, records

WATCHED = ("budget = 2", "budget = 2\nmonitor = { window = 250, rows = 100, significance = 0.001 }")
SECOND = 1_000_000


def rows_at(times):
    n = len(times)
    return Rows(np.array(times, np.int64), {"a": np.arange(n, dtype=float)}, Outputs(values=np.zeros(n)), np.zeros(n))


def cut(times, size, start=0, now=10**9):
    return [(window.time.tolist(), end) for window, end in windows(rows_at(times), size, start, now)]


def test_windows_by_count_are_complete_and_keep_equal_times_together():
    assert cut([1, 2, 3, 4, 5], Window(rows=2)) == [([1, 2], 2), ([3, 4], 4)]
    assert cut([1, 2, 2, 2, 5, 6], Window(rows=2)) == [([1, 2, 2, 2], 2), ([5, 6], 6)]
    assert cut([1], Window(rows=2)) == []


def test_windows_by_time_follow_one_another_and_may_be_empty():
    times = [1 * SECOND, 2 * SECOND, 7 * SECOND]
    found = cut(times, Window(seconds=2.0), start=SECOND // 2, now=9 * SECOND)
    assert found == [
        (times[:2], 5 * SECOND // 2),
        ([], 9 * SECOND // 2),
        ([], 13 * SECOND // 2),
        (times[2:], 17 * SECOND // 2),
    ]


def test_labels_that_come_late_are_looked_at_when_they_have_come(fitted):
    """A window of time is over for labels when a later row has its label, not when the clock says so."""
    project = respecify(fitted, ("budget = 2", 'budget = 2\nmonitor = { window = "1s", rows = 100 }'))
    answer(project, records(400, seed=15))
    long_after = later() + 3600 * SECOND
    assert not [report for report in Monitor(project, "late").look(long_after).reports if report.labelled]
    time.sleep(1.5)
    answer(project, records(50, seed=16), labelled=True)  # the first label of all
    label_all(project)
    found = [report for report in Monitor(project, "late").look(long_after).reports if report.labelled]
    assert sum(report.labelled for report in found) == 400
    assert {finding.subject for report in found for finding in report.findings} == {"label", "performance"}


def test_a_window_that_is_not_over_waits():
    assert cut([SECOND], Window(seconds=2.0), start=SECOND // 2, now=2 * SECOND) == []
    assert cut([], Window(seconds=2.0), start=0, now=9 * SECOND) == []


@pytest.fixture
def watched(fitted):
    return respecify(fitted, WATCHED)


def later():
    return time.time_ns() // 1000 + 5 * SECOND


def test_traffic_like_the_data_is_quiet(watched):
    answer(watched, records(1000, seed=11))
    turn = Monitor(watched, "late").look(later())
    assert (len(turn.reports), turn.alarms) == (4, [])
    assert all(report.enough and report.rows == 250 for report in turn.reports)
    assert not [event for event in history.read(watched.state) if event.kind == "alarm"]


def test_a_shift_raises_an_alarm_once_and_its_end_is_noted(watched):
    answer(watched, records(500, seed=12, shift=2.0))
    looking = Monitor(watched, "late")
    turn = looking.look(later())
    moved = {(alarm.finding.subject, alarm.finding.name) for alarm in turn.alarms}
    assert ("feature", "size") in moved
    assert ("feature", "heat") not in moved
    assert [event.data["name"] for event in history.read(watched.state) if event.kind == "alarm"].count("size") >= 1
    assert any("size" in alarm.message for alarm in summary.read(watched.state, "late").alarms)

    before = len(history.read(watched.state))
    again = Monitor(watched, "late").look(later())  # as after a restart
    assert (again.reports, len(again.alarms)) == ([], len(turn.alarms))
    assert len(history.read(watched.state)) == before

    answer(watched, records(1000, seed=13))
    calm = Monitor(watched, "late").look(later())
    assert calm.alarms == []
    assert [event.kind for event in history.read(watched.state)][-1] == "calm"
    assert summary.read(watched.state, "late").alarms == []
    assert len(monitor.reports(summary.folder(watched.state, "late"))) == 6


def test_one_process_looks_at_a_time_and_others_read_what_it_found(watched):
    answer(watched, records(500, seed=12, shift=2.0))
    found = Monitor(watched, "late").look(later()).alarms
    with lock(summary.folder(watched.state, "late") / ".lock", what="the monitoring of late"):
        with pytest.raises(BusyError, match="the monitoring of late is already under way"):
            Monitor(watched, "late").look()
        assert monitor.alarms_now(watched, "late") == found


def test_without_a_champion_there_is_nothing_to_look_at(watched):
    (watched.state / "desired.json").unlink()
    assert Monitor(watched, "late").look() == monitor.Turn([], [])

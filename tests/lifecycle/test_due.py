from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mainspring.lifecycle.due import due
from mainspring.monitoring.observations import Alarm, Finding
from mainspring.registry.desired import DesiredModel, Route
from mainspring.registry.history import Event
from mainspring.spec import RenewSpec

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LIVE = DesiredModel(routes=(Route("3"),), since=(NOW - timedelta(days=9)).isoformat())
POLICY = RenewSpec(cooldown="1h", per_day=2)


def alarm(message="size moved", since=5):
    finding = Finding(
        subject="feature", name="size", test="Kolmogorov-Smirnov", effect=0.4, p_value=0.0, rows=500, matters=0.5
    )
    return Alarm(finding=finding, since=since, raised=9, windows=2, message=message)


def renewal(ago, phase="begin"):
    return Event((NOW - ago).isoformat(), "late", "renew", "", data={"phase": phase})


def test_nothing_is_due_while_nothing_happens():
    assert due(POLICY, LIVE, [], [], NOW) is None


def test_an_alarm_is_a_reason_and_knows_since_when():
    found = due(POLICY, LIVE, [], [alarm(since=7), alarm("heat moved", since=5)], NOW)
    assert (found.reason, found.since) == ("size moved", 5)


def test_a_new_champion_of_what_it_asks_is_a_reason_after_alarms():
    found = due(POLICY, LIVE, [], [], NOW, "desk is now version 2")
    assert (found.reason, found.since) == ("desk is now version 2", None)
    assert due(POLICY, LIVE, [], [alarm()], NOW, "desk is now version 2").reason == "size moved"
    assert due(POLICY, LIVE, [renewal(timedelta(minutes=59))], [], NOW, "desk is now version 2") is None


def test_alarms_may_be_no_reason():
    assert due(RenewSpec(on_alarm=False), LIVE, [], [alarm()], NOW) is None


def test_the_cooldown_counts_from_the_beginning_of_the_last_renewal():
    for ago, allowed in ((timedelta(minutes=59), False), (timedelta(minutes=61), True)):
        assert bool(due(POLICY, LIVE, [renewal(ago), renewal(timedelta(0), "end")], [alarm()], NOW)) == allowed


def test_a_day_has_a_budget():
    two = [renewal(timedelta(hours=23)), renewal(timedelta(hours=2))]
    assert due(POLICY, LIVE, two, [alarm()], NOW) is None
    assert due(POLICY, LIVE, [renewal(timedelta(hours=25)), *two[1:]], [alarm()], NOW)


def test_a_schedule_counts_from_the_last_renewal_or_the_last_promotion():
    weekly = RenewSpec(every="7d")
    assert due(weekly, LIVE, [], [], NOW).reason == "7 days have passed"
    assert due(weekly, LIVE, [renewal(timedelta(days=6))], [], NOW) is None
    assert due(RenewSpec(every="10d"), LIVE, [], [], NOW) is None


def test_nothing_is_begun_while_a_version_is_on_trial():
    canary = DesiredModel(routes=(Route("3", 0.9), Route("4", 0.1)), since=LIVE.since)
    shadow = DesiredModel(routes=(Route("3"),), shadow="4", since=LIVE.since)
    assert due(POLICY, canary, [], [alarm()], NOW) is None
    assert due(POLICY, shadow, [], [alarm()], NOW) is None

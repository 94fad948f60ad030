from __future__ import annotations

from mainspring.lifecycle.trials import Trial, current
from mainspring.registry.desired import DesiredModel, Route
from mainspring.registry.history import Event

NOON, ONE = "2026-05-01T12:00:00.000+00:00", "2026-05-01T13:00:00.000+00:00"
NOON_TIME = 1_777_636_800_000_000


def live(*routes, shadow=None):
    return DesiredModel(routes=tuple(Route(*route) for route in routes), shadow=shadow, since=NOON)


def event(kind, version, time=NOON, **data):
    return Event(time, "late", kind, version, data=data)


def test_a_canary_and_a_shadow_are_tried_since_they_began():
    begun = [event("rollout", "2", phase="begin")]
    assert current(live(("1", 0.9), ("2", 0.1)), begun) == Trial("canary", "1", "2", NOON_TIME)
    assert current(live(("1",), shadow="2"), begun) == Trial("shadow", "1", "2", NOON_TIME)


def test_a_champion_that_the_loop_promoted_is_on_probation():
    promoted = event("promote", "2", watched=True, before="1")
    assert current(live(("2",)), [promoted]) == Trial("probation", "1", "2", NOON_TIME)
    over = event("rollout", "2", ONE, phase="end")
    assert current(live(("2",)), [promoted, over]) is None


def test_who_was_promoted_by_hand_or_first_or_was_rolled_back_to_is_left_alone():
    for last in (
        event("promote", "2", watched=False, before="1"),
        event("promote", "2", watched=True, before=None),
        event("rollback", "2", before="3"),
        event("promote", "3", watched=True, before="2"),
    ):
        assert current(live(("2",)), [last]) is None
    assert current(live(("2",)), []) is None

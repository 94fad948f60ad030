"""When a renewal is due: an alarm, a new champion of a model that it asks, or the schedule calls for it, and the
cooldown and the day's budget allow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mainspring.monitoring.observations import Alarm
from mainspring.registry.desired import DesiredModel
from mainspring.registry.history import Event
from mainspring.spec import RenewSpec

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Due:
    """Why a renewal is due, and since when the world has changed (microseconds since 1970 UTC), if an alarm knows."""

    reason: str
    since: int | None = None


def due(
    policy: RenewSpec,
    live: DesiredModel,
    events: Sequence[Event],
    alarms: Sequence[Alarm],
    now: datetime,
    outdated: str | None = None,
) -> Due | None:
    """Whether a renewal is due now, or None.

    Args:
        policy: `[models.NAME.renew]`.
        live: the desired state of the model; while a version is on trial, nothing else is begun.
        events: the model's history.
        alarms: those that hold, what matters most first.
        now: the time, with its zone.
        outdated: which model that it asks has another champion than it was fitted with, if one has.
    """
    if live.shadow is not None or len(live.routes) > 1:
        return None
    renewals = [datetime.fromisoformat(event.time) for event in events if _begins(event)]
    if renewals and now - renewals[-1] < timedelta(seconds=policy.cooldown):
        return None
    if sum(now - renewal < _DAY for renewal in renewals) >= policy.per_day:
        return None
    if alarms and policy.on_alarm:
        return Due(alarms[0].message, min(alarm.since for alarm in alarms))
    if outdated:
        return Due(outdated)
    if policy.every is not None:
        last = max([*renewals, datetime.fromisoformat(live.since)])
        if now - last >= timedelta(seconds=policy.every):
            return Due(f"{policy.every / 86_400:g} days have passed")
    return None


def ended_by_a_fit(alarms: Sequence[Alarm], *, settled: bool) -> list[Alarm]:
    """Those alarms of a collection of documents that a renewal can end: that they are others than those indexed.

    What is asked of documents, and found in them, no new index of the same ones changes. `settled`: nobody seems to be
    in the middle of changing them.
    """
    return [alarm for alarm in alarms if alarm.finding.subject == "documents"] if settled else []


def _begins(event: Event) -> bool:
    return event.kind == "renew" and event.data.get("phase") == "begin"

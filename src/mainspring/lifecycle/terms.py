"""The terms of a renewal: which rows it learns from, which of them it holds out, and whether it searches.

They are found here for a live renewal (`renew`) and for a replay (`refits`) alike, so that a replay plays what a live
loop would have done.

Which rows, `[models.NAME.renew]` says. Of these, only rows that came after the champion's data ended are held out: they
are what a renewal is for, and no model has seen them. A renewal keeps the champion's recipe: the kinds of the chosen
members, their parameters and weights, fitted on the new rows. Drift moves the data far more often than it moves which
depth of a tree is best; a search costs many fits, and its choice among near equals is one more chance event that the
gate would have to see through. Where `renew` names candidates or a budget, it searches as these say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

import numpy as np

from mainspring.lifecycle.periods import MICROSECONDS
from mainspring.spec import DataSpec, RenewSpec

LEAST_ROWS = 1000  # since a change, before which all history teaches more
_ENOUGH_TO_JUDGE = 2000


_Spec = TypeVar("_Spec", bound=DataSpec)


@dataclass(frozen=True)
class Terms(Generic[_Spec]):
    """What a renewal works by.

    `since`: older rows are left out (microseconds since 1970 UTC; None: none is). `spec`: the model's, with the share
    to hold out and, where `search`, with what to search. `notes`: sentences for the user.
    """

    since: int | None
    spec: _Spec
    search: bool
    notes: tuple[str, ...] = ()


def terms(spec: _Spec, times: np.ndarray | None, *, changed: int | None, seen_until: int) -> Terms[_Spec]:
    """The terms of a renewal now.

    Args:
        spec: the model's.
        times: (n,) int64, of all rows there are, in microseconds since 1970 UTC; None where rows have no time.
        changed: when the world changed, if an alarm said so.
        seen_until: the newest time in the champion's data.
    """
    renew, since, notes = spec.renew, None, []
    search = bool(renew.candidates or renew.budget)
    own: dict[str, object] = {"candidates": renew.candidates, "budget": renew.budget}
    if times is not None:
        since = _since(renew, times, changed)
        if since is not None:
            times = times[times >= since]
            notes.append(f"{len(times):,} rows since {_day(since)} are used")
        elif renew.data == "since-change" and changed is not None:
            rows = int((times >= changed).sum())
            notes.append(f"only {rows:,} rows came since the change, fewer than {LEAST_ROWS:,}: all history is used")
        own["holdout"] = share_to_judge_by(times, seen_until, spec.holdout)
    changes = {key: value for key, value in own.items() if value is not None}
    return Terms(since, spec.model_copy(update=changes), search, tuple(notes))


def share_to_judge_by(times: np.ndarray, seen_until: int, holdout: float) -> float:
    """The share of dated rows that a renewal holds out: of those alone that came after the champion's data ended.

    The newest rows are what a renewal is for. Were the usual share of all rows held out, then after a long history
    none of the new ones would be left to learn from. Of few new ones, half are held out, for a verdict needs rows.

    Args:
        times: (n,) int64 microseconds since 1970 UTC.
        seen_until: the newest time in the champion's data.
        holdout: the share that the spec asks for.
    """
    new = int((times > seen_until).sum())
    if not new:
        return holdout
    return max(holdout * new, min(_ENOUGH_TO_JUDGE, new / 2)) / len(times)


def _since(renew: RenewSpec, times: np.ndarray, changed: int | None) -> int | None:
    if renew.data == "window" and renew.window is not None:
        return int(times.max() - renew.window * MICROSECONDS)
    if renew.data == "since-change" and changed is not None and (times >= changed).sum() >= LEAST_ROWS:
        return changed
    return None


def _day(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).date().isoformat()

"""What a replay says, as plain data for JSON, the page and the terminal.

Scores are means over periods, weighted by rows, and not pooled over all rows: pooled, an area under the curve would
also reward a model for telling the busy months from the quiet ones, and would punish one whose probabilities shift as
versions change, which no user of a single day's ranking would notice. For the same reason a period in which any policy
changed its champion is scored in pieces, cut at the changes, for all policies alike.
"""

from __future__ import annotations

from typing import Literal

import msgspec

PolicyName = Literal["never", "always", "drift", "oracle"]
POLICIES: tuple[PolicyName, ...] = ("never", "always", "drift", "oracle")


class PeriodLine(msgspec.Struct, frozen=True):
    """A later period: its name, bounds (ISO 8601, end exclusive) and rows."""

    name: str
    start: str
    end: str
    rows: int


class Event(msgspec.Struct, frozen=True):
    """What happened to a policy at a time. `promoted`, `kept` and `failed` are what became of a challenger."""

    time: str
    policy: PolicyName
    kind: Literal["alarm", "promoted", "kept", "failed", "chosen"]
    version: str
    detail: str


class Score(msgspec.Struct, frozen=True):
    """A period's score with its 95 % interval, and who answered; no value where the metric is undefined there."""

    period: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    version: str


class Answered(msgspec.Struct, frozen=True):
    """From `start` up to, not including, `end`, all rows were answered by `version`."""

    start: str
    end: str
    version: str


class PolicyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy reached, and what it cost.

    `renewals` are challengers that were promoted (of the oracle: switches), `challengers` all that were fitted.
    `alarm_delay_seconds` is the median time from the start of what deviated to its alarm.
    """

    score: float | None
    low: float | None
    high: float | None
    renewals: int
    challengers: int
    alarms: int
    alarm_delay_seconds: float | None
    fit_seconds: float
    scores: list[Score]
    answered: list[Answered]
    events: list[Event]


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """The drift policy beside another: `difference` in score, oriented so that positive is better, with its 95 %
    interval; and what it saved: `challengers` not fitted, and `seconds` of fitting (negative: spent).
    """

    difference: float | None
    low: float | None
    high: float | None
    challengers: int
    seconds: float
    verdict: Literal["paid", "did not pay", "not enough evidence"]
    sentence: str


class VersionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A fit of the replay. `newest` is the time of the newest row that it learned from or was judged on."""

    version: str
    at: str
    since: str | None
    fit_rows: int
    held_out_rows: int
    newest: str
    seconds: float


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """All of a replay. `first` names the periods that the initial champion was fitted on."""

    project: str
    model: str
    metric: str
    greater_is_better: bool
    created: str
    seconds: float
    notes: list[str]
    first: list[str]
    periods: list[PeriodLine]
    policies: dict[PolicyName, PolicyResult]
    paid: dict[PolicyName, Paid]
    verdict: str
    versions: list[VersionLine]
    events: list[Event]

"""Judging a challenger by live traffic: go on watching, promote it, or roll it back.

Three things can be held against a challenger: that it *errs* more than the champion, that it is *slower*, that it
*scores worse* on the rows whose truth has come. Each is a one-sided anytime-valid test (`evaluation/sequential.py`) at
a third of the gate's significance. So one may look after every request and act at once: a challenger that is no worse
in any of the three is rolled back, however long it is watched, with at most the gate's significance.

Harm has to be shown, benefit not: that the challenger is better was the gate's question, and is answered. So it is
promoted when its trial is over, enough requests were seen, and none of the three was shown. In a *probation*, after a
promotion, the challenger is already live, and "promote" means that it stays.

The evidence is a tally (`evidence.py`), and judging it changes nothing: who carries it out is `trials.py`.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from mainspring.evaluation import sequential
from mainspring.evaluation.sequential import Interval, Moments, Share
from mainspring.lifecycle.evidence import Evidence
from mainspring.lifecycle.wording import count, duration, number
from mainspring.spec import GateSpec, RenewSpec

Decision = Literal["go on", "promote", "roll back"]
Subject = Literal["errors", "duration", "loss"]

MORE_ERRORS = 0.005  # half a percentage point more than the champion is let pass: a few hundred requests show no less
SLOWER = 1.5  # times as long as the champion is let pass: clients notice more
WORSE = 0.0  # any greater loss counts; the gate's margin is in the metric's units, and asks for a gain
FEWEST_REQUESTS = 200
PATIENCE = 24  # trials without enough requests, after which nothing more is expected
_CHECKS = 3


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be held against a challenger.

    `value`: how much more it errs (difference of shares), how many times as long it takes, how much greater its loss
    is; None if nothing was seen. `low`: what is shown at least; None where too little was seen to say anything. Harm
    is `shown` when `low` exceeds `limit`. `challenger` and `champion`: how many values it rests on.
    """

    name: Subject
    value: float | None
    low: float | None
    limit: float
    shown: bool
    challenger: int
    champion: int


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The decision, why in a sentence, and the checks behind it."""

    decision: Decision
    reason: str
    checks: tuple[Check, ...]


def judge(evidence: Evidence, spec: RenewSpec, gate: GateSpec) -> Judgement:
    """What to do with the challenger, as of now; `spec` has the length of the trial, `gate` the significance."""
    significance = gate.significance / _CHECKS
    checks = (_errors(evidence, significance), _duration(evidence, significance), _loss(evidence, significance))
    if harm := "; ".join(_in_words(check, evidence) for check in checks if check.shown):
        return Judgement(decision="roll back", reason=harm, checks=checks)
    requests = evidence.challenger.requests
    seen = f"{_requests(requests)} in {duration(evidence.elapsed)}"
    if evidence.elapsed < spec.trial:
        reason = f"nothing against it was shown on {seen}; the trial lasts {duration(spec.trial)}"
        return Judgement(decision="go on", reason=reason, checks=checks)
    if requests >= FEWEST_REQUESTS:
        reason = f"nothing against it was shown on {seen}; {_scores_in_words(*checks[1:], evidence)}"
        if evidence.agreement is not None:
            reason += f"; the two agree on {evidence.agreement:.1%} of the rows"
        return Judgement(decision="promote", reason=reason, checks=checks)
    needed = f"{seen}, and at least {FEWEST_REQUESTS} are needed"
    if evidence.elapsed < PATIENCE * spec.trial:
        return Judgement(decision="go on", reason=f"not enough traffic yet: {needed}", checks=checks)
    # Who is rolled back from a probation was promoted on evidence: little traffic is no evidence against it.
    decision: Decision = "promote" if evidence.kind == "probation" else "roll back"
    return Judgement(decision=decision, reason=f"not enough traffic to judge: {needed}", checks=checks)


def _errors(evidence: Evidence, significance: float) -> Check:
    challenger, champion = (Share(side.requests, side.errors) for side in (evidence.challenger, evidence.champion))
    found = sequential.difference_of_shares(challenger, champion, significance=significance)
    return _check("errors", found, MORE_ERRORS, challenger.count, champion.count)


def _duration(evidence: Evidence, significance: float) -> Check:
    challenger, champion = evidence.challenger.log_seconds, evidence.champion.log_seconds
    logs = sequential.difference(challenger, champion, significance=significance)
    times = Interval(math.exp(logs.value), math.exp(logs.low), math.exp(logs.high))
    return _check("duration", times, SLOWER, challenger.count, champion.count)


def _loss(evidence: Evidence, significance: float) -> Check:
    if evidence.paired_loss is not None:
        pairs = evidence.paired_loss
        return _check("loss", sequential.mean(pairs, significance=significance), WORSE, pairs.count, pairs.count)
    challenger, champion = evidence.challenger.loss or Moments(), evidence.champion.loss or Moments()
    found = sequential.difference(challenger, champion, significance=significance)
    return _check("loss", found, WORSE, challenger.count, champion.count)


def _check(name: Subject, found: Interval, limit: float, challenger: int, champion: int) -> Check:
    return Check(
        name=name,
        value=None if math.isnan(found.value) else found.value,
        low=None if math.isinf(found.high) else found.low,
        limit=limit,
        shown=found.low > limit,
        challenger=challenger,
        champion=champion,
    )


def _in_words(check: Check, evidence: Evidence) -> str:
    """What is held against the challenger, with the figures."""
    assert check.value is not None
    assert check.low is not None
    if check.name == "errors":
        challenger, champion = evidence.challenger, evidence.champion
        return (
            f"it errs more: in {challenger.errors / challenger.requests:.2%} of {_requests(challenger.requests)}, the "
            f"champion in {champion.errors / champion.requests:.2%} of {_requests(champion.requests)}; at least "
            f"{check.low:.2%} more is shown, and {check.limit:.2%} is let pass"
        )
    if check.name == "duration":
        return (
            f"it is slower: a typical request takes {check.value:.2f} times as long as the champion's; at least "
            f"{check.low:.2f} times is shown, and {check.limit:g} times is let pass"
        )
    return (
        f"it scores worse: its loss is greater by {number(check.value)}; at least {number(check.low)} is shown "
        f"on {count(check.challenger)} labelled answers"
    )


def _scores_in_words(duration: Check, loss: Check, evidence: Evidence) -> str:
    if evidence.paired_loss is None and evidence.challenger.loss is None:
        return "its scores were not compared" if duration.value is not None else "its errors alone were compared"
    if loss.low is None:
        return f"too few labels came to compare the scores ({count(min(loss.challenger, loss.champion))})"
    return f"its loss differs by {number(loss.value)} on {count(loss.challenger)} labelled answers"


def _requests(number_of: int) -> str:
    return f"{count(number_of)} request{'' if number_of == 1 else 's'}"

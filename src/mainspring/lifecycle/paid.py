"""Did it pay? The drift policy beside another, on the same rows, period by period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from mainspring.lifecycle.periods import Period
from mainspring.lifecycle.policies import Course
from mainspring.lifecycle.refits import History
from mainspring.lifecycle.replay_result import Paid, PolicyName
from mainspring.lifecycle.replay_scores import Measure, combined, gain
from mainspring.lifecycle.wording import duration, metric_name, number

Verdict = Literal["paid", "did not pay", "not enough evidence"]


def beside(history: History, periods: Sequence[Period], drift: Course, other: Course) -> Paid:
    """The mean difference in score with its interval, and what was saved in fits."""
    gains: list[Measure | None] = []
    for period in periods:
        rows = period.rows(history.times)
        if rows.start == rows.stop:
            continue
        truth, times = history.rows.truth[rows], history.times[rows]
        old, new = other.predictions(history, period), drift.predictions(history, period)
        gains.append(gain(history.metric, truth, old, new, times))
    total = combined(gains)
    low, high = total.bounds if total else (None, None)
    fewer = len(other.challengers) - len(drift.challengers)
    saved = other.fit_seconds - drift.fit_seconds
    verdict = _verdict(low, high)
    return Paid(
        difference=total.value if total else None,
        low=low,
        high=high,
        challengers=fewer,
        seconds=saved,
        verdict=verdict,
        sentence=_sentence(history.metric, other.policy, total, fewer, saved),
    )


def _verdict(low: float | None, high: float | None) -> Verdict:
    if low is not None and low > 0:
        return "paid"
    return "did not pay" if high is not None and high < 0 else "not enough evidence"


def _sentence(metric: str, other: PolicyName, total: Measure | None, fewer: int, saved: float) -> str:
    name = metric_name(metric)
    if total is None:
        return f"{name} is undefined in every period, so that nothing can be said."
    fits = "fit" if abs(fewer) == 1 else "fits"
    cost = f"{abs(fewer)} {'fewer' if fewer >= 0 else 'more'} {fits} ({duration(abs(saved))} {_saved(saved)})"
    low, high = total.bounds
    if total.error == 0 and total.value == 0:
        return f"It answered exactly as “{other}” did, with {cost}."
    interval = f"{number(total.value)} in {name}, 95 % interval {number(low)} to {number(high)}"
    verdict = _verdict(low, high)
    if verdict == "not enough evidence":
        return f"No difference from “{other}” is shown ({interval}), with {cost}."
    word = "Better" if verdict == "paid" else "Worse"
    return f"{word} than “{other}” ({interval}), with {cost}."


def _saved(seconds: float) -> str:
    return "less" if seconds >= 0 else "more"


def in_a_sentence(paid: Mapping[PolicyName, Paid], drift: Course) -> str:
    """The whole verdict: whether renewing on drift beat leaving the model alone, and what renewing always would add."""
    if not drift.challengers:
        begin = "Drift never called for a renewal"
    else:
        begin = {
            "paid": "Renewing on drift paid",
            "did not pay": "Renewing on drift did not pay",
            "not enough evidence": "Whether renewing on drift paid is not shown",
        }[paid["never"].verdict]
    return f"{begin}. Against never: {paid['never'].sentence} Against always: {paid['always'].sentence}"

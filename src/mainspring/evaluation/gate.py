"""The gate: a challenger replaces a champion on evidence, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mainspring.evaluation.comparison import Comparison

# The tests' level was simulated down to here (7 % at worst on 30 rows of unlike errors, 3 % on 5 clusters), not below.
FEWEST_ROWS = 30
FEWEST_CLUSTERS = 5


@dataclass(frozen=True)
class Verdict:
    """What the gate decided, why in one sentence, and the comparison behind it."""

    decision: Literal["promote", "reject", "insufficient evidence"]
    reason: str
    comparison: Comparison

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"decision": self.decision, "reason": self.reason, "comparison": self.comparison.as_dict()}


def decide(comparison: Comparison) -> Verdict:
    """Promote when better by more than the margin is shown, reject when the opposite is, and else say neither."""
    found = _in_words(comparison)
    level = comparison.significance
    if comparison.rows < FEWEST_ROWS:
        return Verdict(
            "insufficient evidence", f"{found}; at least {FEWEST_ROWS} rows are needed to decide", comparison
        )
    if comparison.clusters is not None and comparison.clusters < FEWEST_CLUSTERS:
        return Verdict(
            "insufficient evidence", f"{found}; at least {FEWEST_CLUSTERS} clusters are needed to decide", comparison
        )
    if comparison.p_better <= level:
        return Verdict(
            "promote",
            f"{found}; better{_by_margin(comparison)} (p = {comparison.p_better:.2g} ≤ {level:g}, {comparison.test})",
            comparison,
        )
    if comparison.p_not_better <= level:
        return Verdict(
            "reject",
            f"{found}; not better{_by_margin(comparison)} "
            f"(p = {comparison.p_not_better:.2g} ≤ {level:g}, {comparison.test})",
            comparison,
        )
    return Verdict(
        "insufficient evidence",
        f"{found}; neither better{_by_margin(comparison)} (p = {comparison.p_better:.2g}) nor the opposite "
        f"(p = {comparison.p_not_better:.2g}) is shown at {level:g} ({comparison.test})",
        comparison,
    )


def _in_words(comparison: Comparison) -> str:
    units = f"{comparison.rows:,} rows"
    if comparison.clusters is not None:
        units += f" in {comparison.clusters} clusters"
    challenger, champion = _number(comparison.challenger, 4), _number(comparison.champion, 4)
    interval = f"{comparison.confidence:.0%} interval {_number(comparison.low)} to {_number(comparison.high)}"
    gain = f"a gain of {_number(comparison.difference)} ({interval})"
    return f"{comparison.metric} {challenger} against {champion} on {units}, {gain}"


def _number(value: float, digits: int = 3) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def _by_margin(comparison: Comparison) -> str:
    return f" by more than the margin of {comparison.margin:g}" if comparison.margin else ""

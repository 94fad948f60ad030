"""Numbers as people read them: in the report, and wherever a sentence holds one."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from mainspring.evaluation.metrics import METRICS

NONE = "–"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_METRIC_NAMES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "mcc": "Matthews correlation",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "mape": "MAPE",
    "ndcg_at_10": "nDCG@10",
    "recall_at_5": "recall@5",
    "mrr_at_20": "MRR@20",
}


def number(value: float | None) -> str:
    """About four significant digits, and a dash for a number that there is not."""
    if value is None or not math.isfinite(value):
        return NONE
    if value and abs(value) < 1e-4:
        digits, _, power = f"{value:.2g}".partition("e")
        return f"{digits}\u00a0×\u00a010{str(int(power)).translate(_RAISED)}".replace("-", "−")
    return f"{value:,.0f}".replace("-", "−") if abs(value) >= 1e3 else f"{value:.4g}".replace("-", "−")


def fixed(value: float | None, decimals: int) -> str:
    """With so many decimals."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:,.{decimals}f}".replace("-", "−")


def count(value: int) -> str:
    """291113 → 291,113."""
    return f"{value:,}"


def duration(seconds: float) -> str:
    """In the unit that a person would use."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def metric_name(metric: str) -> str:
    """As people write it."""
    return _METRIC_NAMES.get(metric) or metric.replace("_", " ")


def decimals_for(uncertainty: float) -> int:
    """As many decimals as show two digits of the uncertainty."""
    if not (uncertainty > 0 and math.isfinite(uncertainty)):
        return 4
    return min(8, max(0, 1 - math.floor(math.log10(uncertainty))))


def measured(estimate: dict[str, Any] | None, baseline: dict[str, Any] | None = None) -> tuple[str, str, str]:
    """A value, its interval, and the baseline's value, all to the digits that the interval warrants."""
    if estimate is None:
        return NONE, NONE, NONE
    low, high = estimate["low"], estimate["high"]
    known = low is not None and high is not None
    decimals = decimals_for((high - low) / 2 if known else math.nan)
    interval = f"{fixed(low, decimals)} to {fixed(high, decimals)}" if known else NONE
    return fixed(estimate["value"], decimals), interval, fixed(baseline["value"], decimals) if baseline else NONE


def percent(share: float) -> str:
    """0.123 → 12.3 %."""
    return f"{share:.1%}".replace("%", "\u00a0%")


def sentence(text: str) -> str:
    """The gate's reason as a sentence: its metric as people write it, a capital, a full stop."""
    name = METRICS.get(text.partition(" ")[0])
    begun = metric_name(name.name) + text.removeprefix(name.name) if name else text
    return begun[:1].upper() + begun[1:] + ("" if begun.endswith((".", "!", "?")) else ".")


def chance(p: float) -> str:
    """A p-value, without digits that it does not have."""
    if p < 1e-4:
        return "< 0.0001"
    return "> 0.999" if p > 0.999 else f"{p:.2g}"


def date(created: str) -> str:
    """An ISO time as people write it."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    zone = " UTC" if moment.tzinfo and not moment.utcoffset() else ""
    return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"

"""The report as one page of HTML that needs nothing else: no script, no request, plots as inline SVG.

`render` turns numbers into sentences and drawings; `report.html.jinja` says where they stand. Whatever the report
holds is text: it is escaped, and the page forbids itself scripts and requests besides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from mainspring.evaluation.metrics import METRICS
from mainspring.lifecycle import plots
from mainspring.lifecycle.drawing import clean
from mainspring.lifecycle.report import Report, TrialLine
from mainspring.lifecycle.wording import (
    chance,
    count,
    date,
    decimals_for,
    duration,
    fixed,
    measured,
    metric_name,
    number,
    percent,
    sentence,
)

_TRIALS_SHOWN = 8
_SPLITS = {
    "hash": "by a hash of each row's values: equal rows are on one side, and a row keeps its side in later versions",
    "group": "by group: no group is on both sides, and a group keeps its side in later versions",
    "time": "by time: the newest rows are held out",
}


@dataclass(frozen=True)
class Plot:
    """A drawing with its title and the sentence under it. `pans` lets a phone scroll it sideways."""

    title: str
    svg: str
    caption: str
    pans: bool = False


@dataclass(frozen=True)
class MetricLine:
    """A row of the table of held-out metrics, as text."""

    name: str
    description: str
    direction: str
    value: str
    interval: str
    baseline: str
    method: str
    main: bool


def render(report: Report) -> str:
    """The page, as the text of a UTF-8 HTML file. The same report gives the same text (with the same matplotlib)."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "count": count,
        "number": number,
        "duration": duration,
        "metric_name": metric_name,
        "svg": Markup,  # our own drawings only
    }
    template = environment.from_string((files("mainspring.lifecycle") / "report.html.jinja").read_text("utf-8"))
    ranked = _ranked(report)
    shown = max([_TRIALS_SHOWN, *(place + 1 for place, trial in enumerate(ranked) if trial.weight)])
    decimals = decimals_for(max((trial.spread or 0.0 for trial in ranked), default=0.0))
    return template.render(
        report=report,
        date=date(report.created),
        metric=metric_name(report.metric),
        headline=_headline(report),
        standing=_standing(report),
        reason=sentence(report.verdict["reason"]),
        against=report.verdict.get("against", "baseline"),
        split=_SPLITS.get(report.data.split, report.data.split),
        kinds=_by_kind(report),
        trials=ranked,
        shown=shown,
        whisker=_whiskers(ranked[:shown]),
        parameters=_parameters,
        score=lambda value: fixed(value, decimals),
        trial_score=lambda trial: _with_spread(trial.score, trial.spread, decimals),
        cross_validated=_cross_validated(report),
        meaning=_meaning(report),
        learning=_learning(report),
        metrics=_metric_lines(report),
        calibration_error=_calibration_error(report),
        positive=report.labels[1] if len(report.labels) == 2 else None,
        plots=[plot for draw in _PLOTS for plot in [draw(report)] if plot],
        importance=_importance(report),
        parity=_parity(report),
        comparison=comparison_of(report.verdict),
    )


# Headline ------------------------------------------------------------------------------------------------------------


def _headline(report: Report) -> dict[str, str]:
    """The main metric beside its baseline."""
    value, interval, baseline = measured(report.holdout.get(report.metric), report.baseline.get(report.metric))
    return {
        "value": value,
        "interval": interval,
        "baseline": baseline,
        "direction": "higher is better" if report.greater_is_better else "lower is better",
    }


def _standing(report: Report) -> str | None:
    """This version, the one it was compared with, and the baseline, drawn on one axis."""
    if report.metric not in report.holdout:
        return None
    rows = [_interval_row("this version", report.holdout[report.metric])]
    comparison = report.verdict.get("comparison")
    against = report.verdict.get("against", "baseline")
    if comparison and against != "baseline" and comparison["metric"] == report.metric:
        rows.append((clean(against, 24), comparison["champion"], None, None))
    if report.metric in report.baseline:
        rows.append(_interval_row("baseline", report.baseline[report.metric]))
    return plots.intervals(rows, metric_name(report.metric))


def _interval_row(name: str, estimate: dict[str, Any]) -> tuple[str, float, float | None, float | None]:
    return name, estimate["value"], estimate["low"], estimate["high"]


# Data and search -----------------------------------------------------------------------------------------------------


def _by_kind(report: Report) -> dict[str, list[str]]:
    """The names of the features of each kind, the kinds with most first."""
    kinds: dict[str, list[str]] = {}
    for name, kind in report.data.features.items():
        kinds.setdefault(kind, []).append(name)
    return dict(sorted(kinds.items(), key=lambda entry: -len(entry[1])))


def _ranked(report: Report) -> list[TrialLine]:
    """The best trial first."""
    return sorted(report.trials, key=lambda trial: trial.score, reverse=report.greater_is_better)


def _whiskers(trials: list[TrialLine]) -> Callable[[TrialLine], dict[str, float]]:
    """Where a trial's score and spread lie between the lowest and the highest of `trials`, on a line of 0 to 100."""
    low = min((trial.score - (trial.spread or 0.0) for trial in trials), default=0.0)
    high = max((trial.score + (trial.spread or 0.0) for trial in trials), default=1.0)

    def place(value: float) -> float:
        return round(min(98.0, max(2.0, 4 + 92 * (value - low) / ((high - low) or 1.0))), 1)

    return lambda trial: {
        "low": place(trial.score - (trial.spread or 0.0)),
        "at": place(trial.score),
        "high": place(trial.score + (trial.spread or 0.0)),
    }


def _parameters(trial: TrialLine) -> str:
    def told(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return " · ".join(f"{name} {told(value)}" for name, value in trial.parameters.items()) or "defaults"


# Cross-validation ----------------------------------------------------------------------------------------------------


def _cross_validated(report: Report) -> dict[str, str]:
    found = report.cross_validation
    decimals = decimals_for(found.spread or 0.0)
    return {
        "mean": _with_spread(found.mean, found.spread, decimals),
        "train": fixed(found.train_mean, decimals),
        "gap": fixed(found.gap, decimals),
        "scores": " · ".join(fixed(each, decimals) for each in found.scores),
    }


def _with_spread(mean: float, spread: float | None, decimals: int) -> str:
    value = fixed(mean, decimals)
    return value if spread is None else f"{value} ± {fixed(spread, decimals)}"


def _meaning(report: Report) -> str:
    """What gap and curve say about bias and variance, in one sentence that claims no more than they show."""
    found = report.cross_validation
    size = fixed(abs(found.gap), decimals_for(found.spread or 0.0))
    seen = f"{size} {'better' if found.gap >= 0 else 'worse'} on rows it has seen than on new ones"
    if found.spread is None:
        return f"The model scores {seen}. One fold alone does not show how much of that is chance."
    wide = found.gap > found.spread
    if wide:
        times = f", {found.gap / found.spread:.2g} times the spread between folds" if found.spread else ""
        gap = f"The model scores {seen}{times}"
    else:
        gap = f"The model scores {seen}, no more than folds differ among themselves"
    step = _last_step(report)
    if step is None:
        close = "variance: part of what it learnt does not carry over" if wide else "bias or noise rather than variance"
        return f"{gap}: this points to {close}."
    gain, reach, fewer, more = step
    rows = f"from {count(fewer)} to {count(more)} rows"
    if gain > reach:
        curve = f"the validation score still gained {number(gain)} {rows}"
        close = (
            "variance, which more rows would probably reduce"
            if wide
            else "more rows probably helping, with little sign of overfitting"
        )
    elif gain < -reach:
        curve = f"the validation score lost {number(-gain)} {rows}, more than folds differ"
        close = "rows that are not all alike (a change over time, perhaps), which is worth a look before more are added"
    else:
        curve = f"{rows} the validation score gained nothing that stands out from the folds' differences"
        close = (
            "variance that more rows of the same kind may not reduce by much; a simpler or more strongly regularised "
            "model may do as well"
            if wide
            else "bias or noise: new features or a more flexible model may help, more rows of the same kind less so"
        )
    return f"{gap}, and {curve}: together this points to {close}."


def _last_step(report: Report) -> tuple[float, float, int, int] | None:
    """What the last rows added to the validation score, half the range over folds, and from how many rows to which."""
    if len(report.learning_curve) < 2:
        return None
    before, last = sorted(report.learning_curve, key=lambda line: line.rows)[-2:]
    gain = (last.validation - before.validation) * (1 if report.greater_is_better else -1)
    return gain, (last.high - last.low) / 2, before.rows, last.rows


def _learning(report: Report) -> Plot | None:
    if not report.learning_curve:
        return None
    lines = sorted(report.learning_curve, key=lambda line: line.rows)
    caption = (
        "The band is the range over folds. Lines that stay apart show variance; lines that have met show about what "
        "this kind of model can get from these features."
    )
    return Plot("Learning curve", plots.learning_curve(lines, metric_name(report.metric)), caption)


# Held-out rows -------------------------------------------------------------------------------------------------------


def _metric_lines(report: Report) -> list[MetricLine]:
    """The main metric first."""
    lines = []
    for name in sorted(report.holdout, key=lambda name: name != report.metric):
        value, interval, baseline = measured(report.holdout[name], report.baseline.get(name))
        known = METRICS.get(name)
        lines.append(
            MetricLine(
                name=metric_name(name),
                description=known.description if known else "",
                direction="" if known is None else "higher is better" if known.greater_is_better else "lower is better",
                value=value,
                interval=interval,
                baseline=baseline,
                method=report.holdout[name]["method"],
                main=name == report.metric,
            )
        )
    return lines


@dataclass(frozen=True)
class _AtThreshold:
    """What a binary confusion matrix says of the threshold in use."""

    false_positive_rate: float
    recall: float
    precision: float | None
    share: float


def _at_threshold(report: Report) -> _AtThreshold | None:
    counts = np.asarray(report.curves.get("confusion") or [])
    if counts.shape != (2, 2) or not counts.sum(axis=1).all():
        return None
    (true_negative, false_positive), (false_negative, true_positive) = counts.tolist()
    called = true_positive + false_positive
    return _AtThreshold(
        false_positive_rate=false_positive / (true_negative + false_positive),
        recall=true_positive / (true_positive + false_negative),
        precision=true_positive / called if called else None,
        share=(true_positive + false_negative) / int(counts.sum()),
    )


def _roc(report: Report) -> Plot | None:
    curve, at = report.curves.get("roc"), _at_threshold(report)
    if not curve:
        return None
    caption = "The dashed line is chance."
    if "roc_auc" in report.holdout:
        value, interval, _ = measured(report.holdout["roc_auc"])
        caption = f"The area is {value} ({interval}); the dashed line is chance."
    if at:
        caption += (
            f" The dot is the threshold in use: it finds {percent(at.recall)} of the positive rows and calls "
            f"{percent(at.false_positive_rate)} of the others positive."
        )
    return Plot("ROC", plots.roc(curve, (at.false_positive_rate, at.recall) if at else None), caption)


def _precision_recall(report: Report) -> Plot | None:
    curve, at = report.curves.get("precision_recall"), _at_threshold(report)
    if not curve:
        return None
    dot = (at.recall, at.precision) if at and at.precision is not None else None
    caption = "Of the rows called positive, how many are; of the positive ones, how many are called so."
    if at:
        caption = f"The dashed line is the share of positive rows, {percent(at.share)}."
    if at and at.precision is not None:
        caption += f" At the dot, {percent(at.precision)} of the rows called positive are."
    return Plot("Precision and recall", plots.precision_recall(curve, dot, at.share if at else None), caption)


def _calibration_error(report: Report) -> str | None:
    """Of many classes; of two, it stands under the calibration plot."""
    error = report.curves.get("expected_calibration_error")
    if error is None or report.curves.get("calibration"):
        return None
    return (
        f"The probability given to the likeliest class is {100 * error:.2g} percentage points off on average "
        "(expected calibration error)."
    )


def _calibration(report: Report) -> Plot | None:
    bins = report.curves.get("calibration")
    if not bins:
        return None
    caption = "On the dashed line, what is predicted comes true as often as it says. Bars are 95\u00a0% intervals."
    error = report.curves.get("expected_calibration_error")
    if error is not None:
        caption += f" Weighted by rows, the bins are {100 * error:.2g} percentage points off on average."
    return Plot("Calibration", plots.calibration(bins), caption)


def _confusion(report: Report) -> Plot | None:
    if not report.curves.get("confusion"):
        return None
    counts = np.asarray(report.curves["confusion"])
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    caption = "Each row adds up to 100\u00a0%."
    if wrong.any():
        true, called, share = report.labels[row], report.labels[column], counts[row, column] / counts[row].sum()
        caption += (
            f" Most often mistaken: {true} called {called}, {count(int(counts[row, column]))} rows "
            f"({percent(share)} of {true})."
        )
    if len(counts) > plots.MOST_LABELS:
        caption += f" Shown are the {plots.MOST_LABELS} most frequent of {len(counts)} labels; shares are of all rows."
    return Plot("Confusion matrix", plots.confusion(counts, report.labels), caption, pans=len(counts) > 8)


def _residuals(report: Report) -> Plot | None:
    histogram = report.curves.get("residuals")
    if not histogram:
        return None
    low, high = histogram["quantiles"]["0.05"], histogram["quantiles"]["0.95"]
    caption = (
        f"Nine of ten lie between the dashed lines, {number(low)} and {number(high)}. The mean is "
        f"{number(histogram['mean'])}, the standard deviation {number(histogram['spread'])}. The outermost bars hold "
        "what lies beyond them."
    )
    return Plot("Residuals", plots.residuals(histogram), caption)


def _predicted(report: Report) -> Plot | None:
    points = report.curves.get("predicted")
    if not points or not len(points["truth"]):
        return None
    caption = f"{count(len(points['truth']))} held-out rows; on the dashed line the prediction is right."
    return Plot("Predicted against true", plots.predicted_against_true(points, report.target), caption)


_PLOTS = (_roc, _precision_recall, _calibration, _confusion, _predicted, _residuals)


def _importance(report: Report) -> Plot | None:
    if not report.importance:
        return None
    bars = sorted(report.importance, key=lambda bar: -bar.mean)[: plots.MOST_BARS]
    caption = (
        "How much worse the held-out score gets when a column's values are shuffled among rows; the line is the range "
        "over shuffles. Columns that carry the same information share it, and may each look unimportant."
    )
    if len(report.importance) > len(bars):
        caption += f" The {len(bars)} most important of {len(report.importance)} columns are shown."
    return Plot("Permutation importance", plots.importance(bars, metric_name(report.metric)), caption)


# Parity and verdict --------------------------------------------------------------------------------------------------


def _parity(report: Report) -> str | None:
    found = report.parity
    if not found:
        return None
    told = (
        f"On {count(found['rows'])} rows the exported model answers as the fitted one did: the largest difference is "
        f"{number(found['max_difference'])}, and {number(found['tolerance'])} is allowed."
    )
    if found["max_difference"] > found["tolerance"]:
        told = (
            f"On {count(found['rows'])} rows the exported model differs from the fitted one by up to "
            f"{number(found['max_difference'])}, more than the {number(found['tolerance'])} that is allowed."
        )
    if not report.labels:
        return told
    if not found["disagreements"]:
        return f"{told} No row gets another class."
    return f"{told} {count(found['disagreements'])} of them, too close to call, get another class."


def comparison_of(verdict: dict[str, Any]) -> dict[str, Any] | None:
    """The numbers of the comparison behind a verdict as text, and its drawing; None where there was none."""
    found = verdict.get("comparison")
    if not found:
        return None
    decimals = decimals_for((found["high"] - found["low"]) / 2)
    return {
        "metric": metric_name(found["metric"]),
        "champion": fixed(found["champion"], decimals),
        "challenger": fixed(found["challenger"], decimals),
        "difference": fixed(found["difference"], decimals),
        "interval": f"{fixed(found['low'], decimals)} to {fixed(found['high'], decimals)}",
        "confidence": f"{found.get('confidence', 0.9):.0%}".replace("%", "\u00a0%"),
        "margin": number(found["margin"]),
        "p_better": chance(found["p_better"]),
        "p_not_better": chance(found["p_not_better"]),
        "test": found["test"],
        "rows": count(found["rows"]),
        "clusters": found.get("clusters"),
        "svg": plots.difference(found),
    }

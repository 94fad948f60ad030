"""The report of a language model's version as one page of HTML: what parity found, the ways tried, the weights.

Made as the report of a table's version is (see `report_page` and `drawing`), and dressed by the same style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mainspring.evaluation.language import LIMITS, Figure, Limit
from mainspring.lifecycle.drawing import INK, MUTED, ONE, TWO, clean, drawn
from mainspring.lifecycle.language_report import LanguageReport, WayLine, assistant_told, facts, limit_of, why
from mainspring.lifecycle.replay_page import style
from mainspring.lifecycle.report_page import Plot, comparison_of
from mainspring.lifecycle.wording import count, date, measured, metric_name, number, sentence
from mainspring.registry.versions import Manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_WIDTH = 4.0
_WIDE = 10.0  # of values that differ by more than this factor, the logarithms are drawn
_TITLES = {
    "agreement": ("Top-1 agreement", "In how many places the most likely next token is the same."),
    "mean_divergence": ("Mean KL divergence", "Of the next-token distributions from the weights' own, in nats."),
    "tail_divergence": ("99th percentile of KL divergence", "A model that is right on average may be lost in places."),
    "perplexity_ratio": ("Perplexity ratio", "How much less likely the true next tokens have become."),
    "rightly_answered": (
        "Rightly answered",
        "With a citation of the place that answers; or not at all, where the documents hold no answer.",
    ),
    "citation_precision": ("Citation precision", "Of the citations: the quote says what the sentence says."),
    "citation_recall": ("Citation recall", "Of the sentences: a citation says the same."),
    "answered": ("Answered", "Of the questions that the documents answer."),
    "kept_silent": ("Kept silent", "Of the questions that they do not answer."),
    "exact_match": ("Exact match", "Of the known answers; where there is none, of silence."),
    "token_f1": ("Token F1", "Words shared with the known answers; where there is none, silence."),
    "abstention_roc_auc": ("Abstention, ROC AUC", "How well passages that hold the answer are told from others."),
    "cosine": ("Cosine", "Of the served vectors and those of 32-bit arithmetic: mean, least and greatest."),
}


@dataclass(frozen=True)
class _Line:
    """A row of the table of figures, as text."""

    name: str
    description: str
    value: str
    interval: str
    limit: str
    method: str
    main: bool


def render(manifest: Manifest, report: LanguageReport) -> str:
    """The page, as the text of a UTF-8 HTML file."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"count": count, "svg": Markup}
    template = environment.from_string((files("mainspring.lifecycle") / "language.html.jinja").read_text("utf-8"))
    lines = [_line(name, estimate, name == manifest.metric) for name, estimate in manifest.metrics.items()]
    return template.render(
        manifest=manifest,
        report=report,
        style=Markup(style()),
        date=date(manifest.created),
        reason=sentence(manifest.verdict["reason"].replace(manifest.metric, metric_name(manifest.metric), 1)),
        against=manifest.verdict.get("against", "baseline"),
        comparison=comparison_of(manifest.verdict),
        why=why(manifest, report),
        headline=next((line for line in lines if line.main), None),
        lines=lines,
        facts=facts(manifest, report),
        assistant=report.assistant,
        told=assistant_told(report.assistant) if report.assistant else [],
        ways=[(way, [_measured(getattr(way, name), limit) for name, limit in LIMITS.items()]) for way in report.ways],
        headings=[_TITLES[name][0] for name in LIMITS],
        plots=[_plot(name, report.ways) for name in LIMITS if report.ways],
    )


def _line(name: str, estimate: dict[str, Any], main: bool) -> _Line:
    value, interval, _ = measured(estimate)
    limit = limit_of(name)
    title, description = _TITLES.get(name, (metric_name(name).capitalize(), ""))
    return _Line(title, description, value, interval, str(limit or ""), estimate.get("method", ""), main)


def _measured(figure: Figure, limit: Limit) -> tuple[str, str, bool]:
    """A figure, its interval, and whether it is within its limit."""
    value, interval, _ = measured({"value": figure.value, "low": figure.low, "high": figure.high})
    return value, interval, limit.allows(figure.value)


def _plot(name: str, ways: Sequence[WayLine]) -> Plot:
    title, caption = _TITLES[name]
    limit = LIMITS[name]
    told = f"{caption} The dashed line is the limit: {limit}."
    return Plot(title, _against_limit(name, [(way.name, getattr(way, name)) for way in ways], limit), told)


def _against_limit(name: str, rows: Sequence[tuple[str, Figure]], limit: Limit) -> str:
    """The figure of each way with its interval, one below the other, and the limit as a line."""

    def draw(figure: Drawing) -> None:
        axes = figure.add_subplot()
        values = [each for _, found in rows for each in (found.low, found.high)] + [limit.value]
        logarithms = name.endswith("divergence") and max(values) > _WIDE * limit.value and min(values) > 0
        if logarithms:
            axes.set_xscale("log")
        axes.axvline(limit.value, color=TWO, linewidth=1.2, linestyle=(0, (4, 3)))
        for place, (_, found) in enumerate(rows):
            colour = ONE if limit.allows(found.value) else MUTED
            axes.plot([found.low, found.high], [place, place], color=colour, linewidth=2.4, alpha=0.55)
            axes.plot([found.value], [place], "o", color=colour, markersize=6)
        axes.set_yticks(range(len(rows)), [clean(way, 24) for way, _ in rows])
        axes.tick_params(axis="y", labelsize=9, labelcolor=INK)
        axes.set(ylim=(len(rows) - 0.5, -0.6))
        axes.margins(x=0.08)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        if logarithms:
            from matplotlib.ticker import NullLocator

            powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
            low, high = axes.get_xlim()
            axes.set_xticks([10.0**power for power in powers], [number(10.0**power) for power in powers])
            axes.set_xlim(low, high)
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            from matplotlib.ticker import MaxNLocator

            axes.xaxis.set_major_locator(MaxNLocator(5))

    told = "; ".join(f"{way} {found.value:.4g}" for way, found in rows)
    return drawn(name.replace("_", "-"), f"{LIMITS[name].name}: {told}", (_WIDTH, 0.5 + 0.3 * len(rows)), draw)

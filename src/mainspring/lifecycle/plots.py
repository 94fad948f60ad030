"""The plots of the report of a version, as SVG (see `drawing`).

Every function takes plain numbers and returns one `<svg>` element. Figures are small (in points, about a phone's
width), so that their text is still legible where the page scales them down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mainspring.lifecycle.drawing import INK, MUTED, ONE, SOFT, TWO, clean, drawn
from mainspring.lifecycle.report import Importance, LearningLine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

MOST_LABELS = 12
MOST_BARS = 20
_WIDTH = 4.0


def _thousands(value: float, position: float | None = None) -> str:
    """1500 → 1.5k: short enough for a tick."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def _whole_numbers(axis: Axis, largest: float) -> None:
    """Write large values as 125,000; smaller ones as matplotlib does."""
    if largest >= 1000:
        axis.set_major_formatter(lambda value, position: f"{value:,.0f}".replace("-", "−"))


def _few_ticks(axes: Axes, *, x: int | None = None, y: int | None = None) -> None:
    from matplotlib.ticker import MaxNLocator

    if x is not None:
        axes.xaxis.set_major_locator(MaxNLocator(x))
    if y is not None:
        axes.yaxis.set_major_locator(MaxNLocator(y))


def _unit_square(axes: Axes, across: str, up: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=across, ylabel=up)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


def intervals(rows: Sequence[tuple[str, float, float | None, float | None]], metric: str) -> str:
    """Values with their intervals, one below the other: (name, value, low, high), the first one stands out."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, (_, value, low, high) in enumerate(rows):
            colour = MUTED if place else ONE
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=colour, linewidth=2.4, alpha=0.55)
            axes.plot([value], [place], "o", color=colour, markersize=6)
        axes.set_yticks(range(len(rows)), [clean(name, 24) for name, *_ in rows])
        axes.tick_params(axis="y", labelsize=9, labelcolor=INK)
        axes.set(ylim=(len(rows) - 0.5, -0.6), xlabel=metric)
        axes.margins(x=0.08)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        _few_ticks(axes, x=5)
        _whole_numbers(axes.xaxis, max(abs(value) for _, value, *_ in rows))

    told = "; ".join(f"{name} {value:.4g}" for name, value, *_ in rows)
    return drawn("intervals", f"{metric}: {told}", (_WIDTH, 0.62 + 0.3 * len(rows)), draw)


def difference(comparison: dict[str, Any]) -> str:
    """The difference that the gate judged, its interval, zero, and the margin to exceed; right is better."""
    value, low, high, margin = (float(comparison[key]) for key in ("difference", "low", "high", "margin"))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axvline(0, color=MUTED, linewidth=1)
        if margin:
            axes.axvline(margin, color=TWO, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate(
                f"margin {margin:.3g}",
                (margin, 1.0),
                (0, 3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="left" if margin > 0 else "right",
                color=TWO,
                fontsize=8,
            )
        axes.plot([low, high], [0, 0], color=ONE, linewidth=3, alpha=0.55)
        axes.plot([value], [0], "o", color=ONE, markersize=7)
        reach = max(abs(low), abs(high), abs(margin), 1e-12)
        least, most = min(0.0, low, margin), max(0.0, high, margin)
        axes.set(xlim=(least - 0.12 * reach, most + 0.12 * reach), ylim=(-1, 1), yticks=[])
        axes.set_xlabel("← worse\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0better →")
        axes.spines["left"].set_visible(False)
        _few_ticks(axes, x=5)
        _whole_numbers(axes.xaxis, reach)

    return drawn("difference", f"Difference {value:.3g}, interval {low:.3g} to {high:.3g}", (_WIDTH, 1.2), draw)


def learning_curve(lines: Sequence[LearningLine], metric: str) -> str:
    """The score on rows seen and on rows not seen, by how many rows were learnt from."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rows = [line.rows for line in lines]
        low, high = [line.low for line in lines], [line.high for line in lines]
        axes.fill_between(rows, low, high, color=ONE, alpha=0.18, linewidth=0)
        axes.plot(rows, [line.train for line in lines], "s--", color=TWO, markersize=4, label="rows seen (train)")
        axes.plot(rows, [line.validation for line in lines], "o-", color=ONE, markersize=4.5, label="rows not seen")
        axes.set(xlabel="rows learnt from", ylabel=metric)
        _whole_numbers(axes.yaxis, max(map(abs, high)))
        axes.xaxis.set_major_formatter(_thousands)
        _few_ticks(axes, x=5, y=5)
        figure.legend(loc="outside upper left", ncols=2)

    return drawn("learning", f"Learning curve, {metric} by rows", (_WIDTH, 2.9), draw)


def roc(curve: dict[str, Any], at: tuple[float, float] | None) -> str:
    """The ROC curve; `at` is the (false positive rate, true positive rate) of the threshold in use."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        across, up = curve["false_positive_rate"], curve["true_positive_rate"]
        axes.fill_between(across, up, color=ONE, alpha=0.1, linewidth=0)
        axes.plot(across, up, color=ONE)
        _mark(axes, at)
        _unit_square(axes, "false positive rate", "true positive rate (recall)")

    return drawn("roc", "ROC curve", (_WIDTH, 3.1), draw)


def precision_recall(curve: dict[str, Any], at: tuple[float, float] | None, share: float | None) -> str:
    """Precision by recall; `at` is the (recall, precision) of the threshold, `share` that of positive rows."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        if share is not None:
            axes.axhline(share, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.fill_between(curve["recall"], curve["precision"], color=ONE, alpha=0.1, linewidth=0)
        axes.plot(curve["recall"], curve["precision"], color=ONE)
        _mark(axes, at)
        _unit_square(axes, "recall", "precision")

    return drawn("precision-recall", "Precision by recall", (_WIDTH, 3.1), draw)


def _mark(axes: Axes, at: tuple[float, float] | None) -> None:
    """A dot where the threshold in use stands on the curve."""
    if at is not None:
        axes.plot([at[0]], [at[1]], "o", color=TWO, markersize=7, zorder=5, clip_on=False)


def calibration(curve: dict[str, Any]) -> str:
    """How often what was predicted came true, with intervals; below, how many rows each bin has."""

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        predicted, observed = curve["predicted"], np.asarray(curve["observed"])
        reach = np.maximum([observed - curve["low"], np.asarray(curve["high"]) - observed], 0.0)
        above.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        above.errorbar(
            predicted, observed, reach, fmt="o-", color=ONE, markersize=4.5, linewidth=1.3, elinewidth=1.5, capsize=2.5
        )
        _unit_square(above, "", "observed share")
        below.bar(predicted, curve["count"], width=0.022, color=SOFT)
        below.set(xlabel="predicted probability", ylabel="rows", ylim=(0, 1.15 * max(curve["count"])))
        below.yaxis.set_major_formatter(_thousands)
        below.grid(axis="x", visible=False)
        _few_ticks(below, y=2)

    return drawn("calibration", "Calibration: observed share by predicted probability", (_WIDTH, 3.5), draw)


def most_frequent(counts: np.ndarray, most: int = MOST_LABELS) -> np.ndarray:
    """The positions of the `most` labels with the most rows, in the order of the labels."""
    return np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:most])


def confusion(counts: np.ndarray, labels: Sequence[str]) -> str:
    """Counts, (k, k), and the share of each true class's rows; of many labels the most frequent."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    kept = most_frequent(counts)
    counts, shares = counts[np.ix_(kept, kept)], shares[np.ix_(kept, kept)]
    names = [clean(labels[place], 14) for place in kept]
    many = len(kept) > 5

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set(xlim=(-0.5, len(kept) - 0.5), ylim=(len(kept) - 0.5, -0.5))
        for (row, column), share in np.ndenumerate(shares):
            strength = float(0.04 + 0.5 * share)
            axes.bar(column, 0.96, width=0.96, bottom=row - 0.48, color=ONE, alpha=strength, linewidth=0)
            told = f"{share:.0%}" if many else f"{counts[row, column]:,}\n{share:.1%}"
            axes.text(
                column, row, told, ha="center", va="center", fontsize=7.5 if many else 9, linespacing=1.35, color=INK
            )
        axes.set_xticks(range(len(kept)), names)
        if max(map(len, names)) > (6 if many else 44 / len(kept)):
            for label in axes.get_xticklabels():
                label.set(rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(kept)), names)
        axes.set(xlabel="predicted", ylabel="true")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)

    side = 1.5 + 0.4 * len(kept)
    return drawn("confusion", "Confusion matrix", (side + 0.8, side) if many else (_WIDTH, 3.1), draw)


def residuals(histogram: dict[str, Any]) -> str:
    """How the errors are spread; the dashed lines hold nine of ten between them."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        edges, counts = np.asarray(histogram["edges"]), histogram["counts"]
        axes.bar(edges[:-1], counts, width=np.diff(edges) * 0.94, align="edge", color=SOFT)
        axes.axvline(0, color=MUTED, linewidth=1)
        for key in ("0.05", "0.95"):
            axes.axvline(histogram["quantiles"][key], color=TWO, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set(xlabel="residual (predicted − true)", ylabel="rows")
        axes.xaxis.set_major_formatter(_thousands)
        axes.yaxis.set_major_formatter(_thousands)
        axes.grid(axis="x", visible=False)
        _few_ticks(axes, x=6, y=4)

    return drawn("residuals", "Histogram of residuals", (_WIDTH, 2.9), draw)


def predicted_against_true(points: dict[str, Any], target: str) -> str:
    """One dot a row; on the line, what was predicted is what came true."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        truth, predicted = np.asarray(points["truth"]), np.asarray(points["predicted"])
        both = np.concatenate([truth, predicted])
        axes.plot([both.min(), both.max()], [both.min(), both.max()], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.scatter(truth, predicted, s=9, color=ONE, alpha=0.45, linewidths=0)
        axes.set(xlabel=f"true {clean(target, 30)}", ylabel="predicted")
        axes.xaxis.set_major_formatter(_thousands)
        axes.yaxis.set_major_formatter(_thousands)
        _few_ticks(axes, x=5, y=5)

    return drawn("predicted", "Predicted against true values", (_WIDTH, 3.1), draw)


def importance(bars: Sequence[Importance], metric: str) -> str:
    """What shuffling a column costs, the dearest first, with the range over shuffles."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, bar in enumerate(bars):
            axes.barh(place, bar.mean, height=0.62, color=SOFT)
            axes.plot([bar.low, bar.high], [place, place], color=INK, linewidth=1.2)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_yticks(range(len(bars)), [clean(bar.column, 24) for bar in bars])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set(ylim=(len(bars) - 0.4, -0.6), xlabel=f"how much worse {metric} gets")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        _few_ticks(axes, x=5)
        _whole_numbers(axes.xaxis, max(bar.high for bar in bars))

    return drawn("importance", "Permutation importance", (_WIDTH, 0.75 + 0.235 * len(bars)), draw)

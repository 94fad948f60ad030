"""The tables of docs/benchmarks.md, of the numbers of `retrieval_quality.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from comparing import LEVEL

TITLES = {"ndcg": "nDCG@10", "recall": "recall@5"}
WAYS = ("words", "meaning", "hybrid", "tuned", "reciprocal ranks", "min-max")


def tables(result: dict[str, Any]) -> str:
    """All of them. An arrow stands where a paired test shows that a way is better or worse."""
    sets, foreign = result["sets"], result["foreign"]
    names = list(sets)
    sizes = [[name, *(f"{sets[name][what]:,}" for what in ("documents", "passages", "questions"))] for name in names]
    parts = [table(["set", "documents", "passages", "questions"], sizes)]
    parts += [f"**{title}**\n\n{_values(result, metric)}" for metric, title in TITLES.items()]
    for metric, title in TITLES.items():
        found = result["against_better_alone"][metric]
        rows = []
        for at, name in enumerate(names):
            alone = {way: sets[name]["ways"][way][metric]["value"] for way in ("words", "meaning")}
            better = max(alone, key=lambda way: alone[way])
            gains = [gain(one["tests"][at]) + mark(one["tests"][at]) for one in found.values()]
            rows.append([name, f"{better}, {alone[better]:.3f}", *gains])
        rows.append([_mean(foreign), "", *(gain(one["mean"]) for one in found.values())])
        parts.append(f"**{title}: the gain over the better one alone**\n\n" + table(["set", "alone", *found], rows))
    header = ["in place of the hybrid", "sets", "nDCG@10", "better, alike, worse", "recall@5", "better, alike, worse"]
    parts.append("**Stages**\n\n" + table(header, [_stage(*one, foreign) for one in result["stages"].items()]))
    return "\n\n".join(parts)


def _values(result: dict[str, Any], metric: str) -> str:
    """A row for each set, a column for each way, and the means below, in which `foreign` sets are not; the best of a
    row is bold.
    """
    sets, foreign = result["sets"], result["foreign"]
    rows = []
    for at, (name, one) in enumerate(sets.items()):
        values = {way: one["ways"][way][metric]["value"] for way in WAYS}
        cells = []
        for way, value in values.items():
            shown = f"**{value:.3f}**" if value == max(values.values()) else f"{value:.3f}"
            cells.append(shown + ("" if way == "hybrid" else mark(result["stages"][way][metric]["tests"][at])))
        rows.append([name, *cells])
    counted = [one["ways"] for name, one in sets.items() if name not in foreign]
    rows.append([_mean(foreign), *(f"{np.mean([ways[way][metric]['value'] for ways in counted]):.3f}" for way in WAYS)])
    return table(["set", *WAYS], rows)


def _stage(label: str, stage: dict[str, Any], foreign: list[str]) -> list[str]:
    counted = [at for at, name in enumerate(stage["sets"]) if name not in foreign]
    cells = [label, str(len(counted))]
    for metric in TITLES:
        marks = [mark(stage[metric]["tests"][at]) for at in counted]
        up, down = marks.count(" ↑"), marks.count(" ↓")
        cells += [gain(stage[metric]["mean"]), f"{up}, {len(marks) - up - down}, {down}"]
    return cells


def mark(test: dict[str, Any]) -> str:
    """An arrow up or down, where the test shows a difference."""
    return " ↑" if test["better"] <= LEVEL else " ↓" if test["worse"] <= LEVEL else ""


def gain(test: dict[str, Any]) -> str:
    """A difference with its interval."""
    return f"{test['difference']:+.3f} ({test['low']:+.3f} to {test['high']:+.3f})"


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """In Markdown; the first column is text, the others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _mean(foreign: list[str]) -> str:
    return f"mean without {', '.join(foreign)}" if foreign else "mean"

"""The tables of docs/benchmarks.md, of the numbers of `retrieval_quality.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

LEVEL = 0.05
TITLES = {"ndcg": "nDCG@10", "recall": "recall@5"}
FUSIONS = ("hybrid", "hybrid, tuned", "reciprocal ranks", "min-max")


def tables(result: dict[str, Any]) -> str:
    """All of them. An arrow stands where a paired test shows that a way is better or worse than the hybrid."""
    sets = result["sets"]
    names = list(sets)
    sizes = [[name, *(f"{sets[name][what]:,}" for what in ("documents", "passages", "questions"))] for name in names]
    parts = [_table(["set", "documents", "passages", "questions"], sizes)]
    ways = list(sets[names[0]]["ways"])
    for metric, title in TITLES.items():
        columns = []
        for way in ways:
            tests = result["against_hybrid"].get(f"{metric}: {way}", {}).get("sets")
            columns.append(([sets[name]["ways"][way][metric]["value"] for name in names], tests))
        parts.append(f"**{title}**\n\n" + _values(names, ways, columns, result["foreign"]))
    for metric, title in TITLES.items():
        rows = []
        found = [result["against_better_alone"][f"{metric}: {way}"] for way in FUSIONS]
        for at, name in enumerate(names):
            alone = [sets[name]["ways"][way][metric]["value"] for way in ("words", "meaning")]
            better = f"{'words' if alone[0] >= alone[1] else 'meaning'}, {max(alone):.3f}"
            rows.append([name, better, *(_gain(one["sets"][at]) + _mark(one["sets"][at]) for one in found)])
        rows.append([_mean(result["foreign"]), "", *(_gain(one["mean"]) for one in found)])
        parts.append(f"**{title}: the gain over the better one alone**\n\n" + _table(["set", "alone", *FUSIONS], rows))
    if cuts := result.get("cuts"):
        base = [
            (each["ndcg"], cuts["against_200"].get(f"ndcg: {label}", {}).get("sets"))
            for label, each in cuts["ways"].items()
        ]
        parts.append("**Passages: nDCG@10**\n\n" + _values(cuts["sets"], list(cuts["ways"]), base, []))
    if late := result.get("late"):
        columns = [(late["hybrid"], None), *((each["ndcg"], each["sets"]) for each in late["shares"].values())]
        labels = ["hybrid", *(f"with {float(share):.0%} late interaction" for share in late["shares"])]
        parts.append("**Late interaction: nDCG@10**\n\n" + _values(late["sets"], labels, columns, []))
    return "\n\n".join(parts)


def _values(
    names: list[str],
    labels: list[str],
    columns: list[tuple[list[float], list[dict[str, Any]] | None]],
    foreign: list[str],
) -> str:
    """A row for each set, a column for each way, and the means below, in which `foreign` sets are not; the best of a
    row is bold.
    """
    rows = []
    for at, name in enumerate(names):
        best = max(values[at] for values, _ in columns)
        cells = []
        for values, tests in columns:
            shown = f"**{values[at]:.3f}**" if values[at] == best else f"{values[at]:.3f}"
            cells.append(shown + (_mark(tests[at]) if tests else ""))
        rows.append([name, *cells])
    counted = [at for at, name in enumerate(names) if name not in foreign]
    means = [f"{np.mean([values[at] for at in counted]):.3f}" for values, _ in columns]
    rows.append([_mean(foreign), *means])
    return _table(["set", *labels], rows)


def _mark(test: dict[str, Any]) -> str:
    return " ↑" if test["better"] <= LEVEL else " ↓" if test["worse"] <= LEVEL else ""


def _gain(test: dict[str, Any]) -> str:
    return f"{test['difference']:+.3f} ({test['low']:+.3f} to {test['high']:+.3f})"


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _mean(foreign: list[str]) -> str:
    return f"mean without {', '.join(foreign)}" if foreign else "mean"

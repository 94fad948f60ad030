"""Does the gate keep its promise? Simulates it on models whose true quality is known.

    python benchmarks/gate.py [--simulations 1000] [--out docs/images] [--quick]

Two questions. *Level*: how often is a challenger promoted that is exactly as good as the champion? At most 5 % of the
time, whatever the metric, the rows, and the shape of the models' errors. *Power*: how often is one promoted that is
truly better, by so much, on so many rows? Prints Markdown tables; writes `gate.json` and the plot `gate-power.svg`.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib
import numpy as np
from scipy.special import ndtri

from mainspring.evaluation.comparison import compare
from mainspring.evaluation.gate import Verdict, decide
from mainspring.evaluation.intervals import clopper_pearson
from mainspring.evaluation.metrics import METRICS, Predictions, score

matplotlib.use("Agg")
import matplotlib.pyplot as plt

METRIC_NAMES = ("roc_auc", "accuracy", "log_loss", "f1", "rmse")
ROWS = (100, 300, 1000, 3000)
FEW_ROWS = 50  # for the level only: there is no power to speak of
CLUSTERS = (8, 20)
ROWS_PER_CLUSTER = 25
SIGNIFICANCE = 0.05
RESAMPLES = 499  # the default is 2000; fewer only add noise to p, and (499 + 1) · 0.05 is whole
POPULATION = 1_000_000  # rows from which true scores are taken
CHALLENGER_NOISES = (0.9, 0.75, 0.5)  # against a champion's 1.0
POSITIVE_LOG_ODDS = -1.0  # about 30 % positive rows

LEVEL_HEADER = (
    "| metric | models | rows | promoted | interval | rejected | test |\n| --- | --- | --- | --- | --- | --- | --- |"
)

Array = np.ndarray
Noise = Callable[[Array], Array]


@dataclass(frozen=True)
class LevelRow:
    metric: str
    models: str
    rows: int
    simulations: int
    promoted: float
    low: float
    high: float
    rejected: float
    test: str


@dataclass(frozen=True)
class PowerRow:
    metric: str
    rows: int
    champion: float
    difference: float
    simulations: int
    promoted: float


@dataclass(frozen=True)
class Pair:
    truth: Array
    champion: Predictions
    challenger: Predictions
    clusters: Array | None = None


# Each noise is a function of uniform numbers: given the same, two of them can be compared almost without chance.


def normal(uniform: Array) -> Array:
    return ndtri(uniform)


def laplace(uniform: Array) -> Array:
    """Of variance 1 too: mostly smaller errors than the normal's, and some far larger ones."""
    return np.sqrt(0.5) * np.sign(0.5 - uniform) * np.log1p(-2 * np.abs(uniform - 0.5))


def blunders(uniform: Array) -> Array:
    """Of variance 1 too, a quarter of it from one row in twenty."""
    rare = uniform < 0.05
    within = np.where(rare, uniform / 0.05, (uniform - 0.05) / 0.95)
    return np.sqrt(np.where(rare, 4.8, 0.8)) * ndtri(within)


def truth_and_signal(metric: str, rows: int, random: np.random.Generator) -> tuple[Array, Array]:
    """A truth, and what a perfect model would know of it: the log-odds, or the number less what cannot be known."""
    signal = 1.5 * random.normal(size=rows)
    if METRICS[metric].task == "regression":
        return signal + 0.5 * random.normal(size=rows), signal
    signal += POSITIVE_LOG_ODDS
    truth = (random.random(rows) < 1 / (1 + np.exp(-signal))).astype(np.int64)
    return truth, signal


def model(metric: str, believed: Array) -> Predictions:
    if METRICS[metric].task == "regression":
        return Predictions(believed)
    positive = 1 / (1 + np.exp(-believed))
    return Predictions((positive >= 0.5).astype(np.int64), np.column_stack([1 - positive, positive]))


def population_score(metric: str, noise: Noise, scale: float) -> float:
    random = np.random.default_rng(7)
    truth, signal = truth_and_signal(metric, POPULATION, random)
    return score(metric, truth, model(metric, signal + scale * noise(random.random(POPULATION))))


def scale_of_equal_quality(metric: str, noise: Noise) -> float:
    """How much of `noise` makes a model as good as normal noise of scale 1 does: by bisection on the population."""
    sign, wanted = METRICS[metric].sign, population_score(metric, normal, 1.0)
    low, high = 0.8, 1.3
    for _ in range(10):
        middle = (low + high) / 2
        better = sign * population_score(metric, noise, middle) > sign * wanted
        low, high = (middle, high) if better else (low, middle)
    return (low + high) / 2


def pair(metric: str, rows: int, random: np.random.Generator, noise: Noise, scale: float) -> Pair:
    """A champion of normal noise 1, and a challenger of `noise` times `scale`, independent of each other."""
    truth, signal = truth_and_signal(metric, rows, random)
    champion = model(metric, signal + normal(random.random(rows)))
    return Pair(truth, champion, model(metric, signal + scale * noise(random.random(rows))))


def clustered_pair(metric: str, count: int, random: np.random.Generator) -> Pair:
    """Equally good models, half of whose noise is shared within a cluster."""
    clusters = np.repeat(np.arange(count), ROWS_PER_CLUSTER)
    truth, signal = truth_and_signal(metric, len(clusters), random)

    def noise() -> Array:
        return np.sqrt(0.5) * (random.normal(size=count)[clusters] + random.normal(size=len(clusters)))

    return Pair(truth, model(metric, signal + noise()), model(metric, signal + noise()), clusters)


def level(simulations: int, most_rows: int) -> list[LevelRow]:
    found = []
    for metric in METRIC_NAMES:
        unlike = scale_of_equal_quality(metric, laplace)
        for models, noise, scale in (("alike", normal, 1.0), ("unlike", laplace, unlike)):
            for rows in (FEW_ROWS, *up_to(most_rows)):
                random = generator(metric, models, rows)
                pairs = (pair(metric, rows, random, noise, scale) for _ in range(simulations))
                found.append(level_of(metric, models, pairs))
        for count in CLUSTERS:
            random = generator(metric, "clusters", count)
            pairs = (clustered_pair(metric, count, random) for _ in range(simulations))
            found.append(level_of(metric, f"alike, in {count} clusters", pairs))
    return found


def level_under_rare_blunders(simulations: int, most_rows: int) -> list[LevelRow]:
    """What no test can see in few rows: a challenger mostly better, that now and then is badly wrong."""
    found = []
    for rows in (FEW_ROWS, *up_to(most_rows)):
        random = generator("blunders", rows)
        pairs = (pair("rmse", rows, random, blunders, 1.0) for _ in range(simulations))
        found.append(level_of("rmse", "challenger with rare blunders", pairs))
    return found


def generator(*cell: str | int) -> np.random.Generator:
    """Its own random numbers for each cell of a table, so that the cells are independent."""
    return np.random.default_rng(zlib.crc32(repr(cell).encode()))


def up_to(most_rows: int) -> list[int]:
    return [rows for rows in ROWS if rows <= most_rows]


def verdict(metric: str, pair: Pair, seed: int) -> Verdict:
    return decide(
        compare(
            metric,
            pair.truth,
            champion=pair.champion,
            challenger=pair.challenger,
            clusters=pair.clusters,
            significance=SIGNIFICANCE,
            resamples=RESAMPLES,
            seed=seed,
        )
    )


def level_of(metric: str, models: str, pairs: Iterable[Pair]) -> LevelRow:
    verdicts = [verdict(metric, each, seed) for seed, each in enumerate(pairs)]
    decisions = [each.decision for each in verdicts]
    promoted = decisions.count("promote")
    low, high = clopper_pearson(promoted, len(decisions), 0.95)
    row = LevelRow(
        metric=metric,
        models=models,
        rows=verdicts[0].comparison.rows,
        simulations=len(decisions),
        promoted=promoted / len(decisions),
        low=low,
        high=high,
        rejected=decisions.count("reject") / len(decisions),
        test=verdicts[0].comparison.test,
    )
    print(
        f"| {row.metric} | {row.models} | {row.rows} | {row.promoted:.3f} | {low:.3f} to {high:.3f} "
        f"| {row.rejected:.3f} | {row.test} |",
        flush=True,
    )
    return row


def above_the_level(rows: list[LevelRow], among: int) -> list[LevelRow]:
    """Rows whose rate is above the level by more than chance, 2.5 %, were each of `among` rates exact (Bonferroni)."""
    confidence = 1 - 0.05 / among
    return [
        row
        for row in rows
        if clopper_pearson(round(row.promoted * row.simulations), row.simulations, confidence)[0] > SIGNIFICANCE
    ]


def summary_of(rows: list[LevelRow]) -> str:
    each = above_the_level(rows, among=1)
    all_together = above_the_level(rows, among=len(rows))
    named = ", ".join(f"{row.metric} {row.models} {row.rows}" for row in each) or "none"
    return (
        f"The mean of all {len(rows)} rates is {np.mean([row.promoted for row in rows]):.3f}. Above {SIGNIFICANCE} by "
        f"their own interval: {named} (chance alone would name {0.025 * len(rows):.1f} of tests that are exact). "
        f"Still so after correcting for the number of rates: {len(all_together)}."
    )


def power(simulations: int, most_rows: int) -> list[PowerRow]:
    found = []
    for metric in METRIC_NAMES:
        champion_score = population_score(metric, normal, 1.0)
        for scale in CHALLENGER_NOISES:
            difference = METRICS[metric].sign * (population_score(metric, normal, scale) - champion_score)
            rates = []
            for rows in up_to(most_rows):
                random = generator("power", metric, str(scale), rows)
                pairs = (pair(metric, rows, random, normal, scale) for _ in range(simulations))
                decisions = [verdict(metric, each, seed).decision for seed, each in enumerate(pairs)]
                rates.append(decisions.count("promote") / simulations)
                found.append(PowerRow(metric, rows, champion_score, difference, simulations, rates[-1]))
            cells = " | ".join(f"{rate:.2f}" for rate in rates)
            print(f"| {metric} | {champion_score:.3f} | {difference:.4f} | {cells} |", flush=True)
    return found


def plot(rows: list[PowerRow], path: Path) -> None:
    """One panel a metric: power against rows, one line a true difference."""
    matplotlib.rcParams.update({"svg.hashsalt": "gate", "font.size": 9, "axes.spines.top": False})
    matplotlib.rcParams.update({"axes.spines.right": False, "svg.fonttype": "none"})
    figure, axes = plt.subplots(1, len(METRIC_NAMES), figsize=(13, 3.7), sharey=True, layout="constrained")
    shades = ("#9ecae1", "#4292c6", "#08519c")
    for axis, metric in zip(axes, METRIC_NAMES, strict=True):
        of_metric = [row for row in rows if row.metric == metric]
        for shade, difference in zip(shades, sorted({row.difference for row in of_metric}), strict=True):
            line = [row for row in of_metric if row.difference == difference]
            label = f"better by {difference:.3f}"
            axis.plot([row.rows for row in line], [row.promoted for row in line], "o-", color=shade, ms=4, label=label)
        axis.axhline(SIGNIFICANCE, color="#999999", lw=1, ls="--")
        axis.set_title(f"{metric} (champion {of_metric[0].champion:.3f})", fontsize=9)
        axis.set_xscale("log")
        axis.set_xticks(sorted({row.rows for row in rows}), [f"{n}" for n in sorted({row.rows for row in rows})])
        axis.minorticks_off()
        axis.set_ylim(0, 1.02)
        axis.grid(axis="y", color="#e6e6e6", lw=0.8)
        axis.set_axisbelow(True)
        axis.set_xlabel("held-out rows")
        axis.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    axes[0].set_ylabel("challenger promoted")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000, help="for each row of the level table")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of gate.json and gate-power.svg")
    parser.add_argument("--quick", action="store_true", help="under 30 seconds: 100 simulations, up to 300 rows")
    options = parser.parse_args()
    simulations, most_rows = (100, 300) if options.quick else (options.simulations, max(ROWS))
    started = time.perf_counter()

    print("## Level: how often an equally good challenger is promoted\n")
    print(f"At most {SIGNIFICANCE} is promised; {simulations} simulations a row, with their 95 % interval.\n")
    print(LEVEL_HEADER)
    levels = level(simulations, most_rows)
    print(f"\n{summary_of(levels)}\n")

    print("## Where no test can keep it: equally good on the whole, but the harm is in rare rows\n")
    print(LEVEL_HEADER)
    stressed = level_under_rare_blunders(simulations, most_rows)

    print("\n## Power: how often a better challenger is promoted\n")
    shown = up_to(most_rows)
    print("| metric | champion | better by | " + " | ".join(f"{rows} rows" for rows in shown) + " |")
    print("| --- | --- | --- |" + " --- |" * len(shown))
    powers = power(max(50, simulations // 5), most_rows)

    options.out.mkdir(parents=True, exist_ok=True)
    tables = {"level": levels, "rare_blunders": stressed, "power": powers}
    numbers = {"significance": SIGNIFICANCE} | {name: list(map(asdict, rows)) for name, rows in tables.items()}
    (options.out / "gate.json").write_text(json.dumps(numbers, indent=1) + "\n")
    plot(powers, options.out / "gate-power.svg")
    print(f"\n{time.perf_counter() - started:.0f} s; wrote gate.json and gate-power.svg to {options.out}")


if __name__ == "__main__":
    main()

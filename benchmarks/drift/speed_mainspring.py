"""Mainspring on the same files: python speed_mainspring.py FOLDER fit|columns|window RESULT.json

`fit` builds the reference profile and saves it, as a fit does once. `columns` checks the live rows a column at a time,
which is all that the tests of single columns need in memory. `window` has all live rows in memory at once, as
monitoring has a window, and adds the test of all columns together and those of the outputs.
"""

import json
import resource
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
from speed_tables import BOOLEANS, CATEGORIES, NUMBERS

from mainspring.data.conform import conform
from mainspring.monitoring import observations, profiles
from mainspring.monitoring.drift import examine_column
from mainspring.monitoring.examine import examine, judge
from mainspring.monitoring.tallies import watched
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Column, Columns, Schema, Target
from mainspring.spec import MonitorSpec

FEATURES = (
    *(Column(name=name, kind="number", nullable=True) for name in NUMBERS),
    *(Column(name=name, kind="category", nullable=True) for name in CATEGORIES),
    *(Column(name=name, kind="boolean") for name in BOOLEANS),
)
SCHEMA = Schema(FEATURES, Target(name="label", labels=(0, 1)))
HELD_OUT = 0.2


class Clock:
    """Seconds spent on each of several things."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._last = time.perf_counter()

    def was(self, what: str) -> None:
        """Book what has passed since the last call."""
        now = time.perf_counter()
        self.spent[what] = self.spent.get(what, 0.0) + now - self._last
        self._last = now


def answers(rows: int) -> tuple[Outputs, np.ndarray]:
    """A model's outputs, and the truth."""
    random = np.random.default_rng(0)
    probability = random.random(rows)
    labels = np.array(["0", "1"], object)[(probability > 0.5).astype(int)]
    truth = (random.random(rows) < probability).astype(np.int64)
    return Outputs(labels=labels, probabilities=np.column_stack([1 - probability, probability])), truth


def fit(folder: Path, clock: Clock) -> int:
    columns = conform(pq.read_table(folder / "reference.parquet"), FEATURES)
    clock.was("read")
    rows = len(columns[NUMBERS[0]])
    few = round(HELD_OUT * rows)
    outputs, truth = answers(few)
    held_out = {name: values[-few:] for name, values in columns.items()}
    reference = profiles.build(
        SCHEMA,
        "roc_auc",
        fit=columns,
        fit_truth=answers(rows)[1],
        held_out=held_out,
        outputs=outputs,
        truth=truth,
        importance={},
    )
    profiles.save(reference, folder)
    clock.was("check")
    return len(reference.profile.inputs)


def columns(folder: Path, clock: Clock) -> int:
    profile = msgspec.json.decode((folder / profiles.PROFILE).read_bytes(), type=profiles.Profile)
    file = pq.ParquetFile(folder / "live.parquet")
    clock.was("read")
    findings = []
    for column in FEATURES:
        table = file.read(columns=[column.name], use_threads=False)
        clock.was("read")
        values = watched(conform(table, [column])[column.name], column.kind)
        known = profile.inputs[column.name]
        findings += examine_column(column.name, values, known, column.kind, matters=known.importance)
        clock.was("check")
    judged = judge(findings, MonitorSpec())
    clock.was("check")
    return len({finding.name for finding in judged})


def window(folder: Path, clock: Clock) -> int:
    profile = msgspec.json.decode((folder / profiles.PROFILE).read_bytes(), type=profiles.Profile)
    sample = pq.read_table(folder / profiles.SAMPLE)
    reference = profiles.Reference(profile, {name: sample[name].to_numpy() for name in sample.column_names})
    inputs: Columns = conform(pq.read_table(folder / "live.parquet"), FEATURES)
    clock.was("read")
    rows = len(inputs[NUMBERS[0]])
    outputs, truth = answers(rows)
    live = observations.Rows(np.arange(rows), inputs, outputs, truth.astype(float))
    report = examine(reference, SCHEMA, live, MonitorSpec(), version="1")
    clock.was("check")
    return len({finding.name for finding in report.findings} & set(profile.inputs))


if __name__ == "__main__":
    clock = Clock()
    checked = {"fit": fit, "columns": columns, "window": window}[sys.argv[2]](Path(sys.argv[1]), clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(sys.argv[3]).write_text(json.dumps({"columns": checked, "peak_mb": peak, **clock.spent}))

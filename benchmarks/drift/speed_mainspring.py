"""Mainspring on the same files: python speed_mainspring.py FOLDER fit|window RESULT.json

`fit` builds the reference profile and saves it, as a fit does once. `window` reads the live rows in batches and does
all of a window's tests: single columns, all columns together, the outputs, and the performance by the true labels.
"""

import json
import resource
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from speed_tables import BOOLEANS, CATEGORIES, NUMBERS

from mainspring.data.conform import conform
from mainspring.monitoring import profiles
from mainspring.monitoring.examine import Examination
from mainspring.monitoring.observations import Rows
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Column, Schema, Target
from mainspring.spec import MonitorSpec

FEATURES = (
    *(Column(name=name, kind="number", nullable=True) for name in NUMBERS),
    *(Column(name=name, kind="category", nullable=True) for name in CATEGORIES),
    *(Column(name=name, kind="boolean") for name in BOOLEANS),
)
SCHEMA = Schema(FEATURES, Target(name="label", labels=(0, 1)))
HELD_OUT = 0.2
BATCH = 16_384  # rows
VERSION = "version"  # the folder of what `fit` saves; the tables lie beside it


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


def answers(rows: int, random: np.random.Generator) -> tuple[Outputs, np.ndarray]:
    """A model's outputs, and the truth."""
    probability = random.random(rows)
    labels = np.array(["0", "1"], object)[(probability > 0.5).astype(int)]
    truth = (random.random(rows) < probability).astype(np.int64)
    return Outputs(labels=labels, probabilities=np.column_stack([1 - probability, probability])), truth


def fit(folder: Path, clock: Clock) -> int:
    columns = conform(pq.read_table(folder / "reference.parquet"), FEATURES)
    clock.was("read")
    rows = len(columns[NUMBERS[0]])
    few = round(HELD_OUT * rows)
    random = np.random.default_rng(0)
    outputs, truth = answers(few, random)
    held_out = {name: values[-few:] for name, values in columns.items()}
    reference = profiles.build(
        SCHEMA,
        "roc_auc",
        fit=columns,
        fit_truth=answers(rows, random)[1],
        held_out=held_out,
        outputs=outputs,
        truth=truth,
        importance={},
    )
    (folder / VERSION).mkdir(exist_ok=True)
    profiles.save(reference, folder / VERSION)
    clock.was("check")
    return len(reference.profile.inputs)


def window(folder: Path, clock: Clock) -> int:
    profile = msgspec.json.decode((folder / VERSION / profiles.PROFILE).read_bytes(), type=profiles.Profile)
    sample = pq.read_table(folder / VERSION / profiles.SAMPLE)
    reference = profiles.Reference(profile, {name: sample[name].to_numpy() for name in sample.column_names})
    examination = Examination(reference, SCHEMA, MonitorSpec(), version="1")
    random, seen = np.random.default_rng(1), 0
    # Column chunks are streamed through a small buffer rather than read as a whole.
    file = pq.ParquetFile(folder / "live.parquet", pre_buffer=False, buffer_size=65_536)
    for batch in file.iter_batches(BATCH):
        columns = conform(pa.table(batch), FEATURES)
        clock.was("read")
        time = np.arange(seen, seen + len(batch))
        outputs, truth = answers(len(batch), random)
        examination.add(Rows(time, columns, outputs, truth.astype(np.float64)))
        seen += len(batch)
        clock.was("check")
    report = examination.report()
    clock.was("check")
    return len({finding.name for finding in report.findings} & set(profile.inputs))


if __name__ == "__main__":
    clock = Clock()
    checked = {"fit": fit, "window": window}[sys.argv[2]](Path(sys.argv[1]), clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(sys.argv[3]).write_text(json.dumps({"columns": checked, "peak_mb": peak, **clock.spent}))

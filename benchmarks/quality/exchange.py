"""How the benchmark and its peers exchange data: one folder a run. Imports only what every peer has.

The benchmark writes `job.json`, `fit.parquet` (with the target, classes as codes) and `holdout.parquet` (without it).
The peer writes `predictions.npy`, (n, classes) probabilities or (n, 1) values, and `result.json`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Job:
    """What a peer is asked: which metric, in how many seconds. `time` is the column that orders the rows, if any."""

    target: str
    classes: int  # 0 for a regression
    metric: str
    time: str | None
    seconds: float
    cores: int
    preset: str | None
    seed: int


Predict = Callable[[pd.DataFrame], np.ndarray]
Fit = Callable[[Job, pd.DataFrame, pd.Series, Path], tuple[Predict, str]]


def run(fit: Fit, *packages: str) -> None:
    """Fit on the rows in the folder that the command line names, predict the held-out ones, and write both down.

    `fit` takes the job, the features, the target and a folder to work in, and gives a predictor with a line on what was
    chosen. Only `fit` is timed: starting Python, importing and predicting are free.
    """
    folder = Path(sys.argv[1])
    job = Job(**json.loads((folder / "job.json").read_text()))
    rows, holdout = pd.read_parquet(folder / "fit.parquet"), pd.read_parquet(folder / "holdout.parquet")
    target = rows.pop(job.target)
    began = time.perf_counter()
    predict, chosen = fit(job, rows, target, folder)
    seconds = time.perf_counter() - began
    np.save(folder / "predictions.npy", np.asarray(predict(holdout), dtype=np.float64).reshape(len(holdout), -1))
    versions = {package: version(package) for package in packages}
    (folder / "result.json").write_text(json.dumps({"seconds": seconds, "chosen": chosen, "versions": versions}))

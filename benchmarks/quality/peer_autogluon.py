"""AutoGluon's tabular predictor, with one of its presets."""

from __future__ import annotations

import time
from pathlib import Path

import exchange
import pandas as pd
import torch
from autogluon.tabular import TabularPredictor

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # fastai, of which AutoGluon takes a network, imports torchvision wherever it is installed. PyPI's is for CUDA;
    # beside a torch without it, the import stops at an operator that is not there. Declaring that is enough.
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def fit(job: exchange.Job, rows: pd.DataFrame, target: pd.Series, folder: Path) -> tuple[exchange.Predict, str]:
    began = time.perf_counter()
    rows = rows.assign(**{job.target: target})
    try:
        predictor = trained(job, rows, folder / "model", job.seconds)
    except AssertionError:
        # A preset that stacks spends a first quarter of its time on learning whether stacking overfits, and fails where
        # that gives no model. What is left of the time goes without it, as AutoGluon's own log advises.
        left = job.seconds - (time.perf_counter() - began)
        predictor = trained(job, rows, folder / "second model", left, dynamic_stacking=False)

    def predict(holdout: pd.DataFrame) -> pd.DataFrame:
        return predictor.predict_proba(holdout) if job.classes else predictor.predict(holdout)

    return predict, f"{predictor.model_best} of {len(predictor.model_names())} models"


def trained(job: exchange.Job, rows: pd.DataFrame, path: Path, seconds: float, **options: bool) -> TabularPredictor:
    metrics = {"rmse": "root_mean_squared_error"}  # where the names differ
    predictor = TabularPredictor(
        label=job.target,
        eval_metric=metrics.get(job.metric, job.metric),
        problem_type={0: "regression", 2: "binary"}.get(job.classes, "multiclass"),
        path=str(path),
        verbosity=2,
    )
    return predictor.fit(rows, time_limit=seconds, presets=job.preset, num_cpus=job.cores, num_gpus=0, **options)


if __name__ == "__main__":
    exchange.run(fit, "autogluon.tabular", "lightgbm", "catboost", "xgboost-cpu", "torch", "fastai", "pandas", "numpy")

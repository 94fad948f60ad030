"""AutoGluon's tabular predictor, with one of its presets."""

from __future__ import annotations

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
    metrics = {"rmse": "root_mean_squared_error"}  # where the names differ
    predictor = TabularPredictor(
        label=job.target,
        eval_metric=metrics.get(job.metric, job.metric),
        problem_type={0: "regression", 2: "binary"}.get(job.classes, "multiclass"),
        path=str(folder / "model"),
        verbosity=2,
    )
    predictor.fit(
        rows.assign(**{job.target: target}),
        time_limit=job.seconds,
        presets=job.preset,
        num_cpus=job.cores,
        num_gpus=0,
    )

    def predict(holdout: pd.DataFrame) -> pd.DataFrame:
        return predictor.predict_proba(holdout) if job.classes else predictor.predict(holdout)

    return predict, f"{predictor.model_best} of {len(predictor.model_names())} models"


if __name__ == "__main__":
    exchange.run(fit, "autogluon.tabular", "lightgbm", "catboost", "xgboost-cpu", "torch", "fastai", "pandas", "numpy")

"""FLAML's AutoML as it comes. Where rows are ordered in time it is told so, as Mainspring is."""

from __future__ import annotations

from pathlib import Path

import exchange
import pandas as pd
from flaml import AutoML


def fit(job: exchange.Job, rows: pd.DataFrame, target: pd.Series, folder: Path) -> tuple[exchange.Predict, str]:
    if job.time:
        order = rows[job.time].argsort(kind="stable")
        rows, target = rows.iloc[order], target.iloc[order]
    rows, target = rows.reset_index(drop=True), target.reset_index(drop=True)
    model = AutoML()
    model.fit(
        rows,
        target,
        task="classification" if job.classes else "regression",
        metric=job.metric,
        time_budget=job.seconds,
        split_type="time" if job.time else "auto",
        n_jobs=job.cores,
        seed=job.seed,
        verbose=0,
    )
    predict = model.predict_proba if job.classes else model.predict
    return predict, f"{model.best_estimator}, {len(model.config_history)} improvements"


if __name__ == "__main__":
    exchange.run(fit, "flaml", "lightgbm", "xgboost", "catboost", "scikit-learn", "pandas", "numpy")

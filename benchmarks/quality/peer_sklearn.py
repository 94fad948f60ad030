"""scikit-learn's histogram gradient boosting as it comes, with its native handling of categories and missing values."""

from __future__ import annotations

from pathlib import Path

import exchange
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

MOST_CATEGORIES = 255  # that it takes natively; rarer ones share one


def numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """It takes no times: hour, weekday and day of the year stand for each."""
    rows = rows.copy()
    for name in [name for name in rows if pd.api.types.is_datetime64_any_dtype(rows[name])]:
        time = rows.pop(name).dt
        rows[f"{name} hour"] = time.hour + time.minute / 60
        rows[f"{name} weekday"] = time.dayofweek
        rows[f"{name} day"] = time.dayofyear
    return rows


def fit(job: exchange.Job, rows: pd.DataFrame, target: pd.Series, folder: Path) -> tuple[exchange.Predict, str]:
    rows = numbers(rows)
    encoder = OrdinalEncoder(
        max_categories=MOST_CATEGORIES,
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
    texts = make_column_selector(dtype_include=["object", "string", "category"])
    kind = HistGradientBoostingClassifier if job.classes else HistGradientBoostingRegressor
    model = make_pipeline(
        make_column_transformer((encoder, texts), remainder="passthrough"),
        kind(categorical_features=list(range(len(texts(rows)))), random_state=job.seed),  # the encoded ones come first
    )
    model.fit(rows, target)
    predict = model.predict_proba if job.classes else model.predict
    return lambda holdout: predict(numbers(holdout)), f"{model[-1].n_iter_} rounds"


if __name__ == "__main__":
    exchange.run(fit, "scikit-learn", "pandas", "numpy")

"""The pipeline that the peers serve: what one would write with scikit-learn, tuned for speed where that costs nothing.

Trees need no scaling and XGBoost takes missing numbers as they are, so numbers pass through; one-hot columns are dense,
which halves the time of a row; and XGBoost computes with one thread, since handing a row to two takes longer than
computing it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from xgboost import XGBClassifier

TIMES = ["departs_at"]
CATEGORIES = ["carrier", "origin", "destination"]
NUMBERS = [
    "distance",
    "scheduled_arrival",
    "temperature",
    "dewpoint",
    "humidity",
    "wind_direction",
    "wind_speed",
    "wind_gust",
    "precipitation",
    "pressure",
    "visibility",
]
COLUMNS = [*TIMES, *CATEGORIES, *NUMBERS]


def calendar(frame: pd.DataFrame) -> np.ndarray:
    """(n, 3): hour, weekday and day of the year of the only column, which may be text as in JSON."""
    time = pd.to_datetime(frame.iloc[:, 0]).dt
    return np.column_stack([time.hour, time.day_of_week, time.day_of_year])


def build(parameters: dict[str, Any]) -> Pipeline:
    """The unfitted pipeline; `parameters` are XGBClassifier's."""
    columns = ColumnTransformer(
        [
            ("calendar", FunctionTransformer(calendar), TIMES),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES),
            ("numbers", "passthrough", NUMBERS),
        ]
    )
    return Pipeline([("columns", columns), ("model", XGBClassifier(**parameters))])

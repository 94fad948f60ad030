"""Fits the peers' pipeline: python fit_pipeline.py FLIGHTS.parquet ROWS PARAMETERS.json OUT.joblib

The oldest ROWS flights are fitted on, as in Mainspring's own fit.
"""

import json
import sys
from pathlib import Path

import joblib
import pandas as pd
import pipeline

if __name__ == "__main__":
    data, rows, parameters, out = sys.argv[1:]
    flights = pd.read_parquet(data).sort_values("departs_at", kind="stable").head(int(rows))
    fitted = pipeline.build(json.loads(Path(parameters).read_text()))
    fitted.fit(flights[pipeline.COLUMNS], flights["late"])
    fitted["model"].set_params(n_jobs=1)
    joblib.dump(fitted, out)

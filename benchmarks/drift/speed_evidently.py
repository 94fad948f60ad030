"""Evidently's DataDriftPreset on two Parquet files: python speed_evidently.py FOLDER ks|defaults RESULT.json

`ks`: Kolmogorov-Smirnov for numbers, chi-squared for categories. `defaults`: the preset's own choice.
"""

import json
import resource
import sys
import time
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from speed_tables import BOOLEANS, CATEGORIES, NUMBERS

METHODS = {"ks": {"num_method": "ks", "cat_method": "chisquare"}, "defaults": {}}


def main(folder: Path, tests: str) -> dict[str, float]:
    began = time.perf_counter()
    reference, live = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "live"))
    read = time.perf_counter()
    definition = DataDefinition(numerical_columns=[*NUMBERS], categorical_columns=[*CATEGORIES, *BOOLEANS])
    now, before = (Dataset.from_pandas(frame, definition) for frame in (live, reference))
    run = Report([DataDriftPreset(**METHODS[tests])]).run(now, before)
    columns = sum(metric["metric_name"].startswith("ValueDrift") for metric in run.dict()["metrics"])
    done = time.perf_counter()
    return {"columns": columns, "read": read - began, "check": done - read}


if __name__ == "__main__":
    result = main(Path(sys.argv[1]), sys.argv[2])
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(sys.argv[3]).write_text(json.dumps(result))

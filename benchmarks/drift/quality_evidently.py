"""Evidently's DataDriftPreset at its defaults, window by window: its verdict on the data set, and on any column.

It sees the inputs, the model's probability and the label, with their kinds declared. The preset spends most of its time
on plots. So only the first window after the change of each cell's first stream is put through the preset itself; the
others go to the tests that it chooses, by its own choice of test, threshold and share, and it is made sure that the
preset says the same.
"""

import warnings

import pandas as pd
from cells import Alerts, main
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset
from streams import CATEGORIES, CHANGE, NUMBERS, Rows, Stream

KINDS = dict.fromkeys([*NUMBERS, "probability"], ColumnType.Numerical)
KINDS |= dict.fromkeys([*CATEGORIES, "label"], ColumnType.Categorical)
DRIFT_SHARE = DataDriftPreset().drift_share  # half of the columns


def frame(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(rows.columns).assign(probability=rows.probability, label=rows.label)


def drifted(reference: pd.DataFrame, window: pd.DataFrame) -> list[str]:
    """The columns that the preset's tests call drifted."""
    found = []
    for name, kind in KINDS.items():
        before, now = reference[name].dropna(), window[name].dropna()
        if get_stattest(before, now, kind, None)(before, now, kind, None).drifted:
            found.append(name)
    return found


def drifted_by_preset(reference: pd.DataFrame, window: pd.DataFrame) -> list[str]:
    """The same from the preset itself."""
    columns = {kind: [name for name in KINDS if KINDS[name] is kind] for kind in ColumnType}
    definition = DataDefinition(
        numerical_columns=columns[ColumnType.Numerical], categorical_columns=columns[ColumnType.Categorical]
    )
    now, before = (Dataset.from_pandas(each, definition) for each in (window, reference))
    run = Report([DataDriftPreset()], include_tests=True).run(now, before)
    failed = [test.metric_config.params for test in run.tests_results if test.status.value == "FAIL"]
    return [params["column"] for params in failed if "column" in params]


def watch(stream: Stream) -> Alerts:
    reference, windows = frame(stream.reference), [frame(window) for window in stream.windows]
    columns = [drifted(reference, window) for window in windows]
    if stream.number == 0 and set(drifted_by_preset(reference, windows[CHANGE])) != set(columns[CHANGE]):
        raise RuntimeError("the preset says otherwise than its tests: this script is to follow Evidently's change")
    whole = [["data set"] if len(names) >= DRIFT_SHARE * len(KINDS) else [] for names in columns]
    return {"Evidently, data set": whole, "Evidently, any column": columns}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(watch)

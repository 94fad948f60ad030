"""Mainspring at its defaults, window by window: the alarms that its watch raised, and what deviated in single windows.

The reference's first 6,000 rows are those of the fit, the last 2,000 those that were held out.
"""

import numpy as np
from cells import Alerts, main
from streams import CITIES, HELD_OUT_ROWS, NUMBERS, PLANS, Rows, Stream

from mainspring.monitoring import observations, profiles
from mainspring.monitoring.alarms import Watch
from mainspring.monitoring.examine import examine
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Column, Schema, Target
from mainspring.spec import MonitorSpec

FEATURES = (
    *(Column(name=name, kind="number", nullable=name == "balance") for name in NUMBERS),
    Column(name="plan", kind="category", levels=PLANS),
    Column(name="city", kind="category", levels=CITIES),
    Column(name="active", kind="boolean"),
)
SCHEMA = Schema(FEATURES, Target(name="label", labels=(0, 1)))
METRIC = "roc_auc"
WINDOW_SECONDS = 3600


def outputs(rows: Rows) -> Outputs:
    labels = np.where(rows.probability > 0.5, "1", "0").astype(object)
    return Outputs(labels=labels, probabilities=np.column_stack([1 - rows.probability, rows.probability]))


def watch(stream: Stream) -> Alerts:
    fit, held_out = stream.reference[:-HELD_OUT_ROWS], stream.reference[-HELD_OUT_ROWS:]
    reference = profiles.build(
        SCHEMA,
        METRIC,
        fit=fit.columns,
        fit_truth=fit.label,
        held_out=held_out.columns,
        outputs=outputs(held_out),
        truth=held_out.label,
        importance={},
    )
    settings = MonitorSpec()
    watching, alarms, single = Watch(settings), [], []
    for place, window in enumerate(stream.windows):
        time = np.linspace(place, place + 1, len(window.label), endpoint=False) * WINDOW_SECONDS * 1e6
        rows = observations.Rows(time.astype(np.int64), window.columns, outputs(window), window.label.astype(float))
        report = examine(reference, SCHEMA, rows, settings, version="1")
        single.append([f"{one.subject} {one.name}" for one in report.findings if one.deviates])
        alarms.append([f"{one.finding.subject} {one.finding.name}" for one in watching.feed(report)])
    return {"Mainspring": alarms, "Mainspring, single windows": single}


if __name__ == "__main__":
    main(watch)

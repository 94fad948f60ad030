"""Helps the tests of the log: a project, and rows written as a gateway writes them."""

import time

import numpy as np

from mainspring import spec
from mainspring.monitoring import segments
from mainspring.monitoring.privacy import Private
from mainspring.monitoring.segments import FeedbackFrame, SegmentWriter
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import MISSING_TIME, Column, Schema, Target
from mainspring.serving.ids import new_id
from mainspring.serving.prediction_log import Entry, frame

TOML = """
[project]
name = "airdesk"
[log]
{log}
[models.delay]
task = "classification"
data = "flights.csv"
target = "late"
{columns}
"""
SCHEMA = Schema(
    (
        Column("distance", "number", nullable=True),
        Column("night", "boolean", nullable=True),
        Column("carrier", "category", nullable=True, levels=("UA", "AA")),
        Column("departs_at", "time", nullable=True),
    ),
    Target("late", (False, True)),
)


def make_project(folder, log="", columns=""):
    return spec.parse(TOML.format(log=log, columns=columns), folder)


def make_entry(rows=1, *, seen=None, version="1", role="live", keys=(), prediction=None, start=0):
    """One request; its numbers count from `start`."""
    numbers = np.arange(start, start + rows, dtype=np.float64)
    columns = {
        "distance": np.where(numbers % 5 == 4, np.nan, numbers),
        "night": numbers % 2,
        "carrier": np.array(["" if n % 7 == 6 else "UA" for n in numbers], object),
        "departs_at": np.where(numbers % 3 == 2, MISSING_TIME, numbers.astype(np.int64)),
    }
    scores = np.stack([1 - numbers / 1e6, numbers / 1e6], axis=1)
    outputs = Outputs(labels=np.array(["true"] * rows, object), probabilities=scores)
    seen = time.time() if seen is None else seen
    return Entry("delay", version, role, prediction or new_id(), seen, keys, columns, outputs, rows)


def write(project, *entries, writer=None):
    """One frame, in a segment of its own unless `writer` is given."""
    own = writer or SegmentWriter(segments.folder(project.state, "delay"))
    own.append(frame(entries, Private.of(project, "delay")))
    if writer is None:
        own.close()


def write_feedback(project, *labels, received=None):
    """Labels as (id, key, label)."""
    ids, keys, values = zip(*labels, strict=True)
    own = SegmentWriter(segments.folder(project.state, "delay"))
    moment = int((time.time() if received is None else received) * 1e6)
    own.append(FeedbackFrame(moment, list(ids), list(keys), list(values)), durable=True)
    own.close()

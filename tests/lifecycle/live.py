"""Live traffic for tests: the log of a gateway, written without one."""

from __future__ import annotations

import asyncio
import time

from projects import make_rows
from prometheus_client import CollectorRegistry, Counter

from mainspring.monitoring import log, segments
from mainspring.monitoring.segments import FeedbackFrame, SegmentWriter
from mainspring.registry import versions
from mainspring.runtimes.onnx import FILE_NAME, OnnxRuntime
from mainspring.runtimes.records import RecordCodec
from mainspring.serving.ids import new_id
from mainspring.serving.prediction_log import PredictionLog


def answer(project, records, labelled=False):
    """Log live traffic as a gateway would: the champion's answers, 50 rows a request; and their labels, where asked."""
    version = versions.load(project.state, "late", "1")
    schema = version.manifest.schema
    runtime, codec = OnnxRuntime(version.file(FILE_NAME), schema), RecordCodec(schema)
    registry = CollectorRegistry()
    counters = [Counter(name, name, ("model",), registry=registry) for name in ("dropped", "written")]

    async def write():
        log = PredictionLog(project, *counters)
        ids = []
        for begin in range(0, len(records), 50):
            columns, _ = codec.convert(records[begin : begin + 50])
            ids.append(new_id())
            log.add("late", "1", ids[-1], time.time(), (), columns, runtime.predict(columns))
        await log.close()
        return ids

    ids = [f"{id_}-{k}" for id_ in asyncio.run(write()) for k in range(50)]
    if labelled:
        label(project, ids[: len(records)])


def records(count, seed, shift=0.0):
    rows = make_rows(count, seed)
    return [{"size": row["size"] + shift, "heat": row["heat"], "plan": row["plan"]} for row in rows]


def label(project, ids):
    """True labels, taking turns."""
    writer = SegmentWriter(segments.folder(project.state, "late"))
    labels = [place % 2 == 0 for place in range(len(ids))]
    writer.append(FeedbackFrame(int(time.time() * 1e6), list(ids), [""] * len(ids), labels))
    writer.close()


def label_all(project):
    """Labels for all that was answered."""
    schema = versions.load(project.state, "late", "1").manifest.schema
    label(project, log.read(project, "late", schema).ids.tolist())

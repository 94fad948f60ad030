import asyncio
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter

from mainspring.monitoring import log, segments
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Column, Schema, Target
from mainspring.serving import prediction_log
from mainspring.serving.ids import new_id
from mainspring.serving.prediction_log import PredictionLog

from .conftest import make_project

DELAY = Schema((Column("distance", "number"), Column("carrier", "category")), Target("late", (False, True)))
FARE = Schema((Column("at", "time"),), Target("fare"))
LOG_WITHOUT_END = """
import asyncio, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from serving.test_prediction_log import Logging, delay, make_project
async def main():
    kept, n = Logging(make_project(Path(sys.argv[1]))), 0
    while True:
        for _ in range(100):
            kept.log.add("delay", "1", f"0190a000-0000-7000-8000-{n:012x}", time.time(), (), *delay(1))
            n += 1
        kept.log.flush()
        print(n, flush=True)
        await asyncio.sleep(0.02)
asyncio.run(main())
"""


class Logging:
    """A log and what it counts."""

    def __init__(self, project):
        self.project = project
        registry = CollectorRegistry()
        self.registry = registry
        dropped = Counter("dropped", "Rows.", ("model",), registry=registry)
        written = Counter("written", "Rows.", ("model",), registry=registry)
        self.log = PredictionLog(project, dropped, written)

    def count(self, what, model="delay"):
        return self.registry.get_sample_value(f"{what}_total", {"model": model}) or 0

    def segments(self, model="delay"):
        return segments.segments(segments.folder(self.project.state, model))


def delay(rows, start=0):
    distance = np.arange(start, start + rows, dtype=np.float64)
    columns = {"distance": distance, "carrier": np.array(["UA"] * rows, object)}
    scores = np.stack([1 - distance / 1e6, distance / 1e6], axis=1)
    return columns, Outputs(labels=np.array(["true"] * rows, object), probabilities=scores)


@pytest.fixture
def kept(tmp_path):
    return Logging(make_project(tmp_path))


def run(kept, *steps):
    """Run the steps on an event loop, then flush and close."""

    async def main():
        for step in steps:
            step()
        kept.log.flush()
        await kept.log.close()

    asyncio.run(main())


def test_what_was_added_can_be_read(kept):
    one, many, fare = new_id(), new_id(), new_id()
    now = time.time()

    def add():
        kept.log.add("delay", "1", one, now, ("order-1",), *delay(1))
        kept.log.add("delay", "1", many, now + 1, (), *delay(3, start=1))
        kept.log.add("delay", "2", many, now + 1, (), *delay(3, start=1), role="shadow")
        kept.log.add("fare", "7", fare, now, (), {"at": np.array([5])}, Outputs(values=np.array([2.5])))

    run(kept, add)
    found = log.read(kept.project, "delay", DELAY)
    assert found.ids.tolist() == [one, f"{many}-0", f"{many}-1", f"{many}-2"]
    assert found.keys.tolist() == ["order-1", "", "", ""]
    assert found.rows.columns["distance"].tolist() == [0, 1, 2, 3]
    assert found.rows.columns["carrier"].tolist() == ["UA"] * 4
    np.testing.assert_array_equal(found.rows.outputs.probabilities, delay(4)[1].probabilities)
    assert log.read(kept.project, "delay", DELAY, role="shadow").versions.tolist() == ["2"] * 3
    fares = log.read(kept.project, "fare", FARE)
    assert (fares.ids.tolist(), fares.rows.outputs.values.tolist()) == ([fare], [2.5])
    assert fares.rows.columns["at"].tolist() == [5]
    assert (kept.count("written"), kept.count("written", "fare"), kept.count("dropped")) == (7, 1, 0)


def test_views_with_gaps_are_written_too(kept):
    values = np.arange(8.0).reshape(4, 2)
    columns, outputs = delay(4)
    run(kept, lambda: kept.log.add("delay", "1", new_id(), 1.0, (), columns | {"distance": values[:, 1]}, outputs))
    assert log.read(kept.project, "delay", DELAY).rows.columns["distance"].tolist() == [1, 3, 5, 7]


def test_many_requests_become_several_frames(kept):
    def add():
        for n in range(1200):
            kept.log.add("delay", "1", new_id(), 1.0 + n, (), *delay(1, start=n))
        kept.log.add("delay", "1", new_id(), 5000.0, (), *delay(9000, start=1200))

    run(kept, add)
    [path] = kept.segments()
    assert [len(frame.ids) for frame in segments.read(path).frames] == [1, 500, 500, 200]
    assert log.read(kept.project, "delay", DELAY).rows.columns["distance"].tolist() == list(range(10_200))


def test_a_request_without_rows_is_none(kept):
    run(kept, lambda: kept.log.add("delay", "1", new_id(), 1.0, (), *delay(0)))
    assert kept.segments() == []


def test_traffic_is_summed_by_version(kept):
    before = int(time.time() * 1e6)

    def add():
        for error in (False, True, False):
            kept.log.traffic("delay", "1", 0.5, 2, error)
        kept.log.traffic("delay", "2", 0.25, 1, False)
        kept.log.traffic("unknown", "2", 0.25, 1, False)

    run(kept, add)
    [load] = log.traffic(kept.project, "delay", "1", 0, 2**62)
    assert (load.requests, load.errors, load.seconds, load.rows) == (3, 1, 1.5, 6)
    assert (load.log_seconds, load.log_squares) == pytest.approx((3 * math.log(0.5), 3 * math.log(0.5) ** 2))
    assert before - 5_000_000 < load.start <= load.end <= time.time() * 1e6
    assert not log.traffic(kept.project, "unknown", "2", 0, 2**62)


@pytest.mark.parametrize("logs", ["", "[log]\nenabled = false"])
def test_what_is_not_to_be_logged_is_not(tmp_path, logs):
    kept = Logging(make_project(tmp_path, more=logs))
    run(kept, lambda: kept.log.add("undeclared" if not logs else "delay", "1", new_id(), 1.0, (), *delay(1)))
    assert not (kept.project.state / "log").exists()


def test_private_columns_never_reach_the_disk(tmp_path):
    columns = '[models.delay.columns]\ncarrier = { private = "hash" }\ndistance = { private = "drop" }'
    kept = Logging(make_project(tmp_path, more=columns))
    run(kept, lambda: kept.log.add("delay", "1", new_id(), 1.0, (), *delay(1)))
    [frame] = segments.read(kept.segments()[0]).frames
    assert frame.numbers == {}
    [text] = frame.texts["carrier"]
    assert len(text) == 16
    # As the log would have it: two letters alone come up in a checksum now and then.
    assert b"\x91\xa2UA" not in kept.segments()[0].read_bytes()


def test_a_folder_that_cannot_be_written_drops_and_counts_and_is_tried_again(kept, caplog):
    kept.project.state.mkdir()
    (kept.project.state / "log").write_text("a file in the way")

    async def main():
        for _ in range(3):
            kept.log.add("delay", "1", new_id(), 1.0, (), *delay(2))
            kept.log.traffic("delay", "1", 0.1, 2, False)
            kept.log.flush()
            await asyncio.sleep(0.05)
        assert kept.count("dropped") == 6
        (kept.project.state / "log").unlink()
        kept.log.add("delay", "1", new_id(), 1.0, (), *delay(2))
        kept.log.flush()
        await kept.log.close()

    asyncio.run(main())
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text
    assert (kept.count("dropped"), kept.count("written")) == (6, 2)
    assert len(log.read(kept.project, "delay", DELAY)) == 2


def test_a_frame_that_cannot_be_made_costs_no_other(kept, caplog):
    def add():
        columns, outputs = delay(2)
        kept.log.add("delay", "1", new_id(), 1.0, (), columns, outputs)
        kept.log.add("delay", "1", new_id(), 1.0, (), {"distance": columns["distance"]}, outputs)
        kept.log.add("delay", "2", new_id(), 1.0, (), columns, outputs)

    run(kept, add)
    assert (kept.count("dropped"), kept.count("written")) == (4, 2)  # by frames, which are one a version
    assert "cannot be written" in caplog.text


def test_memory_has_a_bound(kept, monkeypatch):
    monkeypatch.setattr(prediction_log, "_MOST_HELD", 7000)

    def add():
        for _ in range(20):
            kept.log.add("delay", "1", new_id(), 1.0, (), *delay(1))

    run(kept, add)
    assert kept.count("dropped") + kept.count("written") == 20
    assert kept.count("written") == 10


def test_what_is_being_written_counts_in_that_bound(kept, monkeypatch):
    monkeypatch.setattr(prediction_log, "_MOST_HELD", 7000)
    monkeypatch.setattr(prediction_log, "_PAUSE", 0.3)

    def add():
        kept.log.add("delay", "1", new_id(), 1.0, (), *delay(50))  # more than half of it
        return kept.count("dropped")

    async def main():
        assert add() == 0
        kept.log.flush()
        assert add() == 50  # the disk is slow
        while kept.count("written") < 50:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        assert add() == 50
        kept.log.flush()
        await kept.log.close()

    asyncio.run(main())
    assert (kept.count("written"), kept.count("dropped")) == (100, 50)


def test_texts_of_tables_count_in_that_bound(kept, monkeypatch):
    monkeypatch.setattr(prediction_log, "_MOST_HELD", 1_000_000)
    review = "x" * 10_000

    def add():
        for rows in (1, 10):
            for _ in range(20):
                columns, outputs = delay(rows)
                columns["carrier"] = np.array([review] * rows, object)
                kept.log.add("delay", "1", new_id(), 1.0, (), columns, outputs)

    run(kept, add)
    assert (kept.count("written"), kept.count("dropped")) == (20 + 70, 130)


def test_long_texts_count_in_that_bound_and_are_written_in_frames_of_a_few_megabytes(kept, monkeypatch):
    monkeypatch.setattr(prediction_log, "_MOST_HELD", 9_500_000)
    text = "x" * 990_000

    def add():
        for _ in range(20):
            columns, outputs = delay(1)
            columns["carrier"] = np.array([text], object)
            kept.log.add("delay", "1", new_id(), 1.0, (), columns, outputs)

    run(kept, add)
    assert (kept.count("written"), kept.count("dropped")) == (9, 11)
    frames = [frame for path in kept.segments() for frame in segments.read(path).frames]
    assert [len(frame.ids) for frame in frames] == [4, 4, 1]


def test_a_killed_worker_loses_at_most_its_last_moment(tmp_path):
    folder = str(Path(__file__).parent.parent)
    child = subprocess.Popen([sys.executable, "-c", LOG_WITHOUT_END, tmp_path, folder], stdout=subprocess.PIPE)
    added, end = 0, time.monotonic() + 1.0
    while time.monotonic() < end or added < 2000:
        added = int(child.stdout.readline())
    time.sleep(0.5)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    found = log.read(make_project(tmp_path), "delay", DELAY)
    assert len(found) >= added
    assert [int(id_[-12:], 16) for id_ in found.ids] == list(range(len(found)))

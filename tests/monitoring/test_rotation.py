import secrets
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mainspring.errors import DataError, MissingExtraError
from mainspring.files import write_atomically
from mainspring.monitoring import log, rotation, segments
from mainspring.monitoring.segments import Load, SegmentWriter, TrafficFrame
from mainspring.monitoring.stores import Store

from .logged import SCHEMA, make_entry, make_project, write, write_feedback


def ids(project, **choice):
    return log.read(project, "delay", SCHEMA, **choice).ids.tolist()


@pytest.fixture(params=["default", "folder", "file", "memory"])
def stored(request, tmp_path):
    """Projects with every kind of store."""
    if request.param == "memory":
        pytest.importorskip("fsspec")
    store = {
        "default": "",
        "folder": 'store = "kept"',
        "file": f'store = "file://{tmp_path / "kept"}"',
        "memory": f'store = "memory://{tmp_path.name}"',
    }[request.param]
    return make_project(tmp_path, store)


def test_what_is_read_is_the_same_before_and_after(stored):
    seen = time.time() - 60
    first, other = make_entry(9, seen=seen, keys=[f"k{n}" for n in range(9)]), make_entry(seen=seen + 1, version="2")
    write(stored, first, make_entry(seen=seen + 2, start=20))
    write(stored, other)
    write_feedback(stored, (f"{first.prediction}-3", "", True), ("", "k4", False))
    writer = SegmentWriter(segments.folder(stored.state, "delay"))
    load = Load("1", int(seen * 1e6), int(seen * 1e6) + 10, 3, 1, 0.5, -5.4, 9.7, 4)
    writer.append(TrafficFrame([load]))
    writer.close()
    before = log.read(stored, "delay", SCHEMA, version="1")
    done = rotation.rotate(stored)
    assert (done.segments, done.rows, done.damaged, done.deleted) == (4, 11, 0, 0)
    assert segments.segments(segments.folder(stored.state, "delay")) == []
    after = log.read(stored, "delay", SCHEMA, version="1")
    assert after.ids.tolist() == before.ids.tolist()
    assert after.keys.tolist() == before.keys.tolist()
    for name, values in before.rows.columns.items():
        np.testing.assert_array_equal(after.rows.columns[name], values)
        assert after.rows.columns[name].dtype == values.dtype
    np.testing.assert_array_equal(after.rows.truth, before.rows.truth)
    np.testing.assert_array_equal(after.rows.time, before.rows.time)
    np.testing.assert_array_equal(after.rows.outputs.probabilities, before.rows.outputs.probabilities)
    np.testing.assert_array_equal(after.rows.outputs.labels, before.rows.outputs.labels)
    assert after.joined == before.joined
    assert after.joined.labelled == 2
    assert ids(stored, version="2") == [other.prediction]
    assert log.traffic(stored, "delay", "1", 0, 2**62) == [load]
    assert rotation.rotate(stored) == rotation.Rotated(0, 0, 0, 0)


def test_other_tools_read_the_folder(tmp_path):
    import pyarrow.dataset as ds

    project = make_project(tmp_path)
    write(project, make_entry(3))
    rotation.rotate(project)
    found = ds.dataset(project.state / "log" / "delay" / "predictions", partitioning="hive").to_table()
    assert {"id", "time", "version", "input.distance", "output.label", "date"} <= set(found.column_names)
    assert found["time"].type == pa.timestamp("us", tz="UTC")
    assert found["input.departs_at"].null_count == 1


def test_an_open_segment_is_let_alone(tmp_path):
    project = make_project(tmp_path)
    writer = SegmentWriter(segments.folder(project.state, "delay"))
    write(project, make_entry(), writer=writer)
    assert rotation.rotate(project).segments == 0
    write(project, make_entry(), writer=writer)
    writer.close()
    assert rotation.rotate(project).rows == 2
    assert len(ids(project)) == 2


def test_a_kill_between_storing_and_deleting_counts_nothing_twice(tmp_path):
    project = make_project(tmp_path)
    write(project, make_entry(3))
    [path] = segments.segments(segments.folder(project.state, "delay"))
    copy = tmp_path / "copy"
    shutil.copy(path, copy)
    rotation.rotate(project)
    shutil.copy(copy, path)
    assert len(ids(project)) == 3
    rotation.rotate(project)
    assert len(ids(project)) == 3
    assert len(Store.of(project).files()) == 1


def test_the_torn_end_of_a_killed_worker_is_dropped(tmp_path):
    project = make_project(tmp_path)
    write(project, make_entry())
    [path] = segments.segments(segments.folder(project.state, "delay"))
    with path.open("ab") as file:
        file.write(b"MSL1\xff")
    assert rotation.rotate(project).damaged == 0
    assert len(ids(project)) == 1


def test_a_corrupt_segment_is_moved_aside_and_its_good_frames_are_kept(tmp_path, caplog):
    project = make_project(tmp_path)
    write(project, make_entry())
    [path] = segments.segments(segments.folder(project.state, "delay"))
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    write(project, make_entry())
    done = rotation.rotate(project)
    assert (done.segments, done.rows, done.damaged) == (2, 2, 1)
    assert path.with_name(path.name + ".damaged").exists()
    assert "moved aside" in caplog.text
    assert len(ids(project)) == 2


def test_too_old_goes(tmp_path):
    project = make_project(tmp_path, 'keep = "1d"')
    write(project, make_entry())
    write_feedback(project, ("", "k", True))
    assert rotation.rotate(project).deleted == 0
    assert len(ids(project)) == 1
    assert rotation.rotate(project, now=time.time() + 2 * 86_400).deleted == 2
    assert ids(project) == []


def test_too_much_goes_oldest_first(tmp_path):
    small = make_project(tmp_path, 'keep_size = "20kB"')
    entries = [make_entry(100) for _ in range(6)]
    for entry in entries:
        write(small, entry)
        time.sleep(0.001)
    done = rotation.rotate(small)
    files = Store.of(small).files()
    assert 0 < done.deleted < 6
    assert sum(file.size for file in files) <= 20_000
    kept = [id_.rpartition("-")[0] for id_ in ids(small)]
    assert set(kept) == {entry.prediction for entry in entries[done.deleted :]}


def test_long_texts_end_segments_and_count_in_what_is_kept(tmp_path):
    small = make_project(tmp_path, 'keep_size = "400kB"')
    writer = SegmentWriter(segments.folder(small.state, "delay"), size=200_000)
    entries = [make_entry(seen=time.time() + n) for n in range(6)]
    for entry in entries:
        entry.columns["carrier"][:] = secrets.token_hex(100_000)  # 200 kB, which Parquet packs into half
        write(small, entry, writer=writer)
    writer.close()
    assert len(segments.segments(segments.folder(small.state, "delay"))) == 6
    assert rotation.rotate(small).segments == 6
    files = Store.of(small).files()
    assert 0 < len(files) < 6
    assert sum(file.size for file in files) <= 400_000
    assert ids(small) == [entry.prediction for entry in entries[-len(files) :]]


def test_a_store_that_cannot_be_written_loses_nothing(tmp_path):
    project = make_project(tmp_path, 'store = "kept"')
    (tmp_path / "kept").write_text("a file")
    write(project, make_entry())
    with pytest.raises(DataError, match=r"\[log\] store"):
        rotation.rotate(project)
    Path(tmp_path / "kept").unlink()
    assert rotation.rotate(project).rows == 1
    assert len(ids(project)) == 1


def test_a_store_that_nobody_knows_is_told(tmp_path):
    with pytest.raises((DataError, MissingExtraError), match="fsspec"):
        Store.of(make_project(tmp_path, 'store = "nosuch://place"'))


def test_files_of_others_are_let_alone(tmp_path):
    project = make_project(tmp_path, 'store = "kept"\nkeep = "1s"')
    write_atomically(tmp_path / "kept" / "delay" / "predictions" / "mine.parquet", b"mine")
    rotation.rotate(project, now=time.time() + 1000)
    assert (tmp_path / "kept" / "delay" / "predictions" / "mine.parquet").exists()


def test_a_segment_that_makes_no_table_is_moved_aside_and_holds_up_no_other(tmp_path, caplog):
    project = make_project(tmp_path)
    writer = SegmentWriter(segments.folder(project.state, "delay"))
    writer.append(segments.PredictionFrame("1", "live", ["a"], b"\0", b"\0", [], {}, {}, {}, values=b""))
    writer.close()
    time.sleep(0.001)
    write(project, make_entry())
    done = rotation.rotate(project)
    assert (done.rows, done.damaged) == (1, 1)
    assert "moved aside" in caplog.text

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from mainspring.monitoring import log, retention, rotation, segments
from mainspring.monitoring.segments import SegmentWriter
from mainspring.monitoring.stores import Store

from .logged import SCHEMA, make_entry, make_project, write

DAY = 86_400


def ids(project):
    return [id_.rpartition("-")[0] for id_ in log.read(project, "delay", SCHEMA).ids]


def paths(project):
    return segments.segments(segments.folder(project.state, "delay"))


def forget_the_last_time(project):
    """As if it was long ago."""
    os.utime(project.state / "log" / ".retained", (time.time() - 400,) * 2)


def test_too_old_goes(tmp_path):
    project = make_project(tmp_path, 'keep = "1d"')
    write(project, make_entry())
    assert retention.retain(project) == 0
    forget_the_last_time(project)
    assert retention.retain(project, now=time.time() + 2 * DAY) == 1
    assert ids(project) == []
    assert paths(project) == []


def test_too_much_goes_oldest_first(tmp_path):
    project = make_project(tmp_path, 'keep_size = "20kB"')
    entries = [make_entry(100) for _ in range(6)]
    for entry in entries:
        write(project, entry)
        time.sleep(0.001)
    deleted = retention.retain(project)
    assert 0 < deleted < 6
    assert sum(path.stat().st_size for path in paths(project)) <= 20_000
    assert set(ids(project)) == {entry.prediction for entry in entries[deleted:]}


def test_what_was_stored_on_this_machine_counts_and_goes_first(tmp_path):
    for store in ("", 'store = "kept"'):
        project = make_project(tmp_path / (store and "own"), store)
        write(project, make_entry(100))
        rotation.rotate(project)
        assert len(ids(project)) == 100
        entry = make_entry(100)
        write(project, entry)
        [path], [file] = paths(project), Store.of(project).files()
        both = path.stat().st_size + file.size
        forget_the_last_time(project)
        full = make_project(project.folder, f'{store}\nkeep_size = "{both}B"')
        assert retention.retain(full) == 0
        forget_the_last_time(project)
        assert retention.retain(make_project(project.folder, f'{store}\nkeep_size = "{both - 1}B"')) == 1
        assert Store.of(project).files() == []
        assert set(ids(project)) == {entry.prediction}


def test_an_open_segment_counts_and_is_let_alone(tmp_path):
    project = make_project(tmp_path, 'keep_size = "1B"')
    writer = SegmentWriter(segments.folder(project.state, "delay"))
    write(project, make_entry(), writer=writer)
    assert retention.retain(project) == 0
    writer.close()
    forget_the_last_time(project)
    assert retention.retain(project) == 1


def test_where_a_controller_stores_segments_nothing_is_done(tmp_path):
    project = make_project(tmp_path, 'keep_size = "1B"')
    rotation.rotate(project)
    write(project, make_entry())
    assert retention.retain(project) == 0
    forget_the_last_time(project)  # the controller ended, or its store does not answer
    assert retention.retain(project) == 1


def test_of_several_workers_one_does_it(tmp_path):
    project = make_project(tmp_path, 'keep_size = "1B"')
    for _ in range(50):
        write(project, make_entry())
    together = threading.Barrier(4)

    def one(_):
        together.wait()
        return retention.retain(project)

    with ThreadPoolExecutor(4) as workers:
        assert sorted(workers.map(one, range(4))) == [0, 0, 0, 50]


def test_a_project_that_never_logged_gets_no_folder(tmp_path):
    project = make_project(tmp_path)
    assert retention.retain(project) == 0
    assert not project.state.exists()


def test_a_damaged_segment_goes_when_it_is_too_old(tmp_path):
    project = make_project(tmp_path)
    write(project, make_entry())
    [path] = paths(project)
    path.write_bytes(b"\0" * 100)
    assert rotation.rotate(project).damaged == 1
    forget_the_last_time(project)
    retention.retain(project)
    assert path.with_name(path.name + ".damaged").exists()
    forget_the_last_time(project)
    retention.retain(project, now=time.time() + 100 * DAY)
    assert not path.with_name(path.name + ".damaged").exists()

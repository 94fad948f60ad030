import shutil
import threading

import pytest
from projects import wait_until

from mainspring.monitoring import segments
from mainspring.monitoring.segments import Load, SegmentWriter, TrafficFrame
from mainspring.serving import log_retention

from .conftest import Served, make_project


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A service whose bound is passed already, by a segment of before."""
    monkeypatch.setattr(log_retention, "_SECONDS_BETWEEN", 0.05)
    project = make_project(tmp_path, more='[log]\nkeep_size = "1B"')
    writer = SegmentWriter(segments.folder(project.state, "delay"))
    writer.append(TrafficFrame([Load("1", 0, 1, 1, 0, 0.1, 0.0, 0.0, 1)]))
    writer.close()
    running = Served(project)
    yield running
    running.stop()


def test_a_service_without_a_controller_keeps_to_the_bound(served):
    wait_until(lambda: not segments.segments(segments.folder(served.state, "delay")), "the old segment to go")


def test_what_goes_wrong_is_said_once_and_ends_nothing(served, caplog):
    wait_until((served.state / "log" / ".retained").exists, "the first turn")
    shutil.rmtree(served.state / "log")
    (served.state / "log" / ".retention.lock").mkdir(parents=True)
    wait_until(lambda: "cannot be kept within" in caplog.text, "the complaint")
    (served.state / "log" / ".retention.lock").rmdir()
    wait_until((served.state / "log" / ".retained").exists, "the next turn")
    assert caplog.text.count("cannot be kept within") == 1


def test_it_ends_with_the_service(tmp_path):
    before = set(threading.enumerate())
    running = Served(make_project(tmp_path))
    (thread,) = (one for one in set(threading.enumerate()) - before if one.name == "log-retention")
    running.stop()
    thread.join(10)
    assert not thread.is_alive()

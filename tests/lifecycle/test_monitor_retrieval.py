"""Searches of a real index, as the gateway notes them, and documents on the disk: what the monitor makes of both."""

from __future__ import annotations

import asyncio
import random
import time

import msgspec
import numpy as np
import pytest
from handbooks import make_project, publish_handbook
from prometheus_client import CollectorRegistry, Counter

from mainspring.cli import cli
from mainspring.data.documents.collection import collect
from mainspring.lifecycle.due import ended_by_a_fit
from mainspring.lifecycle.indexes import open_index
from mainspring.lifecycle.monitor import Monitor
from mainspring.lifecycle.search_log import QuestionEmbedder
from mainspring.monitoring import documents, profiles, summary
from mainspring.monitoring.retrieval import QUESTION, profile_of
from mainspring.registry import history, versions
from mainspring.serving.ids import new_id
from mainspring.serving.prediction_log import PredictionLog
from mainspring.serving.retrieval.rows import Row

WATCH = "monitor = { window = 60, rows = 60 }"
BAGGAGE = ["bag", "cabin", "violin", "cello", "kg", "seat", "half", "fare", "instruments", "measures", "goes"]
PETS = ["cats", "dogs", "small", "closed", "bag", "under", "travel", "seat", "front", "pets"]


def questions(words, count, seed):
    draw = random.Random(seed)
    return [" ".join(draw.sample(words, 4)) + "?" for _ in range(count)]


def search(project, asked, version="1"):
    """Search for each question, and note it as the gateway does."""
    registry = CollectorRegistry()
    counters = [Counter(name, name, ("model",), registry=registry) for name in ("dropped", "written")]
    loaded = versions.load(project.state, "handbook", version)
    searched = []

    class Loaded:
        model, name = "handbook", version

    async def run():
        index, log = await open_index(project.state, loaded), PredictionLog(project, *counters)
        for question in asked:
            searched.append(await index(question, 3))
            Row(new_id(), time.time(), "").write(log, Loaded, question, searched[-1])
        await log.close()
        await index.close()

    asyncio.run(run())
    return searched


def look(project):
    """What a monitor that was just started sees, when all is in the log."""
    return Monitor(project, "handbook").look(time.time_ns() // 1000 + 10_000_000)


def names(alarms):
    return {alarm.finding.name for alarm in alarms}


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "airdesk", handbook=WATCH)


def test_without_questions_the_first_window_is_what_later_ones_are_compared_with(project):
    search(project, questions(BAGGAGE, 60, 1))
    assert look(project).reports == []
    kept = summary.folder(project.state, "handbook") / "reference-1"
    before = profiles.read(kept).sample["vector"]
    search(project, questions(BAGGAGE, 60, 2))
    calm = look(project)
    assert [report.rows for report in calm.reports] == [60]
    assert {finding.name for finding in calm.reports[0].findings} == {QUESTION, "score", "gap", "empty"}
    assert calm.alarms == []
    search(project, questions(PETS, 120, 3))
    moved = look(project)
    assert QUESTION in names(moved.alarms)
    np.testing.assert_array_equal(profiles.read(kept).sample["vector"], before)


def test_the_reference_of_a_version_is_that_of_its_development_questions(project):
    asked = questions(BAGGAGE, 80, 4)
    searched = search(project, asked)
    vectors = QuestionEmbedder(project.state, versions.load(project.state, "handbook", "1"))(asked)
    publish_handbook(project, more=lambda staged: profiles.save(profile_of(vectors, searched), staged))
    search(project, questions(PETS, 120, 5), version="2")
    turn = look(project)
    assert len(turn.reports) == 2  # the first window, too, for the reference was there before
    assert QUESTION in names(turn.alarms)


def test_private_questions_are_not_embedded_and_their_searches_are_watched(tmp_path):
    project = make_project(tmp_path / "airdesk", handbook=f'{WATCH}\nprivate = "hash"')
    search(project, questions(BAGGAGE, 60, 1))
    look(project)
    kept = profiles.read(summary.folder(project.state, "handbook") / "reference-1")
    assert not len(kept.sample["vector"])
    search(project, questions(PETS, 60, 2))
    assert {finding.name for finding in look(project).reports[0].findings} == {"score", "gap", "empty"}


def test_documents_that_changed_are_an_alarm_until_they_are_as_before(project, capsys):
    publish_handbook(project, more=lambda staged: documents.save(collect(project, "handbook"), staged))
    assert look(project).alarms == []
    page = project.folder / "handbook" / "pets.md"
    before = page.read_text()
    page.write_text(before + "\nBirds do not travel in the cabin.\n")
    [alarm] = look(project).alarms
    told = "of 3 documents 1 changed (handbook/pets.md) since they were indexed"
    assert alarm.message == told
    assert look(project).alarms == [alarm]  # the same, and since when
    cli.main(["drift", "handbook", "--project", str(project.folder)], standalone_mode=False)
    assert told in " ".join(capsys.readouterr().out.split())
    assert [line.message for line in summary.read(project.state, "handbook").alarms] == [told]
    page.write_text(before)
    assert look(project).alarms == []
    events = [event.kind for event in history.read(project.state, "handbook") if event.kind in ("alarm", "calm")]
    assert events == ["alarm", "calm"]


def test_of_alarms_a_fit_ends_only_that_documents_changed_and_not_while_they_do(project):
    publish_handbook(project, more=lambda staged: documents.save(collect(project, "handbook"), staged))
    (project.folder / "handbook" / "new.md").write_text("# New\n\nSomething new.\n")
    monitor = Monitor(project, "handbook")
    alarms = monitor.look().alarms
    assert not monitor.settled
    assert ended_by_a_fit(alarms, settled=True) == alarms
    assert ended_by_a_fit(alarms, settled=False) == []
    finding = msgspec.structs.replace(alarms[0].finding, subject="questions")
    assert ended_by_a_fit([msgspec.structs.replace(alarms[0], finding=finding)], settled=True) == []

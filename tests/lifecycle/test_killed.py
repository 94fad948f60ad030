"""A fit that is killed at any point leaves the earlier champion live, and no half version."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mainspring.lifecycle import promote
from mainspring.lifecycle.fit import fit
from mainspring.lifecycle.follow import follow_once
from mainspring.registry import desired, history, tracking, versions

KILLS = 8


class Forks:
    """The process of `forks`."""

    def __init__(self, start):
        script = str(Path(__file__).with_name("forks.py"))
        self.process = start(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout.readline() == "ready\n"

    def fit(self, project, kill_after=None):
        """The fit's exit code and how long it ran; it is killed after so many seconds."""
        self.process.stdin.write(json.dumps(["fit", "--project", str(project.folder)]) + "\n")
        self.process.stdin.flush()
        child, began = int(self.process.stdout.readline()), time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it was quicker than the one that was measured
                os.kill(child, signal.SIGKILL)
        return int(self.process.stdout.readline()), time.monotonic() - began


def assert_sound(project, champions, made):
    """Every version that there is, is whole; one of `champions` is live; MLflow agrees, or is about to be told."""
    live = desired.read(project.state).champion("late")
    assert live in champions
    names = versions.names(project.state, "late")
    assert names in made
    assert live in names
    for name in names:
        version = versions.load(project.state, "late", name)
        version.verify()
        version.golden()
    events = [event for event in history.read(project.state, "late") if event.kind == "promote"]
    assert [event.version for event in events][:2] == ["1", "2"]


@pytest.mark.slow
def test_a_fit_killed_at_any_moment_can_be_fitted_again(poor, copy_of, start):
    forks = Forks(start)
    code, whole = forks.fit(copy_of(poor))
    assert code == 0
    draw, found = random.Random(11), []
    for kill in range(KILLS):
        project = copy_of(poor)
        code, _ = forks.fit(project, kill_after=whole * (kill + draw.random()) / KILLS)
        assert code in (-signal.SIGKILL, 0)
        assert_sound(project, ["2", "3"], [["1", "2"], ["1", "2", "3"]])
        found.append(desired.read(project.state).champion("late"))
        # The next fit carries it to its end, or does it anew, and then there is nothing left to do.
        [result] = fit(project)
        assert result.outcome == ("promoted" if found[-1] == "2" else "unchanged"), (kill, result.message)
        assert_sound(project, ["3"], [["1", "2", "3"]])
        assert tracking.connect(project).champion("late") == "3"
        assert not list(versions.models_folder(project.state, "late").glob(".staging*"))
        shutil.rmtree(project.folder)
    assert "2" in found, "no kill came before the promotion: the test tests nothing"


@pytest.mark.slow
def test_a_real_command_killed_on_the_way(poor, copy_of, start):
    project = copy_of(poor)
    command = ("-m", "mainspring.cli", "fit", "--project", str(project.folder))
    process = start(*command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    while "trying candidates" not in process.stderr.readline():
        assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert_sound(project, ["2"], [["1", "2"]])
    assert fit(project)[0].outcome == "promoted"


def test_a_fit_killed_between_publication_and_promotion_is_carried_to_its_end(poor, copy_of):
    """The state after such a kill: the folder of version 3 is there, and nobody was told of it."""
    done, killed = copy_of(poor), copy_of(poor)
    assert fit(done)[0].outcome == "promoted"
    shutil.copytree(done.state / "models" / "late" / "3", killed.state / "models" / "late" / "3")
    assert_sound(killed, ["2"], [["1", "2", "3"]])
    stamp = (killed.state / "models" / "late" / "3" / "model.onnx").stat().st_mtime_ns
    [result] = fit(killed)
    assert (result.outcome, result.version) == ("promoted", "3")
    assert_sound(killed, ["3"], [["1", "2", "3"]])
    assert tracking.connect(killed).champion("late") == "3"
    assert (killed.state / "models" / "late" / "3" / "model.onnx").stat().st_mtime_ns == stamp  # it was not made anew
    assert fit(killed)[0].outcome == "unchanged"


def test_a_promotion_killed_after_the_alias_is_carried_to_its_end(poor, copy_of):
    project = copy_of(poor)
    tracking.connect(project).set_alias("late", tracking.CHAMPION, "1")
    assert desired.read(project.state).champion("late") == "2"
    assert follow_once(project, tracking.connect(project), "late")
    assert desired.read(project.state).champion("late") == "1"
    assert not follow_once(project, tracking.connect(project), "late")


def test_a_promotion_killed_before_it_was_noted_is_noted(poor, copy_of):
    """Negative: one that is noted is not noted again. Were it never, `rollback` would go back one version too far."""
    project = copy_of(poor)
    desired.set_champion(project.state, "late", "1")
    assert promote.complete(project, "late")
    last = history.read(project.state, "late")[-1]
    assert (last.kind, last.version, last.data["before"]) == ("promote", "1", "2")
    assert history.previous_champion(project.state, "late", "1") == "2"
    assert not promote.complete(project, "late")
    assert history.read(project.state, "late")[-1] == last


def test_a_promotion_writes_a_damaged_desired_state_anew(poor, copy_of):
    project = copy_of(poor)
    desired.path(project.state).write_bytes(b'{"revision": 7, "mod')
    promote.promote(project, "late", "1", reason="by hand")
    assert desired.read(project.state).champion("late") == "1"
    assert history.read(project.state, "late")[-1].data["before"] == "2"


def test_what_was_published_against_another_champion_is_not_promoted_later(poor, copy_of):
    """Negative: version 3 won against version 2; meanwhile somebody made version 1 champion."""
    done, killed = copy_of(poor), copy_of(poor)
    fit(done)
    shutil.copytree(done.state / "models" / "late" / "3", killed.state / "models" / "late" / "3")
    promote.promote(killed, "late", "1", reason="by hand")
    assert fit(killed)[0].outcome == "unchanged"
    assert desired.read(killed.state).champion("late") == "1"

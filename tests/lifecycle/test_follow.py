from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import time

import pytest
from projects import TOML, champion, wait_until

from mainspring import spec
from mainspring.lifecycle import promote
from mainspring.registry import history, tracking, versions

pytest.importorskip("mlflow")
from mlflow import MlflowClient

pytestmark = pytest.mark.slow


@pytest.fixture
def project(spoilt, copy_of):
    """Versions 1 (live) and 2."""
    return copy_of(spoilt)


def move(project, model, version):
    """What any user of MLflow can do."""
    uri = tracking.tracking_uri(project)
    MlflowClient(uri, uri).set_registered_model_alias(model, "champion", version)


def follower(start, project):
    """The process, once it follows: it carries over a first move."""
    process = start("-m", "mainspring.lifecycle", str(project.folder), stderr=subprocess.PIPE)
    move(project, "late", "2")
    wait_until(lambda: champion(project) == "2", "the follower to start", 60)
    return process


def test_an_alias_moved_in_mlflow_changes_desired_state_within_two_seconds(project, start):
    process = follower(start, project)
    seconds = []
    for version in ("1", "2", "1"):
        move(project, "late", version)
        began = time.monotonic()
        wait_until(lambda version=version: champion(project) == version, "the alias to be followed", 5)
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 2  # a busy machine may be late once, and not each time
    wait_until(lambda: history.read(project.state, "late")[-1].version == "1", "the event, which is written last")
    last = history.read(project.state, "late")[-1]
    assert (last.kind, last.detail) == ("promote", "the alias champion was moved in MLflow")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "Traceback" not in process.stderr.read()


def test_what_cannot_be_carried_over_is_told_and_holds_up_nothing(project, start):
    """The alias of `first` is on a version that Mainspring did not make, that of `late` on a damaged one."""
    uri = tracking.tracking_uri(project)
    client = MlflowClient(uri, uri)
    models = TOML[TOML.index("[models") :]
    toml = TOML[: TOML.index("[models")] + "".join(
        models.replace("late]", f"{name}]") for name in ("first", "late", "third")
    )
    (project.folder / "mainspring.toml").write_text(toml)
    project = spec.load(project.folder)
    for name in ("first", "third"):
        shutil.copytree(project.state / "models" / "late", project.state / "models" / name)
        for manifest in (project.state / "models" / name).glob("*/manifest.json"):
            manifest.write_text(manifest.read_text().replace('"model": "late"', f'"model": "{name}"'))
    client.create_registered_model("first")
    client.create_model_version("first", source="file:///elsewhere")
    promote.promote(project, "third", "1", reason="by hand")
    tracking.connect(project).record(versions.load(project.state, "third", "2"))
    process = follower(start, project)
    path = versions.load(project.state, "late", "1").file("model.onnx")
    path.write_bytes(b"damage")

    move(project, "first", "1")
    move(project, "late", "1")
    move(project, "third", "2")
    wait_until(lambda: champion(project, "third") == "2", "the model that is well", 15)
    time.sleep(1.2)
    assert (champion(project, "first"), champion(project, "late")) == (None, "2")
    process.terminate()
    assert process.wait(10) == 0
    said = process.stderr.read()
    assert said.count("which Mainspring did not make") == 1  # once, and not twice a second
    assert said.count("model.onnx is damaged") == 1


def test_a_store_that_does_not_answer_is_asked_again(project, start):
    holder = sqlite3.connect(project.state / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    process = start("-m", "mainspring.lifecycle", str(project.folder), stderr=subprocess.PIPE)
    said = process.stderr.readline()
    assert "MLflow at sqlite:///" in said
    assert "locked" in said
    assert champion(project) == "1"
    holder.close()
    move(project, "late", "2")
    wait_until(lambda: champion(project) == "2", "the follower to find the store", 20)

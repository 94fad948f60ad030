"""A gateway with language models whose engines are `reciter`s in a process of their own, as in production."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from projects import wait_until

from mainspring import spec
from mainspring.processes import in_child
from mainspring.registry import desired, versions
from mainspring.registry.versions import Lineage, Manifest
from mainspring.runtimes.language.sockets import socket_path
from mainspring.schema import Column, Schema, Target
from serving.conftest import Served
from serving.graphs import DELAY, DELAY_RECORD
from serving.graphs import publish as publish_table

from . import reciter

TOML = """
[project]
name = "airdesk"

[serving]
{serving}

[models.delay]
task = "classification"
data = "flights.csv"
target = "late"

[models.desk]
task = "chat"
base = "smollm2-135m-instruct"
{desk}

[models.writer]
task = "completion"
base = "smollm2-135m-instruct"

[models.vectors]
task = "embedding"
base = "all-minilm-l6-v2"
"""
TASKS = {"desk": "chat", "writer": "completion", "vectors": "embedding"}


def publish(state, model):
    """A version without golden examples."""
    with versions.staging(state, model) as staged:
        (staged / versions.GOLDEN).write_text('{"records": [], "answers": [], "tolerance": 0}')
        manifest = Manifest(
            project="airdesk",
            model=model,
            version=versions.next_name(state, model),
            task=TASKS[model],
            created="2026-01-01T00:00:00+00:00",
            schema=Schema((Column("messages", "text"),), Target("answer")),
            lineage=Lineage("d", "s", "c", 0, 0, 0, {}, 0, "3.11", {}),
            candidate="reciter",
            parameters={},
            metric="",
            metrics={},
            parity={},
            verdict={},
        )
        return versions.publish(staged, manifest)


class Languages(Served):
    """A gateway, and the process of its engines, which may be killed."""

    def __init__(self, folder, serving="", models=("desk", "writer", "vectors"), desk=""):
        folder.mkdir(parents=True)
        (folder / "mainspring.toml").write_text(TOML.format(serving=serving, desk=desk))
        project = spec.load(folder)
        self.models = models
        self.diary_file = folder / "diary"
        self.state = project.state
        publish_table(project.state, "delay", DELAY, DELAY_RECORD)
        desired.set_champion(project.state, "delay", "1")
        for model in models:
            publish(project.state, model)
            desired.set_champion(project.state, model, "1")
        self.begin_engines()
        super().__init__(project)
        self.openai = openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=20)

    def begin_engines(self):
        sockets = [str(part) for model in self.models for part in (model, socket_path(self.state, model, "1"))]
        self.engines = subprocess.Popen(
            [sys.executable, "-c", reciter.HOST, str(self.diary_file), *sockets],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            preexec_fn=in_child(),
        )

    @contextmanager
    def another_engine(self, model, version):
        """One more engine, of a version that was published later."""
        arguments = [str(self.diary_file), model, str(socket_path(self.state, model, version))]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        engine = subprocess.Popen([sys.executable, "-c", reciter.HOST, *arguments], env=environment)
        try:
            yield
        finally:
            engine.kill()
            engine.wait()

    def end_engines(self):
        self.engines.kill()
        self.engines.wait()

    def stop(self):
        self.openai.close()
        try:
            super().stop()
        finally:
            self.end_engines()

    def diary(self):
        return Path(self.diary_file).read_text().splitlines() if Path(self.diary_file).exists() else []

    def noted(self, line):
        wait_until(lambda: line in self.diary(), f"{line!r} in the engine's diary")

    def ask(self, text="one two three", path="/v1/chat/completions", **more):
        """As httpx's answer."""
        body = {"model": "desk", "messages": [{"role": "user", "content": text}], **more}
        return self.client.post(path, json={name: value for name, value in body.items() if value is not ...})


@pytest.fixture(scope="session")
def languages(tmp_path_factory):
    """Nothing that a test may change."""
    served = Languages(tmp_path_factory.mktemp("languages") / "airdesk")
    yield served
    served.stop()


@pytest.fixture
def start_languages(tmp_path):
    """Makes a gateway of a test's own: `start_languages("queue = 1")`."""
    running = []

    def begin(serving="", models=("desk",), desk=""):
        running.append(Languages(tmp_path / f"project{len(running)}", serving, models, desk))
        return running[-1]

    yield begin
    for served in running:
        served.stop()

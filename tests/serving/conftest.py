import io
import json
import socket
import threading
import time

import httpx
import pytest
from projects import wait_until

from mainspring import spec
from mainspring.registry import desired
from mainspring.serving.gateway import Gateway
from mainspring.serving.server import GatewayServer

from .graphs import DELAY, DELAY_RECORD, FARE, FARE_RECORD, STARS, STARS_RECORD, publish

TOML = """
[project]
name = "airdesk"

[serving]
{serving}

[models.delay]
task = "classification"
data = "flights.csv"
target = "late"

[models.stars]
task = "classification"
data = "hotels.csv"
target = "stars"

[models.fare]
task = "regression"
data = "fares.csv"
target = "fare"

{more}
"""
MODELS = (("delay", DELAY, DELAY_RECORD), ("stars", STARS, STARS_RECORD), ("fare", FARE, FARE_RECORD))


def make_project(folder, serving="", more=""):
    """Three models; keys of `[serving]`, and more tables, as TOML text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mainspring.toml").write_text(TOML.format(serving=serving, more=more))
    return spec.load(folder)


def publish_all(state):
    for model, schema, record in MODELS:
        version = publish(state, model, schema, record)
        desired.set_champion(state, model, version.name)


class Served:
    """A gateway on a real port, in a thread."""

    def __init__(self, project):
        self.project, self.state = project, project.state
        self.log = io.BytesIO()
        self.gateway = Gateway(project, self.log)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = GatewayServer(self.gateway)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        wait_until(lambda: self.server.started, "the server to start")
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def stop(self):
        self.client.close()
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.socket.close()

    def log_lines(self):
        time.sleep(0.3)
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def predict(self, model="delay", record=DELAY_RECORD, **options):
        return self.client.post(f"/models/{model}/predict", json=record, **options)


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """Three models, and nothing that a test may change."""
    project = make_project(tmp_path_factory.mktemp("project"))
    publish_all(project.state)
    served = Served(project)
    yield served
    served.stop()


@pytest.fixture
def serve(tmp_path):
    """Makes a gateway of a test's own: `serve("queue = 1")`, with what is published before."""
    running = []

    def start(serving="", publish=publish_all):
        project = make_project(tmp_path / f"project{len(running)}", serving)
        if publish:
            publish(project.state)
        running.append(Served(project))
        return running[-1]

    yield start
    for served in running:
        served.stop()

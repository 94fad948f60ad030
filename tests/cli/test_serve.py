"""From `init` to answers over HTTP, with real processes."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import time

import httpx
import pytest
from projects import respecify, wait_until

from mainspring import spec
from mainspring.registry import tracking, versions

ORDER = {
    "ordered_at": "2026-01-03T10:00:00",
    "category": "clothes",
    "price": 120.0,
    "items": 3,
    "new_customer": True,
    "delivery_days": 4,
}


class Service:
    """A running `mainspring serve` or `up`."""

    def __init__(self, start, *arguments):
        self.process = start("-m", "mainspring.cli", *map(str, arguments), "--port", "0", stderr=subprocess.PIPE)
        self.said = ""
        for line in self.process.stderr:
            self.said += line
            if found := re.search(r" on (http://127\.0\.0\.1:\d+) ", line):
                self.client = httpx.Client(base_url=found[1], timeout=30)
                break
        else:
            pytest.fail(f"it ended: {self.said}")

    def predict(self, model, record):
        answer = self.client.post(f"/models/{model}/predict", json=record)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def version(self, model, record):
        return re.search(r'"version": ?"?(\d+)', self.client.post(f"/models/{model}/predict", json=record).text)[1]

    def ready(self):
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/readyz").status_code == 200

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0


@pytest.fixture
def service(start):
    """Starts a service: `service("serve", "--project", folder)`."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments):
            begun = Service(start, *arguments)
            stack.enter_context(begun.client)
            return begun

        yield begin


@pytest.fixture
def shop(mainspring, tmp_path):
    """What `mainspring init` writes, with two trials instead of twelve."""
    mainspring("init", tmp_path / "shop")
    return respecify(spec.load(tmp_path / "shop"), ("budget = 12", 'budget = 1\ncandidates = ["linear"]'))


@pytest.mark.slow
def test_what_init_writes_is_fitted_and_served_at_once(mainspring, shop, service):
    """`up` answers before there is a model, fits it, and serves it without a restart."""
    running = service("up", shop.folder)
    assert running.client.get("/livez").status_code == 200
    assert running.client.post("/models/returns/predict", json=ORDER).status_code in (404, 503)
    wait_until(running.ready, "the first champion to be live", 90)
    assert running.version("returns", ORDER) == "1"
    running.stop()
    [model] = mainspring("status", "--json", "--project", shop.folder).json["models"]
    assert model["champion"] == "1"


@pytest.mark.slow
def test_a_promotion_in_mlflow_or_by_hand_goes_live_without_a_restart(mainspring, spoilt, copy_of, service):
    from mlflow import MlflowClient

    project = copy_of(spoilt)
    record = {"size": 2.0, "heat": 0.5, "plan": "a"}
    running = service("serve", "--project", project.folder)
    assert running.client.get("/readyz").status_code == 200
    assert running.version("late", record) == "1"
    assert running.predict("late", record)["predictions"][0]["label"] is True

    uri = tracking.tracking_uri(project)
    client = MlflowClient(uri, uri)
    client.set_registered_model_alias("late", "champion", "2")
    wait_until(lambda: running.version("late", record) == "2", "the follower to start and to follow", 60)
    assert running.predict("late", record)["predictions"][0]["label"] is False  # it was fitted on spoilt labels
    waited = []
    for version in ("1", "2"):
        client.set_registered_model_alias("late", "champion", version)
        began = time.monotonic()
        wait_until(lambda version=version: running.version("late", record) == version, "the moved alias", 5)
        waited.append(time.monotonic() - began)
    assert min(waited) < 2  # a busy machine may be late once, and not each time
    assert mainspring("rollback", "late", "--project", project.folder).code == 0
    wait_until(lambda: running.version("late", record) == "1", "the rollback", 5)
    running.stop()
    assert "Traceback" not in running.said


def test_a_damaged_version_does_not_go_live_and_the_champion_stays(spoilt, copy_of, mainspring):
    project = copy_of(spoilt)
    path = versions.load(project.state, "late", "2").file("model.onnx")
    path.write_bytes(path.read_bytes()[:-9])
    found = mainspring("promote", "late", "2", "--project", project.folder)
    assert found.code == 1
    assert "model.onnx is damaged" in found.err


@pytest.mark.parametrize("command", ["serve", "up"])
def test_a_port_in_use(mainspring, template, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = mainspring(command, "--project", template.folder, "--port", port)
    assert found.code == 1
    assert f"mainspring: cannot listen on 127.0.0.1:{port}: Address already in use" in found.err
    assert "choose another with --host and --port" in found.err


def test_a_host_that_is_not_ours(mainspring, template):
    found = mainspring("serve", "--project", template.folder, "--host", "203.0.113.7", "--port", "0")
    assert found.code == 1
    assert "cannot listen on 203.0.113.7:0: " in found.err

"""The whole loop, as a user has it: `mainspring up`, traffic and feedback over HTTP, and a renewal while they flow."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.request

import pytest
from projects import make_rows, respecify, wait_until

from mainspring.errors import BusyError
from mainspring.files import lock
from mainspring.registry import desired, history

LOOP = """budget = 2
monitor = { window = 400, rows = 200 }
renew = { candidates = ["linear"], budget = 1, cooldown = "2s" }"""
RECORD = {"size": 0.1, "heat": 0.2, "plan": "a"}


class Client:
    """A client of the gateway at `address`, which serves `project`, is `process`, and writes to `log`."""

    def __init__(self, address, project, log, process):
        self.address, self.project, self.log, self.process = address, project, log, process

    def post(self, path, body):
        request = urllib.request.Request(
            f"{self.address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def live_through(self, rows):
        """Ask about rows, and report what became of them."""
        for begin in range(0, len(rows), 100):
            some = rows[begin : begin + 100]
            records = [{key: row[key] for key in ("size", "heat", "plan")} for row in some]
            answer = self.post("/models/late/predict", records)
            labels = [{"id": f"{answer['id']}-{k}", "label": row["late"]} for k, row in enumerate(some)]
            assert self.post("/models/late/feedback", {"feedback": labels})["accepted"] == len(some)


def turned(count, seed):
    """The world after it changed: what came late before comes in time now."""
    return [{**row, "late": not row["late"]} for row in make_rows(count, seed, strength=2.0)]


@pytest.fixture
def client(fitted, start, tmp_path):
    """`mainspring up` on a fitted project, and its log."""
    project, log = respecify(fitted, ("budget = 2", LOOP)), tmp_path / "up.log"
    with log.open("w") as file:
        process = start(
            "-m", "mainspring.cli", "up", "--project", str(project.folder), stdout=subprocess.DEVNULL, stderr=file
        )

        def address():
            return re.search(r"on (http://\S+)", log.read_text())

        wait_until(address, "the gateway", 30)
        yield Client(address()[1], project, log, process)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_world_turns_and_the_service_follows(client):
    state = client.project.state
    client.live_through(make_rows(800, seed=21))
    asked, failed, over = 0, [], threading.Event()

    def keep_asking():
        nonlocal asked
        while not over.wait(0.01):
            try:
                client.post("/models/late/predict", RECORD)
                asked += 1
            except OSError as error:
                failed.append(error)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        for seed in range(30, 200):
            if desired.read(state).champion("late") != "1":
                break
            client.live_through(turned(400, seed))
            time.sleep(0.5)
        else:
            pytest.fail(client.log.read_text() + "\n".join(map(str, history.read(state))))
        wait_until(lambda: client.post("/models/late/predict", RECORD)["version"] == "2", "version 2", 5)
    finally:
        over.set()
        asking.join()
    assert failed == []
    assert asked > 20
    events = history.read(state, "late")
    kinds = [event.kind for event in events]
    assert kinds.index("alarm") < kinds.index("renew") < len(kinds) - 1 - kinds[::-1].index("promote")
    assert [event.detail for event in events if event.kind == "alarm" and event.data["subject"] == "performance"]


@pytest.mark.slow
def test_one_controller_a_project_and_it_ends_with_up(client):
    def is_controlled():
        try:
            with lock(client.project.state / ".controller.lock", what="the controller"):
                return False
        except BusyError:
            return True

    wait_until(is_controlled, "the controller", 30)
    client.process.terminate()
    assert client.process.wait(30) == 0
    assert not is_controlled()

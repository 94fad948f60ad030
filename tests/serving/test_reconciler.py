import asyncio
import gc
import threading
import time
import weakref

import httpx
import pytest
from projects import wait_until

from mainspring.registry import desired, history
from mainspring.registry.versions import models_folder

from .graphs import DELAY, DELAY_RECORD, FARE, FARE_RECORD, publish


def version(served):
    return served.predict().json()["version"]


def state_of(served, model="delay"):
    return served.client.get(f"/models/{model}").json()


class Traffic:
    """Clients that ask without a pause, and what they were answered."""

    def __init__(self, served, clients=4):
        self.answers, self._stop = [], False
        self._threads = [threading.Thread(target=self._ask, args=(served.url,)) for _ in range(clients)]

    def _ask(self, url):
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self._stop:
                answer = client.post("/models/delay/predict", json=DELAY_RECORD)
                probability = answer.json()["predictions"][0]["probabilities"]["true"] if answer.is_success else None
                self.answers.append((answer.status_code, answer.json().get("version"), probability))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._stop = True
        for thread in self._threads:
            thread.join()


def test_swaps_under_traffic_fail_no_request_and_unload_what_was_live(serve):
    served = serve()
    slot = served.gateway.slots.find("delay")
    dead = []
    with Traffic(served) as traffic:
        for number in range(2, 7):
            dead.append(weakref.ref(slot.live))
            before = str(number - 1)
            wait_until(lambda before=before: any(name == before for _, name, _ in traffic.answers), f"use of {before}")
            publish(served.state, "delay", DELAY, DELAY_RECORD, bias=float(number))
            desired.set_champion(served.state, "delay", str(number))
            wait_until(lambda number=number: version(served) == str(number), f"version {number}")
            time.sleep(0.1)
    assert {status for status, _, _ in traffic.answers} == {200}
    assert len(traffic.answers) > 100
    # Each version has one answer: none mixes one's name with another's graph.
    assert len({(name, round(probability, 12)) for _, name, probability in traffic.answers}) == 6
    gc.collect()
    assert [ref() for ref in dead] == [None] * 5
    text = served.client.get("/metrics").text
    assert 'mainspring_model_info{model="delay",version="5"} 0.0' in text
    assert 'mainspring_model_info{model="delay",version="6"} 1.0' in text


def test_what_was_live_stays_until_its_last_request_is_answered(serve):
    served = serve()
    slot = served.gateway.slots.find("delay")
    old = slot.lease()
    publish(served.state, "delay", DELAY, DELAY_RECORD)
    desired.set_champion(served.state, "delay", "2")
    wait_until(lambda: version(served) == "2", "version 2")
    gone = weakref.ref(old)
    assert old.leases == 1
    asyncio.run(old.prove())
    old.release()
    del old
    gc.collect()
    assert gone() is None


def test_a_version_that_fails_its_golden_examples_never_goes_live(serve, caplog):
    served = serve()

    def spoil(answers):
        answers[1]["probabilities"]["true"] += 1e-6

    publish(served.state, "delay", DELAY, DELAY_RECORD, bias=1.0, spoil=spoil)
    with Traffic(served, clients=2) as traffic:
        desired.set_champion(served.state, "delay", "2")
        wait_until(lambda: state_of(served)["state"] == "failed", "the failure")
        time.sleep(0.5)
    assert {(status, name) for status, name, _ in traffic.answers} == {(200, "1")}
    found = state_of(served)
    assert found["version"] == "1"
    assert found["wanted"] == "2"
    assert "golden example 1 is answered" in found["error"]
    ready = served.client.get("/readyz")
    assert ready.status_code == 200, "the older version answers"
    assert "golden example 1" in ready.json()["models"]["delay"]["reason"]
    assert "version 1 stays live" in caplog.text
    failures = served.gateway.slots.find("delay").failures
    assert 1 <= failures <= 3, "it is not tried again and again without a pause"
    assert (
        f'mainspring_reloads_total{{model="delay",outcome="failed"}} {failures}.0' in served.client.get("/metrics").text
    )
    # Another promotion is followed at once, and so is going back.
    publish(served.state, "delay", DELAY, DELAY_RECORD, bias=2.0)
    desired.set_champion(served.state, "delay", "3")
    wait_until(lambda: version(served) == "3", "version 3")
    assert state_of(served)["error"] is None
    desired.set_champion(served.state, "delay", "1")
    wait_until(lambda: version(served) == "1", "version 1")


def test_a_gateway_that_begins_with_a_damaged_champion_serves_the_one_before_until_it_is_restored(serve):
    sound = {}

    def two_champions(state):
        for name in ("1", "2"):
            publish(state, "delay", DELAY, DELAY_RECORD, bias=float(name))
            desired.set_champion(state, "delay", name)
            history.append(state, "delay", "promote", name, "by hand")
        graph = models_folder(state, "delay") / "2" / "model.onnx"
        sound[graph] = graph.read_bytes()
        damage(graph)

    served = serve(publish=two_champions)
    assert version(served) == "1"
    found = state_of(served)
    assert (found["state"], found["version"], found["wanted"]) == ("failed", "1", "2")
    assert "is damaged" in found["error"]
    ready = served.client.get("/readyz")
    assert ready.status_code == 200
    assert "is damaged" in ready.json()["models"]["delay"]["reason"]
    for graph, content in sound.items():
        graph.write_bytes(content)
    wait_until(lambda: version(served) == "2", "the champion")
    assert state_of(served)["error"] is None


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        ("model.onnx", damage, "is damaged: its sha256"),
        ("golden.json", damage, "is damaged: its sha256"),
        ("model.onnx", lambda path: path.unlink(), "is missing"),
        ("manifest.json", lambda path: path.write_text("{"), "is damaged"),
        ("manifest.json", lambda path: path.unlink(), "no version '2' of delay; there are: 1"),
    ],
)
def test_a_damaged_version_never_goes_live_and_does_once_restored(serve, file, spoil, message):
    served = serve()
    publish(served.state, "delay", DELAY, DELAY_RECORD)
    path = models_folder(served.state, "delay") / "2" / file
    whole = path.read_bytes()
    spoil(path)
    desired.set_champion(served.state, "delay", "2")
    wait_until(lambda: state_of(served)["state"] == "failed", "the failure")
    assert message in state_of(served)["error"]
    assert version(served) == "1"
    path.write_bytes(whole)
    wait_until(lambda: version(served) == "2", "the restored version", seconds=5)


def test_one_model_failing_at_the_start_takes_no_other_down(serve):
    def one_bad(state):
        for model, schema, record in (("delay", DELAY, DELAY_RECORD), ("fare", FARE, FARE_RECORD)):
            publish(state, model, schema, record)
            desired.set_champion(state, model, "1")
        damage(models_folder(state, "delay") / "1" / "model.onnx")

    served = serve(publish=one_bad)
    assert served.predict("fare", FARE_RECORD).status_code == 200
    answer = served.predict()
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "could not be loaded" in answer.json()["error"]["message"]
    assert served.client.get("/readyz").status_code == 503
    assert served.client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_text("{"), lambda path: path.unlink(), lambda path: path.write_text("[]")]
)
def test_a_damaged_or_missing_desired_state_changes_nothing(serve, spoil):
    served = serve()
    kept = desired.path(served.state).read_text()
    spoil(desired.path(served.state))
    deadline = time.monotonic() + 0.7
    while time.monotonic() < deadline:
        assert version(served) == "1"
    publish(served.state, "delay", DELAY, DELAY_RECORD)
    desired.path(served.state).write_text(kept)
    desired.set_champion(served.state, "delay", "2")
    wait_until(lambda: version(served) == "2", "version 2")


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b'{"mod\xff'), lambda path: path.unlink()])
def test_a_gateway_that_begins_without_desired_state_serves_the_last_known_champion(serve, spoil):
    def broken(state):
        for number in ("1", "2"):
            publish(state, "delay", DELAY, DELAY_RECORD)
            desired.set_champion(state, "delay", number)
            history.append(state, "delay", "promote", number)
        spoil(desired.path(state))

    served = serve(publish=broken)
    assert version(served) == "2"
    desired.set_champion(served.state, "delay", "1")
    wait_until(lambda: version(served) == "1", "the file made anew")


def test_a_gateway_that_begins_without_desired_state_and_history_serves_nothing(serve):
    """Negative: versions alone do not say which of them is to be served."""
    served = serve(publish=lambda state: publish(state, "delay", DELAY, DELAY_RECORD))
    assert served.predict().status_code == 503


def test_a_model_that_is_no_longer_wanted_is_unloaded_and_forgotten(serve):
    served = serve()
    publish(served.state, "extra", FARE, FARE_RECORD)
    desired.set_champion(served.state, "extra", "1")
    wait_until(lambda: served.predict("extra", FARE_RECORD).status_code == 200, "a model that is not declared")
    desired.update(served.state, lambda models: {k: v for k, v in models.items() if k == "delay"})
    wait_until(lambda: served.predict("extra", FARE_RECORD).status_code == 404, "the model to be forgotten")
    assert state_of(served, "fare")["state"] == "unfitted", "a declared model stays known"
    assert version(served) == "1"
    assert served.client.get("/readyz").json()["models"].keys() == {"delay"}


def test_only_the_last_of_quick_changes_matters(serve):
    served = serve()
    for number in range(2, 6):
        publish(served.state, "delay", DELAY, DELAY_RECORD, bias=float(number))
    for number in (2, 3, 4, 5, 1, 3):
        desired.set_champion(served.state, "delay", str(number))
        time.sleep(0.05)
    wait_until(lambda: version(served) == "3", "version 3")
    time.sleep(0.4)
    assert version(served) == "3"
    assert state_of(served)["state"] == "live"

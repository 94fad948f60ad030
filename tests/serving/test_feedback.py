import asyncio
import json
import time

import pytest
from projects import wait_until
from prometheus_client import CollectorRegistry, Counter

from mainspring.monitoring import log, segments
from mainspring.registry.desired import DesiredModel, Route
from mainspring.serving.feedback import Feedback
from mainspring.serving.ids import new_id
from mainspring.serving.loading import load
from mainspring.serving.messages import Request
from mainspring.serving.problems import Problem
from mainspring.serving.slots import Slots

from .conftest import MODELS, make_project
from .graphs import DELAY, DELAY_RECORD, publish

UNFITTED = """
[models.unfitted]
task = "regression"
data = "fares.csv"
target = "fare"
"""
ID = new_id()


class Taking:
    """The endpoint with three live models, and what it counts."""

    def __init__(self, folder, log=""):
        self.project = make_project(folder, more=UNFITTED + log)
        self.slots = Slots(self.project.models)
        for model, schema, record in MODELS:
            publish(self.project.state, model, schema, record)
            self.slots.want({model: DesiredModel(routes=(Route("1"),), since="2026-01-01T00:00:00+00:00")})
            self.slots.find(model).live = load(self.project.state, model, "1", self.slots)
        self.registry = CollectorRegistry()
        counter = Counter("feedback", "Labels.", ("model", "outcome"), registry=self.registry)
        self.endpoint = Feedback(self.slots, self.project, counter, max_rows=5)

    def count(self, outcome, model="delay"):
        return self.registry.get_sample_value("feedback_total", {"model": model, "outcome": outcome}) or 0

    async def send(self, body, model="delay"):
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/models/{model}/feedback",
            "headers": [(b"content-type", b"application/json")],
        }
        request = Request(scope, None)
        request.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = await self.endpoint(request, model)
        assert reply.status == 200
        return json.loads(reply.body)

    def post(self, *bodies, model="delay"):
        async def main():
            try:
                return [await self.send(body, model) for body in bodies]
            finally:
                await self.endpoint.close()

        return asyncio.run(main())

    def stored(self, model="delay"):
        paths = segments.segments(segments.folder(self.project.state, model))
        return [frame for path in paths for frame in segments.read(path).frames]


@pytest.fixture
def taking(tmp_path):
    return Taking(tmp_path)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """For requests of which nothing is stored."""
    return Taking(tmp_path_factory.mktemp("refusing"))


def test_every_form_is_taken_and_stored(taking):
    many = {"feedback": [{"id": f"{ID}-0", "label": True}, {"key": "a", "label": False}]}
    answers = taking.post({"id": ID, "label": True}, {"key": "order 1", "label": False}, many)
    assert answers == [{"model": "delay", "accepted": n, "late": 0, "unknown": 0} for n in (1, 1, 2)]
    frames = taking.stored()
    assert [frame.ids for frame in frames] == [[ID], [""], [f"{ID}-0", ""]]
    assert [frame.keys for frame in frames] == [[""], ["order 1"], ["", "a"]]
    assert [frame.labels for frame in frames] == [[True], [False], [True, False]]
    assert abs(frames[0].received / 1e6 - time.time()) < 60
    assert taking.count("accepted") == 4


@pytest.mark.parametrize(("model", "label"), [("delay", False), ("stars", 3), ("fare", 3), ("fare", -2.5)])
def test_a_label_of_the_models_own_kind_is_taken(taking, model, label):
    assert taking.post({"id": ID, "label": label}, model=model)[0]["accepted"] == 1
    [frame] = taking.stored(model)
    assert frame.labels == [label]
    assert type(frame.labels[0]) is type(label)


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("delay", 1),
        ("delay", "true"),
        ("delay", None),
        ("delay", [True]),
        ("stars", 4),
        ("stars", True),
        ("stars", 1.0),
        ("stars", "1"),
        ("fare", True),
        ("fare", "3"),
        ("fare", None),
        ("fare", 10**400),
        ("fare", {}),
    ],
)
def test_another_label_is_refused(refusing, model, label):
    with pytest.raises(Problem, match="expected") as caught:
        refusing.post({"feedback": [{"id": ID, "label": label}]}, model=model)
    assert (caught.value.status, caught.value.place) == (422, "$.feedback[0].label")
    assert refusing.stored(model) == []


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        (b"", 400, "$"),
        (b"{", 400, "byte 1"),
        (b"[]", 422, "$"),
        (b'{"feedback": [{"key": "k", "label": NaN}]}', 400, "$.feedback[0].label"),
        ({"label": True}, 422, "$"),
        ({"id": ID, "key": "k", "label": True}, 422, "$"),
        ({"id": ID}, 422, "$"),
        ({"id": ID, "label": True, "more": 1}, 422, "$"),
        ({"id": 5, "label": True}, 422, "$.id"),
        ({"id": "", "label": True}, 422, "$.id"),
        ({"id": "order-17", "label": True}, 422, "$.id"),
        ({"id": ID.upper().replace("7", "A"), "label": True}, 422, "$.id"),
        ({"id": ID + "-01", "label": True}, 422, "$.id"),
        ({"id": ID + "\n", "label": True}, 422, "$.id"),
        ({"key": "", "label": True}, 422, "$.key"),
        ({"key": "x" * 129, "label": True}, 422, "$.key"),
        ({"key": "ключ", "label": True}, 422, "$.key"),
        ({"feedback": []}, 422, "$.feedback"),
        ({"feedback": [{"key": "k", "label": True}, {"key": "k"}]}, 422, "$.feedback[1]"),
        ({"feedback": [{"key": "k", "label": True}] * 6}, 413, "$"),
        (b'{"key": "k", "label": true, "label": false}', 422, "$..label"),
    ],
)
def test_a_body_of_another_form_is_refused_and_the_place_named(refusing, body, status, place):
    with pytest.raises(Problem) as caught:
        refusing.post(body)
    assert (caught.value.status, caught.value.place) == (status, place)
    assert refusing.stored() == []


def id_of(seconds):
    text = f"{int(seconds * 1000):012x}"
    return f"{text[:8]}-{text[8:]}{ID[13:]}"


def test_labels_for_what_is_not_kept_or_not_yet_made_are_counted_only(tmp_path):
    taking = Taking(tmp_path, '[log]\nkeep = "2d"')
    now = time.time()
    ages = {"late": now - 3 * 86_400, "kept": now - 86_400, "unknown": now + 3600}
    [answer] = taking.post({"feedback": [{"id": id_of(made), "label": True} for made in ages.values()]})
    assert answer == {"model": "delay", "accepted": 1, "late": 1, "unknown": 1}
    [frame] = taking.stored()
    assert frame.ids == [id_of(ages["kept"])]
    assert [taking.count(outcome) for outcome in ("accepted", "late", "unknown")] == [1, 1, 1]
    assert taking.post({"id": id_of(ages["late"]), "label": True})[0]["accepted"] == 0


def test_what_cannot_be_written_is_not_claimed(taking):
    blocked = taking.project.state / "log"
    blocked.write_text("a file in the way")

    async def main():
        with pytest.raises(Problem, match="send it again") as caught:
            await taking.send({"id": ID, "label": True})
        assert caught.value.status == 503
        blocked.unlink()
        assert (await taking.send({"id": ID, "label": True}))["accepted"] == 1
        await taking.endpoint.close()

    asyncio.run(main())
    assert (taking.count("failed"), taking.count("accepted")) == (1, 1)


def test_many_at_once_are_all_stored(taking):
    async def main():
        ids = [new_id() for _ in range(200)]
        answers = await asyncio.gather(*(taking.send({"id": id_, "label": True}) for id_ in ids))
        await taking.endpoint.close()
        return ids, answers

    ids, answers = asyncio.run(main())
    assert all(answer["accepted"] == 1 for answer in answers)
    assert [id_ for frame in taking.stored() for id_ in frame.ids] == ids
    assert len(segments.segments(segments.folder(taking.project.state, "delay"))) == 1


def test_a_model_without_a_live_version_or_a_log_takes_none(taking, tmp_path):
    with pytest.raises(Problem, match="fit") as caught:
        taking.post({"id": ID, "label": True}, model="unfitted")
    assert caught.value.status == 503
    with pytest.raises(Problem) as caught:
        taking.post({"id": ID, "label": True}, model="nobody")
    assert caught.value.status == 404
    off = Taking(tmp_path / "off", "[log]\nenabled = false")
    with pytest.raises(Problem, match="not logged") as caught:
        off.post({"id": ID, "label": True})
    assert caught.value.status == 409


def test_a_prediction_meets_its_label_from_end_to_end(serve):
    served = serve()
    answer = served.predict(headers={"X-Prediction-Key": "order-1"})
    reply = served.client.post("/models/delay/feedback", json={"id": answer.json()["id"], "label": True})
    assert (reply.status_code, reply.json()["accepted"]) == (200, 1)
    wait_until(lambda: len(log.read(served.project, "delay", DELAY)), "the row to be written")
    found = log.read(served.project, "delay", DELAY)
    assert found.ids.tolist() == [answer.json()["id"]]
    assert found.keys.tolist() == ["order-1"]
    assert found.rows.truth.tolist() == [1.0]
    assert found.rows.columns["distance"].tolist() == [DELAY_RECORD["distance"]]
    refused = served.client.post("/models/delay/feedback", json={"id": answer.json()["id"], "label": "yes"})
    assert (refused.status_code, refused.json()["error"]["place"]) == (422, "$.label")

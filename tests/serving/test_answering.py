"""What the endpoints share: business keys, and what the prediction log is told of each request."""

import json

import numpy as np
import pytest
from projects import wait_until

from mainspring.monitoring import segments
from mainspring.monitoring.segments import PredictionFrame, TrafficFrame
from mainspring.registry import desired

from .graphs import DELAY, DELAY_RECORD, FARE_RECORD, WORK, WORK_RECORD, publish


def frames(served, kind, model="delay"):
    paths = segments.segments(segments.folder(served.state, model))
    return [frame for path in paths for frame in segments.read(path).frames if isinstance(frame, kind)]


def logged(served, model="delay", rows=1):
    """Each logged row's id, version, role and key, once there are so many."""

    def found():
        return [
            (id_, frame.version, frame.role, key)
            for frame in frames(served, PredictionFrame, model)
            for id_, key in zip(frame.row_ids, frame.keys or [""] * len(frame.row_ids), strict=True)
        ]

    wait_until(lambda: len(found()) >= rows, f"{rows} logged rows")
    return found()


def traffic(served, model="delay"):
    """Requests and errors by version."""
    counts = {}
    for frame in frames(served, TrafficFrame, model):
        for load in frame.loads:
            requests, errors = counts.get(load.version, (0, 0))
            counts[load.version] = (requests + load.requests, errors + load.errors)
    return counts


def tensors(record):
    return {
        "inputs": [
            {"name": "distance", "datatype": "FP64", "shape": [1, 1], "data": [record["distance"]]},
            {"name": "zone", "datatype": "BYTES", "shape": [1, 1], "data": [record["zone"]]},
        ]
    }


def test_all_three_protocols_are_logged_with_their_keys(serve):
    served = serve()
    key = {"x-prediction-key": "order 17"}
    asked = [
        served.client.post("/models/fare/predict", json=FARE_RECORD, headers=key),
        served.client.post("/v2/models/fare/infer", json=tensors(FARE_RECORD), headers=key),
        served.client.post("/invocations?model=fare", json={"instances": [FARE_RECORD] * 2}, headers=key),
        served.client.post("/models/fare/predict", json={"records": [FARE_RECORD] * 2, "keys": ["a", "b"]}),
        served.client.post("/models/fare/predict", json=FARE_RECORD),
    ]
    assert [answer.status_code for answer in asked] == [200] * 5
    one, two, three, four, five = (answer.headers["x-prediction-id"] for answer in asked)
    expected = [
        (one, "1", "live", "order 17"),
        (two, "1", "live", "order 17"),
        (f"{three}-0", "1", "live", "order 17-0"),
        (f"{three}-1", "1", "live", "order 17-1"),
        (f"{four}-0", "1", "live", "a"),
        (f"{four}-1", "1", "live", "b"),
        (five, "1", "live", ""),
    ]
    assert sorted(logged(served, "fare", rows=7)) == sorted(expected)  # one-row requests have frames of their own
    (frame, *_) = frames(served, PredictionFrame, "fare")
    assert np.frombuffer(frame.numbers["distance"])[0] == FARE_RECORD["distance"]
    value = asked[0].json()["predictions"][0]["value"]
    assert np.frombuffer(frame.values)[0] == pytest.approx(value)


@pytest.mark.parametrize("key", ["", "x" * 129, "ü", "a\tb"])
def test_a_key_that_is_none_is_400_and_names_the_header(served, key):
    for path, body in (
        ("/models/delay/predict", DELAY_RECORD),
        ("/v2/models/delay/infer", {"inputs": []}),
        ("/invocations?model=delay", {"instances": [DELAY_RECORD]}),
    ):
        answer = served.client.post(path, json=body, headers={"x-prediction-key": key.encode()})
        assert answer.status_code == 400
        assert "X-Prediction-Key" in answer.text or "printable ASCII" in answer.text
    assert served.predict(headers={"x-prediction-key": key.encode()}).json()["error"]["place"] == "X-Prediction-Key"
    assert served.predict(headers={"x-prediction-key": "~" * 128}).status_code == 200


FINE_KEYS = [
    {"records": [DELAY_RECORD], "keys": ["a"]},
    {"keys": ["a", "a"], "records": [DELAY_RECORD] * 2},
    {"records": [DELAY_RECORD], "keys": ['a": "b']},
    {"keys": ["a:b" * 42], "records": [{**DELAY_RECORD, "carrier": "x:y"}]},
]


@pytest.mark.parametrize("body", FINE_KEYS)
def test_keys_beside_the_records(served, body):
    for text in (json.dumps(body), json.dumps(body, indent=1).replace(": ", " : ")):
        answer = served.client.post("/models/delay/predict", content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text


RECORD = json.dumps(DELAY_RECORD)
BAD_KEYS = [
    (f'{{"records": [{RECORD}], "keys": []}}', "$.keys", "expected one key a record: 1, found 0"),
    (f'{{"keys": ["a"], "records": [{RECORD}, {RECORD}]}}', "$.keys", "2, found 1"),
    (f'{{"records": [{RECORD}], "keys": [""]}}', "$.keys[0]", "1 to 128 printable ASCII characters"),
    (f'{{"records": [{RECORD}], "keys": ["{"x" * 129}"]}}', "$.keys[0]", "1 to 128 printable ASCII characters"),
    (f'{{"records": [{RECORD}], "keys": ["a\\n"]}}', "$.keys[0]", "printable ASCII"),
    (f'{{"records": [{RECORD}], "keys": [1]}}', "$.keys[0]", "expected text"),
    (f'{{"records": [{RECORD}], "keys": null}}', "$.keys", "expected an array"),
    (f'{{"records": [{RECORD}], "keys": ["a"], "keys": ["b"]}}', "$..keys", "'keys' is given twice"),
    (f'{{"keys": ["a:b"], "keys": ["b"], "records": [{RECORD}]}}', "$..keys", "'keys' is given twice"),
    ('{"keys": ["a"]}', "$.records", "the field 'records' is missing"),
]


@pytest.mark.parametrize(("body", "place", "message"), BAD_KEYS)
def test_keys_that_do_not_fit_the_records_are_422(served, body, place, message):
    answer = served.client.post("/models/delay/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["place"] == place
    assert message in answer.json()["error"]["message"]


def test_only_the_models_own_failures_are_errors(serve):
    def overflowing(state):
        publish(state, "delay", DELAY, DELAY_RECORD, large=True)
        desired.set_champion(state, "delay", "1")

    served = serve(publish=overflowing)
    assert served.predict().status_code == 200
    assert served.predict(record={}).status_code == 422
    assert served.predict(record={**DELAY_RECORD, "distance": 1.7e308}).status_code == 422
    assert served.predict("fare", FARE_RECORD).status_code == 503
    wait_until(lambda: traffic(served) == {"1": (3, 1)}, "three requests, and the one without a finite answer")
    assert len(logged(served)) == 1, "what was not answered is not logged"


def test_an_answer_that_takes_too_long_is_an_error(serve):
    def slow_model(state):
        publish(state, "delay", WORK, WORK_RECORD)
        desired.set_champion(state, "delay", "1")

    served = serve('timeout = "500ms"', publish=slow_model)
    assert served.predict(record=[{"turns": 1e12}] * 1000).status_code == 503
    wait_until(lambda: traffic(served) == {"1": (1, 1)}, "the error")


def test_nothing_is_logged_where_the_log_is_off(serve):
    served = serve("\n[log]\nenabled = false")
    assert served.predict().status_code == 200
    served.stop()
    assert not segments.folder(served.state, "delay").exists()
    served.stop = lambda: None

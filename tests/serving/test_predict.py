import json
from datetime import datetime

import pytest

from mainspring.serving.ids import new_id

from .graphs import DELAY, DELAY_RECORD, FARE_RECORD, STARS_RECORD, publish


def changed(**values):
    return {**DELAY_RECORD, **values}


def without(name):
    return {key: value for key, value in DELAY_RECORD.items() if key != name}


def body_with(name, literal):
    """A record in which the value of one field is written as given, which json.dumps would not write."""
    return json.dumps(changed(**{name: "@"})).replace('"@"', literal)


def test_one_record(served):
    answer = served.predict()
    assert answer.status_code == 200, answer.text
    found = answer.json()
    (prediction,) = found.pop("predictions")
    assert found == {"model": "delay", "version": "1", "id": answer.headers["x-prediction-id"]}
    assert answer.headers["x-model-version"] == "1"
    assert prediction["label"] is True
    assert prediction["probabilities"].keys() == {"false", "true"}
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)


def test_many_records_in_both_forms(served):
    records = [changed(distance=float(k)) for k in range(5)]
    found = served.predict(record=records).json()["predictions"]
    assert len(found) == 5
    assert len({p["probabilities"]["true"] for p in found}) == 5
    assert served.predict(record={"records": records}).json()["predictions"] == found
    alone = [served.predict(record=record).json()["predictions"][0] for record in records]
    for one, many in zip(alone, found, strict=True):
        assert one["probabilities"]["true"] == pytest.approx(many["probabilities"]["true"], abs=1e-12)


def test_labels_keep_their_type(served):
    (prediction,) = served.predict("stars", STARS_RECORD).json()["predictions"]
    assert prediction["label"] == 3
    assert list(prediction["probabilities"]) == ["1", "2", "3"]
    (prediction,) = served.predict("fare", FARE_RECORD).json()["predictions"]
    assert list(prediction) == ["value"]


def test_a_batch_too_large_for_the_event_loop_answers_the_same(served):
    one = served.predict().json()["predictions"][0]
    many = served.predict(record=[DELAY_RECORD] * 500).json()["predictions"]
    assert len(many) == 500
    assert all(p["probabilities"]["true"] == pytest.approx(one["probabilities"]["true"], abs=1e-12) for p in many)


def test_a_text_is_not_cut_at_nul(served):
    cut, whole, unseen = (
        served.predict(record=changed(carrier=carrier)).json()["predictions"][0]["probabilities"]["true"]
        for carrier in ("EV\0", "EV", "never seen")
    )
    assert cut == unseen
    assert cut != whole


def test_an_integer_category_may_be_a_number_or_text(served):
    assert (
        served.predict(record=changed(gate=17)).json()["predictions"]
        == (served.predict(record=changed(gate="17")).json()["predictions"])
    )


WRONG_RECORDS = [
    (without("distance"), "$.distance", "is missing"),
    (changed(distanse=1), "$.distanse", "did you mean 'distance'?"),
    (changed(distance="12"), "$.distance", "expected a number, got text"),
    (changed(distance=True), "$.distance", "expected a number, got true or false"),
    (changed(distance=None), "$.distance", "expected a number, got null"),
    (changed(distance=[1]), "$.distance", "got an array"),
    (changed(holiday=1), "$.holiday", "expected true or false"),
    (changed(night="true"), "$.night", "expected true or false or null"),
    (changed(carrier=3), "$.carrier", "expected text"),
    (changed(carrier=None), "$.carrier", "expected text"),
    (changed(carrier=""), "$.carrier", "empty"),
    (changed(gate=1.5), "$.gate", "expected a whole number or text or null"),
    (changed(departs_at="yesterday"), "$.departs_at", "ISO 8601"),
    (changed(departs_at="0000-01-01T00:00:00"), "$.departs_at", "ISO 8601"),
    (changed(departs_at=1372962600), "$.departs_at", "expected text"),
    ([DELAY_RECORD, changed(distance="x")], "$[1].distance", "expected a number"),
    ([changed(departs_at="x")], "$[0].departs_at", "ISO 8601"),
    ({"records": [DELAY_RECORD, changed(carrier="")]}, "$.records[1].carrier", "empty"),
    ([1, 2], "$[0]", "expected an object"),
    ([[]], "$[0]", "expected an object"),
    ([], "$", "no records"),
    ({"records": []}, "$", "no records"),
    ({"records": {}}, "$.records", "expected an array"),
    (3, "$", "expected an object"),
    (None, "$", "expected an object"),
    ("text", "$", "expected an object"),
]


@pytest.mark.parametrize(("record", "place", "message"), WRONG_RECORDS)
def test_a_record_that_does_not_fit_is_422_and_names_the_place(served, record, place, message):
    headers = {"content-type": "application/json"}
    answer = served.client.post("/models/delay/predict", content=json.dumps(record), headers=headers)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["code"] == "invalid_record"
    assert error["place"] == place
    assert message in error["message"]


ODD_BODIES = [
    (body_with("distance", "1e999"), 422, "$.distance"),
    (body_with("distance", "-1e999"), 422, "$.distance"),
    (body_with("distance", "9" * 400), 422, "$.distance"),
    (body_with("gate", "9" * 5000), 422, "$.gate"),
    (body_with("distance", "NaN"), 400, "$.distance"),
    (f"[{body_with('delay_before', '-Infinity')}]", 400, "$[0].delay_before"),
    (body_with("carrier", '"\\ud800"'), 400, "byte"),
    (body_with("carrier", '"a\\udc00b"'), 400, "byte"),
    (body_with("carrier", '"a\0b"'), 400, "byte"),
    (body_with("distance", '1, "distance": 2'), 422, "$..distance"),
    (body_with("distance", '1, "distance" : 2'), 422, "$..distance"),
    (body_with("distance", '1, "\\u0064istance": 2'), 422, "$..distance"),
    (f'{{"records": [{json.dumps(DELAY_RECORD)}], "records": []}}', 422, "$"),
    (body_with("distance", "[" * 100_000), 422, "$.distance"),
    ("[" * 100_000, 422, "$[0]"),
    ('{"a":' * 100_000, 422, "$.a"),
    ("", 400, "$"),
    (" \n", 400, "$"),
    ("{", 400, "byte"),
    (json.dumps(DELAY_RECORD) + "x", 400, "byte"),
    (json.dumps(DELAY_RECORD)[:-1] + ",}", 400, "byte"),
    ("﻿" + json.dumps(DELAY_RECORD), 400, "byte 0"),
    (json.dumps(DELAY_RECORD).encode("utf-16"), 400, "byte"),
    (json.dumps(changed(carrier="é"), ensure_ascii=False).encode("latin-1"), 400, "byte"),
    ("distance=12", 400, "byte"),
    (json.dumps({"k" * 100_000: 1}), 422, "$.kkk"),
]


@pytest.mark.parametrize(("body", "status", "place"), ODD_BODIES, ids=range(len(ODD_BODIES)))
def test_odd_json_is_refused_by_name(served, body, status, place):
    answer = served.client.post("/models/delay/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["place"].startswith(place)
    assert len(answer.content) < 1000


FINE_BODIES = [
    body_with("carrier", '"a:\\":\\u003a:b\\\\"'),
    body_with("carrier", '": \\": 1, \\"distance\\": 2"'),
    json.dumps(DELAY_RECORD, indent="\t").replace('":', '"\r\n\t :'),
    " \n" + json.dumps(DELAY_RECORD) + "\n ",
    body_with("distance", "1e-999"),
    body_with("carrier", '"\\ud83d\\ude00"'),
    json.dumps(changed(carrier="日本"), ensure_ascii=False),
    body_with("departs_at", '"2013-07-04"'),
    body_with("departs_at", '"2013-07-04T18:30:00.123456+05:30"'),
]


@pytest.mark.parametrize("body", FINE_BODIES, ids=range(len(FINE_BODIES)))
def test_unusual_json_that_is_right_is_taken(served, body):
    answer = served.client.post(
        "/models/delay/predict", content=body.encode(), headers={"content-type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "value", [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_another_content_type_is_415(served, value):
    headers = {"content-type": value} if value else {}
    answer = served.client.post("/models/delay/predict", content=json.dumps(DELAY_RECORD), headers=headers)
    assert answer.status_code == 415, answer.text
    assert "application/json" in answer.json()["error"]["message"]


def test_a_compressed_body_is_415(served):
    answer = served.predict(headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
    assert answer.json()["error"]["place"] == "Content-Encoding"


def test_an_unknown_model_is_404_with_the_names(served):
    answer = served.predict("delya")
    assert answer.status_code == 404
    assert "delay, fare, stars" in answer.json()["error"]["message"]
    assert "did you mean 'delay'?" in answer.json()["error"]["message"]


def test_another_method_is_405(served):
    answer = served.client.get("/models/delay/predict")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_an_answer_that_is_not_finite_is_refused(serve):
    def overflowing(state):
        from mainspring.registry import desired

        publish(state, "delay", DELAY, DELAY_RECORD, large=True)
        desired.set_champion(state, "delay", "1")

    served = serve(publish=overflowing)
    assert served.predict(record=changed(distance=1e10)).status_code == 200
    answer = served.predict(record=[DELAY_RECORD, changed(distance=1.7e308)])
    assert answer.status_code == 422
    assert answer.json()["error"]["place"] == "$[1]"
    assert "no finite answer" in answer.json()["error"]["message"]


def test_ids_are_unique_and_sort_by_time():
    made = [new_id() for _ in range(2000)]
    assert len(set(made)) == len(made)
    assert all(len(one) == 36 and one[14] == "7" and one[19] in "89ab" for one in made)
    assert [one[:13] for one in made] == sorted(one[:13] for one in made)


def test_the_request_id_is_the_clients_if_it_is_sane(served):
    assert served.predict(headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 129, 'a"b', "ü"):
        found = served.predict(headers={"x-request-id": odd.encode()}).headers["x-request-id"]
        assert len(found) == 36


def test_the_access_log_has_a_line_a_request(served):
    served.predict(headers={"x-request-id": "logged-1", "authorization": "Bearer ms_secret"})
    served.client.post("/models/delay/predict?token=secret", headers={"x-request-id": "logged-2"})
    lines = {line["request_id"]: line for line in served.log_lines()}
    line = lines["logged-1"]
    assert {k: line[k] for k in ("method", "path", "status", "model", "version", "rows")} == {
        "method": "POST",
        "path": "/models/delay/predict",
        "status": 200,
        "model": "delay",
        "version": "1",
        "rows": 1,
    }
    assert line["seconds"] > 0
    assert line["bytes"] > 100
    assert datetime.fromisoformat(line["time"]).tzinfo
    assert lines["logged-2"]["status"] == 415
    assert b"secret" not in served.log.getvalue()

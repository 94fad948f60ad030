import json

import pytest

from .graphs import DELAY_RECORD, FARE_RECORD, STARS_RECORD

NAMES = list(DELAY_RECORD)
VALUES = list(DELAY_RECORD.values())
CSV = "distance,delay_before,holiday,night,carrier,gate,departs_at,booked_at\n"
CSV_ROW = "1200.5,,False,1,AA,17,2013-07-04T18:30:00,\n"


def invoke(served, body, model="delay", **headers):
    if isinstance(body, str | bytes):
        content = body.encode() if isinstance(body, str) else body
        headers = {"content-type": "application/json", **headers}
        return served.client.post(f"/invocations?model={model}", content=content, headers=headers)
    return served.client.post(f"/invocations?model={model}", json=body)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": NAMES, "data": [VALUES, VALUES]}},
        {"dataframe_split": {"columns": NAMES[::-1], "data": [VALUES[::-1]] * 2, "index": [0, 1]}},
        {"dataframe_records": [DELAY_RECORD] * 2},
        {"instances": [DELAY_RECORD] * 2},
        {"inputs": [DELAY_RECORD] * 2},
        {"inputs": {name: [value] * 2 for name, value in DELAY_RECORD.items()}},
        {"inputs": [{**DELAY_RECORD, "gate": 17.0}] * 2, "params": {}},
        {"dataframe_split": {"columns": NAMES, "data": [VALUES, VALUES]}, "params": None},
    ],
)
def test_each_format_gives_what_predict_gives(served, body):
    answer = invoke(served, body)
    assert answer.status_code == 200, answer.text
    (prediction,) = served.predict().json()["predictions"]
    assert answer.json() == {"predictions": [prediction["label"]] * 2}
    assert answer.headers["x-model-version"] == "1"
    assert answer.headers["x-prediction-id"]


def test_numbers_and_labels(served):
    value = served.predict("fare", FARE_RECORD).json()["predictions"][0]["value"]
    assert invoke(served, {"instances": [FARE_RECORD]}, "fare").json() == {"predictions": [value]}
    assert invoke(served, {"instances": [STARS_RECORD]}, "stars").json() == {"predictions": [3]}


def test_csv(served):
    for text in (CSV + CSV_ROW * 2, "﻿" + CSV + CSV_ROW + CSV_ROW, (CSV + CSV_ROW * 2).replace("\n", "\r\n")):
        answer = invoke(served, text, **{"content-type": "text/csv; charset=utf-8"})
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"predictions": [True, True]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV + CSV_ROW.replace("1200.5", "far"), "$.csv[0].distance: expected a finite number, found 'far'"),
        (CSV + CSV_ROW + CSV_ROW.replace("1200.5", "nan"), "$.csv[1].distance: expected a finite number"),
        (CSV + CSV_ROW.replace("1200.5", "1_0"), "$.csv[0].distance"),
        (CSV + CSV_ROW.replace("1200.5", ""), "$.csv[0].distance: expected a number, got null"),
        (CSV + CSV_ROW.replace("False", "no"), "$.csv[0].holiday: expected true or false"),
        (CSV + CSV_ROW.replace("AA", ""), "$.csv[0].carrier"),
        (CSV + CSV_ROW.replace("2013", "year"), "$.csv[0].departs_at: expected an ISO 8601 time"),
        (CSV.replace("distance", "distanse") + CSV_ROW, "distanse"),
        (CSV.replace("delay_before", "distance") + CSV_ROW, "'distance' is given twice"),
        (CSV + "1,2\n", "$.csv[0]: expected 8 values, found 2"),
        (CSV, "no records"),
        ("", "no header"),
        (CSV + '"open', "not CSV"),
        (CSV + '"' + "x" * 200_000 + '"\n', "not CSV"),
        ((CSV + CSV_ROW.replace("AA", "é")).encode("latin-1"), "not UTF-8"),
    ],
)
def test_wrong_csv_is_400_and_names_the_place(served, text, message):
    answer = invoke(served, text, **{"content-type": "text/csv"})
    assert answer.status_code == 400, answer.text
    assert answer.json().keys() == {"error_code", "message"}
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "expected one of"),
        ({"instances": [DELAY_RECORD], "inputs": [DELAY_RECORD]}, "found instances and inputs"),
        ({"records": [DELAY_RECORD]}, "unknown field"),
        ({"instances": [DELAY_RECORD], "params": {"a": 1}}, "$.params: this model takes no params"),
        ({"instances": [DELAY_RECORD], "params": [1]}, "params"),
        ({"instances": []}, "no records"),
        ({"instances": [1]}, "$.instances[0]: expected an object"),
        ({"instances": 1}, "$.instances"),
        ({"dataframe_records": [{**DELAY_RECORD, "distance": "1"}]}, "$.dataframe_records[0].distance"),
        ({"dataframe_records": [{**DELAY_RECORD, "gate": 1.5}]}, "$.dataframe_records[0].gate"),
        ({"inputs": {"distance": 1}}, "$.inputs.distance: expected a list"),
        ({"inputs": {"distance": [1], "gate": [1, 2]}}, "different lengths"),
        ({"inputs": {}}, "no records"),
        ({"dataframe_split": {"columns": NAMES, "data": [VALUES[1:]]}}, "$.dataframe_split.data[0]: expected 8 values"),
        ({"dataframe_split": {"columns": NAMES[:-1] + NAMES[:1], "data": [VALUES]}}, "given twice"),
        ({"dataframe_split": {"columns": NAMES[1:], "data": [VALUES[1:]]}}, "'distance' is missing"),
        ({"dataframe_split": {"data": []}}, "columns"),
        ('{"instances": [], "instances": []}', "given twice"),
        (
            json.dumps({"instances": [{**DELAY_RECORD, "delay_before": float("nan")}]}),
            "$.instances[0].delay_before: NaN",
        ),
        ('{"instances": ' + "[" * 100_000, "nested too deeply"),
        ('{"instances": [{"distance": 1e999}]}', "out of range"),
        ('{"instances": [{"distance": "\\ud800"}]}', "not valid JSON"),
        ("[]", "object"),
        ("", "empty"),
    ],
)
def test_a_wrong_body_is_400_and_says_what(served, body, message):
    answer = invoke(served, body)
    assert answer.status_code == 400, answer.text
    assert answer.json().keys() == {"error_code", "message"}
    assert message in answer.json()["message"]


def test_which_model(served, serve):
    answer = served.client.post("/invocations", json={"instances": [DELAY_RECORD]})
    assert answer.status_code == 400
    assert "there are: delay, fare, stars" in answer.json()["message"]
    answer = invoke(served, {"instances": [DELAY_RECORD]}, "nobody")
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    chosen = serve('default_model = "fare"')
    assert chosen.client.post("/invocations", json={"instances": [FARE_RECORD]}).status_code == 200
    assert chosen.client.post("/invocations", content="x", headers={"content-type": "text/plain"}).status_code == 415


def test_the_only_model_needs_no_name(serve):
    from mainspring.registry import desired

    from .graphs import FARE, publish

    def only_fare(state):
        publish(state, "fare", FARE, FARE_RECORD)
        desired.set_champion(state, "fare", "1")

    served = serve(publish=only_fare)
    assert served.client.post("/invocations", json={"instances": [FARE_RECORD]}).status_code == 200


def test_ping_health_and_version(served):
    assert served.client.get("/ping").status_code == 200
    assert served.client.get("/health").status_code == 200
    assert served.client.get("/version").text == __import__("mainspring").__version__

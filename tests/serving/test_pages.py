import jsonschema_rs
import pytest
from projects import wait_until

import mainspring
from mainspring.registry import desired

from .graphs import DELAY, DELAY_RECORD, publish


def test_models(served):
    found = {model["name"]: model for model in served.client.get("/models").json()["models"]}
    assert list(found) == ["delay", "fare", "stars"]
    assert found["delay"]["state"] == "live"
    assert found["delay"]["version"] == found["delay"]["wanted"] == "1"
    assert found["delay"]["since"] == desired.read(served.state).models["delay"].since
    detail = served.client.get("/models/delay").json()
    assert detail["schema"]["features"][0]["unit"] == "km"
    assert detail["schema"]["target"]["labels"] == [False, True]
    assert detail["metrics"]["roc_auc"] == {"value": 0.8, "low": 0.7, "high": 0.9}
    assert detail["verdict"] == {"verdict": "promote"}
    answer = served.client.get("/models/nobody")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "no model 'nobody'; there are: delay, fare, stars"


def test_index_and_docs(served):
    index = served.client.get("/").json()
    assert index["models"] == ["delay", "fare", "stars"]
    assert index["mainspring"] == mainspring.__version__
    for link in index["links"].values():
        assert served.client.get(link).status_code == 200
    assert "text/html" in served.client.get("/docs").headers["content-type"]


def test_what_is_not_there(served):
    answer = served.client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert answer.headers["x-request-id"]
    answer = served.client.delete("/models")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert served.client.get("/v2/nowhere").json() == {"error": "no page '/v2/nowhere': /docs shows what there is"}
    assert served.client.get("/models/").status_code == 404
    assert served.client.get("/models/%2e%2e%2fdelay").status_code == 404
    assert served.client.get("/models/%00").status_code == 404
    assert served.client.get("/models/%ff").status_code == 404


def test_head_is_get_without_the_body(served):
    for path in ("/livez", "/readyz", "/models"):
        answer = served.client.head(path)
        assert answer.status_code == 200
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 0


def test_readiness_is_a_golden_example_really_predicted(serve):
    served = serve()
    assert served.client.get("/readyz").json() == {
        "ready": True,
        "models": {name: {"ready": True, "version": "1"} for name in ("delay", "stars", "fare")},
    }

    class Broken:
        def predict(self, columns, stop=None):
            raise RuntimeError("the graph is gone")

    slot = served.gateway.slots.find("delay")
    runtime, slot.live.runtime = slot.live.runtime, Broken()
    answer = served.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["models"]["delay"]["reason"] == "a golden example fails: the graph is gone"
    assert answer.json()["models"]["fare"]["ready"]
    assert served.client.get("/v2/models/delay/ready").status_code == 503
    # One model failing takes no other down, and is a 500 of its own that says where to look.
    answer = served.predict(headers={"x-request-id": "broken-1"})
    assert answer.status_code == 500
    assert "broken-1" in answer.json()["error"]["message"]
    assert served.predict("fare", {"distance": 1, "zone": "A"}).status_code == 200
    slot.live.runtime = runtime
    assert served.client.get("/readyz").status_code == 200


def test_with_no_versions_it_is_alive_and_says_what_to_do(serve):
    served = serve(publish=None)
    assert served.client.get("/livez").status_code == 200
    answer = served.client.get("/readyz")
    assert answer.status_code == 503
    assert "mainspring fit" in answer.json()["reason"]
    assert served.client.get("/ping").status_code == 503
    assert served.client.get("/v2/health/ready").status_code == 503
    assert [model["state"] for model in served.client.get("/models").json()["models"]] == ["unfitted"] * 3
    answer = served.predict()
    assert answer.status_code == 503
    assert "run `mainspring fit delay`" in answer.json()["error"]["message"]
    assert served.client.post("/v2/repository/models/delay/load").status_code == 409
    assert served.client.get("/openapi.json").status_code == 200
    assert served.client.post("/invocations", json={}).status_code == 400
    publish(served.state, "delay", DELAY, DELAY_RECORD)
    desired.set_champion(served.state, "delay", "1")
    wait_until(lambda: served.predict().status_code == 200, "the first version")
    assert served.client.get("/readyz").status_code == 200


def test_metrics(serve):
    served = serve()
    for _ in range(3):
        served.predict(record=[DELAY_RECORD] * 2)
    served.predict(record={})
    served.predict("nobody")
    text = served.client.get("/metrics").text
    for line in (
        'mainspring_request_seconds_count{code="200",model="delay",version="1"} 3.0',
        'mainspring_request_seconds_count{code="422",model="delay",version="1"} 1.0',
        'mainspring_request_seconds_count{code="404",model="",version=""} 1.0',
        'mainspring_prediction_rows_total{model="delay",version="1"} 6.0',
        'mainspring_rejected_total{code="404"} 1.0',
        'mainspring_reloads_total{model="delay",outcome="ok"} 1.0',
        'mainspring_model_info{model="delay",version="1"} 1.0',
        "mainspring_in_flight_requests 1.0",
    ):
        assert line in text
    assert 'mainspring_request_seconds_bucket{code="200",le="0.01",model="delay",version="1"}' in text
    assert "process_resident_memory_bytes" in text
    assert "nobody" not in text, "a client must not be able to make series"


def test_a_log_that_nobody_reads_costs_lines_and_nothing_else(serve):
    served = serve()
    served.log.close()
    assert served.predict().status_code == 200
    none = "mainspring_access_log_dropped_total 0.0"
    wait_until(lambda: none not in served.client.get("/metrics").text, "the loss to be counted")


def test_the_description_has_each_models_own_schema(serve):
    served = serve()
    document = served.client.get("/openapi.json").json()
    assert {"/models/delay/predict", "/v2/models/fare/infer", "/invocations", "/readyz"} <= document["paths"].keys()
    record = document["components"]["schemas"]["delay.record"]
    assert record["required"] == list(DELAY_RECORD)
    assert record["properties"]["distance"] == {
        "type": "number",
        "description": "Along the great circle. Unit: km. Seen at fit: 17 to 4983.",
        "x-unit": "km",
    }
    assert record["properties"]["carrier"]["examples"] == ["UA", "AA", "EV"]
    assert record["properties"]["gate"]["type"] == ["string", "integer", "null"]
    prediction = document["components"]["schemas"]["stars.prediction"]
    assert prediction["properties"]["label"]["enum"] == [1, 2, 3]
    operation = document["paths"]["/models/delay/predict"]["post"]
    assert set(operation["responses"]) == {
        *("200", "400", "401", "403", "404", "408", "413", "415", "422", "429", "500", "503")
    }
    assert operation["requestBody"]["content"]["application/json"]["example"] == DELAY_RECORD
    (answer,) = served.predict("stars", {"price": 1, "city": "Oslo"}).json()["predictions"]
    jsonschema_rs.validate(prediction, answer)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(prediction, {**answer, "label": 4})

    publish(served.state, "delay", DELAY, DELAY_RECORD, bias=1.0)
    desired.set_champion(served.state, "delay", "2")
    wait_until(lambda: served.predict().json()["version"] == "2", "version 2")
    document = served.client.get("/openapi.json").json()
    assert "version 2" in document["paths"]["/models/delay/predict"]["post"]["summary"]
    served.client.post("/v2/repository/models/delay/unload")
    assert "/models/delay/predict" not in served.client.get("/openapi.json").json()["paths"]


def test_the_description_says_which_labels_feedback_takes(served):
    document = served.client.get("/openapi.json").json()

    def schema(model):
        body = document["paths"][f"/models/{model}/feedback"]["post"]["requestBody"]
        return body["content"]["application/json"]["schema"]

    id_ = served.predict().json()["id"]
    for model, label in (("delay", True), ("stars", 3), ("fare", 3.5)):
        for item in ({"id": id_, "label": label}, {"id": f"{id_}-12", "label": label}, {"key": "a", "label": label}):
            jsonschema_rs.validate(schema(model), item)
            jsonschema_rs.validate(schema(model), {"feedback": [item]})
    for model, item in (
        ("delay", {"id": id_, "label": "true"}),
        ("stars", {"id": id_, "label": 4}),
        ("fare", {"id": "none", "label": 3.5}),
        ("fare", {"key": "", "label": 3.5}),
        ("fare", {"id": id_, "key": "a", "label": 3.5}),
        ("fare", {"label": 3.5}),
    ):
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(schema(model), item)
    parameters = document["paths"]["/models/delay/predict"]["post"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == ["X-Prediction-Key"]

"""Canaries and shadows in a running gateway."""

import pytest
from projects import wait_until

from mainspring.monitoring import summary
from mainspring.monitoring.summary import AlarmLine, Summary
from mainspring.registry import desired
from mainspring.registry.versions import models_folder
from mainspring.schema import Column, Schema

from .graphs import DELAY, DELAY_RECORD, FARE, publish
from .test_answering import logged, traffic
from .test_reconciler import damage, state_of


def with_two(state):
    for bias in (0.0, 1.0):
        publish(state, "delay", DELAY, DELAY_RECORD, bias=bias)
    desired.set_champion(state, "delay", "1")


def live(served, *versions):
    slot = served.gateway.slots.find("delay")
    wait_until(lambda: slot.versions == versions, f"{versions} to be live")


def versions_by_key(served, keys=range(60)):
    return {key: served.predict(headers={"x-prediction-key": f"k{key}"}).json()["version"] for key in keys}


def metric(served, line):
    return line in served.client.get("/metrics").text.splitlines()


def test_a_canary_from_its_beginning_to_its_promotion(serve):
    served = serve(publish=with_two)
    desired.set_canary(served.state, "delay", "2", 0.4)
    live(served, "1", "2")
    found = versions_by_key(served)
    assert 10 < list(found.values()).count("2") < 40
    assert versions_by_key(served) == found, "sticky"
    assert metric(served, 'mainspring_model_info{model="delay",version="1"} 1.0')
    assert metric(served, 'mainspring_model_info{model="delay",version="2"} 1.0')
    assert metric(served, 'mainspring_model_share{model="delay",version="1"} 0.6')
    assert metric(served, 'mainspring_model_share{model="delay",version="2"} 0.4')
    state = state_of(served)
    assert (state["state"], state["version"]) == ("live", "1")
    assert state["routes"] == [
        {"version": "1", "role": "champion", "share": 0.6, "live": True, "error": None},
        {"version": "2", "role": "canary", "share": 0.4, "live": True, "error": None},
    ]

    canary = served.gateway.slots.find("delay").beside["2"]
    desired.set_champion(served.state, "delay", "2")
    live(served, "2")
    assert served.gateway.slots.find("delay").live is canary, "it is not loaded a second time"
    assert set(versions_by_key(served).values()) == {"2"}
    assert metric(served, 'mainspring_model_share{model="delay",version="1"} 0.0')
    assert metric(served, 'mainspring_model_info{model="delay",version="1"} 0.0')
    assert metric(served, 'mainspring_model_share{model="delay",version="2"} 1.0')
    assert metric(served, 'mainspring_reloads_total{model="delay",outcome="ok"} 2.0')


def test_another_share_needs_no_loading_and_an_end_is_followed(serve):
    served = serve(publish=with_two)
    desired.set_canary(served.state, "delay", "2", 0.1)
    live(served, "1", "2")
    desired.set_canary(served.state, "delay", "2", 0.5)
    wait_until(lambda: metric(served, 'mainspring_model_share{model="delay",version="2"} 0.5'), "the share")
    desired.end_rollout(served.state, "delay")
    live(served, "1")
    assert set(versions_by_key(served).values()) == {"1"}
    assert metric(served, 'mainspring_reloads_total{model="delay",outcome="ok"} 2.0')
    assert served.predict().status_code == 200


def test_the_open_inference_protocol_knows_all_live_versions(serve):
    served = serve(publish=with_two)
    desired.set_canary(served.state, "delay", "2", 0.1)
    live(served, "1", "2")
    get = served.client.get
    assert get("/v2/models/delay").json()["versions"] == ["1", "2"]
    assert get("/v2/models/delay/versions/2").json()["versions"] == ["2"]
    assert get("/v2/models/delay/versions/2/ready").status_code == 200
    assert get("/v2/models/delay/versions/3/ready").status_code == 404
    index = served.client.post("/v2/repository/index").json()
    assert [(entry["version"], entry["state"]) for entry in index if entry["name"] == "delay"] == [
        ("1", "READY"),
        ("2", "READY"),
    ]
    for version in ("1", "2"):
        answer = served.client.post(f"/v2/models/delay/versions/{version}/infer", json={"inputs": []})
        assert (answer.status_code, "missing" in answer.text) == (400, True)
    assert served.client.post("/v2/models/delay/versions/3/infer", json={"inputs": []}).status_code == 404


@pytest.mark.parametrize(
    "begin", [lambda s: desired.set_canary(s, "delay", "2", 0.5), lambda s: desired.set_shadow(s, "delay", "2")]
)
def test_one_that_fails_hurts_nobody(serve, begin):
    served = serve(publish=with_two)
    path = models_folder(served.state, "delay") / "2" / "model.onnx"
    whole = path.read_bytes()
    damage(path)
    begin(served.state)
    wait_until(lambda: state_of(served)["state"] == "failed", "the failure")
    assert set(versions_by_key(served).values()) == {"1"}
    state = state_of(served)
    assert "version 2: " in state["error"]
    assert [route["live"] for route in state["routes"]] == [True, False]
    assert "is damaged" in state["routes"][1]["error"]
    ready = served.client.get("/readyz")
    assert ready.status_code == 200
    assert "is damaged" in ready.json()["models"]["delay"]["reason"]
    assert metric(served, 'mainspring_model_share{model="delay",version="1"} 1.0')
    path.write_bytes(whole)
    live(served, "1", "2")
    assert state_of(served)["error"] is None


def test_a_failing_canary_keeps_no_shadow_waiting(serve):
    served = serve(publish=with_two)
    publish(served.state, "delay", DELAY, DELAY_RECORD)
    damage(models_folder(served.state, "delay") / "2" / "model.onnx")
    desired.set_canary(served.state, "delay", "2", 0.5)
    desired.set_shadow(served.state, "delay", "3")
    live(served, "1", "3")
    assert state_of(served)["state"] == "failed"


def test_a_gateway_that_starts_in_a_rollout_has_all_of_it(serve):
    def rolled_out(state):
        with_two(state)
        desired.set_canary(state, "delay", "2", 0.5)

    served = serve(publish=rolled_out)
    assert served.gateway.slots.find("delay").versions == ("1", "2")
    served.client.post("/v2/repository/models/delay/unload")
    live(served)
    assert served.predict().status_code == 503
    served.client.post("/v2/repository/models/delay/load")
    live(served, "1", "2")


def test_a_shadow_is_logged_and_never_heard(serve):
    served = serve(publish=with_two)
    desired.set_shadow(served.state, "delay", "2")
    live(served, "1", "2")
    one = served.predict(headers={"x-prediction-key": "a"})
    many = served.predict(record=[DELAY_RECORD] * 300)  # in the pool
    assert one.json()["version"] == many.json()["version"] == "1"
    rows = logged(served, rows=602)
    first, batch = one.headers["x-prediction-id"], many.headers["x-prediction-id"]
    assert (first, "1", "live", "a") in rows
    assert (first, "2", "shadow", "a") in rows
    assert {row[1:3] for row in rows if row[0] == f"{batch}-299"} == {("1", "live"), ("2", "shadow")}
    wait_until(lambda: traffic(served) == {"1": (2, 0), "2": (2, 0)}, "the traffic")
    # Asked by name, it answers as itself and is not its own shadow.
    slot = served.gateway.slots.find("delay")
    assert slot.beside["2"].leases == slot.live.leases == 0


def test_a_shadow_that_takes_other_fields_reads_the_body_itself_and_may_fail(serve):
    def other_fields(state):
        publish(state, "delay", DELAY, DELAY_RECORD)
        publish(state, "delay", FARE, {"distance": 1.0, "zone": "A"})
        desired.set_champion(state, "delay", "1")

    served = serve(publish=other_fields)
    desired.set_shadow(served.state, "delay", "2")
    live(served, "1", "2")
    assert served.predict().status_code == 200
    wait_until(lambda: traffic(served) == {"1": (1, 0), "2": (1, 1)}, "the shadow's error")
    assert [row[2] for row in logged(served)] == ["live"]


def test_a_shadow_whose_fields_differ_little_is_asked_in_its_own_way(serve):
    def nullable(state):
        publish(state, "delay", FARE, {"distance": 1.0, "zone": "A"})
        zone = Column("zone", "category")  # may not be missing
        publish(state, "delay", Schema((FARE.features[0], zone), FARE.target), {"distance": 1.0, "zone": "A"})
        desired.set_champion(state, "delay", "1")

    served = serve(publish=nullable)
    desired.set_shadow(served.state, "delay", "2")
    live(served, "1", "2")
    assert served.predict(record={"distance": 1, "zone": "A"}).status_code == 200
    assert served.predict(record={"distance": 1, "zone": None}).status_code == 200
    wait_until(lambda: traffic(served) == {"1": (2, 0), "2": (2, 1)}, "one answer and one error of the shadow")


def test_alarms_of_the_monitoring_are_shown(serve):
    served = serve(publish=with_two)
    assert state_of(served)["monitoring"] is None
    alarm = AlarmLine("feature", "distance", 0.4, 0.9, 17, "distance moved")
    summary.write(served.state, "delay", Summary("1", 18, [alarm]))
    line = 'mainspring_alarm{model="delay",name="distance",subject="feature"}'
    wait_until(lambda: metric(served, f"{line} 1.0"), "the alarm")
    assert state_of(served)["monitoring"]["alarms"][0]["message"] == "distance moved"
    summary.write(served.state, "delay", Summary("1", 19))
    wait_until(lambda: metric(served, f"{line} 0.0"), "its end")
    assert state_of(served)["monitoring"]["alarms"] == []

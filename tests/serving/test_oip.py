import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from mainspring.registry import desired

from .graphs import DELAY_RECORD, FARE_RECORD, publish

DATATYPES = {
    "distance": "FP64",
    "delay_before": "FP64",
    "holiday": "BOOL",
    "night": "FP64",
    "carrier": "BYTES",
    "gate": "BYTES",
    "departs_at": "BYTES",
    "booked_at": "BYTES",
}
NUMPY = {"FP64": np.float64, "FP32": np.float32, "FP16": np.float16, "BOOL": np.bool_, "BYTES": np.object_}
NUMPY |= {f"{sign}INT{bits}": np.dtype(f"{sign.lower()}int{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)}


@pytest.fixture(scope="module")
def client(served):
    with triton.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


def tensor(name, values, datatype, binary, flat=False):
    shape = (len(values),) if flat else (len(values), 1)
    array = np.array(values, dtype=NUMPY[datatype]).reshape(shape)
    found = triton.InferInput(name, list(shape), datatype)
    return found.set_data_from_numpy(array, binary_data=binary)


def inputs(binary, rows=2, **changed):
    """The golden record as tensors; `changed` are (values, datatype) by name, None to leave one out."""
    given = {
        "distance": ([1200.5] * rows, "FP64"),
        "delay_before": ([np.nan if binary else 0.25] * rows, "FP64"),
        "holiday": ([False] * rows, "BOOL"),
        "night": ([1.0] * rows, "FP64"),
        "carrier": ([b"AA"] * rows, "BYTES"),
        "gate": ([b"17"] * rows, "BYTES"),
        "departs_at": ([b"2013-07-04T18:30:00"] * rows, "BYTES"),
        "booked_at": ([b""] * rows, "BYTES"),
        **changed,
    }
    return [tensor(name, *value, binary) for name, value in given.items() if value is not None]


@pytest.fixture(scope="module")
def expected(served):
    """What the JSON endpoint says of the golden record. A missing delay counts as 0.25 in the test's graph."""
    (prediction,) = served.predict(record=DELAY_RECORD).json()["predictions"]
    return list(prediction["probabilities"].values())


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_tritonclient_gets_what_json_gets(client, expected, binary_in, binary_out):
    wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("probabilities", "label")]
    answer = client.infer("delay", inputs(binary_in, rows=3), outputs=wanted, request_id="mine")
    assert [output["name"] for output in answer.get_response()["outputs"]] == ["probabilities", "label"]
    np.testing.assert_allclose(answer.as_numpy("probabilities"), [expected] * 3, atol=1e-12)
    assert answer.as_numpy("label").tolist() == ([b"true"] * 3 if binary_out else ["true"] * 3)
    assert answer.get_response()["id"] == "mine"
    assert answer.get_response()["model_version"] == "1"


def test_tritonclient_with_its_defaults_gets_every_output(client, expected):
    answer = client.infer("delay", inputs(True, rows=1), model_version="1")
    np.testing.assert_allclose(answer.as_numpy("probabilities"), [expected], atol=1e-12)
    assert answer.as_numpy("label").tolist() == [b"true"]
    fare = [tensor("distance", [3.5], "FP32", True), tensor("zone", ["A"], "BYTES", True)]
    assert client.infer("fare", fare).as_numpy("value").shape == (1,)


def test_a_large_binary_request_is_the_same(client, expected):
    answer = client.infer("delay", inputs(True, rows=3000))
    np.testing.assert_allclose(answer.as_numpy("probabilities"), [expected] * 3000, atol=1e-12)


@pytest.mark.parametrize("binary", [True, False])
def test_other_datatypes_that_fit_are_taken(client, binary):
    reference = client.infer("delay", inputs(binary, distance=([12.0, 3.0], "FP64"))).as_numpy("probabilities")
    for datatype in ("INT8", "INT32", "INT64", "UINT8", "UINT64", "FP32", "FP16"):
        if datatype == "FP16" and not binary:
            continue  # tritonclient cannot write it as JSON
        changed = {"distance": ([12, 3], datatype), "holiday": ([0, 0], datatype), "night": ([1, 1], datatype)}
        answer = client.infer("delay", inputs(binary, **changed))
        np.testing.assert_array_equal(answer.as_numpy("probabilities"), reference)
    changed = {"distance": ([12.0, 3.0], "FP64"), "night": ([True, True], "BOOL"), "gate": ([17, 17], "INT32")}
    np.testing.assert_array_equal(client.infer("delay", inputs(binary, **changed)).as_numpy("probabilities"), reference)


def test_the_shape_may_be_flat(client, expected):
    flat = [tensor("distance", [3.5, 4], "FP64", True, flat=True), tensor("zone", ["A", ""], "BYTES", True, flat=True)]
    assert client.infer("fare", flat).as_numpy("value").shape == (2,)


WRONG_TENSORS = [
    ({"distance": None}, "input 'distance': the input is missing"),
    ({"distanse": ([1.0, 2.0], "FP64")}, "input 'distanse': there is no such input"),
    ({"distance": ([1.0], "FP64")}, "input 'delay_before': it has 2 rows"),
    ({"distance": ([1.0, np.nan], "FP64")}, "input 'distance'[1]: expected a finite number"),
    ({"distance": ([np.inf, 1.0], "FP64")}, "input 'distance'[0]: expected a finite number"),
    ({"delay_before": ([1.0, -np.inf], "FP64")}, "input 'delay_before'[1]: expected a finite number"),
    ({"distance": ([b"1", b"2"], "BYTES")}, "input 'distance': expected the datatype FP64"),
    ({"distance": ([True, True], "BOOL")}, "input 'distance': expected the datatype FP64"),
    ({"holiday": ([1, 2], "INT64")}, "input 'holiday'[1]: expected true or false"),
    ({"holiday": ([0.5, 1], "FP64")}, "input 'holiday'[0]: expected true or false"),
    ({"holiday": ([1.0, np.nan], "FP64")}, "input 'holiday'[1]: expected true or false"),
    ({"carrier": ([1, 2], "INT64")}, "input 'carrier': expected the datatype BYTES"),
    ({"carrier": ([b"UA", b""], "BYTES")}, "input 'carrier'[1]: the text is empty"),
    ({"departs_at": ([b"2013-07-04", b"soon"], "BYTES")}, "input 'departs_at'[1]: expected an ISO 8601 time"),
    ({"departs_at": ([b"2013-07-04", b""], "BYTES")}, "input 'departs_at'[1]"),
]


def in_json(changed):
    """JSON has no NaN and no infinity."""
    return all(np.all(np.isfinite(value[0])) for value in changed.values() if value and value[1] == "FP64")


@pytest.mark.parametrize(
    ("changed", "message", "binary"),
    [(*wrong, binary) for wrong in WRONG_TENSORS for binary in (True, False) if binary or in_json(wrong[0])],
)
def test_a_wrong_tensor_is_400_and_named(client, changed, message, binary):
    with pytest.raises(InferenceServerException) as caught:
        client.infer("delay", inputs(binary, **changed))
    assert caught.value.status() == "400"
    assert message in str(caught.value)


def test_text_that_is_not_utf8_is_400(client):
    with pytest.raises(InferenceServerException, match=r"input 'carrier'\[1\]: the text is not UTF-8"):
        client.infer("delay", inputs(True, carrier=([b"UA", b"\xff"], "BYTES")))


def test_a_wrong_shape_or_output_is_400(client):
    wide = triton.InferInput("distance", [1, 2], "FP64").set_data_from_numpy(np.zeros((1, 2)))
    with pytest.raises(InferenceServerException, match=r"input 'distance': expected the shape \[n, 1\]"):
        client.infer("delay", [wide, *inputs(True, rows=1, distance=None)])
    empty = triton.InferInput("distance", [0, 1], "FP64").set_data_from_numpy(np.zeros((0, 1)))
    with pytest.raises(InferenceServerException, match="at least one row"):
        client.infer("delay", [empty])
    with pytest.raises(InferenceServerException, match="output 'score': there is no such output"):
        client.infer("delay", inputs(True), outputs=[triton.InferRequestedOutput("score")])
    with pytest.raises(InferenceServerException, match="'classification' is not supported"):
        client.infer("delay", inputs(True), outputs=[triton.InferRequestedOutput("label", class_count=2)])
    with pytest.raises(InferenceServerException, match="given twice"):
        client.infer("fare", [tensor("distance", [1.0], "FP64", True)] * 2)


def test_an_unknown_model_or_version_is_404(client):
    with pytest.raises(InferenceServerException, match="there are: delay, fare, stars") as caught:
        client.infer("nobody", inputs(True))
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="no live version of delay '9'; there are: 1"):
        client.infer("delay", inputs(True), model_version="9")


ONE = {"name": "zone", "datatype": "BYTES", "shape": [1], "data": ["A"]}
KM = {"name": "distance", "datatype": "FP64", "shape": [1], "data": [3.5]}


def infer_fare(served, body, **headers):
    content = {"content": body} if isinstance(body, bytes | str) else {"json": body}
    return served.client.post("/v2/models/fare/infer", headers=headers, **content)


def test_json_data_may_be_flat_nested_or_null(served):
    first = infer_fare(served, {"inputs": [KM, ONE]}).json()["outputs"][0]
    assert first == {"name": "value", "datatype": "FP64", "shape": [1], "data": first["data"]}
    nested = {**KM, "shape": [1, 1], "data": [[3.5]]}
    assert infer_fare(served, {"inputs": [ONE, nested]}).json()["outputs"][0] == first
    missing = infer_fare(served, {"inputs": [KM, {**ONE, "data": [None]}]}).json()["outputs"]
    record = served.predict("fare", {**FARE_RECORD, "zone": None}).json()["predictions"][0]
    assert missing[0]["data"] == [record["value"]]


WRONG_JSON = [
    ({"inputs": [KM, {**ONE, "data": ["A", "B"]}]}, "data has 2 values, the shape says 1"),
    ({"inputs": [{**KM, "data": [[1, 2]]}, ONE]}, "each row of data must hold one value"),
    ({"inputs": [{**KM, "data": [None]}, ONE]}, "input 'distance'"),
    ({"inputs": [{**KM, "data": ["1"]}, ONE]}, "input 'distance'"),
    ({"inputs": [{**KM, "data": 1}, ONE]}, "input 'distance'"),
    ({"inputs": [{**KM, "data": [[[1]]]}, ONE]}, "input 'distance'"),
    ({"inputs": [{**KM, "datatype": "INT8", "data": [128]}, ONE]}, "input 'distance'[0]: the number is no INT8"),
    ({"inputs": [{**KM, "datatype": "UINT8", "data": [-1]}, ONE]}, "no UINT8"),
    ({"inputs": [{**KM, "datatype": "INT64", "data": [1.5]}, ONE]}, "input 'distance'"),
    ({"inputs": [{**KM, "datatype": "FP128"}, ONE]}, "found FP128"),
    ({"inputs": [{**KM, "shape": [-1]}, ONE]}, "at least one row"),
    ({"inputs": [{**KM, "shape": []}, ONE]}, "expected the shape"),
    ({"inputs": [{**KM, "shape": [10**9]}, ONE]}, "too many"),
    ({"inputs": [{**KM, "shape": ["1"]}, ONE]}, "shape"),
    ({"inputs": [{**KM, "parameters": {"shared_memory_region": "x"}}, ONE]}, "not supported"),
    ({"inputs": [{**KM, "parameters": {"binary_data_size": 8}}, ONE]}, "either data or"),
    ({"inputs": [{"name": "distance", "datatype": "FP64", "shape": [1]}, ONE]}, "either data or"),
    ({"inputs": [KM, ONE], "outputs": [{"name": "value"}] * 2}, "asked for twice"),
    ({"inputs": [KM, ONE], "outputs": [{"name": "value", "parameters": {"binary_data": 1}}]}, "neither true nor false"),
    ({"inputs": [KM, ONE], "parameters": {"binary_data_output": "yes"}}, "neither true nor false"),
    ({"inputs": []}, "input 'distance': the input is missing"),
    ({"inputs": [KM, ONE], "more": 1}, "more"),
    ({}, "inputs"),
    ([], "object"),
    ('{"inputs": [], "inputs": []}', "given twice"),
    ('{"inputs": [{"name": "distance", "data": [NaN]}]}', "NaN and Infinity are not JSON"),
    ('{"inputs": [{"name": "distance", "data": ' + "[" * 100_000, "nested too deeply"),
    ('{"id": ' + "[" * 100_000, "expected `str`"),
    ("", "empty"),
]


@pytest.mark.parametrize(("body", "message"), WRONG_JSON, ids=range(len(WRONG_JSON)))
def test_wrong_json_is_400_and_says_what(served, body, message):
    answer = infer_fare(served, body)
    assert answer.status_code == 400, answer.text
    assert message.lower() in answer.json()["error"].lower()
    assert answer.json().keys() == {"error"}


def test_wrong_binary_data_is_400(served):
    header = (
        b'{"inputs":[{"name":"distance","datatype":"FP64","shape":[1],"parameters":{"binary_data_size":8}},'
        b'{"name":"zone","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}'
    )
    number, text = b"\0" * 8, b"\1\0\0\0A"

    def ask(body, length):
        return infer_fare(served, body, **{"inference-header-content-length": str(length)})

    assert ask(header + number + text, len(header)).status_code == 200
    for body, message in (
        (header + number, "only 0 bytes are left"),
        (header + number + text + b"x", "1 bytes of binary data belong to no input"),
        (header + number + b"\2\0\0\0A", "does not hold 1 texts"),
        (header + number + b"\xff\xff\xff\xffA", "does not hold 1 texts"),
        (header + number + b"\0\0\0\0A", "does not hold 1 texts"),
        (header.replace(b'"FP64"', b'"FP32"') + number + text, "expected 4 bytes of FP32"),
        (header.replace(b":8}", b":-8}"), "not a number of bytes"),
        (header.replace(b":8}", b":true}"), "not a number of bytes"),
    ):
        answer = ask(body, body.index(b"]}]}") + 4 if b"]}]}" in body else body.rindex(b"}]}") + 3)
        assert answer.status_code == 400, (body, answer.text)
        assert message in answer.json()["error"]
    assert "fewer than" in ask(header, 10_000).json()["error"]
    assert "not a number of bytes" in ask(header, -1).json()["error"]
    assert ask(header, 10).status_code == 400


def test_metadata(client, served):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("delay")
    assert client.is_model_ready("delay", "1")
    assert not client.is_model_ready("delay", "9")
    assert not client.is_model_ready("nobody")
    assert "model_repository" in client.get_server_metadata()["extensions"]
    found = client.get_model_metadata("delay")
    assert {each["name"]: each["datatype"] for each in found["inputs"]} == DATATYPES
    assert all(each["shape"] == [-1, 1] for each in found["inputs"])
    assert [(each["name"], each["datatype"], each["shape"]) for each in found["outputs"]] == [
        ("label", "BYTES", [-1]),
        ("probabilities", "FP64", [-1, 2]),
    ]
    assert found["versions"] == ["1"]
    assert client.get_model_metadata("delay", "1") == found
    assert client.get_model_metadata("fare")["outputs"] == [{"name": "value", "datatype": "FP64", "shape": [-1]}]
    with pytest.raises(InferenceServerException, match="no model 'nobody'"):
        client.get_model_metadata("nobody")
    assert infer_fare(served, "x", **{"content-type": "text/plain"}).status_code == 415
    assert served.client.get("/v2/models/delay/infer").json() == {"error": "/v2/models/delay/infer takes POST, not GET"}


def test_the_repository_loads_and_unloads(serve):
    served = serve()
    with triton.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        states = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
        assert states == {"delay": "READY", "fare": "READY", "stars": "READY"}
        client.unload_model("delay")
        assert not desired.read(served.state).models["delay"].loaded
        assert not client.is_model_ready("delay")
        assert client.is_server_ready(), "a model that is switched off is not missed"
        assert served.predict().status_code == 503
        assert "switched off" in served.predict().json()["error"]["message"]
        index = served.client.post("/v2/repository/index", json={"ready": True}).json()
        assert [entry["name"] for entry in index] == ["fare", "stars"]
        client.unload_model("delay")
        client.load_model("delay")
        assert served.predict().status_code == 200
        with pytest.raises(InferenceServerException, match="no model 'nobody'"):
            client.load_model("nobody")
        with pytest.raises(InferenceServerException, match="'config' is not supported"):
            client.load_model("delay", config="{}")
        assert served.client.post("/v2/repository/models/delay/load", content="{").status_code == 400
        assert served.client.post("/v2/repository/models/delay/load", content="[1]").status_code == 400

        def spoil(answers):
            answers[0]["probabilities"]["true"] += 0.1

        client.unload_model("fare")
        from .graphs import DELAY

        publish(served.state, "delay", DELAY, DELAY_RECORD, spoil=spoil)
        client.unload_model("delay")
        desired.set_champion(served.state, "delay", "2")
        with pytest.raises(InferenceServerException, match="golden example 0 is answered"):
            client.load_model("delay")

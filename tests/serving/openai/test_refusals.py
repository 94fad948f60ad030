"""What is not honoured is refused, by name and in OpenAI's words."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.graphs import DELAY_RECORD

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CHOICE = {"type": "function", "function": {"name": "mul"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a"}}]}]
SOUND = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}]

REFUSED = [
    ({"messages": []}, "messages"),
    ({"messages": ...}, "messages"),
    ({"model": ...}, "model"),
    ({"model": 3}, "model"),
    ({"foo": 1}, "foo"),
    ({"messages": [{"role": "user", "content": "a", "mood": "b"}]}, "messages[0].mood"),
    ({"messages": [{"role": "function", "name": "f", "content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": [{"role": "assistant"}]}, "messages[0].content"),
    ({"messages": IMAGE}, "messages[0].content[0].type"),
    ({"messages": SOUND}, "messages[0].content[0].type"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": "0"}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"presence_penalty": 2.5}, "presence_penalty"),
    ({"frequency_penalty": -2.5}, "frequency_penalty"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"seed": 1.5}, "seed"),
    ({"seed": 2**63}, "seed"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": ""}, "stop"),
    ({"logprobs": 5}, "logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"logit_bias": {"50256": -100}}, "logit_bias"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, "response_format.json_schema.schema"),
    ({"tools": []}, "tools"),
    ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
    ({"tools": [TOOL, TOOL]}, "tools[1].function.name"),
    ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": CHOICE}, "tool_choice.function.name"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"parallel_tool_calls": False}, "parallel_tool_calls"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"function_call": "auto"}, "function_call"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ({"store": True}, "store"),
    ({"service_tier": "priority"}, "service_tier"),
    ({"modalities": ["text", "audio"]}, "modalities[1]"),
    ({"audio": {"voice": "a", "format": "mp3"}}, "audio"),
    ({"prediction": {"type": "content", "content": "a"}}, "prediction"),
    ({"reasoning_effort": "low"}, "reasoning_effort"),
    ({"verbosity": "low"}, "verbosity"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"metadata": {"a": 1}}, "metadata[...]"),
]


@pytest.mark.parametrize(("more", "param"), REFUSED, ids=[json.dumps(str(more)) for more, _ in REFUSED])
def test_chat_refuses(languages, more, param):
    answer = languages.ask(**more)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["code"]
    assert param in error["message"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"echo": True}, "echo"),
        ({"suffix": "b"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"prompt": ...}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt[1]"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [1, -1]}, "prompt[1]"),
        ({"prompt": [[1], []]}, "prompt[1]"),
        ({"prompt": ["a"] * 65, "n": 2}, "prompt"),
        ({"messages": []}, "messages"),
        ({"tools": [TOOL]}, "tools"),
    ],
)
def test_completions_refuse(languages, more, param):
    answer = languages.ask(**{"messages": ..., "prompt": "a", **more}, path="/v1/completions")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": "long"}, "input[0]"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 3}, "dimensions"),
        ({"truncate": True}, "truncate"),
    ],
)
def test_embeddings_refuse(languages, more, param):
    body = {"messages": ..., "model": "vectors", "input": "a", **more}
    answer = languages.ask(**body, path="/v1/embeddings")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_null_is_the_default(languages):
    names = (
        "temperature",
        "top_p",
        "n",
        "stop",
        "seed",
        "max_tokens",
        "logprobs",
        "response_format",
        "tools",
        "stream",
    )
    names += ("logit_bias", "functions", "audio", "user", "metadata", "store", "stream_options", "tool_choice")
    assert languages.ask(**dict.fromkeys(names)).status_code == 200


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": [{"role": "user", "content": "a"}], "prompt": ...}, "messages"),
        ({"logprobs": 1}, "logprobs"),
        ({"seed": 3}, "seed"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(languages, more, param):
    """`writer` continues texts, and nothing else."""
    path = "/v1/chat/completions" if "messages" in more else "/v1/completions"
    body = {"messages": ..., "prompt": "a", "model": "writer", **more}
    answer = languages.ask(**body, path=path)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert "writer" in answer.json()["error"]["message"]


def test_models_are_told_where_they_can_be_asked(languages):
    said = [
        languages.ask(model="vectors"),
        languages.ask(model="desk", messages=..., input="a", path="/v1/embeddings"),
        languages.ask(model="delay"),
    ]
    assert [answer.status_code for answer in said] == [400] * 3
    assert [answer.json()["error"]["param"] for answer in said] == ["model"] * 3
    where = ["/v1/embeddings", "/v1/chat/completions", "/models/delay/predict"]
    for answer, path in zip(said, where, strict=True):
        assert path in answer.json()["error"]["message"]
    answer = languages.client.post("/models/desk/predict", json=DELAY_RECORD)
    assert answer.status_code == 400
    assert "/v1/chat/completions" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("kind", "status", "type_", "param", "code"),
    [
        ("context", 400, "invalid_request_error", "messages", "context_length_exceeded"),
        ("length", 400, "invalid_request_error", "max_tokens", "context_length_exceeded"),
        ("schema", 400, "invalid_request_error", "response_format.json_schema.schema.not", "unsupported_value"),
        ("request", 400, "invalid_request_error", "messages", "invalid_value"),
        ("full", 429, "requests", None, "rate_limit_exceeded"),
        ("defect", 503, "server_error", None, "unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_engines_errors_have_their_status_also_in_a_stream(languages, kind, status, type_, param, code, stream):
    answer = languages.ask(f"fail {kind}", stream=stream)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == (type_, param, code)
    assert ("retry-after" in answer.headers) == (status >= 429)


def test_an_engines_names_become_the_requests(languages):
    assert languages.ask("fail length", max_completion_tokens=9).json()["error"]["param"] == "max_completion_tokens"
    answer = languages.ask(messages=..., prompt="fail context", path="/v1/completions")
    assert answer.json()["error"]["param"] == "prompt"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b"[]", "object"),
        (b"\xff", "UTF-8"),
        (b"[" * 100_000, ""),
        (b'{"model": "desk", "messages": [{"role": "user", "content": ' + b"[" * 50_000, ""),
        (b'{"model": "desk", "model": "writer", "messages": [{"role": "user", "content": "a"}]}', "twice"),
        (b'{"model": "desk", "temperature": NaN, "messages": [{"role": "user", "content": "a"}]}', "NaN"),
    ],
)
def test_what_is_no_json_object_is_400(languages, body, says):
    for path in ("chat/completions", "completions", "embeddings")[: 1 if says in ("twice", "NaN") else 3]:
        headers = {"content-type": "application/json"}
        answer = languages.client.post(f"/v1/{path}", content=body, headers=headers)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert says in answer.json()["error"]["message"]


def test_other_refusals_have_openais_form_too(languages):
    answer = languages.client.get("/v1/chat/completions")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert languages.client.get("/v1/nowhere").json()["error"]["code"] == "not_found"
    answer = languages.client.post("/v1/chat/completions", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    assert answer.json()["error"]["param"] == "Content-Type"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted({*(name for more, _ in REFUSED for name in more), "user", "top_k", "ignore_eos", "prompt", "input"})
bodies = st.dictionaries(st.sampled_from(NAMES), json_values, max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(more=bodies, path=st.sampled_from(["chat/completions", "completions", "embeddings"]))
def test_no_body_is_a_defect_of_ours(languages, more, path):
    default = {
        "chat/completions": {"messages": [{"role": "user", "content": "a"}]},
        "completions": {"prompt": "a"},
        "embeddings": {"input": "a"},
    }[path]
    model = "vectors" if path == "embeddings" else "desk"
    content = json.dumps({"model": model, **default, **more})
    answer = languages.client.post(f"/v1/{path}", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 404), answer.text
    if answer.status_code != 200:
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}

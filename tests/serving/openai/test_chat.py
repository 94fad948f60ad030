"""Chat completions, as bytes on the wire."""

import json

import pytest

from .reciter import CACHED

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def events(answer):
    """The data of a stream's events, and what its comments say."""
    assert answer.text.endswith("\n\n")
    blocks = answer.text.removesuffix("\n\n").split("\n\n")
    data = [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]
    return [json.loads(item) if item != "[DONE]" else item for item in data]


def test_an_answer_has_the_fields_of_openai(languages):
    answer = languages.ask("one two three", temperature=0, user="u", metadata={"a": "b"}, store=False)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    prediction = answer.headers["x-prediction-id"]
    fingerprint = found.pop("system_fingerprint")
    assert fingerprint.startswith("fp_")
    created = found.pop("created")
    assert isinstance(created, int)
    assert found == {
        "id": f"chatcmpl-{prediction}",
        "object": "chat.completion",
        "model": "desk",
        "choices": [
            {
                "index": 0,
                "message": {"content": "one two three", "role": "assistant", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 3,
            "total_tokens": 6,
            "prompt_tokens_details": {"cached_tokens": CACHED},
        },
    }
    assert answer.headers["x-model-version"] == "1"
    assert languages.ask("other").json()["system_fingerprint"] == fingerprint


def test_a_version_can_be_named(languages):
    answer = languages.ask(model="desk:1")
    assert answer.status_code == 200
    assert answer.json()["model"] == "desk:1"
    for name in ("desk:2", "desk:", "nobody"):
        answer = languages.ask(model=name)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "model_not_found"


def test_a_stream_has_the_chunks_of_openai(languages):
    answer = languages.ask("one two", stream=True, stream_options={"include_usage": True})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-model-version"] == "1"
    *chunks, done = events(answer)
    assert done == "[DONE]"
    ids = {(chunk.pop("id"), chunk.pop("created"), chunk.pop("system_fingerprint")) for chunk in chunks}
    assert len(ids) == 1
    assert next(iter(ids))[0] == f"chatcmpl-{answer.headers['x-prediction-id']}"
    assert {(chunk.pop("object"), chunk.pop("model")) for chunk in chunks} == {("chat.completion.chunk", "desk")}
    deltas = [({"role": "assistant", "content": "", "refusal": None}, None), ({"content": "one "}, None)]
    deltas += [({"content": "two"}, None), ({}, "stop")]
    assert chunks[:-1] == [
        {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], "usage": None}
        for delta, finish in deltas
    ]
    assert chunks[-1] == {
        "choices": [],
        "usage": {
            "prompt_tokens": 2,
            "completion_tokens": 2,
            "total_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": CACHED},
        },
    }


def test_without_include_usage_no_chunk_speaks_of_usage(languages):
    *chunks, _ = events(languages.ask("one", stream=True))
    assert all("usage" not in chunk for chunk in chunks)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]


@pytest.mark.parametrize("stream", [False, True])
def test_n_answers_are_told_apart(languages, stream):
    answer = languages.ask("one two", n=3, stream=stream)
    if not stream:
        found = answer.json()
        assert [choice["index"] for choice in found["choices"]] == [0, 1, 2]
        assert {choice["message"]["content"] for choice in found["choices"]} == {"one two"}
        assert found["usage"]["completion_tokens"] == 6
        return
    texts, roles = {0: "", 1: "", 2: ""}, []
    for chunk in events(answer)[:-1]:
        (choice,) = chunk["choices"]
        texts[choice["index"]] += choice["delta"].get("content") or ""
        roles += [choice["index"]] if "role" in choice["delta"] else []
    assert texts == dict.fromkeys(range(3), "one two")
    assert sorted(roles) == [0, 1, 2]


def test_limits_and_stop_strings(languages):
    def ended(**more):
        (choice,) = languages.ask("one two three", **more).json()["choices"]
        return choice["message"]["content"], choice["finish_reason"]

    assert ended(max_tokens=2) == ("one two ", "length")
    assert ended(max_completion_tokens=1) == ("one ", "length")
    assert ended(stop="two") == ("one ", "stop")
    assert ended(stop=["zero", "three"]) == ("one two ", "stop")
    assert ended(stop=[]) == ("one two three", "stop")


def test_logprobs_whole_and_streamed(languages):
    (choice,) = languages.ask("one two", logprobs=True, top_logprobs=2).json()["choices"]
    expected = [
        {
            "token": word,
            "logprob": -0.5 * place,
            "bytes": list(word.encode()),
            "top_logprobs": [
                {"token": "r0", "logprob": -1.0, "bytes": list(b"r0")},
                {"token": "r1", "logprob": -9999.0, "bytes": list(b"r1")},
            ],
        }
        for place, word in enumerate(("one ", "two"))
    ]
    assert choice["logprobs"] == {"content": expected, "refusal": None}
    *chunks, _ = events(languages.ask("one two", logprobs=True, top_logprobs=2, stream=True))
    found = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert [item for part in found if part for item in part["content"]] == expected
    (choice,) = languages.ask("one", logprobs=True).json()["choices"]
    assert choice["logprobs"]["content"][0]["top_logprobs"] == []


def test_tool_calls_whole_and_streamed(languages):
    said = 'call add {"a": 1} | add {"a": 2}'
    (choice,) = languages.ask(said, tools=[TOOL]).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    calls = [
        {"id": f"call_{k}", "type": "function", "function": {"name": "add", "arguments": f'{{"a": {k + 1}}}'}}
        for k in range(2)
    ]
    assert choice["message"] == {"content": None, "role": "assistant", "refusal": None, "tool_calls": calls}

    *chunks, _ = events(languages.ask(said, tools=[TOOL], stream=True))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": None, "refusal": None}
    assert deltas[1]["tool_calls"] == [
        {"index": 0, "id": "call_0", "type": "function", "function": {"name": "add", "arguments": ""}}
    ]
    assert deltas[2]["tool_calls"] == [{"index": 0, "function": {"arguments": '{"a"'}}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_conversation_with_tool_results_and_parts_is_taken(languages):
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "annotations": [],
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "four words are here"}]},
    ]
    found = languages.ask(messages=messages, tools=[TOOL]).json()
    assert found["choices"][0]["message"]["content"] == "four words are here"
    messages[-1]["tool_call_id"] = "c2"
    error = languages.ask(messages=messages, tools=[TOOL]).json()["error"]
    assert error["param"] == "messages[3].tool_call_id"


def test_the_tier_is_told_where_it_was_asked_for(languages):
    assert languages.ask(service_tier="auto").json()["service_tier"] == "default"
    assert "service_tier" not in languages.ask().json()

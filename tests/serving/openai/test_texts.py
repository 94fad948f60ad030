"""Completions, embeddings and the list of models, as bytes on the wire."""

import base64
import json

import numpy as np
import pytest

from .reciter import CACHED


def complete(languages, **more):
    return languages.ask(**{"messages": ..., "model": "writer", **more}, path="/v1/completions")


def embed(languages, given, **more):
    return languages.ask(messages=..., model="vectors", input=given, path="/v1/embeddings", **more)


def test_a_completion_has_the_fields_of_openai(languages):
    answer = complete(languages, prompt="one two three")
    found = answer.json()
    del found["created"], found["system_fingerprint"]
    assert found == {
        "id": f"cmpl-{answer.headers['x-prediction-id']}",
        "object": "text_completion",
        "model": "writer",
        "choices": [{"text": "one two three", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 3,
            "total_tokens": 6,
            "prompt_tokens_details": {"cached_tokens": CACHED},
        },
    }


def test_a_chat_model_continues_texts_too(languages):
    assert complete(languages, model="desk", prompt="one").json()["choices"][0]["text"] == "one"


def test_sixteen_tokens_are_the_default_as_openais(languages):
    (choice,) = complete(languages, prompt="word " * 40).json()["choices"]
    assert (len(choice["text"].split()), choice["finish_reason"]) == (16, "length")


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        (["one", "two"], ["one", "two"]),
        ([5, 6], ["tokens [5, 6]"]),
        ([[5], [6, 7]], ["tokens [5]", "tokens [6, 7]"]),
        ("one", ["one"]),
    ],
)
def test_all_forms_of_prompts(languages, prompt, texts):
    found = complete(languages, prompt=prompt, n=2, best_of=2).json()
    assert [choice["index"] for choice in found["choices"]] == list(range(2 * len(texts)))
    assert [choice["text"] for choice in found["choices"]] == [text for text in texts for _ in range(2)]
    assert found["usage"]["prompt_tokens_details"]["cached_tokens"] == CACHED * len(texts)


def test_a_streamed_completion(languages):
    answer = complete(languages, prompt=["one two", "three"], stream=True, stream_options={"include_usage": True})
    *blocks, done = answer.text.removesuffix("\n\n").split("\n\n")
    assert done == "data: [DONE]"
    *chunks, last = [json.loads(block.removeprefix("data: ")) for block in blocks]
    texts, ends = {0: "", 1: ""}, {}
    for chunk in chunks:
        assert (chunk["object"], chunk["usage"]) == ("text_completion", None)
        (choice,) = chunk["choices"]
        texts[choice["index"]] += choice["text"]
        ends |= {choice["index"]: choice["finish_reason"]}
    assert texts == {0: "one two", 1: "three"}
    assert ends == {0: "stop", 1: "stop"}
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 6)


def test_logprobs_in_the_older_form(languages):
    (choice,) = complete(languages, model="desk", prompt="one twö three", logprobs=1).json()["choices"]
    assert choice["logprobs"] == {
        "tokens": ["one ", "twö ", "three"],
        "token_logprobs": [0.0, -0.5, -1.0],
        "top_logprobs": [{"r0": -1.0, "one ": 0.0}, {"r0": -1.0, "twö ": -0.5}, {"r0": -1.0, "three": -1.0}],
        "text_offset": [0, 4, 8],
    }
    (choice,) = complete(languages, model="desk", prompt="one", logprobs=0).json()["choices"]
    assert choice["logprobs"]["top_logprobs"] is None
    answer = complete(languages, model="desk", prompt="one twö three", logprobs=1, stream=True)
    chunks = [json.loads(block.removeprefix("data: ")) for block in answer.text.split("\n\n") if '"text"' in block]
    offsets = [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks if chunk["choices"][0]["logprobs"]]
    assert offsets == [[0], [4], [8]]


def test_vectors_as_numbers_and_as_base64(languages):
    answer = embed(languages, ["ab", "abcd"])
    found = answer.json()
    assert answer.headers["x-model-version"] == "1"
    assert found["object"] == "list"
    assert found["model"] == "vectors"
    assert found["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    assert [(item["object"], item["index"]) for item in found["data"]] == [("embedding", 0), ("embedding", 1)]
    expected = np.arange(2, 6) / np.linalg.norm(np.arange(2, 6))
    assert found["data"][0]["embedding"] == pytest.approx(expected, abs=1e-6)

    packed = embed(languages, ["ab", "abcd"], encoding_format="base64", dimensions=4).json()
    for plain, coded in zip(found["data"], packed["data"], strict=True):
        vector = np.frombuffer(base64.b64decode(coded["embedding"]), "<f4")
        assert vector.tolist() == plain["embedding"]


@pytest.mark.parametrize("given", ["ab", [1, 2], [[1, 2]]])
def test_all_forms_of_inputs(languages, given):
    (one,) = embed(languages, given).json()["data"]
    assert len(one["embedding"]) == 4


def test_many_vectors(languages):
    found = embed(languages, ["a"] * 2048).json()["data"]
    assert [item["index"] for item in found] == list(range(2048))


def test_the_language_models_are_listed(languages):
    found = languages.client.get("/v1/models").json()
    assert found["object"] == "list"
    assert [item["id"] for item in found["data"]] == ["desk", "vectors", "writer"]
    one = languages.client.get("/v1/models/desk").json()
    assert one == found["data"][0] == {"id": "desk", "object": "model", "created": 1767225600, "owned_by": "airdesk"}
    assert languages.client.get("/v1/models/desk:1").json()["id"] == "desk:1"
    for name in ("desk:2", "nobody", "delay"):
        answer = languages.client.get(f"/v1/models/{name}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "model_not_found"

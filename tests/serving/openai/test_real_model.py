"""The whole way with a real model: SmolLM2 in an engine's process, the gateway, the official client."""

import json
import math
import subprocess
import sys

import jsonschema
import openai
import pytest
from projects import wait_until
from pydantic import BaseModel
from weights_at_hand import smollm2_gguf

from mainspring.processes import in_child
from mainspring.runtimes.language.sockets import short, socket_path

from .conftest import Languages

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class City(BaseModel):
    """A place."""

    name: str
    is_capital: bool


class Real(Languages):
    """Its one engine is a real one."""

    def begin_engines(self):
        socket = socket_path(self.state, "desk", "1")
        command = [sys.executable, "-m", "mainspring.runtimes.language", "--gguf", smollm2_gguf(), "--socket", socket]
        command += ["--properties", '{"precision": "32-bit"}']  # no rounding may decide what a test expects
        self.engines = subprocess.Popen([str(part) for part in command], preexec_fn=in_child())
        try:
            wait_until(short(socket).exists, "the model to be loaded", 120)
        except BaseException:
            self.end_engines()
            raise


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    served = Real(tmp_path_factory.mktemp("real") / "airdesk", models=("desk",))
    yield served
    served.stop()


@pytest.fixture(scope="module")
def chat(real):
    """Asks the model, greedily."""

    def ask(messages=CAPITAL, **more):
        return real.openai.chat.completions.create(model="desk", messages=messages, **{"temperature": 0, **more})

    return ask


def test_a_stream_says_what_the_whole_answer_says(chat):
    whole = chat()
    assert "Paris" in whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    *chunks, last = chat(stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens
    assert last.usage.completion_tokens == whole.usage.completion_tokens


def test_limits_logprobs_seeds_and_stops(chat):
    (choice,) = chat(max_completion_tokens=4, logprobs=True).choices
    assert choice.finish_reason == "length"
    tokens = choice.logprobs.content
    assert len(tokens) == 4
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == choice.message.content
    assert all(-20 < token.logprob <= 0 for token in tokens)
    same = [chat(temperature=1, seed=7, max_tokens=12).choices[0].message.content for _ in range(2)]
    assert same[0] == same[1]
    several = chat(temperature=1, seed=7, n=3, max_tokens=12).choices
    assert len({choice.message.content for choice in several}) > 1
    assert "France" not in chat(stop=["France"]).choices[0].message.content


def test_the_likeliest_tokens_are_told_whole_and_streamed(chat, real):
    (choice,) = chat(logprobs=True, top_logprobs=20).choices
    tokens = choice.logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == choice.message.content
    for token in tokens:
        best = [likely.logprob for likely in token.top_logprobs]
        assert len(best) == 20
        assert best == sorted(best, reverse=True)
        assert token.logprob == best[0]  # greedy, and told of one distribution
        assert token.token == token.top_logprobs[0].token
        assert 0 < sum(math.exp(value) for value in best) <= 1 + 1e-5
    chunks = [chunk.choices[0] for chunk in chat(logprobs=True, top_logprobs=20, stream=True)]
    streamed = [token for chunk in chunks if chunk.logprobs for token in chunk.logprobs.content]
    assert [token.token for token in streamed] == [token.token for token in tokens]
    assert [token.logprob for token in streamed] == pytest.approx([token.logprob for token in tokens], abs=1e-3)
    assert sum(bool(chunk.logprobs) for chunk in chunks) > 1
    with pytest.raises(openai.BadRequestError) as refused:
        chat(logprobs=True, top_logprobs=21)
    assert refused.value.param == "top_logprobs"
    found = real.openai.completions.create(
        model="desk", prompt="The capital of France is", max_tokens=3, logprobs=5, temperature=0
    )
    logprobs = found.choices[0].logprobs
    assert logprobs.token_logprobs == [max(top.values()) for top in logprobs.top_logprobs]
    assert {len(top) for top in logprobs.top_logprobs} == {5}


def test_a_schema_is_enforced(real):
    parse = real.openai.chat.completions.parse
    messages = [{"role": "user", "content": "Describe Paris as JSON."}]
    found = parse(model="desk", messages=messages, response_format=City, max_tokens=100, temperature=0)
    assert isinstance(found.choices[0].message.parsed, City)
    with pytest.raises(openai.BadRequestError) as refused:
        real.openai.chat.completions.create(
            model="desk",
            messages=messages,
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"not": {}}}},
        )
    assert refused.value.param.startswith("response_format")


def test_a_required_tool_is_called(chat):
    messages = [{"role": "user", "content": "How is the weather in Oslo?"}]
    (choice,) = chat(messages, tools=[TOOL], tool_choice="required", parallel_tool_calls=False, max_tokens=100).choices
    assert choice.finish_reason == "tool_calls"
    (call, *_) = choice.message.tool_calls
    assert call.function.name == "weather"
    jsonschema.validate(json.loads(call.function.arguments), TOOL["function"]["parameters"])


def test_what_is_too_long_is_refused(chat):
    with pytest.raises(openai.BadRequestError) as refused:
        chat([{"role": "user", "content": "word " * 9000}])
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as refused:
        chat(max_completion_tokens=8192)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "max_completion_tokens")


def test_a_text_is_continued(real):
    found = real.openai.completions.create(model="desk", prompt="The capital of France is", max_tokens=4, logprobs=0)
    assert found.usage.completion_tokens <= 4
    assert "".join(found.choices[0].logprobs.tokens) == found.choices[0].text

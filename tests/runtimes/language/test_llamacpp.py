from __future__ import annotations

import asyncio
import json
import os

import pytest

from mainspring.errors import RuntimeLoadError, UnsupportedError
from mainspring.runtimes.language.local import LocalEngine, load_local
from mainspring.runtimes.language.protocol import Generate, JsonSchema, Sampling
from runtimes.language import reference
from runtimes.language.local_engines import (
    ask,
    called_before,
    chat,
    collect,
    exact_gguf,
    in_llamas_way,
    penalised,
    run,
)

FRANCE = "What is the capital of France?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return load_local(exact_gguf(), engine="llamacpp", properties={"sequences": 2, "cache_tokens": 4096, "threads": 1})


def test_it_says_what_it_is(engine):
    assert engine.info.engine == "llamacpp"
    assert "asked for" in engine.info.why
    assert engine.capabilities.logprobs == 20
    assert engine.capabilities.context == 4096


def test_it_listens_where_no_other_can(engine):
    address = engine._worker._backend._server.listening_address
    assert address.startswith("unix:///")
    folder = os.path.dirname(address.removeprefix("unix://"))
    assert os.stat(folder).st_mode & 0o077 == 0


def test_logprobs_are_near_those_of_transformers(engine):
    """llama.cpp rounds activations to 8 bits, which cannot be turned off."""
    prompt = engine._tokenizer.encode("The capital of France is")
    request = Generate(prompt=prompt, sampling=Sampling(temperature=0, max_tokens=6, logprobs=3))
    answered = ask(engine, request)
    written = engine._tokenizer.encode(answered.text())
    expected = reference.logprobs(exact_gguf(), prompt + written)[len(prompt) - 1 : -1]
    for token, one, row in zip(written, answered.chosen(), expected, strict=True):
        assert one.logprob == pytest.approx(row[token], abs=0.25)
        assert [likely.logprob for likely in one.top] == sorted((likely.logprob for likely in one.top), reverse=True)
        assert len(one.top) == 3
        assert one.top[0].token == one.token


def test_an_answer_comes_in_pieces_with_usage(engine):
    answered = ask(engine, chat(FRANCE, temperature=0, max_tokens=12, ignore_end=True))
    assert answered.finish() == "length"
    assert len(answered.deltas) > 8
    assert answered.usage.completion == 12 == sum(delta.tokens for delta in answered.deltas)
    again = ask(engine, chat(FRANCE, temperature=0, max_tokens=12, ignore_end=True))
    assert again.text() == answered.text()
    assert again.usage.cached > 30


def test_characters_of_several_tokens_are_whole(engine):
    answered = ask(engine, chat("Repeat: 🙂🙂 äöü", temperature=0, max_tokens=24))
    assert "\ufffd" not in answered.text()


def test_seeds_and_choices(engine):
    first = ask(engine, chat("Say something.", seed=3, max_tokens=8, n=2))
    again = ask(engine, chat("Say something.", seed=3, max_tokens=8, n=2))
    assert [first.text(0), first.text(1)] == [again.text(0), again.text(1)]
    assert first.text(0) != first.text(1)


def test_a_stop_string_ends_an_answer(engine):
    whole = ask(engine, chat(FRANCE, temperature=0, max_tokens=12)).text()
    cut = ask(engine, chat(FRANCE, temperature=0, max_tokens=12, stop=(whole[6:10],)))
    assert cut.text() == whole[: whole.find(whole[6:10])]
    assert cut.finish() == "stop"


def test_an_answer_fits_its_schema(engine):
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 30},
            "age": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["name", "age"],
    }
    request = Generate(
        messages=[{"role": "user", "content": "A person"}],
        structure=JsonSchema(schema=schema),
        sampling=Sampling(max_tokens=80, seed=1),
    )
    answered = ask(engine, request)
    assert answered.finish() == "stop"
    assert set(json.loads(answered.text())) == {"name", "age"}


def test_a_call_that_is_required_is_made(engine):
    request = Generate(
        messages=[{"role": "user", "content": "Weather in Paris?"}],
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        sampling=Sampling(max_tokens=60, temperature=0),
    )
    answered = ask(engine, request)
    assert answered.finish() == "tool_calls"
    [call] = answered.calls()
    assert call.name == "weather"
    assert list(json.loads(call.arguments)) == ["city"]
    free = ask(
        engine, Generate(messages=request.messages, tools=[WEATHER], sampling=Sampling(max_tokens=8, temperature=0))
    )
    assert free.finish() in ("length", "stop", "tool_calls")


def test_in_llamas_way_what_begins_as_a_call_is_a_sound_one(engine, monkeypatch):
    """Though nothing marks where a call begins. What it was shown is none, for there are no `days`."""
    monkeypatch.setattr(engine, "_preparer", in_llamas_way(engine))
    cities = ["Rome", "Oslo", "Paris", "Berlin"]
    wrong = '{"name": "weather", "parameters": {"city": "$", "days": "many"}}'
    answered = ask(engine, called_before(cities, wrong, tools=[WEATHER]))
    [call] = answered.calls()
    assert (call.name, answered.text(), answered.finish()) == ("weather", "", "tool_calls")
    assert list(json.loads(call.arguments)) == ["city"]
    other = '{"name": "weathers", "parameters": {"city": "$", "days": "many"}}'
    free = ask(engine, called_before(cities, other, tools=[WEATHER]))
    assert free.text() == other.replace("$", "Berlin")
    assert free.finish() == "stop"


@pytest.mark.parametrize("penalty", [{"presence_penalty": 2.0}, {"frequency_penalty": 2.0}])
def test_penalties_are_taken_from_the_logits_of_what_was_written(engine, penalty):
    """And not of the prompt. llama.cpp rounds activations, so what it chooses is near the best."""
    prompt = engine._tokenizer.encode("Tick tock tick tock tick tock tick")
    sampling = Sampling(temperature=0, max_tokens=20, logprobs=3, **penalty)
    answered = ask(engine, Generate(prompt=prompt, sampling=sampling))
    written = engine._tokenizer.encode(answered.text())
    assert answered.usage.completion == len(written) == len(answered.chosen()) == 20
    assert answered.finish() == "length"
    expected = reference.logprobs(exact_gguf(), prompt + written)[len(prompt) - 1 : -1]
    for token, one, row in zip(written, answered.chosen(), expected, strict=True):
        assert one.logprob == pytest.approx(row[token], abs=0.3)  # the model's own
    for token, row in zip(written, penalised(expected, written, **penalty), strict=True):
        assert row.max() - row[token] < 0.3
    plain = ask(engine, Generate(prompt=prompt, sampling=Sampling(temperature=0, max_tokens=20)))
    assert plain.text() != answered.text()


def test_an_answer_with_penalties_ends_streams_and_is_repeatable(engine):
    plain, answered = (
        ask(engine, chat("Say hello.", temperature=0, max_tokens=40, presence_penalty=penalty)) for penalty in (0, 1e-6)
    )
    assert answered.text() == plain.text()
    assert answered.finish() == plain.finish() == "stop"
    assert answered.usage.completion == plain.usage.completion
    assert len(answered.deltas) > 5
    # The first is not compared: its prompt is computed, and that of the others is known, which rounds otherwise.
    _, again, once_more, other = (
        ask(engine, chat("Say something.", seed=seed, max_tokens=8, presence_penalty=0.5)).text()
        for seed in (3, 3, 3, 4)
    )
    assert again == once_more != other
    emoji = ask(engine, chat("Repeat: 🙂🙂 äöü", temperature=0, max_tokens=24, frequency_penalty=0.01))
    assert "\ufffd" not in emoji.text()


def test_penalties_and_a_schema_together_are_refused(engine):
    request = chat("Hi", presence_penalty=0.5)
    request = Generate(messages=request.messages, sampling=request.sampling, structure=JsonSchema(schema={}))
    with pytest.raises(
        UnsupportedError, match=r"llama\.cpp has no penalties in answers that follow a schema"
    ) as refused:
        ask(engine, request)
    assert refused.value.place == "presence_penalty"


def test_who_stops_reading_cancels(engine):
    async def leave():
        streams = [engine.generate(chat("Tell a story.", max_tokens=1500, ignore_end=True)) for _ in range(1)]
        for stream in streams:
            await anext(stream)
            await stream.aclose()
        return await asyncio.gather(*(collect(engine, chat(FRANCE, temperature=0, max_tokens=5)) for _ in range(4)))

    assert len({answered.text() for answered in run(leave)}) == 1


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(RuntimeLoadError, match="the engine is 'auto', 'openvino' or 'llamacpp', found 'other'"):
        load_local(exact_gguf(), engine="other")


def test_a_closed_engine_ends(engine):
    run(engine.close)

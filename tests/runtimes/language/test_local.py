from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from mainspring.errors import ContextError, EngineGoneError, OverloadedError, RequestError, UnsupportedError
from mainspring.runtimes.language.local import LocalEngine, load_local
from mainspring.runtimes.language.protocol import Delta, Generate, JsonSchema, Sampling, Structure
from runtimes.language import reference
from runtimes.language.local_engines import (
    CACHE_TOKENS,
    ask,
    called_before,
    chat,
    collect,
    exact_engine,
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
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 20},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
TIME = {"type": "function", "function": {"name": "time"}}


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return exact_engine()


def tokens_of(engine, text):
    return engine._tokenizer.encode(text)


def test_it_says_what_it_is(engine):
    assert engine.info.engine == "openvino"
    assert "llama" in engine.info.why
    able = engine.capabilities
    assert (able.context, able.chat, able.tools, able.seed, able.embeds) == (8192, True, True, True, None)
    assert able.logprobs == 20
    assert able.structures == ("json_object", "json_schema")


@pytest.mark.parametrize(
    "text", [FRANCE, "List three fruits.", "Translate 'good morning' to French.", "def add(a, b):"]
)
def test_greedy_answers_are_those_of_transformers(engine, text):
    """At each place the token is the reference's best, or so near to it that rounding decides; its logprob is right."""
    answered = ask(engine, chat(text, temperature=0, max_tokens=24, logprobs=0))
    prompt = run(lambda: engine_prompt(engine, text))
    chosen = answered.chosen()
    written = tokens_of(engine, answered.text())
    assert len(written) == len(chosen)
    expected = reference.logprobs(exact_gguf(), prompt + written)[len(prompt) - 1 : -1]
    for token, one, row in zip(written, chosen, expected, strict=True):
        assert row.max() - row[token] < 0.01
        assert one.logprob == pytest.approx(row[token], abs=2e-3)
        assert one.bytes_ == engine._tokenizer.token_bytes(token)
    assert answered.text().encode() == b"".join(one.bytes_ for one in chosen)


async def engine_prompt(engine, text):
    return engine._preparer.prompt(chat(text))


def test_logprobs_are_the_models_own_whatever_the_sampling(engine):
    """The temperature changes which tokens are chosen, and not what is told of them."""
    answered = ask(engine, chat(FRANCE, temperature=1.5, top_p=0.9, seed=4, max_tokens=16, logprobs=0))
    prompt = run(lambda: engine_prompt(engine, FRANCE))
    written = [
        next(t for t in range(49152) if engine._tokenizer.token_bytes(t) == one.bytes_) for one in answered.chosen()
    ]
    expected = reference.logprobs(exact_gguf(), prompt + written)[len(prompt) - 1 : -1]
    for token, one, row in zip(written, answered.chosen(), expected, strict=True):
        assert one.logprob == pytest.approx(row[token], abs=5e-3)


def test_the_likeliest_tokens_are_the_models_own_whoever_else_asks(engine):
    """Whatever the sampling, the penalties and the form; each piece of an answer has those of its tokens."""
    plain = chat(FRANCE, temperature=1.2, seed=4, max_tokens=24, logprobs=20, frequency_penalty=1.5)
    formed = Generate(
        messages=[{"role": "user", "content": "Give me an example."}],
        structure=JsonSchema(
            schema={"type": "array", "items": {"enum": ["red", "green"]}, "minItems": 3, "maxItems": 5}
        ),
        sampling=Sampling(max_tokens=24, seed=3, logprobs=5),
    )
    story = chat("Tell a story.", temperature=0, max_tokens=24)
    ask(engine, chat("Hi", max_tokens=1, logprobs=1))  # what tells them is loaded at the first request
    alone = ask(engine, story)
    told, others, beside = ask(engine, plain, formed, story)
    assert beside.text() == alone.text()
    for request, answered in ((plain, told), (formed, others)):
        prompt = engine._preparer.prompt(request)
        chosen = answered.chosen()
        assert b"".join(one.bytes_ for one in chosen).decode() == answered.text()
        ids = {engine._tokenizer.token_bytes(id_): id_ for id_ in reversed(range(49152))}
        written = [ids[one.bytes_] for one in chosen]
        expected = reference.logprobs(exact_gguf(), prompt + written)[len(prompt) - 1 : -1]
        for token, one, row in zip(written, chosen, expected, strict=True):
            assert one.logprob == pytest.approx(row[token], abs=2e-3)
            best = np.sort(row)[::-1][: request.sampling.logprobs]
            np.testing.assert_allclose([likely.logprob for likely in one.top], best, atol=2e-3)
            assert one.top[0].bytes_ == engine._tokenizer.token_bytes(int(row.argmax())) or best[0] - best[1] < 0.01
        for delta in answered.deltas:
            assert sum(len(one.bytes_) for one in chosen[: len(delta.logprobs)]) >= len(delta.text.encode())
            chosen = chosen[len(delta.logprobs) :]
        assert len(answered.deltas) > 2


def test_an_answer_comes_in_pieces_and_usage_comes_last(engine):
    answered = ask(engine, chat(FRANCE, temperature=0, max_tokens=30))
    assert answered.text() == "The capital of France is Paris."
    assert answered.finish() == "stop"
    assert len(answered.deltas) > 5
    assert answered.usage.prompt == run(lambda: engine.count(chat(FRANCE))) == 37
    assert answered.usage.completion == sum(delta.tokens for delta in answered.deltas) == 8  # the end token is one


def test_max_tokens_ends_an_answer(engine):
    answered = ask(engine, chat("Tell me a long story.", temperature=0, max_tokens=7))
    assert answered.finish() == "length"
    assert answered.usage.completion == 7


def test_the_end_token_can_be_ignored(engine):
    answered = ask(engine, chat(FRANCE, temperature=0, max_tokens=20, ignore_end=True))
    assert answered.finish() == "length"
    assert answered.usage.completion == 20
    assert "<|im_end|>" not in answered.text()


@pytest.mark.parametrize("stop", [("Paris",), ("is Par",), (" France is",), ("nothing", "capital of F")])
def test_a_stop_string_ends_an_answer_before_it(engine, stop):
    whole = "The capital of France is Paris."
    answered = ask(engine, chat(FRANCE, temperature=0, max_tokens=30, stop=stop, logprobs=0))
    first = min(whole.find(string) for string in stop if string in whole)
    assert answered.text() == whole[:first]
    assert answered.finish() == "stop"
    assert answered.usage.completion < 8
    told = b"".join(one.bytes_ for one in answered.chosen()).decode()
    assert told.startswith(answered.text())
    assert stop[-1] not in told or len(told) < first + len(stop[-1]) + 8


def test_a_stop_string_that_does_not_come_changes_nothing(engine):
    plain = ask(engine, chat(FRANCE, temperature=0, max_tokens=30))
    held = ask(engine, chat(FRANCE, temperature=0, max_tokens=30, stop=("Paris.!", "The end")))
    assert held.text() == plain.text()
    assert held.usage.completion == plain.usage.completion


def test_several_choices_are_different_and_each_is_complete(engine):
    answered = ask(engine, chat("Say something.", n=3, seed=1, max_tokens=12))
    texts = [answered.text(index) for index in range(3)]
    assert len(set(texts)) == 3
    assert {answered.finish(index) for index in range(3)} <= {"stop", "length"}
    assert answered.usage.completion == sum(delta.tokens for delta in answered.deltas)
    prompt = run(lambda: engine.count(chat("Say something.")))
    assert answered.usage.prompt == prompt, "the prompt is counted once"


def test_a_seed_makes_it_the_same_again(engine):
    first = ask(engine, chat("Say something.", seed=-5, max_tokens=12))
    again = ask(engine, chat("Say something.", seed=-5, max_tokens=12))
    other = ask(engine, chat("Say something.", seed=6, max_tokens=12))
    assert first.text() == again.text()
    assert first.text() != other.text()
    free = {ask(engine, chat("Say something.", max_tokens=12)).text() for _ in range(3)}
    assert len(free) > 1, "without a seed each time is new"


def test_top_k_and_top_p_of_nothing_are_greedy(engine):
    greedy = ask(engine, chat("Say something.", temperature=0, max_tokens=12)).text()
    assert ask(engine, chat("Say something.", temperature=1.9, top_k=1, max_tokens=12)).text() == greedy
    assert ask(engine, chat("Say something.", temperature=1.9, top_p=0, max_tokens=12)).text() == greedy
    assert ask(engine, chat("Say something.", temperature=1.9, seed=1, max_tokens=12)).text() != greedy


@pytest.mark.parametrize("penalty", [{"presence_penalty": 2.0}, {"frequency_penalty": 2.0}])
def test_penalties_are_taken_from_the_logits_of_what_was_written(engine, penalty):
    prompt = tokens_of(engine, "Tick tock tick tock tick tock tick")
    sampling = Sampling(temperature=0, max_tokens=16, **penalty)
    answered = ask(engine, Generate(prompt=prompt, sampling=sampling))
    written = tokens_of(engine, answered.text())
    expected = reference.logprobs(exact_gguf(), prompt + written)[len(prompt) - 1 : -1]
    for token, row in zip(written, penalised(expected, written, **penalty), strict=True):
        assert row.max() - row[token] < 0.02
    plain = ask(engine, Generate(prompt=prompt, sampling=Sampling(temperature=0, max_tokens=16)))
    assert plain.text() != answered.text()


def test_answers_are_the_same_whoever_else_asks(engine):
    questions = [FRANCE, "List three fruits.", "Who wrote Hamlet?", "Say hello."]
    alone = [ask(engine, chat(text, temperature=0, max_tokens=10)).text() for text in questions]
    together = ask(engine, *(chat(text, temperature=0, max_tokens=10) for text in questions))
    assert [answered.text() for answered in together] == alone


def test_a_prompt_is_continued(engine):
    request = Generate(prompt="The capital of France is", sampling=Sampling(temperature=0, max_tokens=3))
    answered = ask(engine, request)
    assert answered.text().startswith(" Paris")
    ids = tokens_of(engine, "The capital of France is")
    assert ask(engine, Generate(prompt=ids, sampling=request.sampling)).text() == answered.text()
    assert answered.usage.prompt == len(ids)


def test_a_prefix_is_computed_once(engine):
    story = "Once upon a time there was a king who had three daughters. " * 12
    cold = ask(engine, chat(story + "Who was there?", temperature=0, max_tokens=2))
    warm = ask(engine, chat(story + "How many daughters?", temperature=0, max_tokens=2))
    assert cold.usage.cached < 64
    assert warm.usage.prompt - 40 < warm.usage.cached < warm.usage.prompt


def test_prompt_lookup_changes_nothing_but_the_steps(engine):
    """Greedy answers that quote are the same, and come several tokens at once; also with logprobs and grammars."""
    quoted = "The Amazon rainforest covers most of the Amazon basin, which encompasses 7,000,000 square kilometres."
    texts = [f"Repeat word for word: {quoted}", FRANCE]
    plain = ask(engine, *(chat(text, temperature=0, max_tokens=40, logprobs=0) for text in texts))
    looked = ask(
        engine,
        *(
            Generate(messages=request.messages, sampling=request.sampling, lookup=True)
            for request in (chat(text, temperature=0, max_tokens=40, logprobs=0) for text in texts)
        ),
    )
    for one, other in zip(plain, looked, strict=True):
        assert one.text() == other.text()
        assert one.usage.completion == other.usage.completion
        assert one.finish() == other.finish()
        ours, theirs = ([chosen.logprob for chosen in answered.chosen()] for answered in (one, other))
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert len(looked[0].deltas) < 0.6 * len(plain[0].deltas)
    structure = JsonSchema(schema={"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 9})
    request = chat("Count.", temperature=0, max_tokens=60)
    both = [
        ask(engine, Generate(messages=request.messages, sampling=request.sampling, structure=structure, lookup=lookup))
        for lookup in (False, True)
    ]
    assert both[0].text() == both[1].text()
    assert len(json.loads(both[0].text())) >= 3


def test_prompt_lookup_is_chosen_where_earlier_answers_quoted(engine):
    quoted = "The river Rhine flows from the Swiss Alps through Germany to the North Sea, 1,230 kilometres in all."
    texts = [
        f"{quoted}\n\n{word}, repeat the text above word for word." for word in ("Now", "Once", "Well", "Then", "So")
    ]
    answered = [ask(engine, chat(text, temperature=0, max_tokens=40)) for text in texts]
    steps = [len(one.deltas) / one.usage.completion for one in answered]
    assert steps[0] > 0.9  # nothing is known yet
    assert steps[-1] < 0.6
    sampled = ask(engine, chat(texts[0], temperature=0.01, seed=1, max_tokens=40))
    assert len(sampled.deltas) > 0.9 * sampled.usage.completion


def test_what_is_out_of_range_is_refused(engine):
    for wrong, place in [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"presence_penalty": -2.5}, "presence_penalty"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
    ]:
        with pytest.raises(RequestError) as refused:
            ask(engine, chat("Hello", **wrong))
        assert refused.value.place == place
    with pytest.raises(UnsupportedError, match="gives the logprobs of the chosen token and of 20 others"):
        ask(engine, chat("Hello", logprobs=21))
    with pytest.raises(RequestError, match="neither messages nor a prompt"):
        ask(engine, Generate())
    with pytest.raises(RequestError, match="the prompt is empty"):
        ask(engine, Generate(prompt=""))
    with pytest.raises(RequestError, match="there is no token 49152: they go from 0 to 49151"):
        ask(engine, Generate(prompt=[1, 49152]))
    with pytest.raises(UnsupportedError, match="reads text only, and a part is 'image_url'"):
        ask(engine, Generate(messages=[{"role": "user", "content": [{"type": "image_url"}]}]))


def test_a_context_that_is_too_long_is_refused_with_the_numbers(engine):
    with pytest.raises(
        ContextError, match=r"the prompt has 5 tokens and 8188 are asked for, which is 8193; .*8187 or fewer"
    ):
        ask(engine, Generate(prompt=[1, 2, 3, 4, 5], sampling=Sampling(max_tokens=8188)))
    with pytest.raises(ContextError, match="the prompt has 8192 tokens, and the model's context has 8192"):
        ask(engine, Generate(prompt=[5] * 8192))


def test_embedding_is_refused(engine):
    with pytest.raises(UnsupportedError, match="gives no vectors"):
        run(lambda: engine.embed(["a"]))


def test_who_stops_reading_cancels(engine):
    """The places are free again, and so is the cache: the next answer comes at once."""

    async def leave():
        streams = [
            engine.generate(chat("Tell a story.", temperature=0, max_tokens=4000, ignore_end=True)) for _ in range(6)
        ]
        for stream in streams:
            await anext(stream)
        for stream in streams:
            await stream.aclose()
        return await collect(engine, chat(FRANCE, temperature=0, max_tokens=30))

    assert run(leave).text() == "The capital of France is Paris."
    assert not engine._streams


def test_a_full_queue_refuses_and_serves_on(engine):
    async def crowd():
        tasks = [
            asyncio.ensure_future(collect(engine, chat("Hi", n=8, max_tokens=3, ignore_end=True))) for _ in range(6)
        ]
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = run(crowd)
    refused = [result for result in results if isinstance(result, OverloadedError)]
    assert refused, "sixteen may wait"
    assert "try again later" in str(refused[0])
    served = [result for result in results if not isinstance(result, Exception)]
    assert served
    assert all(answered.usage.completion == 24 for answered in served)
    assert ask(engine, chat(FRANCE, temperature=0, max_tokens=30)).text().endswith("Paris.")


def test_a_short_question_does_not_wait_for_long_prompts(engine):
    """Behind three prompts of 700 tokens it is answered before the second of them begins."""
    rng = np.random.default_rng(0)
    order = []

    async def one(name, request):
        async for piece in engine.generate(request):
            if isinstance(piece, Delta):
                order.append(name)
                break

    async def flood():
        sampling = Sampling(temperature=0, max_tokens=4, ignore_end=True)
        prompts = [rng.integers(1000, 20000, 700).tolist() for _ in range(3)]
        tasks = [
            asyncio.ensure_future(one(f"long {at}", Generate(prompt=prompt, sampling=sampling)))
            for at, prompt in enumerate(prompts)
        ]
        await asyncio.sleep(0.05)
        tasks.append(asyncio.ensure_future(one("short", chat(FRANCE, temperature=0, max_tokens=5))))
        await asyncio.gather(*tasks)

    run(flood)
    assert order[0] == "short"


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 20},
                "age": {"type": "integer", "minimum": 0, "maximum": 130},
            },
            "required": ["name", "age"],
        },
        {"type": "array", "items": {"enum": ["red", "green"]}, "minItems": 2, "maxItems": 3},
        {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
        {
            "oneOf": [
                {"type": "object", "properties": {"kind": {"const": "a"}}, "required": ["kind"]},
                {"type": "boolean"},
            ]
        },
        {"type": "number", "minimum": 0.25, "exclusiveMaximum": 0.5},
        {"type": "string", "format": "date-time"},
    ],
)
def test_an_answer_fits_its_schema(engine, schema):
    import jsonschema

    request = Generate(
        messages=[{"role": "user", "content": "Give me an example."}],
        structure=JsonSchema(schema=schema),
        sampling=Sampling(max_tokens=120, seed=3, n=2),
    )
    answered = ask(engine, request)
    for index in range(2):
        assert answered.finish(index) == "stop"
        jsonschema.validate(json.loads(answered.text(index)), schema)


def test_an_answer_is_an_object_if_that_is_asked_for(engine):
    request = Generate(
        messages=[{"role": "user", "content": "Who are you?"}],
        structure=Structure(),
        sampling=Sampling(max_tokens=200, temperature=0),
    )
    answered = ask(engine, request)
    assert answered.text().startswith("{")
    if answered.finish() == "stop":
        assert isinstance(json.loads(answered.text()), dict)


def test_a_schema_that_cannot_be_enforced_is_refused(engine):
    request = Generate(
        messages=[{"role": "user", "content": "Hi"}],
        structure=JsonSchema(schema={"type": "array", "uniqueItems": True}),
    )
    with pytest.raises(UnsupportedError, match="'uniqueItems' is not enforced here") as refused:
        ask(engine, request)
    assert refused.value.place == "response_format.json_schema.schema.uniqueItems"
    assert ask(engine, chat(FRANCE, temperature=0, max_tokens=30)).text().endswith("Paris.")


@pytest.mark.parametrize("choice", ["required", "weather"])
def test_a_call_that_is_required_is_made_and_fits(engine, choice):
    import jsonschema

    request = Generate(
        messages=[{"role": "user", "content": "How is the weather in Paris this week?"}],
        tools=[WEATHER] if choice == "required" else [TIME, WEATHER],
        tool_choice=choice,
        parallel_tool_calls=False,
        sampling=Sampling(max_tokens=120, temperature=0),
    )
    answered = ask(engine, request)
    assert answered.finish() == "tool_calls"
    assert answered.text() == ""
    [call] = answered.calls()
    assert call.name == "weather"
    assert call.id.startswith("call_")
    jsonschema.validate(json.loads(call.arguments), WEATHER["function"]["parameters"])
    pieces = [piece for delta in answered.deltas for piece in delta.tool_calls]
    assert pieces[0].arguments == "", "the name comes first"
    assert len(pieces) > 3


def test_in_llamas_way_what_begins_as_a_call_is_a_sound_one(engine, monkeypatch):
    """Though nothing marks where a call begins. What it was shown is none, for `days` is a number."""
    monkeypatch.setattr(engine, "_preparer", in_llamas_way(engine))
    import jsonschema

    cities = ["Rome", "Oslo", "Paris", "Berlin"]
    wrong = '{"name": "weather", "parameters": {"city": "$", "days": "many"}}'
    answered = ask(engine, called_before(cities, wrong, tools=[WEATHER]))
    [call] = answered.calls()
    assert (call.name, answered.text(), answered.finish()) == ("weather", "", "tool_calls")
    jsonschema.validate(json.loads(call.arguments), WEATHER["function"]["parameters"])
    other = '{"name": "weathers", "parameters": {"city": "$", "days": "many"}}'
    free = ask(engine, called_before(cities, other, tools=[WEATHER]))
    assert free.text() == other.replace("$", "Berlin")
    assert free.finish() == "stop"


def test_tools_may_be_left_alone(engine):
    request = Generate(
        messages=[{"role": "user", "content": FRANCE}], tools=[WEATHER], sampling=Sampling(max_tokens=12, temperature=0)
    )
    plain = ask(engine, chat(FRANCE, temperature=0, max_tokens=12))
    told = ask(engine, request)
    assert told.usage.prompt > plain.usage.prompt + 50, "the functions are in the prompt"
    none = ask(
        engine, Generate(messages=request.messages, tools=[WEATHER], tool_choice="none", sampling=request.sampling)
    )
    assert none.usage.prompt == plain.usage.prompt
    assert none.text() == plain.text()


def test_tools_that_are_none_are_refused(engine):
    messages = [{"role": "user", "content": "Hi"}]
    for request, place in [
        (Generate(messages=messages, tools=[{"type": "code"}]), "tools[0]"),
        (Generate(messages=messages, tools=[WEATHER], tool_choice="other"), "tool_choice"),
        (Generate(messages=messages, tool_choice="required"), "tool_choice"),
        (Generate(prompt="Hi", tools=[WEATHER]), "tools"),
    ]:
        with pytest.raises(UnsupportedError) as refused:
            ask(engine, request)
        assert refused.value.place == place


def test_lookup_is_loaded_when_it_is_first_wanted():
    engine = load_local(exact_gguf(), engine="openvino", properties={"cache_tokens": 256, "sequences": 2})

    async def wait_for_it():
        asked = Generate(prompt="1, 2, 3, 4, 5, 6,", sampling=Sampling(temperature=0, max_tokens=30), lookup=True)
        first = await collect(engine, asked)  # is answered without it
        assert len(first.deltas) > 0.9 * first.usage.completion
        answered = first
        async with asyncio.timeout(60):
            while len(answered.deltas) > 0.9 * answered.usage.completion:
                await asyncio.sleep(0.1)
                answered = await collect(engine, asked)
        assert answered.text() == first.text()
        await engine.close()

    run(wait_for_it)


def test_a_closed_engine_says_so():
    properties = {"cache_tokens": 256, "sequences": 2, "lookup": False}
    engine = load_local(exact_gguf(), engine="openvino", properties=properties)
    assert engine.capabilities.context < CACHE_TOKENS
    assert not engine.capabilities.lookup
    with pytest.raises(UnsupportedError, match="no prompt lookup: load it with lookup on"):
        ask(engine, Generate(prompt="Hello", lookup=True))

    async def close_while_it_answers():
        stream = engine.generate(chat("Tell a story.", temperature=0, max_tokens=100, ignore_end=True))
        await anext(stream)
        await engine.close()
        with pytest.raises(EngineGoneError, match="the engine is closed"):
            async for _ in stream:
                pass
        with pytest.raises(EngineGoneError, match="the engine is closed"):
            await collect(engine, chat("Hello"))

    run(close_while_it_answers)

import asyncio
import re

import pytest

from mainspring.errors import ContextError, UnsupportedError
from mainspring.prompts import Cost, LanguageModel, parse
from mainspring.runtimes.language.protocol import Generate, Sampling

from .engines import RuleEngine, last


def request(text, **sampling):
    return Generate(messages=[{"role": "user", "content": text}], sampling=Sampling(**sampling))


def echo(messages, choice):
    return f"{last(messages)} {choice}"


def test_a_batch_is_answered_in_order_and_at_the_same_time():
    async def run():
        engine = RuleEngine(echo)
        model = LanguageModel(engine, concurrency=4)
        found = await model.complete([request(f"a {number}", n=2) for number in range(10)])
        assert [completion.texts for completion in found] == [
            (f"a {number} 0", f"a {number} 1") for number in range(10)
        ]
        assert found[0].finishes == ("stop", "stop")
        assert found[0].cost == Cost(calls=1, prompt=2, completion=6)
        assert engine.most_at_once == 4

    asyncio.run(run())


def test_greedy_repeats_are_remembered_if_wished():
    async def run(remember):
        engine = RuleEngine(echo)
        model = LanguageModel(engine, remember=remember)
        for _ in range(2):
            await model.complete(
                [request("a", temperature=0.0), request("b", temperature=0.0), request("a", temperature=0.5)]
            )
        return len(engine.requests)

    assert asyncio.run(run(True)) == 4
    assert asyncio.run(run(False)) == 6


def test_a_full_queue_is_tried_again():
    async def run():
        model = LanguageModel(RuleEngine(echo, overloads=3))
        return await model.complete([request("a"), request("b")])

    assert [completion.text for completion in asyncio.run(run())] == ["a 0", "b 0"]


class Slow(RuleEngine):
    """Never gets to the end of an answer."""

    async def count(self, request):
        await asyncio.sleep(60)


def test_one_failure_is_told_and_cancels_the_others():
    def rule(messages, choice):
        if last(messages) == "bad":
            raise ContextError("too long")
        return "word"

    async def run():
        engine = Slow(rule)
        with pytest.raises(ContextError, match="too long"):
            await LanguageModel(engine).complete([request("good"), request("bad"), request("good")])
        assert (engine.at_once, len(engine.requests), engine.cancelled) == (0, 3, 2)

    asyncio.run(run())


def test_each_text_is_embedded_once():
    async def run():
        engine = RuleEngine(echo)
        model = LanguageModel(engine)
        one = await model.embed(["a", "b", "a"])
        assert (await model.embed(["b", "c"]))[0].tolist() == one[1].tolist()
        assert one.shape == (3, 32)
        assert engine.embedded == 3
        assert model.embeds
        assert not LanguageModel(RuleEngine(echo, embeds=False)).embeds
        apart = LanguageModel(RuleEngine(echo, embeds=False), embedder=engine)
        assert (await apart.embed(["a"])).tolist() == one[:1].tolist()
        with pytest.raises(UnsupportedError, match="need a model of embeddings"):
            await LanguageModel(RuleEngine(echo, embeds=False)).embed(["a"])

    asyncio.run(run())


LOOP = '+++\nstrategy = {{ name = "reflection", rounds = 8 }}\n[limits]\n{}\n+++\n# user\nGo on: {{{{a}}}}'


@pytest.mark.parametrize(
    ("limit", "calls", "told"),
    [
        ("calls = 4", 4, r"stopped after 4 calls: 1 more would pass 4 \(limits.calls\)"),
        ("tokens = 100", 4, r"stopped after 1\d\d tokens of 100 \(limits.tokens\)"),
        ("calls = 17", 17, None),
    ],
)
def test_an_attempt_ends_at_its_limits_with_the_best_so_far(limit, calls, told):
    engine = RuleEngine(lambda messages, choice: f"said {len(messages)}")
    answer = asyncio.run(parse(LOOP.format(limit)).answer({"a": "b"}, LanguageModel(engine)))
    assert len(engine.requests) == answer.cost.calls == calls
    assert answer.text.startswith("said")
    if told is None:
        assert answer.stopped is None
    else:
        assert re.fullmatch(told, answer.stopped)
        assert answer.text == "said 5"
        assert answer.stopped in answer.transcript()


def test_an_attempt_ends_at_its_deadline_and_stops_the_engine():
    engine = Slow(echo)
    answer = asyncio.run(parse(LOOP.format("seconds = 0.05")).answer({"a": "b"}, LanguageModel(engine)))
    assert answer.stopped == "stopped after 0.05 s (limits.seconds)"
    assert (answer.text, answer.value, answer.cost) == ("", None, Cost(calls=1))
    assert (engine.cancelled, engine.at_once) == (1, 0)

import asyncio

import pytest

from mainspring.errors import OverloadedError
from mainspring.prompts import vectors
from mainspring.prompts.vectors import Vectors

from .engines import RuleEngine


def echo(messages, choice):
    return "so"


POOL = [f"text {number}" for number in range(600)]


def test_who_begin_together_compute_the_same_examples_once_and_in_parts():
    async def run():
        engine = RuleEngine(echo)
        found = Vectors(engine)
        rows = await asyncio.gather(*(found.of([*POOL, f"question {number}"]) for number in range(16)))
        assert (engine.embedded, engine.most_embedded) == (616, 256)
        assert all((row[:-1] == rows[0][:-1]).all() for row in rows)
        assert rows[0].shape == (601, 32)

    asyncio.run(run())


def test_what_was_computed_before_an_error_is_kept():
    async def run():
        engine = RuleEngine(echo)
        found = Vectors(engine, patient=False)
        embed, engine.embed = engine.embed, failing_second(engine.embed)
        with pytest.raises(OverloadedError):
            await found.of(POOL)
        engine.embed = embed
        await found.of(POOL)
        assert engine.embedded == 600

    def failing_second(embed):
        calls = []

        async def once(texts):
            calls.append(len(texts))
            if len(calls) == 2:
                raise OverloadedError("the queue is full")
            return await embed(texts)

        return once

    asyncio.run(run())


def test_a_full_queue_is_waited_for_by_the_patient_only():
    async def run():
        assert (await Vectors(RuleEngine(echo, overloads=2)).of(["a", "b"])).shape == (2, 32)
        with pytest.raises(OverloadedError):
            await Vectors(RuleEngine(echo, overloads=1), patient=False).of(["a", "b"])

    asyncio.run(run())


def test_examples_are_kept_however_many_questions_come(monkeypatch):
    monkeypatch.setattr(vectors, "_MOST_REMEMBERED", 650)

    async def run():
        engine = RuleEngine(echo)
        found = Vectors(engine)
        for number in range(200):
            await found.of([*POOL, f"question {number}"])
        assert engine.embedded == 800
        assert len(found._remembered) <= 650

    asyncio.run(run())

from __future__ import annotations

import asyncio
import time

import pytest

from mainspring.errors import EngineGoneError, OverloadedError
from mainspring.runtimes.language.backend import Abilities, Event, Job
from mainspring.runtimes.language.protocol import Sampling
from mainspring.runtimes.language.worker import Worker


class Counter:
    """A backend whose answers are 1, 2, 3, …; it breaks at the token `breaks_at`."""

    def __init__(self, breaks_at=None):
        self.abilities = Abilities(context=100, sequences=2, piece=None, remembers=0, logprobs=None, lookup=False)
        self.jobs = {}
        self.closed = False
        self._breaks_at = breaks_at

    def submit(self, number, job):
        self.jobs[number] = [job, 0]

    def step(self):
        time.sleep(0.001)
        events = []
        for number, (job, made) in list(self.jobs.items()):
            if made + 1 == self._breaks_at:
                raise RuntimeError("a broken step")
            self.jobs[number][1] += 1
            last = made + 1 == job.max_tokens
            events.append(Event(number, [made + 1], finish="length" if last else None))
            if last:
                del self.jobs[number]
        return events

    def cancel(self, number):
        self.jobs.pop(number, None)

    def close(self):
        self.closed = True


def job(tokens):
    return Job(prompt=[1], sampling=Sampling(), max_tokens=tokens, seed=0, end_ids=frozenset())


def run(backend, jobs, *, queue=10, wait=0.5, then=None):
    """The events of each job, after `wait` seconds."""
    seen = {}

    async def go():
        def deliver(events):
            for event in events:
                seen.setdefault(event.job, []).append(event)

        worker = Worker(backend, deliver, queue=queue)
        worker.submit(jobs)
        if then:
            await then(worker)
        else:
            await asyncio.sleep(wait)
        await asyncio.get_running_loop().run_in_executor(None, worker.close)
        await asyncio.sleep(0.01)
        return worker

    return asyncio.run(go()), seen


def test_tokens_arrive_in_order_and_every_job_ends():
    backend = Counter()
    _, seen = run(backend, {number: job(20) for number in range(5)})
    for number in range(5):
        tokens = [token for event in seen[number] for token in event.tokens]
        assert tokens == list(range(1, 21))
        assert seen[number][0].cached == 0
        assert seen[number][-1].finish == "length"
    assert backend.closed


def test_a_step_that_breaks_ends_every_job_with_an_error_and_takes_no_more(caplog):
    async def then(worker):
        await asyncio.sleep(0.3)
        with pytest.raises(EngineGoneError, match="the engine broke: a broken step"):
            worker.submit({9: job(1)})

    backend = Counter(breaks_at=5)
    worker, seen = run(backend, {number: job(20) for number in range(4)}, then=then)
    assert worker.broken == "the engine broke: a broken step"
    assert backend.closed
    for number in range(4):
        assert isinstance(seen[number][-1].error, EngineGoneError), "those that waited, too"
    assert "a broken step" in caplog.text


def test_a_cancelled_job_makes_no_more_and_its_place_is_free():
    async def then(worker):
        await asyncio.sleep(0.05)
        worker.cancel([0, 1])
        await asyncio.sleep(0.2)

    _, seen = run(Counter(), {0: job(100_000), 1: job(100_000), 2: job(3)}, then=then)
    assert [token for event in seen[2] for token in event.tokens] == [1, 2, 3]
    assert not any(event.finish or event.error for event in seen[0])


def test_what_is_alive_at_the_end_is_told():
    _, seen = run(Counter(), {0: job(100_000)}, wait=0.05)
    assert "the engine is closed" in str(seen[0][-1].error)


def test_the_queue_is_bounded_and_takes_all_or_none():
    async def then(worker):
        with pytest.raises(OverloadedError, match="and 3 may, so there is no room for 4 more: try again later"):
            worker.submit({number: job(1) for number in range(10, 14)})
        await asyncio.sleep(0.2)
        worker.submit({20: job(1)})
        await asyncio.sleep(0.1)

    _, seen = run(Counter(), {0: job(50), 1: job(50)}, queue=3, then=then)
    assert seen.keys() == {0, 1, 20}

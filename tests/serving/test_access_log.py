import asyncio
import io
import threading

import pytest
from prometheus_client import CollectorRegistry, Counter

from mainspring.serving import access_log
from mainspring.serving.access_log import AccessLog
from mainspring.serving.messages import Request


class Slow(io.BytesIO):
    """A reader that takes nothing until it is told to."""

    def __init__(self):
        super().__init__()
        self.goes_on = threading.Event()

    def write(self, lines):
        self.goes_on.wait(10)
        return super().write(lines)


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def dropped():
    registry = CollectorRegistry()
    counter = Counter("dropped", "Lines.", registry=registry)
    return counter, lambda: registry.get_sample_value("dropped_total")


def add(log, number):
    for _ in range(number):
        log.add(Request({"method": "GET", "path": "/", "headers": []}, None), 200, 0.001, 2)


def test_what_a_slow_reader_has_not_taken_counts_in_the_bound(slow, dropped, monkeypatch):
    monkeypatch.setattr(access_log, "_MOST_HELD", 100)
    counter, lines = dropped

    async def main():
        log = AccessLog(slow, counter)
        add(log, 60)
        log.flush()
        add(log, 60)
        assert lines() == 20
        log.flush()  # nothing, for the reader is still at the first ones
        slow.goes_on.set()
        await log.close()

    asyncio.run(main())
    assert slow.getvalue().count(b"\n") == 100


def test_a_reader_that_hangs_is_given_up(slow, dropped):
    async def main():
        log = AccessLog(slow, dropped[0])
        add(log, 1)
        async with asyncio.timeout(5):
            await log.close(seconds=0.05)
        slow.goes_on.set()  # or the thread would hold up the end of the tests

    asyncio.run(main())

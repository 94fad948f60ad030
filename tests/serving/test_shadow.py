import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter

from mainspring.serving.engine import Engine
from mainspring.serving.loading import load
from mainspring.serving.messages import Request
from mainspring.serving.prediction_log import PredictionLog
from mainspring.serving.shadow import Shadow
from mainspring.serving.slots import Slots

from .conftest import make_project
from .graphs import FARE, FARE_RECORD, publish


async def nothing_more():
    raise AssertionError("the body was read before")


def request(size):
    made = Request({"method": "POST", "path": "/", "headers": []}, nothing_more)
    made.body = b" " * size
    return made


@pytest.mark.parametrize(("size", "times", "answered"), [(10, 70, 64), (10_000_000, 3, 1)])
def test_only_a_few_wait_and_the_rest_are_skipped(tmp_path, size, times, answered):
    project = make_project(tmp_path)
    version = publish(project.state, "fare", FARE, FARE_RECORD)
    loaded = load(project.state, "fare", version.name, Slots(()))
    columns, _ = loaded.codec.convert([FARE_RECORD])
    registry = CollectorRegistry()
    dropped, written, skipped = (Counter(name, name, ("model",), registry=registry) for name in "abc")
    read = []

    def reading():
        read.append(loaded.leases)
        return columns

    async def main():
        engine, log = Engine(10.0, 1), PredictionLog(project, dropped, written)
        shadow = Shadow(engine, log, skipped)
        for _ in range(times):
            shadow.ask(loaded, request(size), (), reading)
        assert not read, "nothing is done before the client has its answer"
        assert loaded.leases == answered
        await shadow.close()
        assert loaded.leases == 0
        shadow.ask(loaded, request(size), (), reading)
        await shadow.close()
        engine.close()
        await log.close()

    asyncio.run(main())
    assert len(read) == answered + 1, "and there is room again"
    assert registry.get_sample_value("c_total", {"model": "fare"}) == times - answered
    assert registry.get_sample_value("b_total", {"model": "fare"}) == answered + 1

"""The pipeline behind Ray Serve: python ray_server.py PIPELINE.joblib PORT [--batching]"""

import signal
import sys
from itertools import chain
from typing import Any

import joblib
import pandas as pd
import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=64)
class Flights:
    def __init__(self, path: str) -> None:
        self.pipeline = joblib.load(path)

    async def __call__(self, request: Request) -> list[list[float]]:
        return self.pipeline.predict_proba(pd.DataFrame(await request.json())).tolist()


@serve.deployment(num_replicas=1, max_ongoing_requests=64)
class BatchingFlights:
    def __init__(self, path: str) -> None:
        self.pipeline = joblib.load(path)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.0)
    async def predict(self, requests: list[list[dict[str, Any]]]) -> list[list[list[float]]]:
        rows = self.pipeline.predict_proba(pd.DataFrame(list(chain.from_iterable(requests)))).tolist()
        answers, start = [], 0
        for request in requests:
            answers.append(rows[start : start + len(request)])
            start += len(request)
        return answers

    async def __call__(self, request: Request) -> list[list[float]]:
        return await self.predict(await request.json())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that Ray's own clean-up at exit runs
    ray.init(include_dashboard=False, log_to_driver=False, object_store_memory=200 * 1000**2)
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[2])}, logging_config={"enable_access_log": False}
    )
    flights = BatchingFlights if "--batching" in sys.argv else Flights
    serve.run(flights.bind(sys.argv[1]), logging_config={"enable_access_log": False}, blocking=True)

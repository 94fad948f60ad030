"""The pipeline behind LitServe: python litserve_server.py PIPELINE.joblib PORT [--batching]"""

import sys
from itertools import chain
from typing import Any

import joblib
import litserve
import pandas as pd


class Flights(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.pipeline = joblib.load(sys.argv[1])

    def decode_request(self, request: list[dict[str, Any]]) -> pd.DataFrame:
        return pd.DataFrame(request)

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.pipeline.predict_proba(frame)

    def encode_response(self, output: Any) -> list[list[float]]:
        return output.tolist()


class BatchingFlights(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.pipeline = joblib.load(sys.argv[1])

    def decode_request(self, request: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return request

    def batch(self, inputs: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        return inputs

    def predict(self, requests: list[list[dict[str, Any]]]) -> list[list[list[float]]]:
        rows = self.pipeline.predict_proba(pd.DataFrame(list(chain.from_iterable(requests)))).tolist()
        answers, start = [], 0
        for request in requests:
            answers.append(rows[start : start + len(request)])
            start += len(request)
        return answers

    def unbatch(self, output: list[list[list[float]]]) -> list[list[list[float]]]:
        return output

    def encode_response(self, output: list[list[float]]) -> list[list[float]]:
        return output


if __name__ == "__main__":
    batching = "--batching" in sys.argv
    api = BatchingFlights(max_batch_size=32, batch_timeout=0.001) if batching else Flights()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[2]),
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )

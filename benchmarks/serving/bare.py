"""The limit: Starlette and ONNX Runtime, and nothing between. python bare.py MODEL.onnx PORT

It takes what Mainspring's gateway takes and answers with the same predictions, on the same graph and the same server.
It checks nothing: no schema, no keys, no limits; no ids, metrics or log; and it cannot change its model.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import onnxruntime
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TEXTS = ("carrier", "origin", "destination")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGE = 16_384  # bytes; beyond, a thread computes while the event loop reads the next request
_LABELS = {"false": False, "true": True}

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
numbers = [i.name for i in session.get_inputs() if i.type == "tensor(double)"]
pool = ThreadPoolExecutor(2)


def predict(body: bytes) -> bytes:
    rows = msgspec.json.decode(body)
    if type(rows) is dict:
        rows = [rows]
    feeds = {name: np.array([[row[name]] for row in rows], dtype=np.float64) for name in numbers}
    for name in _TEXTS:
        feeds[name] = np.array([[row[name]] for row in rows], dtype=object)
    times = [datetime.fromisoformat(row["departs_at"]).replace(tzinfo=UTC) for row in rows]
    feeds["departs_at"] = np.array([[(time - _EPOCH) // _MICROSECOND] for time in times], dtype=np.int64)
    labels, probabilities = session.run(["label", "probabilities"], feeds)
    answers = [
        {"label": _LABELS[label], "probabilities": {"false": no, "true": yes}}
        for label, (no, yes) in zip(labels.tolist(), probabilities.tolist(), strict=True)
    ]
    return msgspec.json.encode({"predictions": answers})


async def endpoint(request: Request) -> Response:
    body = await request.body()
    if len(body) <= _LARGE:
        return Response(predict(body), media_type="application/json")
    answer = await asyncio.get_running_loop().run_in_executor(pool, predict, body)
    return Response(answer, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[Route("/predict", endpoint, methods=["POST"])]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        http="httptools",
        loop="uvloop",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )

"""The limit: Starlette and ONNX Runtime, and nothing between. python bare.py MODEL.onnx PORT

It takes what Mainspring's gateway takes and answers with the same predictions, on the same graph and the same server.
It checks nothing: no schema, no keys, no limits; no ids, metrics or log; and it cannot change its model.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import onnxruntime
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

LARGE = 16_384  # bytes; beyond, a thread computes while the event loop reads the next request

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
pool = ThreadPoolExecutor(2)

# What arrives as JSON, and what the graph takes, by the type of its inputs.
KINDS = {"tensor(double)": (float | None, np.float64), "tensor(string)": (str, object)}
TIME = (str, "datetime64[us]")  # the graph takes it as a whole number
inputs = [(i.name, *KINDS.get(i.type, TIME)) for i in session.get_inputs()]
Row = msgspec.defstruct("Row", [(name, kind) for name, kind, _ in inputs], gc=False)
one = msgspec.json.Decoder(Row)
many = msgspec.json.Decoder(list[Row])


def predict(body: bytes) -> bytes:
    rows = many.decode(body) if body.startswith(b"[") else [one.decode(body)]
    feeds = {}
    for (name, _, dtype), values in zip(inputs, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True):
        column = np.array(values, dtype=dtype).reshape(-1, 1)
        feeds[name] = column.view(np.int64) if column.dtype.kind == "M" else column
    labels, probabilities = session.run(["label", "probabilities"], feeds)
    answers = [
        {"label": label == "true", "probabilities": {"false": no, "true": yes}}
        for label, (no, yes) in zip(labels.tolist(), probabilities.tolist(), strict=True)
    ]
    return msgspec.json.encode({"predictions": answers})


async def endpoint(request: Request) -> Response:
    body = await request.body()
    if len(body) <= LARGE:
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

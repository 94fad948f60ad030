"""The limit: the least that an ASGI server can do to answer from the same graph. No checks, ids, log or metrics."""

import os
import sys
from datetime import UTC, datetime

import msgspec
import numpy as np
import onnxruntime as ort
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
inputs = [(node.name, node.type) for node in session.get_inputs()]
decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode


def column(name, kind, records):
    values = [record[name] for record in records]
    if kind == "tensor(string)":
        return np.array(values, dtype=object).reshape(-1, 1)
    if kind == "tensor(int64)":
        stamps = [int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp() * 1e6) for value in values]
        return np.array(stamps, dtype=np.int64).reshape(-1, 1)
    return np.array(values, dtype=np.float64).reshape(-1, 1)


async def predict(request: Request) -> Response:
    records = decode(await request.body())
    records = records if isinstance(records, list) else [records]
    label, probabilities = session.run(
        ["label", "probabilities"], {name: column(name, kind, records) for name, kind in inputs}
    )
    answer = {"label": label.tolist(), "probabilities": probabilities.tolist()}
    return Response(encode(answer), media_type="application/json")


app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])

if __name__ == "__main__":
    sys.exit(
        uvicorn.run(
            app,
            host="127.0.0.1",
            port=int(os.environ["PORT"]),
            http="httptools",
            loop="uvloop",
            access_log=False,
            log_level="warning",
            ws="none",
            lifespan="off",
        )
    )

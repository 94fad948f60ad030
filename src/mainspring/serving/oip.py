"""`POST /v2/models/{name}[/versions/{version}]/infer` of the Open Inference Protocol v2.

A classifier gives `label` (n,) and `probabilities` (n, classes); a regressor gives `value` (n,). The answer's `id` is
the request's, or the prediction id where it had none; the prediction id is in the header X-Prediction-Id in any case.
"""

from __future__ import annotations

import msgspec

from mainspring.errors import RequestError
from mainspring.runtimes.onnx import Stop
from mainspring.serving import tensors
from mainspring.serving.engine import Engine
from mainspring.serving.messages import Reply, Request
from mainspring.serving.predict import prediction_headers, require_media_type
from mainspring.serving.problems import Problem
from mainspring.serving.slots import Slots

_HEADER_LENGTH = b"inference-header-content-length"


class InferenceResponse(msgspec.Struct):
    """The JSON part of an answer."""

    model_name: str
    model_version: str
    id: str
    outputs: list[tensors.OutputTensor]


class Infer:
    """The endpoint. `max_rows` is the most rows that one request may hold."""

    def __init__(self, slots: Slots, engine: Engine, max_rows: int) -> None:
        self._slots, self._engine, self._max_rows = slots, engine, max_rows

    async def __call__(self, request: Request, name: str, version: str | None = None) -> Reply:
        """Answer one request to the model `name`."""
        slot = self._slots.find(name)
        request.model = name
        # Triton's client names no type for JSON.
        require_media_type(request, "application/json", "application/octet-stream", "")
        header_length = _header_length(request)
        loaded = slot.lease(version)
        request.version = loaded.name

        def work(stop: Stop | None) -> tuple[bytes, bytes]:
            asked, binary = tensors.parse(request.body, header_length)
            wanted = tensors.requested(asked, loaded.codec.schema)
            columns, request.rows = tensors.to_columns(asked, binary, loaded.codec, self._max_rows)
            given, packed = tensors.from_outputs(loaded.predict(columns, stop), wanted)
            answer = InferenceResponse(name, loaded.name, asked.id or request.unique, given)
            return msgspec.json.encode(answer), packed

        try:
            header, packed = await self._engine.run(work, inline=len(request.body) <= loaded.inline_bytes)
        except RequestError as error:
            raise Problem.of(error) from None
        finally:
            loaded.release()
        headers = prediction_headers(loaded.name, request.unique)
        if not packed:
            return Reply(200, header, headers=headers)
        return Reply(
            200,
            header + packed,
            content_type=b"application/octet-stream",
            headers=(*headers, (_HEADER_LENGTH, b"%d" % len(header))),
        )


def _header_length(request: Request) -> int | None:
    found = request.headers.get(_HEADER_LENGTH)
    if found is None:
        return None
    if not found.isdigit() or len(found) > 12:
        raise Problem(400, "Inference-Header-Content-Length is not a number of bytes")
    return int(found)

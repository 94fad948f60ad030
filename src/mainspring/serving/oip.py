"""`POST /v2/models/{name}[/versions/{version}]/infer` of the Open Inference Protocol v2.

A classifier gives `label` (n,) and `probabilities` (n, classes); a regressor gives `value` (n,). The answer's `id` is
the request's, or the prediction id where it had none; the prediction id is in the header X-Prediction-Id in any case.
"""

from __future__ import annotations

import msgspec

from mainspring.runtimes.onnx import Outputs
from mainspring.serving import tensors
from mainspring.serving.answering import Answering, Question, prediction_headers
from mainspring.serving.loading import LoadedVersion
from mainspring.serving.messages import Reply, Request
from mainspring.serving.predict import require_media_type
from mainspring.serving.problems import Problem

_HEADER_LENGTH = b"inference-header-content-length"


class InferenceResponse(msgspec.Struct):
    """The JSON part of an answer."""

    model_name: str
    model_version: str
    id: str
    outputs: list[tensors.OutputTensor]


class Infer:
    """The endpoint. `max_rows` is the most rows that one request may hold."""

    def __init__(self, answering: Answering, max_rows: int) -> None:
        self._answering, self._max_rows = answering, max_rows

    async def __call__(self, request: Request, name: str, version: str | None = None) -> Reply:
        """Answer one request to the model `name`."""
        slot = self._answering.slots.find(name)
        request.model = name
        # Triton's client names no type for JSON.
        require_media_type(request, "application/json", "application/octet-stream", "")
        header_length = _header_length(request)

        def read(loaded: LoadedVersion) -> Question[tuple[bytes, bytes]]:
            asked, binary = tensors.parse(request.body, header_length)
            wanted = tensors.requested(asked, loaded.codec.schema)
            columns, rows = tensors.to_columns(asked, binary, loaded.codec, self._max_rows)

            def write(outputs: Outputs) -> tuple[bytes, bytes]:
                given, packed = tensors.from_outputs(outputs, wanted)
                answer = InferenceResponse(name, loaded.name, asked.id or request.unique, given)
                return msgspec.json.encode(answer), packed

            return Question(columns, rows, write)

        header, packed = await self._answering(request, slot, read, version)
        headers = prediction_headers(request)
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

"""`POST /models/{name}/predict`: JSON records in, one prediction a record out.

    {"model": "delay", "version": "3", "id": "0197…", "predictions": [{"label": true, "probabilities": {…}}, …]}

`predictions` is a list also for one record. `id` is the prediction id; that of record k of many is `<id>-<k>`.
"""

from __future__ import annotations

import msgspec

from mainspring.runtimes.onnx import Outputs
from mainspring.serving.answering import Answering, Question, prediction_headers
from mainspring.serving.loading import LoadedVersion
from mainspring.serving.messages import Reply, Request
from mainspring.serving.problems import Problem
from mainspring.serving.programs import PromptVersion
from mainspring.serving.prompting import Prompting

_encode = msgspec.json.Encoder().encode


class Predict:
    """The endpoint. `max_rows` is the most records that one request may hold."""

    def __init__(self, answering: Answering, prompting: Prompting, max_rows: int) -> None:
        self._answering, self._prompting, self._max_rows = answering, prompting, max_rows

    async def __call__(self, request: Request, name: str) -> Reply:
        """Answer one request to the model `name`."""
        slot = self._answering.slots.find(name)
        request.model = name
        require_json(request)
        if isinstance(slot.live, PromptVersion):
            return await self._prompting(request, slot, self._max_rows)

        def read(loaded: LoadedVersion) -> Question[bytes]:
            columns, rows, keys = loaded.codec.decode_with_keys(request.body)
            check_rows(rows, self._max_rows)

            def write(outputs: Outputs) -> bytes:
                answers = loaded.codec.outputs(outputs)
                return _encode({"model": name, "version": loaded.name, "id": request.unique, "predictions": answers})

            return Question(columns, rows, write, keys)

        body = await self._answering(request, slot, read)
        return Reply(200, body, headers=prediction_headers(request))


def check_rows(rows: int, most: int) -> None:
    """Problem if there are more rows than one request may hold."""
    if rows > most:
        raise Problem(413, f"{rows} records are too many: send at most {most} at a time", "$")


def require_json(request: Request) -> None:
    """Problem unless the body claims to be JSON in UTF-8."""
    headers = request.headers
    if headers.get(b"content-type") != b"application/json" or b"content-encoding" in headers:
        require_media_type(request, "application/json")


def require_media_type(request: Request, *allowed: str) -> None:
    """Problem unless the body claims to be one of `allowed` in UTF-8, and not compressed."""
    found = request.headers.get(b"content-type", b"").decode("latin-1")
    charset = found.lower().partition("charset=")[2].partition(";")[0].strip(' "')
    if request.media_type not in allowed or charset not in ("", "utf-8", "utf8"):
        names = " or ".join(name for name in allowed if name)
        raise Problem(415, f"expected Content-Type: {names}; found {found[:100] or 'none'}", "Content-Type")
    if encoding := request.headers.get(b"content-encoding", b"").decode("latin-1"):
        raise Problem(
            415, f"compressed bodies are not taken; found Content-Encoding: {encoding[:100]}", "Content-Encoding"
        )

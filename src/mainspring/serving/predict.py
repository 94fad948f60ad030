"""`POST /models/{name}/predict`: JSON records in, one prediction a record out.

    {"model": "delay", "version": "3", "id": "0197…", "predictions": [{"label": true, "probabilities": {…}}, …]}

`predictions` is a list also for one record. `id` is the prediction id; that of record k of many is `<id>-<k>`.
"""

from __future__ import annotations

import msgspec

from mainspring.errors import RequestError
from mainspring.runtimes.onnx import Stop
from mainspring.serving.engine import Engine
from mainspring.serving.messages import Headers, Reply, Request
from mainspring.serving.problems import Problem
from mainspring.serving.slots import Slots

_encode = msgspec.json.Encoder().encode


class Predict:
    """The endpoint. `max_rows` is the most records that one request may hold."""

    def __init__(self, slots: Slots, engine: Engine, max_rows: int) -> None:
        self._slots, self._engine, self._max_rows = slots, engine, max_rows

    async def __call__(self, request: Request, name: str) -> Reply:
        """Answer one request to the model `name`."""
        slot = self._slots.find(name)
        request.model = name
        require_json(request)
        loaded = slot.lease()
        request.version = loaded.name

        def work(stop: Stop | None) -> bytes:
            columns, request.rows = loaded.codec.decode(request.body)
            check_rows(request.rows, self._max_rows)
            answers = loaded.codec.outputs(loaded.predict(columns, stop))
            return _encode({"model": name, "version": loaded.name, "id": request.unique, "predictions": answers})

        try:
            body = await self._engine.run(work, inline=len(request.body) <= loaded.inline_bytes)
        except RequestError as error:
            raise Problem.of(error) from None
        finally:
            loaded.release()
        return Reply(200, body, headers=prediction_headers(loaded.name, request.unique))


def prediction_headers(version: str, prediction: str) -> Headers:
    """What every answer with predictions carries, whatever its protocol."""
    return ((b"x-model-version", version.encode()), (b"x-prediction-id", prediction.encode()))


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

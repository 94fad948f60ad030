"""What the three ways to ask for predictions share: which version answers, where, and what is noted of it.

An endpoint only says how its protocol's body is read and how its answer is written: see `Question`. Everything between
is here: the lease of a version, the engine, errors, the prediction log, the shadow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeAlias, TypeVar

from mainspring.errors import RequestError
from mainspring.runtimes.onnx import Outputs, Stop
from mainspring.schema import Columns
from mainspring.serving.engine import Engine
from mainspring.serving.loading import LoadedVersion, NoFiniteAnswerError
from mainspring.serving.messages import Headers, Request
from mainspring.serving.prediction_log import PredictionLog
from mainspring.serving.problems import Problem
from mainspring.serving.shadow import Shadow
from mainspring.serving.slots import Slot, Slots

T = TypeVar("T")

_KEY_HEADER = b"x-prediction-key"
_KEY = re.compile(rb"[\x20-\x7e]{1,128}")


@dataclass(slots=True)
class Question(Generic[T]):
    """A request's body, read for one version. `write` makes the answer of its outputs; `keys` are its own, if any."""

    columns: Columns
    rows: int
    write: Callable[[Outputs], T]
    keys: Sequence[str] = ()


Read: TypeAlias = Callable[[LoadedVersion], Question[T]]


class Answering:
    """Answers the prediction requests of all endpoints."""

    def __init__(self, slots: Slots, engine: Engine, log: PredictionLog, shadow: Shadow) -> None:
        self.slots = slots
        self._engine, self._log, self._shadow = engine, log, shadow

    async def __call__(self, request: Request, slot: Slot, read: Read[T], version: str | None = None) -> T:
        """The answer to one request, as `read` and its question's `write` have it.

        Args:
            request: its model, version and rows are filled in.
            slot: the model that is asked.
            read: reads the body for the version that answers; raises RequestError or Problem.
            version: the one that the client insists on.

        Raises:
            Problem: there is none, and why.
        """
        key = business_key(request)
        loaded = slot.lease(version, key)
        if not isinstance(loaded, LoadedVersion):
            loaded.release()
            raise loaded.wrong_kind()
        request.version = loaded.name

        def work(stop: Stop | None) -> tuple[Question[T], Outputs, T]:
            question = read(loaded)
            request.rows = question.rows
            outputs = loaded.predict(question.columns, stop)
            return question, outputs, question.write(outputs)

        try:
            question, outputs, answer = await self._engine.run(work, inline=len(request.body) <= loaded.inline_bytes)
        except RequestError as error:
            self._note(request, 0, failed=isinstance(error, NoFiniteAnswerError))
            raise Problem.of(error) from None
        except Problem as problem:
            self._note(request, 0, failed=problem.status >= 500)
            raise
        except Exception:
            self._note(request, 0, failed=True)
            raise
        finally:
            loaded.release()
        self._note(request, question.rows, failed=False)
        keys = question.keys or keys_of_rows(key, question.rows)
        self._log.add(slot.name, loaded.name, request.unique, request.seen, keys, question.columns, outputs)
        shadow = slot.shadow
        if isinstance(shadow, LoadedVersion) and shadow is not loaded:
            columns = question.columns if shadow.takes == loaded.takes else None
            self._shadow.ask(shadow, request, keys, lambda: columns or read(shadow).columns)
        return answer

    def _note(self, request: Request, rows: int, failed: bool) -> None:
        seconds = perf_counter() - request.started
        self._log.traffic(request.model, request.version, seconds, rows, failed)


def prediction_headers(request: Request) -> Headers:
    """What every answer with predictions carries, whatever its protocol."""
    return ((b"x-model-version", request.version.encode()), (b"x-prediction-id", request.unique.encode()))


def business_key(request: Request) -> str:
    """What the client calls its request, by which its true label will be told; empty if it has no name."""
    given = request.headers.get(_KEY_HEADER)
    if given is None:
        return ""
    if not _KEY.fullmatch(given):
        raise Problem(400, "expected 1 to 128 printable ASCII characters", "X-Prediction-Key")
    return given.decode("ascii")


def keys_of_rows(key: str, rows: int) -> Sequence[str]:
    """What the rows of a request are called that the client calls `key`; nothing if it has no name."""
    if not key:
        return ()
    return (key,) if rows == 1 else [f"{key}-{row}" for row in range(rows)]

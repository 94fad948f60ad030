"""`POST /models/{name}/predict` of a prompt program: records in, one answer a record out.

    {"model": "mail", "version": "1", "id": "0197…",
     "predictions": [{"answer": "billing", "tokens": 143, "calls": 1, "stopped": null}]}

The records of a request are answered at the same time, as many as the chat model takes. A client that hangs up ends
the work on its records, and that is no error of the version's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from mainspring.errors import ContextError, MainspringError, OverloadedError, RequestError, UnsupportedError
from mainspring.prompts import Answer, LanguageModel, Prompt, answer_all
from mainspring.prompts.records import values_of
from mainspring.prompts.template import as_text
from mainspring.runtimes.language.protocol import Usage
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Columns
from mainspring.serving.answering import business_key, keys_of_rows, prediction_headers
from mainspring.serving.language_metrics import LanguageMetrics
from mainspring.serving.messages import Reply, Request
from mainspring.serving.noting import noted
from mainspring.serving.prediction_log import PredictionLog
from mainspring.serving.problems import Problem
from mainspring.serving.programs import PromptVersion
from mainspring.serving.slots import Slot

_OPERATION = "prompt"
_GRACE = 5.0  # seconds between the prompt's own limit, which gives what there is, and giving up


class Prompting:
    """Answers the prediction requests of prompt programs.

    Args:
        metrics: where times and tokens are counted.
        log: where records and answers are noted.
        silence: the longest that no record of a request may be answered, in seconds; longer where the prompt lets one
            question take longer.
    """

    def __init__(self, metrics: LanguageMetrics, log: PredictionLog, silence: float) -> None:
        self._metrics, self._log, self._silence = metrics, log, silence

    async def __call__(self, request: Request, slot: Slot, max_rows: int) -> Reply:
        """Answer one request to the model of `slot`.

        Raises:
            Problem: there is no answer, and why.
            ClientGoneError: nobody waits for it any more.
        """
        key = business_key(request)
        loaded = slot.lease(None, key)
        try:
            if not isinstance(loaded, PromptVersion):  # a canary of another kind
                raise loaded.wrong_kind()
            request.version = loaded.name
            return await self._reply(request, slot, loaded, key, max_rows)
        finally:
            loaded.release()

    async def _reply(self, request: Request, slot: Slot, loaded: PromptVersion, key: str, max_rows: int) -> Reply:
        watch = self._metrics.begin(_OPERATION, loaded.model, loaded.name, request.started)
        with noted(request, loaded, watch, self._log.traffic, partial(_problem_of, model=loaded.model)):
            columns, rows, keys = loaded.codec.decode_with_keys(request.body)
            request.rows = rows
            if rows > max_rows:
                raise Problem(413, f"{rows} records are too many: send at most {max_rows} at a time", "$")
            with loaded.asking(key) as model:
                async with request.unless_gone():
                    values = values_of(columns, loaded.manifest.schema)
                    answers = await self._answers(loaded.prompt, values, model)
            watch.done(_usage(answers), 0)
        outputs = Outputs(values=np.array([answer.cost.tokens for answer in answers], np.float64))
        logged, keys = columns | _logged(answers), keys or keys_of_rows(key, rows)
        self._log.add(slot.name, loaded.name, request.unique, request.seen, keys, logged, outputs)
        predictions = [
            {
                "answer": answer.value,
                "tokens": answer.cost.tokens,
                "calls": answer.cost.calls,
                "stopped": answer.stopped,
            }
            for answer in answers
        ]
        told = {"model": slot.name, "version": loaded.name, "id": request.unique, "predictions": predictions}
        return Reply(200, msgspec.json.encode(told), headers=prediction_headers(request))

    async def _answers(self, prompt: Prompt, values: Sequence[Mapping[str, Any]], model: LanguageModel) -> list[Answer]:
        """All of them, unless none comes for too long."""
        loop, silence = asyncio.get_running_loop(), max(self._silence, prompt.limits.seconds + _GRACE)

        def told() -> None:
            if not patience.expired():  # an answer that comes while the others are given up does not begin it anew
                patience.reschedule(loop.time() + silence)

        try:
            async with asyncio.timeout(silence) as patience:
                return await answer_all(prompt, values, model, told=told)
        except TimeoutError:
            why = "too much is asked of the model at once, or it hangs"
            raise Problem(503, f"no record was answered for {silence:g} s: {why}") from None


def _problem_of(error: MainspringError, model: str) -> Problem:
    """What is answered when a model that is asked fails; a record that does not fit is the client's."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OverloadedError):
        return Problem(429, str(error))
    if isinstance(error, RequestError) and not isinstance(error, UnsupportedError):
        return Problem(422, str(error), "$") if isinstance(error, ContextError) else Problem.of(error)
    return Problem(503, f"{model} cannot be answered: {error}")


def _usage(answers: Sequence[Answer]) -> Usage:
    return Usage(sum(answer.cost.prompt for answer in answers), sum(answer.cost.completion for answer in answers))


def _logged(answers: Sequence[Answer]) -> Columns:
    """What is noted of the answers beside the records. No variable has a dot in its name."""
    values = ["" if answer.value is None else as_text(answer.value) for answer in answers]
    costs = {
        "answer.calls": [answer.cost.calls for answer in answers],
        "answer.prompt_tokens": [answer.cost.prompt for answer in answers],
        "answer.completion_tokens": [answer.cost.completion for answer in answers],
    }
    numbers = {name: np.array(found, np.float64) for name, found in costs.items()}
    return {"answer": np.array(values, object), **numbers}

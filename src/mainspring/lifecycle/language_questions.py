"""Questions with known answers, by which a language model's version is judged: read, asked, scored.

A row has a `question`, or `messages`, and the right answer in the column that the spec calls `target`. Messages, and an
answer that is an object or a list, may be values of JSON lines or Parquet, or texts that have them as JSON. Nothing is
learned from questions, so every version is judged by all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from mainspring.errors import ContextError, DataError
from mainspring.evaluation.scores import mean_score
from mainspring.lifecycle.knowledge import Assistant
from mainspring.lifecycle.language_answers import Answers
from mainspring.prompts.metrics import METRICS
from mainspring.prompts.model import LanguageModel
from mainspring.prompts.reading import Choice, Json, Number, Reading, Text
from mainspring.runtimes.language.protocol import Engine, Generate, Message, Sampling
from mainspring.schema import Kind
from mainspring.spec import AnsweringSpec, Project

if TYPE_CHECKING:
    import pyarrow as pa

MOST_TOKENS = 256  # of an answer
_QUESTION, _MESSAGES = "question", "messages"


@dataclass(frozen=True)
class Questions:
    """n questions: what is asked, what is right, and how an answer is read and scored. `left_out` rows had no answer.

    `metric` is one of `prompts.metrics`. They are about no `collection`, and any model can be asked them.
    """

    collection: ClassVar[None] = None

    requests: tuple[Generate, ...]
    expected: tuple[Any, ...]
    reading: Reading
    metric: str
    left_out: int

    def __len__(self) -> int:
        return len(self.requests)

    async def ask(self, engine: Engine, assistant: Assistant | None, say: Callable[[str], None]) -> Answers:
        """What the greedy answers of `engine`, or of the `assistant` that it is part of, are worth: 0 to 1 each. A
        question that is too long for it: 0.

        Raises:
            EngineGoneError, UnsupportedError: it cannot answer.
        """
        model = LanguageModel(engine if assistant is None else assistant.engine())
        answers = await asyncio.gather(*(_answer(model, request) for request in self.requests))
        metric = METRICS[self.metric]
        read = [None if answer is None else self.reading.read(answer) for answer in answers]
        worth = [metric(value, right) for value, right in zip(read, self.expected, strict=True)]
        scores = np.array(worth, np.float64)
        return Answers(scores, None, {self.metric: mean_score(scores).as_dict()})


async def _answer(model: LanguageModel, request: Generate) -> str | None:
    try:
        [completion] = await model.complete([request])
    except ContextError:
        return None
    return completion.text


def load(project: Project, model: str, spec: AnsweringSpec) -> Questions:
    """The questions of `model`, whose spec names `data` and `target`.

    Raises:
        SpecError: they are not there, or lack a column.
        DataError: they cannot be read, there are none, or an answer is not what the metric compares.
    """
    from mainspring.data.readers import read_named

    assert spec.data is not None
    assert spec.target is not None
    texts: dict[str, Kind] = dict.fromkeys((_QUESTION, _MESSAGES, spec.target), "text")
    table = read_named(project, model, spec.data, spec.query, texts, nested=(_MESSAGES, spec.target))
    if spec.target not in table.column_names:
        there = ", ".join(table.column_names)
        raise project.mistake(
            ("models", model, "target"), f"the data has no column {spec.target!r}; there are: {there}"
        )
    answers = table[spec.target].to_pylist()
    known = [place for place, answer in enumerate(answers) if answer not in (None, "")]
    if not known:
        raise DataError(f"the data of {model} has no row with a value of {spec.target}: there is nothing to judge by")
    metric = spec.metric or "exact_match"
    requests = _requests(project, model, spec, table, known)
    if metric == "exact_match" and (values := _json_values([answers[place] for place in known])):
        return Questions(tuple(requests), values, Json({}), metric, len(answers) - len(known))
    expected = [_expected(metric, answers[place], place + 1, spec.target) for place in known]
    return Questions(tuple(requests), tuple(expected), _reading(metric, expected), metric, len(answers) - len(known))


def _requests(
    project: Project, model: str, spec: AnsweringSpec, table: pa.Table, places: Sequence[int]
) -> list[Generate]:
    column = next((name for name in (_QUESTION, _MESSAGES) if name in table.column_names), None)
    if column is None or (column == _MESSAGES and spec.task == "completion"):
        wanted = "'question'" if spec.task == "completion" else "'question' or 'messages'"
        there = ", ".join(table.column_names)
        raise project.mistake(("models", model, "data"), f"a column {wanted} is needed; there are: {there}")
    asked = table[column].to_pylist()
    sampling = Sampling(temperature=0.0, max_tokens=MOST_TOKENS)
    requests = []
    for place in places:
        found = asked[place]
        if found in (None, ""):
            raise DataError(f"row {place + 1} of the questions has no value of {column}")
        if spec.task == "completion":
            requests.append(Generate(prompt=str(found), sampling=sampling))
        elif column == _QUESTION:
            requests.append(Generate(messages=[{"role": "user", "content": str(found)}], sampling=sampling))
        else:
            requests.append(Generate(messages=_messages(found, place + 1), sampling=sampling))
    return requests


def _messages(found: Any, row: int) -> list[Message]:
    try:
        messages = msgspec.json.decode(str(found), type=list[dict[str, str | None]])
        if not messages:
            raise msgspec.ValidationError("it is empty")
        # In Parquet all messages have the same fields; one that has no value in a message is none of it.
        return [{name: text for name, text in message.items() if text is not None} for message in messages]
    except msgspec.DecodeError as error:
        raise DataError(
            f"{_MESSAGES} of row {row} of the questions: expected a list of messages such as "
            f'[{{"role": "user", "content": "…"}}]; {error}'
        ) from None


def _json_values(answers: Sequence[Any]) -> tuple[Any, ...]:
    """The answers, where all are objects or lists in JSON; else nothing."""
    try:
        values = tuple(msgspec.json.decode(answer) for answer in answers)
    except (TypeError, msgspec.DecodeError):
        return ()
    return values if all(isinstance(value, dict | list) for value in values) else ()


def _expected(metric: str, answer: Any, row: int, target: str) -> Any:
    """The right answer, in the form that the metric compares."""
    try:
        if metric == "numeric":
            return float(answer)
        if metric == "json_equal":
            return msgspec.json.decode(answer) if isinstance(answer, str) else answer
    except (ValueError, TypeError, msgspec.DecodeError):
        raise DataError(f"{target} of row {row} of the questions: {metric} does not compare {answer!r}") from None
    if isinstance(answer, float) and answer.is_integer():
        return str(int(answer))
    return str(answer).strip()


def _reading(metric: str, expected: Sequence[Any]) -> Reading:
    """How an answer is read from what the model says; of choices, the options are all the right answers there are."""
    if metric == "numeric":
        return Number()
    if metric == "json_equal":
        return Json({})
    return Choice(tuple(dict.fromkeys(expected))) if metric == "choice_accuracy" else Text()

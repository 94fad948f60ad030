"""What the prediction log keeps of searches, and of answers from documents.

A search is a row of the collection that was searched; its output is the score of the best passage. An answer is a row
of the model that gave it: of a chat model beside what the log keeps of every one, of a collection that was asked itself
beside its search. Ids and places of passages are no secrets of who asked; questions and answers may be, and are dropped
or hashed where the spec says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from mainspring.runtimes.index.found import Searched
from mainspring.runtimes.language.protocol import Citation
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Columns
from mainspring.serving.answering import business_key
from mainspring.serving.live import LiveVersion
from mainspring.serving.messages import Request
from mainspring.serving.openai.generation import Answer
from mainspring.serving.prediction_log import PredictionLog


class LoggedPassage(msgspec.Struct, frozen=True):
    """A passage that was found: the column `passages` of a search is a JSON list of these."""

    id: str
    document: str
    anchor: str | None
    score: float


class LoggedCitation(msgspec.Struct, frozen=True):
    """A place that an answer cites: the column `citations` is a JSON list of these."""

    passage: str
    document: str
    anchor: str | None
    begin: int
    end: int


@dataclass(frozen=True)
class Row:
    """Under which prediction id, when it came, and what the client calls it."""

    id: str
    seen: float
    key: str

    @classmethod
    def of(cls, request: Request) -> Row:
        """That of a request."""
        return cls(request.unique, request.seen, business_key(request))

    def write(
        self, log: PredictionLog, loaded: LiveVersion, question: str, result: Searched, answer: Answer | None = None
    ) -> None:
        """Note a search of `loaded`, and the answer where it was asked for one."""
        top = result.found[0].score if result.found else math.nan
        keys = (self.key,) if self.key else ()
        outputs = Outputs(values=np.array([top], np.float64))
        passages = [
            LoggedPassage(one.id, one.passage.source, one.passage.anchor, round(one.score, 6)) for one in result.found
        ]
        columns = {
            "question": _text(question),
            "passages": _json(passages),
            "answerable": _number(result.answerable),
            "answer": _text(answer.text if answer else ""),
            "citations": _json(_logged(answer.citations if answer else ())),
            "abstained": _number(_abstained(answer)),
        }
        log.add(loaded.model, loaded.name, self.id, self.seen, keys, columns, outputs)


def answer_columns(answer: Answer) -> Columns:
    """What is noted of a chat model's answer from documents, beside the answer itself."""
    answered = answer.answered
    return {
        "passages": _json(answered.passages if answered else ()),
        "answerable": _number(answered.answerable if answered else None),
        "citations": _json(_logged(answer.citations)),
        "abstained": _number(_abstained(answer)),
    }


def _logged(citations: Iterable[Citation]) -> list[LoggedCitation]:
    return [LoggedCitation(one.passage, one.source, one.anchor, *one.place) for one in citations]


def _abstained(answer: Answer | None) -> float | None:
    return None if answer is None or answer.answered is None else float(answer.answered.abstained)


def _text(text: str) -> np.ndarray:
    return np.array([text], object)


def _json(value: Any) -> np.ndarray:
    return _text(msgspec.json.encode(value).decode())


def _number(value: float | None) -> np.ndarray:
    return np.array([math.nan if value is None else value], np.float64)

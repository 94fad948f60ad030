"""What the prediction log keeps of a request to a language model: a row with its prompt, its answer, and their tokens.

In the log all of it is in columns, so that `private` can drop or hash the texts. The row's output, like that of a
regression, is how many tokens the answer has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from mainspring.runtimes.language.protocol import Generate, Usage
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Columns
from mainspring.serving.answering import business_key
from mainspring.serving.language import LanguageVersion
from mainspring.serving.messages import Request
from mainspring.serving.openai.generation import Answer
from mainspring.serving.prediction_log import PredictionLog
from mainspring.serving.retrieval.rows import answer_columns
from mainspring.serving.slots import Slot


@dataclass(frozen=True)
class Exchange:
    """A request that was answered.

    `prompt` is a text as it came, or JSON: of the messages, of several texts, of tokens. `answer` is the text, or JSON:
    of an answer with tool calls, of several answers. `from_documents` is that of a chat model with knowledge.
    """

    request: Request
    slot: Slot
    loaded: LanguageVersion
    prompt: str
    answer: str
    usage: Usage
    from_documents: Answer | None = None

    @classmethod
    def of(
        cls,
        request: Request,
        slot: Slot,
        loaded: LanguageVersion,
        generates: list[Generate],
        answers: list[Answer],
        usage: Usage,
    ) -> Exchange:
        """What was asked of an engine, and what it answered."""
        prompts = [generate.prompt if generate.messages is None else generate.messages for generate in generates]
        first = None if loaded.knowledge is None else answers[0]  # the only one: see `KnowledgeEngine`
        return cls(request, slot, loaded, _text(prompts), _text([_said(answer) for answer in answers]), usage, first)

    @classmethod
    def of_texts(
        cls,
        request: Request,
        slot: Slot,
        loaded: LanguageVersion,
        texts: list[str] | list[list[int]],
        tokens: int,
    ) -> Exchange:
        """Texts whose vectors were given; those are not kept."""
        return cls(request, slot, loaded, _text(list(texts)), "", Usage(tokens, 0))

    def columns(self) -> Columns:
        """One row: each an array of one value. The prompt's column has the name that it has in the version's schema."""
        usage, schema = self.usage, self.loaded.manifest.schema
        knowledge = answer_columns(self.from_documents) if self.from_documents else {}
        return {
            schema.features[0].name: np.array([self.prompt], object),
            "answer": np.array([self.answer], object),
            "prompt_tokens": np.array([usage.prompt], np.float64),
            "cached_tokens": np.array([np.nan if usage.cached is None else usage.cached], np.float64),
            **knowledge,
        }

    def write(self, log: PredictionLog) -> None:
        """Note it in the log."""
        key = business_key(self.request)
        outputs = Outputs(values=np.array([self.usage.completion], np.float64))
        request, keys = self.request, (key,) if key else ()
        log.add(self.slot.name, self.loaded.name, request.unique, request.seen, keys, self.columns(), outputs)


def _said(answer: Answer) -> Any:
    if not answer.calls:
        return answer.text
    return {"content": answer.text, "tool_calls": [call.__dict__ for _, call in sorted(answer.calls.items())]}


def _text(items: list[Any]) -> str:
    """The one text as it is; anything else as JSON."""
    content = items[0] if len(items) == 1 else items
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()

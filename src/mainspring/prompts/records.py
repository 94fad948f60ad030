"""A prompt program among the other models: its records, its target, and the models that it asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mainspring.prompts.prompt import Prompt
from mainspring.prompts.reading import Choice, Number
from mainspring.prompts.strategies import NearestExamples, React
from mainspring.schema import Columns, Schema, Target

FILE_NAME = "prompt.md"


@dataclass(frozen=True)
class Uses:
    """The models of the project that a prompt program asks, by name; `tools` are for its strategy to choose from."""

    model: str
    embeddings: str | None = None
    tools: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Each once, the chat model first."""
        return tuple(dict.fromkeys((self.model, *((self.embeddings,) if self.embeddings else ()), *self.tools)))

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Uses:
        """As a manifest's `parameters` have them."""
        return cls(parameters["model"], parameters["embeddings"], tuple(parameters["tools"]))

    def by(self, prompt: Prompt) -> Uses:
        """Those of them that `prompt` can come to ask."""
        nearest, acts = isinstance(prompt.strategy, NearestExamples), isinstance(prompt.strategy, React)
        return Uses(self.model, self.embeddings if nearest else None, self.tools if acts else ())


def target_of(prompt: Prompt, name: str) -> Target:
    """What the right answers to `prompt` can be: one of its options, a number, or any text."""
    if isinstance(prompt.reading, Choice):
        return Target(name, prompt.reading.options)
    return Target(name, text=not isinstance(prompt.reading, Number))


def values_of(columns: Columns, schema: Schema) -> list[dict[str, Any]]:
    """What is put in the variables, row by row. A number that is whole is put in without decimals."""
    plain = [[_PLAIN[column.kind](value) for value in columns[column.name].tolist()] for column in schema.features]
    names = [column.name for column in schema.features]
    return [dict(zip(names, row, strict=True)) for row in zip(*plain, strict=True)]


def plain_number(value: float) -> int | float:
    """3.0 as 3."""
    return int(value) if value.is_integer() else value


_PLAIN: dict[str, Callable[[Any], Any]] = {"text": str, "number": plain_number, "boolean": bool}

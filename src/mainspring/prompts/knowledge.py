"""What a chat model answers from, as the manifest of its version says under `knowledge`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from mainspring.functions import is_function
from mainspring.prompts.answering.settings import Answering

PROMPT = "prompt.md"  # the version's file that says who the assistant is, where there is one


class Knowledge(msgspec.Struct, frozen=True):
    """What it answers from, how many passages a question gets, and how answers are made of them.

    `model` is the collection of documents by its name; or "module:function", which gives another library's retriever.
    """

    model: str
    passages: int = 5
    answers: Literal["written", "quoted"] = "written"
    unsupported: Literal["removed", "marked"] = "removed"

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Knowledge | None:
        """That of a manifest's `parameters`; None of a model that knows what is in its weights."""
        found = parameters.get("knowledge")
        return None if found is None else msgspec.convert(found, cls)

    @property
    def is_function(self) -> bool:
        """Whether it is no collection of this project."""
        return is_function(self.model)

    def answering(self, prompt: str, passages: int | None = None) -> Answering:
        """The settings of the engine, with the text of the prompt, and another number of `passages` where wanted."""
        return Answering(
            answers=self.answers, unsupported=self.unsupported, passages=passages or self.passages, prompt=prompt
        )

"""How an assistant answers from passages."""

from __future__ import annotations

from typing import Literal

import msgspec

ABSTENTION = "I cannot find the answer in the documents."


class Answering(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a `KnowledgeEngine`.

    `answers`: "written" by the language model and checked, or "quoted": the passages' own sentences. `passages` is how
    many are asked for. `prompt` is the text that says who the assistant is. `abstention` is what it says where the
    passages don't hold the answer. `unsupported` is what becomes of a sentence that no passage supports: it is removed,
    or marked. `patience` is after how many such sentences in a row, or such as were said before, no more is asked of
    the model, and `tokens` the most that it writes unless the request says how many. `sentences` is how many are quoted
    at most.
    """

    answers: Literal["written", "quoted"] = "written"
    passages: int = 5
    prompt: str = ""
    abstention: str = ABSTENTION
    unsupported: Literal["removed", "marked"] = "removed"
    patience: int = 3
    tokens: int = 256
    sentences: int = 3

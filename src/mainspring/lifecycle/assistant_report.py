"""What was found of an assistant's answers: to how many questions, when it is silent, and which are not right."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.lifecycle.retrieval_report import Abstaining


class WrongLine(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was not rightly answered: where the answer stands ("" where nothing holds it), what was said
    (None: nothing), and what that cites.
    """

    question: str
    expected: str
    said: str | None
    cited: str


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What a language model says of `judged` answers: the shares that it takes for supported by their citations, and
    for an answer to the question; how often it says of support what the rule says; and, for each answer of which it
    gave no verdict, why.
    """

    judge: str
    judged: int
    supported: dict[str, Any] | None
    answers: dict[str, Any] | None
    agreement: dict[str, Any] | None
    failed: list[str]


class AssistantReport(msgspec.Struct, frozen=True, kw_only=True):
    """Of `held_out` questions of a version of `collection`, `asked` were asked; `answerable` of those have an answer,
    and `known` of those a known one. `wrong` are the first of those that were not rightly answered.
    """

    collection: str
    version: str
    held_out: int
    asked: int
    answerable: int
    known: int
    wrong: list[WrongLine]
    abstaining: Abstaining | None = None
    opinion: Opinion | None = None

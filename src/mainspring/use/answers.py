"""One answer from documents, whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainspring.lifecycle.knowledge import Assistant
from mainspring.runtimes.index.filters import read_filter
from mainspring.runtimes.index.noting import NotedSearch
from mainspring.runtimes.language.protocol import Delta, Generate, Message, Sampling
from mainspring.serving.openai.generation import Answer
from mainspring.serving.retrieval.results import DocumentAnswer, fields_of


async def answer(
    assistant: Assistant,
    question: str,
    messages: Sequence[Message] = (),
    k: int | None = None,
    filter: dict[str, Any] | None = None,
) -> DocumentAnswer:
    """What `assistant` answers to `question` after `messages`, from `k` passages that `filter` lets through.

    Raises:
        RequestError: the filter is none.
        ContextError: the question is too long.
    """
    search = NotedSearch(assistant.search, read_filter(filter))
    asked: list[Message] = [*messages, {"role": "user", "content": question}]
    whole = Answer()
    request = Generate(messages=asked, sampling=Sampling(temperature=0.0))
    async for piece in assistant.asking(search, k).engine().generate(request):
        if isinstance(piece, Delta):
            whole.add(piece)
    assert whole.answered is not None  # the last piece of every answer from documents says how it came about
    return DocumentAnswer(**fields_of(whole.text, whole.citations, whole.answered, search.found))
